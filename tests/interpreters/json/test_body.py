"""A body that was read ahead reaches the application as it came."""

from __future__ import annotations

import pytest

from ringfence.exchange import Exchange, Ready
from ringfence.interpreters.json.body import read_body

pytestmark = pytest.mark.anyio


def exchange(*messages):
    pending = list(messages)

    async def receive():
        return pending.pop(0)

    return Exchange(
        {"type": "http", "method": "POST", "path": "/", "headers": []}, receive
    )


def piece(body, *, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


async def test_a_body_is_given_back_and_then_what_comes_next():
    given = exchange(piece(b"{}"), GONE)
    assert await read_body(given, remembered=100) == b"{}"
    assert await given.receive() == piece(b"{}")
    assert await given.receive() == GONE
    assert given.received == [b"{}"]
    assert given.has_body


async def test_pieces_come_back_as_one():
    given = exchange(
        piece(b"[1", more=True), piece(b"", more=True), piece(b",2]"), GONE
    )
    assert await read_body(given, remembered=100) == b"[1,2]"
    assert await given.receive() == piece(b"[1,2]")
    assert await given.receive() == GONE


async def test_who_hangs_up_halfway_has_sent_no_document():
    """The application hears of it as if nobody had read ahead."""
    given = exchange(piece(b'{"a":', more=True), GONE)
    assert await read_body(given, remembered=100) is None
    assert await given.receive() == piece(b'{"a":', more=True)
    assert await given.receive() == GONE
    assert await given.receive() == GONE


async def test_no_body_is_no_value():
    given = exchange(piece(b""), GONE)
    assert await read_body(given, remembered=100) == b""
    assert given.received == []


async def test_sinks_are_told_what_is_too_much_to_remember():
    given = exchange(piece(b"[" + b" " * 200 + b"]"), GONE)
    await read_body(given, remembered=100)
    assert given.too_much


def ready(*messages):
    """The same from what has looked at each message, and has it already."""
    pending = list(messages)
    given = exchange()
    given.receive = lambda: Ready(pending.pop(0))
    return given


async def test_what_is_there_is_read_at_once_and_given_back():
    given = ready(piece(b"{}"), GONE)
    assert read_body(given, remembered=1) == b"{}"
    assert await given.receive() == piece(b"{}")
    assert await given.receive() == GONE
    assert given.received == [b"{}"]
    assert given.has_body
    assert given.too_much


async def test_the_rest_of_what_is_there_in_part_is_waited_for():
    given = ready(piece(b"[1", more=True), piece(b"]"), GONE)
    assert await read_body(given, remembered=100) == b"[1]"
    assert await given.receive() == piece(b"[1]")
    assert await given.receive() == GONE


async def test_who_has_hung_up_at_once_has_sent_no_document():
    given = ready(GONE)
    assert await read_body(given, remembered=100) is None
    assert await given.receive() == piece(b"", more=True)
    assert await given.receive() == GONE
