"""The embedded default, where its disk or its clock fails."""

import sys

import pytest
from tests.faults.serving import running_yard
from tests.faults.traffic import Traffic, hit
from tests.faults.yard import EXACT

MINUTE = 60.0


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process's files")
@pytest.mark.anyio
async def test_a_full_disk_refuses_what_it_cannot_keep(tmp_path):
    """Who is signed in stays so; accounts, sign-ins and sign-outs are refused, and
    what was accepted before and after is there."""
    with running_yard(tmp_path) as yard:
        traffic = Traffic(yard, "disk full")
        await traffic.settle()
        async with traffic.flowing():
            await traffic.until("answered", 60)
            yard.limit_files(1)
            await traffic.until("refused", 30)
            assert await traffic.look_all() == [200, 200]
            yard.limit_files()
            await traffic.recovered()
            joined = len(traffic.joined)
            await traffic.until("answered", 60)
        assert len(traffic.joined) > joined
        await traffic.audit()


@pytest.mark.anyio
async def test_a_clock_that_jumps_ahead_ends_no_session(tmp_path):
    """Twenty minutes, as a wrong time server does: nobody is signed out."""
    with running_yard(tmp_path) as yard:
        traffic = Traffic(yard, "clock jump")
        await traffic.settle()
        async with traffic.flowing():
            await traffic.until("answered", 50)
            yard.set_clock(0, 20 * MINUTE)
            await traffic.until("answered", 100)
        await traffic.audit()


@pytest.mark.anyio
async def test_a_clock_that_is_set_back_opens_nothing(tmp_path):
    """Sessions of the future end, and whoever left does not come back. A budget that
    was used up stays so."""
    with running_yard(tmp_path) as yard:
        traffic = Traffic(yard, "clock set back", forgets=True)
        yard.set_clock(0, 20 * MINUTE)
        await traffic.settle()
        assert (await hit(yard.port, "/exact", 60))[200] == EXACT
        async with traffic.flowing():
            await traffic.until("answered", 50)
            for back in (0.0, -20 * MINUTE, 0.0):
                yard.set_clock(0, back)
                assert await hit(yard.port, "/exact", 10) == {429: 10}
                await traffic.until("answered", 50)
        assert await traffic.look_all() == [401, 401]
        await traffic.audit()
