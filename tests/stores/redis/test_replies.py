"""Replies arrive in pieces and by the dozen; each belongs to one call."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from ringfence.stores.redis.replies import Batches


@pytest.mark.anyio
async def test_all_that_has_come_is_read_in_order():
    stream = asyncio.StreamReader()
    stream.feed_data(b":1\r\n$3\r\na\r\n\r\n$-1\r\n*2\r\n:1\r\n$0\r\n\r\n")
    assert await Batches(stream).next() == [1, b"a\r\n", None, [1, b""]]


@pytest.mark.anyio
async def test_an_error_stands_where_its_reply_would_be():
    stream = asyncio.StreamReader()
    stream.feed_data(b":1\r\n-MOVED 5 127.0.0.1:7000\r\n-LOADING\r\n:2\r\n")
    first, moved, loading, last = await Batches(stream).next()
    assert (first, last) == (1, 2)
    assert isinstance(moved, ResponseError)
    assert str(moved) == "MOVED 5 127.0.0.1:7000"
    assert str(loading) == "LOADING"


@pytest.mark.anyio
async def test_a_reply_in_pieces_is_waited_for():
    stream = asyncio.StreamReader()
    replies = Batches(stream)
    waiting = asyncio.ensure_future(replies.next())
    for piece in (b"$", b"5\r", b"\nab", b"cde\r"):
        stream.feed_data(piece)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    stream.feed_data(b"\n:")
    assert await waiting == [b"abcde"]
    stream.feed_data(b"7\r\n")
    assert await replies.next() == [7]


@pytest.mark.anyio
async def test_what_is_no_reply_ends_the_connection():
    """A server of another kind, or one that is out of step."""
    stream = asyncio.StreamReader()
    stream.feed_data(b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(InvalidResponse):
        await Batches(stream).next()


@pytest.mark.anyio
async def test_the_end_is_no_reply():
    stream = asyncio.StreamReader()
    stream.feed_data(b"$5\r\nab")
    stream.feed_eof()
    with pytest.raises(RedisConnectionError):
        await Batches(stream).next()
