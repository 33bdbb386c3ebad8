"""Two processes with one store let exactly as many through as one would."""

import asyncio
from collections import Counter

import pytest
from tests.faults.serving import running_yard
from tests.faults.traffic import hit
from tests.faults.yard import EXACT, LARGE

HITS = 1_000
DAY = 86_400.0


@pytest.fixture(params=["redis", "cluster", "postgres", "sqlite"])
def store(request, tmp_path):
    match request.param:
        case "redis":
            return request.getfixturevalue("valkey").url
        case "cluster":
            return request.getfixturevalue("valkey_cluster").url
        case "postgres":
            return request.getfixturevalue("lasting_database").address()
        case _:
            return f"sqlite:///{tmp_path / 'counters.db'}"


@pytest.mark.anyio
async def test_a_limit_is_one_for_two_processes(store, tmp_path):
    """A thousand hits at once, whatever the clocks of the two say: the time is the
    store's. What has its own file has the clock of its machine."""
    with (
        running_yard(tmp_path / "one", store=store) as one,
        running_yard(tmp_path / "other", store=store) as other,
    ):
        if not store.startswith("sqlite"):
            other.set_clock(0, DAY)
        for path, allowed in (("/exact", EXACT), ("/large", LARGE)):
            answers = await asyncio.gather(
                hit(one.port, path, HITS // 2), hit(other.port, path, HITS // 2)
            )
            passed = sum(answers, Counter())
            assert passed == {200: allowed, 429: HITS - allowed}
