-- KEYS: generation, name. ARGV: identity of the server, and a nonce.
local generation = generation_of(KEYS[1], ARGV[1])
if generation == false then
  return {}
end
local kind, copy
if generation then
  kind, copy = kept_under(KEYS[2], generation)
end
if kind == 'C' then
  return {generation, copy}
end
local leased
generation, leased = lease(KEYS[1], KEYS[2], ARGV[1], generation, ARGV[2])
return {generation, false, leased}
