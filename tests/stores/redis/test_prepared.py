"""Calls that are packed once are the same calls."""

import hiredis
import pytest

from ringfence.stores.contracts import Charge, Question, counter_key
from ringfence.stores.redis.packing import pack_in_python
from ringfence.stores.redis.scripts import Prepared, Script, pack_call
from ringfence.stores.redis.shared import RedisShared

ECHO = Script(b"return {KEYS, ARGV}", "echo")
OTHER = Script(b"return ARGV", "other")
KEYS = (b"{a}\r\n$9", b"{a}second", b"")


@pytest.mark.parametrize(
    "args",
    [
        (),
        (b"one",),
        (b"", b"\r\n*1\r\n$8\r\nFLUSHALL\r\n", b"x" * 300),
        (b"one", "two", 3),
        (b"one", "two", b"three"),
        tuple(b"%d" % number for number in range(12)),
    ],
    ids=len,
)
def test_a_prepared_command_is_the_one_that_is_packed_anew(args):
    """Byte for byte: nothing in a key or an argument becomes a command (CWE-93)."""
    prepared = Prepared.of(ECHO, KEYS)
    words = (b"EVALSHA", ECHO.sha, len(KEYS), *KEYS, *args)
    assert prepared.command(args) == pack_in_python(words)
    assert pack_call(ECHO, prepared, args) == pack_call(ECHO, KEYS, args)


def test_keys_that_were_prepared_for_one_script_serve_another():
    """Read after the script has changed, the old command would run."""
    prepared = Prepared.of(ECHO, KEYS)
    assert pack_call(OTHER, prepared, (b"one",)) == pack_call(OTHER, KEYS, (b"one",))


def test_no_argument_is_taken_for_bytes_that_is_none():
    with pytest.raises(TypeError):
        Prepared.of(ECHO, KEYS).command((b"one", None, b"three"))


@pytest.mark.anyio
async def test_a_question_that_is_repeated_is_answered_anew(keyspace):
    """What is remembered is the command: the budget goes down, and what another asks
    is not mistaken for it, though it may come to lie where the first one lay."""
    ask = RedisShared(keyspace, b"ringfence:prepared:%d:" % id(keyspace)).ask
    charges = (Charge(counter_key("address", "198.51.100.7"), 1_000, 60.0),)
    question = Question(charges)
    left = [(await ask(question)).verdict.remaining for _ in range(3)]
    assert left == [999, 998, 997]
    for number in range(200):
        other = (Charge(counter_key("address", str(number)), 1_000, 60.0),)
        assert (await ask(Question(other))).verdict.remaining == 999


def test_hiredis_reads_what_was_prepared():
    reader = hiredis.Reader()
    reader.feed(Prepared.of(ECHO, KEYS).command((b"a", b"b", b"c")))
    assert reader.gets() == [b"EVALSHA", ECHO.sha, b"3", *KEYS, b"a", b"b", b"c"]
