-- KEYS: of each charge its state, and its hold if it has any.
-- ARGV: from which charge on the scarcest is looked for, and the charges, packed.
local refused, held, wait, left, scarcest = take(ARGV[1], 3, 1, true, (struct.unpack('<H', ARGV[1])))
return struct.pack('<hBHddd', refused, held, scarcest, wait, left, now)
