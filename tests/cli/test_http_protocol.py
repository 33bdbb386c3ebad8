import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn

from ringfence.cli.http_protocol import BoundedHead

DEADLINE = 20


class Impatient(BoundedHead):
    head_seconds = 0.2
    head_bytes = 2_000


class Patient(Impatient):
    head_seconds = 10 * DEADLINE


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(0.5)  # longer than a head may take
        await send({"type": "websocket.send", "text": "still here"})
        await receive()
        return
    size = 0
    more = True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connected(protocol=Impatient):
    config = uvicorn.Config(
        application,
        http=protocol,
        lifespan="off",
        log_config=None,
        ws="websockets-sansio",
    )
    server = uvicorn.Server(config)
    server.capture_signals = _nothing
    with socket.create_server(("127.0.0.1", 0)) as bound:
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        reader, writer = await asyncio.open_connection(*bound.getsockname())
        try:
            async with asyncio.timeout(DEADLINE):
                yield reader, writer
        finally:
            writer.close()
            server.should_exit = True
            await serving


class _nothing:  # noqa: N801 - stands for a function
    def __enter__(self):
        pass

    def __exit__(self, *error):
        pass


async def answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.splitlines()
        if line.lower().startswith(b"content-length:")
    )
    return head.split()[1], await reader.readexactly(length)


pytestmark = pytest.mark.anyio

UNFINISHED = {
    "nothing": b"",
    "a line": b"GET / HTTP/1.1\r\n",
    "half a header": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
    "empty lines": b"\r\n\r\n\r\n",
}


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
async def test_a_head_that_does_not_come_ends_the_connection(sent):
    """Slowloris: without a deadline this connection stays open for ever."""
    async with connected() as (reader, writer):
        writer.write(sent)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_dripping_does_not_help():
    """The deadline counts from the first byte, not from the last."""
    async with connected() as (reader, writer):
        ended = asyncio.create_task(reader.read())
        for letter in b"GET / HTTP/1.1\r\nX-A: " + b"a" * 1_000:
            if ended.done():
                break
            writer.write(bytes([letter]))
            await asyncio.wait([ended], timeout=0.02)
        assert (await ended).startswith(b"HTTP/1.1 408 ")


async def test_the_next_request_has_a_deadline_too():
    async with connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answer(reader) == (b"200", b"0")
        writer.write(b"\r\n\r\nGET ")
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("piece", [b"a" * 100, b"a: b\r\n" * 20])
async def test_a_head_without_an_end_is_cut_off(piece):
    """Without a bound one connection fills the memory."""
    async with connected(Patient) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nX-A: ")
        for _ in range(50):
            writer.write(piece)
        with suppress(ConnectionResetError):  # it may not wait for the rest
            assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
        assert reader.at_eof() or reader.exception()


async def test_honest_requests_share_a_connection():
    async with connected() as (reader, writer):
        for _ in range(3):
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 1_500 + b"\r\n\r\n"
            )
            assert await answer(reader) == (b"200", b"0")


async def test_a_body_may_be_larger_and_slower_than_a_head():
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n")
        for _ in range(9):
            writer.write(b"a" * 1_000)
            await asyncio.sleep(0.05)  # together longer than a head may take
        assert await answer(reader) == (b"200", b"9000")


async def test_a_slow_answer_is_waited_for():
    async with connected() as (reader, writer):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answer(reader) == (b"200", b"0")


async def test_a_pipelined_head_does_not_end_the_answer_before_it():
    async with connected() as (reader, writer):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n")
        assert await answer(reader) == (b"200", b"0")


async def test_a_websocket_lives_on():
    async with connected() as (reader, writer):
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        assert b"still here" in await reader.readexactly(12)
