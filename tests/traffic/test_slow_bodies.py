import asyncio

import pytest
from tests.traffic.time_lapse import TimeLapseLoop

from ringfence.errors import BodyRefusedError
from ringfence.traffic.body_limit import limit_body
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

SETTINGS = TrafficSettings(body_grace=10, body_rate=500, body_seconds=60)
STAGE = limit_body(10_000_000, SETTINGS)
ANNOUNCED = [("content-length", "10000000")]
CHUNKED = [("transfer-encoding", "chunked")]


@pytest.fixture
def anyio_backend():
    return "asyncio", {"loop_factory": TimeLapseLoop}


def dripping(every, size, count):
    """A body of ``count`` pieces, each of ``size`` bytes after ``every`` seconds."""
    left = count

    async def receive():
        nonlocal left
        if left == 0:
            return {"type": "http.disconnect"}
        await asyncio.sleep(every)
        left -= 1
        return {"type": "http.request", "body": b"x" * size, "more_body": left > 0}

    return receive


async def read(exchange, *, pause=0.0):
    """Read to the end; return the bytes and the seconds that it took."""
    began = asyncio.get_running_loop().time()
    read, more = 0, True
    while more:
        message = await exchange.receive()
        read += len(message.get("body", b""))
        more = message.get("more_body", False)
        await asyncio.sleep(pause)
    return read, asyncio.get_running_loop().time() - began


def posting(exchange_of, receive, headers=ANNOUNCED, **scope):
    return exchange_of(method="POST", headers=headers, receive=receive, **scope)


@pytest.mark.parametrize("headers", [ANNOUNCED, CHUNKED])
async def test_a_body_that_drips_is_cut_off(exchange_of, headers):
    """Slowloris in a body: a byte a second holds a worker for a day."""
    exchange = posting(exchange_of, dripping(1, 1, 86_400), headers)
    assert await STAGE(exchange) is None
    began = asyncio.get_running_loop().time()
    with pytest.raises(BodyRefusedError):
        await read(exchange)
    assert 9 < asyncio.get_running_loop().time() - began < 12
    assert (exchange.denial.status, exchange.denial.code) == (
        408,
        "traffic.body_too_slow",
    )
    assert exchange.denial.headers == ((b"connection", b"close"),)


async def test_a_body_that_never_comes_is_cut_off(exchange_of):
    exchange = posting(exchange_of, dripping(1_000_000, 1, 1))
    assert await STAGE(exchange) is None
    with pytest.raises(BodyRefusedError):
        await exchange.receive()
    assert exchange.denial.status == 408


async def test_a_body_at_the_least_rate_has_a_last_second(exchange_of):
    """Fast enough at each moment, and still a day long."""
    exchange = posting(exchange_of, dripping(1, 600, 10_000))
    assert await STAGE(exchange) is None
    began = asyncio.get_running_loop().time()
    with pytest.raises(BodyRefusedError):
        await read(exchange)
    assert 59 < asyncio.get_running_loop().time() - began < 62


async def test_http_2_knows_no_connection_header(exchange_of):
    exchange = posting(exchange_of, dripping(1_000, 1, 9), (), http_version="2")
    assert await STAGE(exchange) is None
    with pytest.raises(BodyRefusedError):
        await exchange.receive()
    assert exchange.denial.headers == ()


async def test_an_honest_slow_client_gets_through(exchange_of):
    """A poor mobile connection: 20 kB in half a minute."""
    exchange = posting(exchange_of, dripping(1.5, 1_000, 20))
    assert await STAGE(exchange) is None
    assert await read(exchange) == (20_000, 30)


async def test_a_burst_earns_time_for_a_pause(exchange_of):
    sizes = iter([(0, 20_000), (40, 1), (0, 1)])

    async def receive():
        after, size = next(sizes)
        await asyncio.sleep(after)
        return {"type": "http.request", "body": b"x" * size, "more_body": size != 1}

    exchange = posting(exchange_of, receive)
    assert await STAGE(exchange) is None
    assert await read(exchange) == (20_001, 40)


async def test_the_application_may_take_its_time(exchange_of):
    """Only what the client lets us wait counts: a slow handler blames nobody."""
    exchange = posting(exchange_of, dripping(0, 1, 5))
    assert await STAGE(exchange) is None
    assert await read(exchange, pause=1_000) == (5, 5_000)


async def test_who_waits_for_the_end_is_not_timed(exchange_of):
    """After the body a handler may listen for the disconnect as long as it likes."""
    messages = iter([(0, "http.request"), (1_000_000, "http.disconnect")])

    async def receive():
        after, kind = next(messages)
        await asyncio.sleep(after)
        return {"type": kind}

    exchange = posting(exchange_of, receive)
    assert await STAGE(exchange) is None
    assert (await exchange.receive())["type"] == "http.request"
    assert (await exchange.receive())["type"] == "http.disconnect"


@pytest.mark.parametrize("after", [None, 1])
async def test_another_s_timeout_stays_what_it_is(exchange_of, after):
    async def receive():
        if after:
            await asyncio.sleep(after)
        raise TimeoutError("the application's own")

    exchange = posting(exchange_of, receive)
    assert await STAGE(exchange) is None
    with pytest.raises(TimeoutError, match="own"):
        await exchange.receive()
    assert exchange.denial is None


async def test_a_cancelled_request_ends_where_it_waits(exchange_of):
    """A server that stops, or a client that goes, cancels what is waiting."""
    ended = []

    async def receive():
        try:
            await asyncio.sleep(1_000)
        finally:
            ended.append(True)

    exchange = posting(exchange_of, receive)
    assert await STAGE(exchange) is None
    task = asyncio.create_task(exchange.receive())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
    assert exchange.denial is None


@pytest.mark.parametrize("pause", [None, 0, 5])
async def test_a_server_may_answer_a_cancellation_itself(exchange_of, pause):
    """Some turn it into a disconnect, at once or after a while."""

    async def receive():
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            if pause is not None:
                await asyncio.sleep(pause)
        return {"type": "http.disconnect"}

    exchange = posting(exchange_of, receive)
    assert await STAGE(exchange) is None
    task = asyncio.create_task(exchange.receive())
    await asyncio.sleep(1)
    task.cancel()
    assert (await task)["type"] == "http.disconnect"
