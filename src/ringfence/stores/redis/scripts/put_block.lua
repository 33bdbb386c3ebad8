-- ARGV: the network, for how many seconds (0 or less: let it in), why, and how many
-- networks are kept.
local LET_IN_IS_TOLD = 600 -- seconds; who looks less often reads everything again
local LONGEST = 315360000 -- seconds, ten years
local KEPT_AFTERWARDS = 3600
local network, seconds = ARGV[1], math.min(tonumber(ARGV[2]), LONGEST)
clear_away()
redis.call('ZREM', KEYS[ENDS], network)
while redis.call('ZCARD', KEYS[ENDS]) >= tonumber(ARGV[4]) do
  forget(redis.call('ZRANGE', KEYS[ENDS], 0, 0))
end
local before = number_at(VERSION)
-- Never one that somebody knows already, even if this server has lost its memory.
local version = math.max(before + 1, math.floor(now * 1000000))
if before == 0 then
  redis.call('SET', KEYS[FLOOR], version)
end
local finish = seconds > 0 and now + seconds or 0
local lasts = seconds > 0 and seconds or LET_IN_IS_TOLD
redis.call('SET', KEYS[VERSION], version, 'KEEPTTL')
redis.call('HSET', KEYS[DETAILS], network, struct.pack('<d', finish) .. ARGV[3])
redis.call('ZADD', KEYS[CHANGED], version, network)
redis.call('ZADD', KEYS[ENDS], now + lasts, network)
local left = math.ceil((lasts + KEPT_AFTERWARDS) * 1000)
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, math.max(left, redis.call('PTTL', key)))
end
return version
