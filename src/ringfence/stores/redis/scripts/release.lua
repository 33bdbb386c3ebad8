-- KEYS: generation. ARGV: for how many milliseconds a hold lasts.
local kept = redis.call('GET', KEYS[1])
local holding = kept and tonumber(string.match(kept, '^T(%d+)$')) or 0
if holding > 1 then
  local left = redis.call('PTTL', KEYS[1])
  redis.call('SET', KEYS[1], 'T' .. holding - 1, 'PX', left > 0 and left or ARGV[1])
else
  redis.call('DEL', KEYS[1])
end
