-- ARGV: a version, how many networks are told of at once, and whether all of them are
-- being read, up to that version so far: what was forgotten is of no matter then.
-- Returns the version, whether it is all there is from the beginning, the time, networks
-- with the version at which they changed, and what is known of them.
clear_away()
local version, after = number_at(VERSION), tonumber(ARGV[1])
local is_missed = ARGV[3] ~= '1' and after < number_at(FLOOR)
local is_whole = after == 0 or is_missed or after > version
local from = '(' .. (is_whole and 0 or ARGV[1])
local changed = redis.call(
  'ZRANGEBYSCORE', KEYS[CHANGED], from, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2]
)
local networks = {}
for place = 1, #changed, 2 do
  networks[#networks + 1] = changed[place]
end
local details = #networks > 0 and redis.call('HMGET', KEYS[DETAILS], unpack(networks)) or {}
return {version, is_whole and 1 or 0, struct.pack('<d', now), changed, details}
