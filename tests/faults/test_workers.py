"""Workers that are killed under load lose nothing that they have accepted."""

import asyncio
import random

import pytest
from tests.faults.serving import running_yard
from tests.faults.traffic import Traffic

KILLS = 100


@pytest.mark.anyio
async def test_a_hundred_kills_lose_nothing(tmp_path):
    """SIGKILL at random moments, one of two workers at a time, on SQLite."""
    moments = random.Random(5)
    with running_yard(tmp_path, workers=2) as yard:
        traffic = Traffic(yard, "workers killed", cut=True)
        await traffic.settle()
        async with traffic.flowing(joiners=3):
            for _ in range(KILLS):
                await traffic.until("answered", moments.randrange(1, 20))
                await asyncio.to_thread(yard.kill, 0)
        yard.await_serving()
        await traffic.audit()
        assert traffic.count()["cut"]
        assert traffic.ended
