"""What the rooms of one guard share, and what not."""

import pytest

from ringfence.guard.rooms import Rooms
from ringfence.stores.contracts import Charge, counter_key


@pytest.mark.anyio
async def test_sign_ins_have_a_shelf_of_their_own(settings_of):
    """Who fills the one of the routes does not bring strangers to share a budget."""
    rooms = Rooms(settings_of())
    attempts = rooms.identity.attempts._counters
    for number in range(1_000):
        key = counter_key("limit", "10/day", str(number))
        await rooms.counters.take([Charge(key, 10, 86_400.0, exact=True)], 1_000.0)
    assert rooms.counters.size == 1_000
    assert attempts.size == 0
