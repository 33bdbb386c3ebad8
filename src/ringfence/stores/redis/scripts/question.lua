-- KEYS: the version of the blocks if that is asked; the generation and the name if a
-- copy is; then as for take. ARGV: what is asked and the charges, packed; the identity
-- of the server, and a nonce.
local VERSION, COPY = 1, 2
local asked, told_from, at = struct.unpack('<BH', ARGV[1])
local key, version = 1, 0
if asked % COPY == VERSION then
  version, key = tonumber(redis.call('GET', KEYS[1]) or 0), 2
end
local generation, kind, copy
local owned = key
if asked >= COPY then
  key = key + 2
  generation = generation_of(KEYS[owned], ARGV[2])
  if generation then
    kind, copy = kept_under(KEYS[owned + 1], generation)
  end
end
local refused, held, wait, left, scarcest = take(ARGV[1], at, key, kind == 'C', told_from)
local nonce = ''
if kind ~= 'C' then
  copy = ''
  if asked >= COPY and generation ~= false and refused < 0 then
    generation, nonce = lease(KEYS[owned], KEYS[owned + 1], ARGV[2], generation, ARGV[3])
  end
end
generation = generation or ''
local good = kind == 'C' and 1 or 0
return struct.pack(
  '<hBHddddBBB', refused, held, scarcest, wait, left, now, version, good, #generation, #nonce
) .. generation .. nonce .. copy
