-- KEYS: the members, by when they were last seen.
-- ARGV: a member, seconds for which it counts, and how many there are at most.
local period, most = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], string.format('%.17g', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.17g', now - period))
local count = redis.call('ZCARD', KEYS[1])
if count > most then
  redis.call('ZPOPMIN', KEYS[1], count - most)
  count = most
end
redis.call('PEXPIRE', KEYS[1], math.ceil(period * 1000) + 1)
return count
