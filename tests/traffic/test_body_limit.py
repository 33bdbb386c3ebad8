import pytest

from ringfence.errors import BodyTooLargeError
from ringfence.traffic.body_limit import limit_body

pytestmark = pytest.mark.anyio

STAGE = limit_body(10)


def body(*chunks):
    """A receive that hands out these chunks, and then a disconnect."""
    last = len(chunks) - 1
    messages = [
        {"type": "http.request", "body": chunk, "more_body": number < last}
        for number, chunk in enumerate(chunks)
    ]

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return receive


async def read(exchange):
    read = b""
    while True:
        message = await exchange.receive()
        read += message.get("body", b"")
        if not message.get("more_body"):
            return read


def posting(exchange_of, *chunks, **scope):
    return exchange_of(method="POST", receive=body(*chunks), **scope)


@pytest.mark.parametrize(("length", "status"), [("10", None), ("11", 413), ("0", None)])
async def test_an_announced_length_is_judged_at_once(exchange_of, length, status):
    denial = await STAGE(posting(exchange_of, headers=[("content-length", length)]))
    assert (denial and denial.status) == status


CHUNKED = [("transfer-encoding", "chunked")]


@pytest.mark.parametrize(
    "scope",
    [
        {"headers": CHUNKED},
        {"http_version": "2"},
        {"http_version": "3", "headers": [("content-length", "3")]},
    ],
)
async def test_a_stream_is_counted(exchange_of, scope):
    """A body without a length, or a false one where nobody checks it, stops."""
    exchange = posting(exchange_of, b"12345", b"67890", b"1", **scope)
    assert await STAGE(exchange) is None
    await exchange.receive()
    await exchange.receive()
    assert exchange.denial is None
    with pytest.raises(BodyTooLargeError):
        await exchange.receive()
    assert exchange.denial.status == 413


async def test_a_stream_of_just_the_limit_passes(exchange_of):
    exchange = posting(exchange_of, b"12345", b"67890", headers=CHUNKED)
    assert await STAGE(exchange) is None
    assert await read(exchange) == b"1234567890"
    assert (await exchange.receive())["type"] == "http.disconnect"


async def test_nothing_is_wrapped_where_no_body_can_come(exchange_of):
    """The honest path of a GET costs two look-ups."""
    receive = body()
    exchange = exchange_of(receive=receive)
    assert await STAGE(exchange) is None
    assert exchange.receive is receive


async def test_a_limit_of_nothing(exchange_of):
    stage = limit_body(0)
    assert await stage(posting(exchange_of, headers=[("content-length", "0")])) is None
    denial = await stage(posting(exchange_of, headers=[("content-length", "1")]))
    assert denial.status == 413
