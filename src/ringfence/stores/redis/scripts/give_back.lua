-- KEYS: as for take. ARGV: when they were taken, and the charges, packed.
local moment, charges = string.sub(ARGV[1], 1, 8), ARGV[1]
local at, key = 9, 1
while at <= #charges do
  local flags, levels, amount, period, _
  flags, levels, amount, period, _, at = struct.unpack('<BBddd', charges, at)
  local state = KEYS[key]
  at, key = at + 8 * levels, key + (levels > 0 and 2 or 1)
  local kept = redis.call('GET', state)
  if kept and flags % OWNED == EXACT then
    local place = #kept - 7
    while place > 0 and string.sub(kept, place, place + 7) ~= moment do
      place = place - 8
    end
    if place > 0 then
      kept = string.sub(kept, 1, place - 1) .. string.sub(kept, place + 8)
      local seconds = #kept > 0 and last_of(kept) + period - now or 0
      if seconds > 0 then
        keep(state, kept, seconds)
      else
        redis.call('DEL', state)
      end
    end
  elseif kept and #kept == 8 then
    local arrival = struct.unpack('<d', kept) - period / amount
    if arrival > now then
      keep(state, struct.pack('<d', arrival), arrival - now)
    else
      redis.call('DEL', state)
    end
  end
end
