"""What the rooms of one guard share, and what not."""

import logging

import pytest

from ringfence.errors import StoreError
from ringfence.guard.rooms import Rooms
from ringfence.stores.contracts import Charge, counter_key


@pytest.mark.anyio
async def test_sign_ins_have_a_shelf_of_their_own(settings_of):
    """Who fills the one of the routes does not bring strangers to share a budget."""
    rooms = Rooms(settings_of())
    attempts = rooms.identity.attempts._counters
    for number in range(1_000):
        key = counter_key("limit", "10/day", str(number))
        await rooms.counters.take([Charge(key, 10, 86_400.0, exact=True)])
    assert rooms.counters.size == 1_000
    assert attempts.size == 0


@pytest.mark.anyio
async def test_a_database_that_cannot_be_opened_leaves_nothing_open(
    settings_of, monkeypatch
):
    """A server that tries to start again and again must not gather open ledgers."""
    rooms = Rooms(settings_of())

    async def fails():
        raise StoreError("the database is gone")

    monkeypatch.setattr(rooms.identity, "start", fails)
    logging_before = logging.getLogRecordFactory()
    with pytest.raises(StoreError):
        await rooms.open()
    assert rooms.audit._thread is None
    assert logging.getLogRecordFactory() is logging_before
    assert rooms._restore_logging is None


@pytest.mark.anyio
async def test_what_was_never_opened_may_be_closed(settings_of):
    await Rooms(settings_of(identity={"enabled": False})).close()
