"""One connection for all calls: each gets its own reply, whatever becomes of others."""

import asyncio
import random
import subprocess
import sys

import pytest
from tests.stores.redis.keyspaces import COUNT, ECHO, opened, outcome

from ringfence.errors import StoreBusyError
from ringfence.stores.redis import connection
from ringfence.stores.redis.failures import DownError, LostError, RefusedError
from ringfence.stores.redis.scripts import Script
from ringfence.stores.redis.server import open_keyspace

pytestmark = pytest.mark.anyio


async def test_calls_of_one_turn_are_one_write(keyspace):
    """A request's questions, and those of all requests beside it, cost one round
    trip."""
    before = keyspace.round_trips
    calls = [keyspace.call(b"k", b"INCR", b"k") for _ in range(200)]
    assert await asyncio.gather(*calls) == list(range(1, 201))
    assert keyspace.round_trips == before + 1


async def test_replies_are_plain_values(keyspace):
    await keyspace.call(b"k", "SET", b"k", "ä")
    assert await keyspace.call(b"k", b"GET", b"k") == "ä".encode()
    assert await keyspace.call(b"k", b"GET", b"absent") is None
    assert await keyspace.call(b"k", b"INCRBY", b"n", 5) == 5
    assert await keyspace.call(b"k", b"MGET", b"k", b"absent") == ["ä".encode(), None]
    assert await keyspace.run(ECHO, (b"k",), (2.5,)) == [b"k", b"2.5"]


async def test_an_error_is_of_one_command(keyspace):
    """Ten of a hundred calls of one turn are refused; the others get their own."""
    await keyspace.call(b"text", b"SET", b"text", b"x")
    calls = [
        keyspace.call(b"k", b"INCR", b"text")
        if number % 10 == 0
        else keyspace.run(ECHO, (b"k",), (number,))
        for number in range(100)
    ]
    for number, got in enumerate([await outcome(call) for call in calls]):
        if number % 10 == 0:
            assert isinstance(got, RefusedError)
            assert got.code == "ERR"
        else:
            assert got == [b"k", b"%d" % number]


async def test_refusals_carry_their_code(keyspace):
    await keyspace.call(b"list", b"RPUSH", b"list", 1)
    for way in (
        keyspace.call(b"list", b"GET", b"list"),
        keyspace.run(COUNT, (b"list",), ()),
    ):
        refusal = await outcome(way)
        assert (refusal.code, type(refusal)) == ("WRONGTYPE", RefusedError)
        assert "127.0.0.1" in str(refusal)


async def test_a_script_that_the_server_does_not_know_is_sent(keyspace, valkey):
    """After a restart or SCRIPT FLUSH fifty calls at once run it fifty times."""
    script = Script(b"return redis.call('INCR', KEYS[1]) -- of this test", "new")
    with valkey.client() as client:
        for total in (50, 100):
            client.script_flush()
            runs = (keyspace.run(script, (b"n",), ()) for _ in range(50))
            assert sorted(await asyncio.gather(*runs)) == list(
                range(total - 49, total + 1)
            )


async def test_cancelled_callers_shift_no_replies(keyspace):
    """Of 3,000 tasks up to 40 % give up at random moments; nobody gets another's
    reply (a client's known bug, CVE-2023-28858)."""
    wrong = []

    async def ask(number):
        await asyncio.sleep(random.random() / 20)
        if await keyspace.run(ECHO, (b"k",), (number,)) != [b"k", b"%d" % number]:
            wrong.append(number)

    tasks = [asyncio.create_task(ask(number)) for number in range(3000)]
    for task in random.sample(tasks, 1200):
        asyncio.get_running_loop().call_later(random.random() / 15, task.cancel)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert not wrong
    failed = [
        end for end in ends if end and not isinstance(end, asyncio.CancelledError)
    ]
    assert not failed
    assert ends.count(None) >= 1800


async def test_a_wrong_type_is_its_caller_s_mistake(keyspace):
    """It is refused where it is made, and nothing of it is sent."""
    before = keyspace.call(b"k", b"INCR", b"k")
    with pytest.raises(TypeError):
        keyspace.call(b"k", b"SET", b"k", None)
    assert [await before, await keyspace.call(b"k", b"INCR", b"k")] == [1, 2]


async def test_the_queue_is_bounded(valkey, monkeypatch):
    """A server that is slow does not fill the memory."""
    monkeypatch.setattr(connection, "QUEUE", 10)
    async with opened(valkey.url) as keyspace:
        calls = [keyspace.call(b"k", b"INCR", b"k") for _ in range(12)]
        got = [await outcome(call) for call in calls]
        assert got[:10] == list(range(1, 11))
        assert [type(each) for each in got[10:]] == [StoreBusyError] * 2
        assert await keyspace.call(b"k", b"INCR", b"k") == 11


async def test_large_values_pass(keyspace):
    value = random.randbytes(3_000_000)
    await keyspace.call(b"k", b"SET", b"k", value)
    assert await keyspace.call(b"k", b"GET", b"k") == value


async def test_what_is_under_way_at_the_end_fails(valkey):
    """Nobody waits for ever, and what may have been executed is told so."""
    keyspace = open_keyspace(valkey.url)
    await keyspace.start()
    valkey.pause()
    try:
        call = keyspace.call(b"k", b"INCR", b"k")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await keyspace.stop()
        await keyspace.stop()
    finally:
        valkey.resume()
    assert isinstance(await outcome(call), LostError)
    assert isinstance(await outcome(keyspace.call(b"k", b"GET", b"k")), DownError)
    with pytest.raises(DownError):
        keyspace.identity(b"k")


async def test_a_keyspace_starts_again(valkey):
    keyspace = open_keyspace(valkey.url)
    identities = set()
    for _ in range(2):
        await keyspace.start()
        identities.add(keyspace.identity(b"k"))
        assert await keyspace.call(b"k", b"EXISTS", b"k") == 0
        await keyspace.stop()
    assert len(identities) == 1
    assert len(identities.pop()) == 8


async def test_a_unix_socket(valkey):
    async with opened(f"redis+unix://{valkey.socket}?db=1") as keyspace:
        assert await keyspace.call(b"k", b"INCR", b"k") == 1
    with valkey.client() as client:
        assert client.exists("k") == 0  # another database


WITHOUT_HIREDIS = """
import asyncio, sys
sys.modules["hiredis"] = None
from ringfence.stores.redis.scripts import Script
from ringfence.stores.redis.server import open_keyspace

async def main():
    keyspace = open_keyspace(sys.argv[1])
    await keyspace.start()
    script = Script(b"return {KEYS[1], ARGV[1], 7, false}")
    calls = [keyspace.run(script, (b"k",), (n,)) for n in range(100)]
    calls[50:50] = [keyspace.call(b"k", b"NONSENSE")]
    got = await asyncio.gather(*calls, return_exceptions=True)
    refusal = got.pop(50)
    assert refusal.code == "ERR", refusal
    assert got == [[b"k", b"%d" % n, 7, None] for n in range(100)], got
    await keyspace.stop()

asyncio.run(main())
"""


def test_it_works_without_hiredis(valkey):
    """A platform without its wheel loses speed, and nothing else."""
    command = [sys.executable, "-W", "error", "-c", WITHOUT_HIREDIS, valkey.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
