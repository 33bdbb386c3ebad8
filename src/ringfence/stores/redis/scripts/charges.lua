-- Budgets. All are looked at before anything is written, so that what refuses costs the
-- others nothing. One number (GCRA) or the times of what was taken, packed, are kept
-- under each key, never without an end: what is left behind by a crash locks nobody out.
local NEARLY_ONE = 0.99 -- of a step: thousands of added times are that far off
local JITTER = 1 -- seconds back that are no change of the clock
local EXACT, OWNED = 1, 2

local function keep(key, value, seconds)
  redis.call('SET', key, value, 'PX', math.ceil(seconds * 1000) + 1)
end

local function keep_hold(key, finish, length, level, memory)
  local value = struct.pack('<dddd', finish, length, level, memory)
  keep(key, value, finish + memory - now)
end

-- Until when a key is refused, how long that is, how often it was before, and how long
-- it is remembered afterwards.
local function hold_of(key)
  local raw = redis.call('GET', key)
  if raw and #raw == 32 then
    return struct.unpack('<dddd', raw)
  end
end

local function seconds_held(key)
  local finish, length, level, memory = hold_of(key)
  if not finish or finish <= now then
    return nil
  end
  if finish - now > length then -- the clock was set back
    finish = now + length
    keep_hold(key, finish, length, level, memory)
  end
  return finish - now
end

-- The hold is the price: what was counted is settled, else a short hold on a long
-- period would never end.
local function begin_hold(state, key, period, lengths, at, levels)
  local finish, _, level, memory = hold_of(key)
  level = (finish and finish + memory > now) and level + 1 or 0
  local place = at + 8 * math.min(level, levels - 1)
  local length = struct.unpack('<d', lengths, place)
  redis.call('DEL', state)
  keep_hold(key, now + length, length, level, math.max(length, period))
  return length
end

local function last_of(times)
  return (struct.unpack('<d', times, #times - 7))
end

-- Where the clock was set back everything moves with it, else nothing would be allowed
-- until it has caught up.
local function settled(state, times, period)
  local late = last_of(times) - now
  if late <= JITTER then
    return times, now + late
  end
  local moved = {}
  for place = 1, #times, 8 do
    moved[#moved + 1] = struct.pack('<d', struct.unpack('<d', times, place) - late)
  end
  times = table.concat(moved)
  keep(state, times, period)
  return times, now
end

-- Exact: returns how many are left, below 0 if none was, the times with this one, and
-- for how long they count; or the wait.
local function take_exact(state, times, amount, period)
  local moment = now
  if #times % 8 ~= 0 then
    times = ''
  end
  if #times > 0 and last_of(times) > now then
    times, moment = settled(state, times, period)
  end
  local first = 1
  while first <= #times and struct.unpack('<d', times, first) <= moment - period do
    first = first + 8
  end
  local count = (#times - first + 1) / 8
  if count < amount then
    times = string.sub(times, first) .. struct.pack('<d', moment)
    return amount - count - 1, times, moment + period - now
  end
  local free = struct.unpack('<d', times, #times + 1 - 8 * amount) + period
  return -1, nil, free - now
end

-- GCRA: when the budget will be whole again; each request moves that on by one step.
local function take_rate(state, raw, amount, period, at_once)
  local arrival = #raw == 8 and struct.unpack('<d', raw) or now
  if arrival < now then
    arrival = now
  end
  local step = period / amount
  local left = (now - arrival) / step + at_once - NEARLY_ONE
  if left >= 0 then
    arrival = arrival + step
    return left, struct.pack('<d', arrival), arrival - now
  end
  local ahead = step * at_once
  if arrival > now + ahead then -- the clock was set back
    arrival = now + ahead
    keep(state, struct.pack('<d', arrival), ahead)
  end
  return left, nil, arrival + step - ahead - now
end

local function keep_all(states, ends)
  for state, value in pairs(states) do
    keep(state, value, ends[state])
  end
end

-- Takes all charges or none; those before told_from for themselves: who is refused
-- further on has been at the door all the same. Returns the index of the one that
-- refuses or -1, whether it is held, its wait, what the scarcest has left, and which
-- that is.
local function take(charges, at, key, with_owner, told_from)
  local states, ends = {}, {}
  local least, scarcest, index = math.huge, 0, 0
  while at <= #charges do
    if index == told_from then
      keep_all(states, ends)
      states, ends = {}, {}
    end
    local flags, levels, amount, period, burst
    flags, levels, amount, period, burst, at = struct.unpack('<BBddd', charges, at)
    local lengths, state = at, KEYS[key]
    at, key = at + 8 * levels, key + (levels > 0 and 2 or 1)
    if flags < OWNED or with_owner then
      local held = levels > 0 and seconds_held(KEYS[key - 1])
      if held then
        return index, 1, held, 0, index
      end
      local kept = states[state] or redis.call('GET', state) or ''
      local take_one = flags % OWNED == EXACT and take_exact or take_rate
      local at_once = burst > 0 and burst or amount
      local left, new, seconds = take_one(state, kept, amount, period, at_once)
      if left < 0 then
        if levels > 0 then
          local hold = KEYS[key - 1]
          seconds = begin_hold(state, hold, period, charges, lengths, levels)
        end
        return index, levels > 0 and 1 or 0, seconds, 0, index
      end
      states[state], ends[state] = new, seconds
      if index >= told_from and left < least then
        least, scarcest = left, index
      end
    end
    index = index + 1
  end
  keep_all(states, ends)
  return -1, 0, 0, least, scarcest
end
