-- KEYS: generation, name. ARGV: identity of the server, the generation and the lease
-- that were told, the copy, and for how many milliseconds.
local generation = generation_of(KEYS[1], ARGV[1])
if not generation or generation ~= ARGV[2] then
  return 0
end
local kind, leased = kept_under(KEYS[2], generation)
if kind ~= 'L' or leased ~= ARGV[3] then
  return 0
end
redis.call('SET', KEYS[2], 'C' .. generation .. ARGV[4], 'PX', ARGV[5])
redis.call('PEXPIRE', KEYS[1], GENERATION_LASTS)
return 1
