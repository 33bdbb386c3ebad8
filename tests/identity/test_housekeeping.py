"""What has expired is deleted, sooner or later, and a failure ends nothing."""

import asyncio
import shutil
import sqlite3
from contextlib import closing

import pytest
from tests.contracts.records import api_key, grant
from tests.identity.gatehouse import EMAIL, Clock, gatehouse

from ringfence.errors import StoreError
from ringfence.identity.housekeeping import Housekeeping

pytestmark = pytest.mark.anyio


async def test_what_has_expired_is_deleted(prepared, tmp_path):
    """Families of refresh tokens and API keys; what has not expired stays."""
    shutil.copy(prepared, tmp_path)
    async with gatehouse(tmp_path) as house:
        stores, now = house.identity._stores, house.clock.now
        ann = await stores.accounts.by_email(EMAIL)
        for name, expires in (("old", now - 1), ("new", now + 1)):
            times = {"account_id": ann.id, "expires": expires, "ends": now + 9}
            assert await stores.grants.add(grant(name, **times), epoch=ann.epoch)
            del times["ends"]
            assert await stores.api_keys.add(api_key(name, **times), epoch=ann.epoch)
        await house.identity._parts.housekeeping.sweep()
        with closing(sqlite3.connect(house.database)) as connection:
            for table in ("grants", "api_keys"):
                query = f"SELECT count(*) FROM ringfence_{table}"
                assert connection.execute(query).fetchone() == (1,)


async def test_one_failure_leaves_the_other_chores(caplog):
    """And the next round tries again."""
    done, rounds = [], asyncio.Event()

    async def fails(_):
        raise StoreError("it is down")

    async def works(now):
        done.append(now)
        if len(done) == 3:
            rounds.set()
        return 1

    keeping = Housekeeping({"keys": fails, "rest": works}, clock=Clock(7.0), every=0.0)
    await keeping.start()
    await asyncio.wait_for(rounds.wait(), 10)
    await keeping.stop()
    await keeping.stop()
    assert set(done) == {7.0}
    assert "expired keys could not be deleted: it is down" in caplog.text
