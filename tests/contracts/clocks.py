"""Counters whose time a test decides, wherever they count."""

TIME = b"""
local now = tonumber(ARGV[#ARGV])
local server = redis
local redis = {call = function(command, key, value, unit, lasts, ...)
  if command == 'SET' and unit == 'PX' then
    lasts = lasts * 100000
  end
  local words = {command, key, value, unit, lasts, ...}
  return server.call(unpack(words))
end}
"""
"""Put before the scripts of Redis in the place of its own time: what comes last is the
time (see ``ClockedKeyspace``). Keys last longer, for they end by the server's clock: on
a busy machine that moves on while a test's stands."""


class Hands:
    """A clock that stands where a test has set it."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


class ClockedKeyspace:
    """A keyspace whose scripts are told the time."""

    def __init__(self, keyspace, clock):
        self._keyspace = keyspace
        self._clock = clock
        self.is_cluster = keyspace.is_cluster
        self.call = keyspace.call
        self.identity = keyspace.identity

    def run(self, script, keys, args):
        return self._keyspace.run(script, keys, (*args, repr(self._clock())))


class CountersAt:
    """Counters that are told with each call what time it is."""

    def __init__(self, counters, clock):
        self._counters = counters
        self._clock = clock
        # Tests of one shelf are at different times: what one would sweep away by its
        # time after it has ended is what the next one has just counted.
        self._end_sweep = getattr(counters, "close", _nothing)

    async def take(self, charges, now):
        self._clock.now = now
        verdict = await self._counters.take(charges)
        await self._end_sweep()
        return verdict

    async def give_back(self, charges, at):
        await self._counters.give_back(charges, at)

    async def lift(self, keys):
        await self._counters.lift(keys)

    async def distinct(self, key, member, period, now):
        self._clock.now = now
        count = await self._counters.distinct(key, member, period)
        await self._end_sweep()
        return count


async def _nothing():
    """Memory and Redis sweep at once, or let keys end."""
