-- Blocked networks. KEYS: the version, up to which version something was forgotten, what
-- is known of each network, the version at which it changed, and when it may be
-- forgotten.
local VERSION, FLOOR, DETAILS, CHANGED, ENDS = 1, 2, 3, 4, 5
local AT_ONCE = 100 -- ended ones that are cleared away in one step

local function number_at(key)
  return tonumber(redis.call('GET', KEYS[key]) or 0)
end

-- Who has not heard of them yet never will, and has to read everything again.
local function forget(networks)
  local floor = number_at(FLOOR)
  for _, network in ipairs(networks) do
    floor = math.max(floor, tonumber(redis.call('ZSCORE', KEYS[CHANGED], network) or 0))
    redis.call('HDEL', KEYS[DETAILS], network)
    redis.call('ZREM', KEYS[CHANGED], network)
    redis.call('ZREM', KEYS[ENDS], network)
  end
  if #networks > 0 then
    redis.call('SET', KEYS[FLOOR], floor, 'KEEPTTL')
  end
end

local function clear_away()
  forget(redis.call('ZRANGEBYSCORE', KEYS[ENDS], '-inf', now, 'LIMIT', 0, AT_ONCE))
end
