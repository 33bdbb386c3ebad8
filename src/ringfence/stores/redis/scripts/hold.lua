-- KEYS: generation. ARGV: for how many milliseconds.
local kept = redis.call('GET', KEYS[1])
local before = kept and tonumber(string.match(kept, '^T(%d+)$')) or 0
redis.call('SET', KEYS[1], 'T' .. before + 1, 'PX', ARGV[1])
