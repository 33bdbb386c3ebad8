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
    rest_seconds = 0.2
    stall_seconds = 0.5


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
    if scope["path"] == "/held":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    if scope["path"] == "/much":
        await send_much(scope, receive, send)
        return
    if scope["path"] == "/busy":
        await asyncio.sleep(0.5)
    size = 0
    more = scope["path"] != "/unread"
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    body = str(size).encode()
    if scope["path"] == "/names":
        body = b" ".join(sorted(name for name, _ in scope["headers"]))
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


MUCH = 32_000_000  # bytes; more than all buffers between the two hold


async def send_much(scope, receive, send):
    headers = [(b"content-length", str(MUCH).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    piece = {"type": "http.response.body", "body": b"x" * 1_000_000}
    for left in reversed(range(MUCH // 1_000_000)):
        await send({**piece, "more_body": left > 0})
    await receive()
    scope["state"]["done"].set()


@asynccontextmanager
async def connected(protocol=Impatient, connections=None):
    config = uvicorn.Config(
        application,
        http=protocol,
        lifespan="off",
        log_config=None,
        ws="websockets-sansio",
        limit_concurrency=connections,
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
        # A letter under way may be answered by a reset, which swallows the 408.
        with suppress(ConnectionResetError):
            assert (await ended).startswith(b"HTTP/1.1 408 ")
        assert ended.done()


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


async def test_a_body_that_nobody_reads_has_an_end():
    """After its answer it would hold the connection for as long as it drips."""
    async with connected() as (reader, writer):
        head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"
        writer.write(head)
        assert await answer(reader) == (b"200", b"0")
        began = asyncio.get_running_loop().time()
        with suppress(ConnectionError):
            # Closed, or reset where a drop was still on its way.
            while not (reader.at_eof() or reader.exception()):
                writer.write(b"a")
                await asyncio.sleep(0.02)
        assert asyncio.get_running_loop().time() - began < 2


async def test_a_body_that_nobody_reads_may_still_end():
    """The next request on the connection is answered as ever."""
    async with connected(Patient) as (reader, writer):
        head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        for _ in range(2):
            writer.write(head)
            assert await answer(reader) == (b"200", b"0")
            writer.write(b"a" * 9)
        await asyncio.sleep(0.4)  # longer than the rest of a body may take
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answer(reader) == (b"200", b"0")


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


CHUNKED = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "one line": b"a" * 20_000,
    "many lines": b"a\r\nX-A: " * 2_500,
}


async def flooded(reader, writer, piece):
    """Send more than two reads can take; return what came back until the end."""
    with suppress(ConnectionError):
        for _ in range(50):
            writer.write(piece)
            await writer.drain()
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@pytest.mark.parametrize("path", [b"/", b"/held"])
@pytest.mark.parametrize("piece", FLOODS.values(), ids=FLOODS)
async def test_trailers_without_an_end_are_cut_off(piece, path):
    """Without a bound one connection fills the memory, behind its body (CWE-400)."""
    async with connected(Patient) as (reader, writer):
        writer.write(CHUNKED % path + b"1\r\nx\r\n0\r\nX-A: ")
        assert await flooded(reader, writer, piece) == b""


async def test_the_extension_of_a_chunk_is_cut_off():
    """Bytes that are neither head nor body cost time and come to no end (CWE-400)."""
    async with connected(Patient) as (reader, writer):
        writer.write(CHUNKED % b"/" + b"1\r\nx\r\n1;a=")
        assert await flooded(reader, writer, FLOODS["one line"]) == b""


@pytest.mark.parametrize("piece", FLOODS.values(), ids=FLOODS)
async def test_a_pipelined_head_without_an_end_is_cut_off(piece):
    """An unanswered request does not lift the bound on the next one (CWE-400).

    Nothing is sent: it would be taken for the answer to the first (CWE-444).
    """
    async with connected(Patient) as (reader, writer):
        writer.write(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX-A: ")
        assert await flooded(reader, writer, piece) == b""


IDLE = {
    "before any": b"",
    "behind one": b"X-A: b\r\n",
    "inside one": b"X-A: b\r\nX-B: ",
}


@pytest.mark.parametrize("sent", IDLE.values(), ids=IDLE)
async def test_trailers_that_do_not_come_end_the_connection(sent):
    """Slowloris, behind the last chunk instead of in the head."""
    async with connected() as (reader, writer):
        writer.write(CHUNKED % b"/" + b"1\r\nx\r\n0\r\n" + sent)
        assert await reader.read() == b""


async def test_dripping_trailers_does_not_help():
    """The deadline counts from the last chunk, not from the last trailer."""
    async with connected() as (reader, writer):
        ended = asyncio.create_task(reader.read())
        writer.write(CHUNKED % b"/" + b"1\r\nx\r\n0\r\n")
        for _ in range(500):
            if ended.done():
                break
            writer.write(b"A:\r\n")
            await asyncio.wait([ended], timeout=0.02)
        with suppress(ConnectionResetError):  # it may not wait for the rest
            assert await ended == b""
        assert ended.done()


TRAILERS = (
    b"X-Forwarded-For: 192.0.2.6\r\nAuthorization: Basic YTpi\r\nCookie: a=b\r\n"
    b"X-HTTP-Method-Override: DELETE\r\nHost: y\r\nExpect: 100-continue\r\n"
    b"Connection: upgrade\r\nUpgrade: websocket\r\n"
)


async def test_a_trailer_is_no_header():
    """In the packet of its head it would be judged, and believed, like a header that
    the proxy wrote (RFC 9110, 6.5.1)."""
    async with connected() as (reader, writer):
        for _ in range(2):  # the second on the same connection
            writer.write(CHUNKED % b"/names" + b"1\r\nx\r\n0\r\n" + TRAILERS + b"\r\n")
            assert await answer(reader) == (b"200", b"host transfer-encoding")


async def test_a_late_trailer_is_no_header():
    """It would reach the application without having been judged (RFC 9110, 6.5.1)."""
    head = CHUNKED.replace(b"Host", b"Expect: 100-continue\r\nHost") % b"/names"
    async with connected() as (reader, writer):
        writer.write(head)
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")  # it has begun to read
        writer.write(b"1\r\nx\r\n0\r\n" + TRAILERS + b"\r\n")
        assert await answer(reader) == (b"200", b"expect host transfer-encoding")


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 40", b"Transfer-Encoding: chunked"]
)
async def test_a_trailer_that_frames_a_body_is_refused(framing):
    """Two parsers would find the next request in two places (CWE-444)."""
    async with connected() as (reader, writer):
        writer.write(CHUNKED % b"/" + b"1\r\nx\r\n0\r\n" + framing + b"\r\n\r\n")
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = await reader.read()
        assert received.startswith(b"HTTP/1.1 400 ")
        assert received.count(b"HTTP/1.1 ") == 1


async def test_honest_trailers_are_read_over():
    """The next request on the connection begins behind them."""
    async with connected() as (reader, writer):
        for _ in range(2):
            writer.write(CHUNKED % b"/" + b"5\r\nhello\r\n0\r\nDigest: abc\r\n\r\n")
            assert await answer(reader) == (b"200", b"5")
            writer.write(b"GET /names HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n")
            assert await answer(reader) == (b"200", b"host x-a")


@pytest.mark.parametrize(
    "piece", [b"3e8\r\n" + b"a" * 1_000 + b"\r\n", b"a" * 1_000 + b"\r\n3e8\r\n"]
)
async def test_a_chunked_body_may_be_slow(piece):
    """Whether its packets end behind a chunk, or behind the size of the next one."""
    async with connected() as (reader, writer):
        writer.write(CHUNKED % b"/")
        if piece.startswith(b"a"):
            writer.write(b"3e8\r\n")
        for _ in range(8):
            writer.write(piece)
            await asyncio.sleep(0.05)  # together longer than a head may take
        if piece.startswith(b"a"):
            writer.write(b"a" * 1_000 + b"\r\n")
        writer.write(b"0\r\n\r\n")
        status, size = await answer(reader)
        assert (status, int(size)) == (b"200", 9_000 if piece[:1] == b"a" else 8_000)


async def test_a_chunk_may_pause():
    """Once a chunk has begun it is a body, and no end of one."""
    async with connected() as (reader, writer):
        writer.write(CHUNKED % b"/" + b"a\r\nhello")
        await asyncio.sleep(0.4)  # longer than a head may take
        writer.write(b"world\r\n0\r\n\r\n")
        assert await answer(reader) == (b"200", b"10")


async def test_a_client_is_not_blamed_for_a_busy_application():
    """While the application does not read, the client cannot go on."""
    async with connected() as (reader, writer):
        writer.write(CHUNKED % b"/busy" + b"186a0\r\n" + b"a" * 100_000 + b"\r\n5\r\n")
        await asyncio.sleep(0.4)  # longer than a head may take
        writer.write(b"hello\r\n0\r\n\r\n")
        assert await answer(reader) == (b"200", b"100005")


async def test_honest_requests_may_be_pipelined():
    """Larger together than a head may be, and answered in order."""
    request = b"POST / HTTP/1.1\r\nHost: x\r\nX-A: %b\r\nContent-Length: %d\r\n\r\n%b"
    async with connected() as (reader, writer):
        for size in (1, 2, 3):
            writer.write(request % (b"a" * 1_500, size, b"b" * size))
        for size in (b"1", b"2", b"3"):
            assert await answer(reader) == (b"200", size)


async def test_pipelined_requests_without_an_end_are_cut_off():
    """Each of them waits in memory, at many times its own size."""
    async with connected() as (reader, writer):
        writer.write(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            writer.write(b"GET / HTTP/1.1\r\n\r\n" * 5_000)
            await writer.drain()
            assert await reader.read() == b""


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 56", b"Transfer-Encoding: chunked"]
)
@pytest.mark.parametrize("protocol", [b"h2c", b"foo"])
async def test_a_body_behind_an_upgrade_is_no_request(framing, protocol):
    """The parser would take what follows for the next request, which a proxy in front
    has never judged (CWE-444)."""
    async with connected() as (reader, writer):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
        writer.write(head + protocol + b"\r\n" + framing + b"\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).split()[1] == b"400"
        with suppress(ConnectionError):
            writer.write(b"GET /names HTTP/1.1\r\nHost: x\r\n\r\n")
            await writer.drain()
        assert b"HTTP/1.1 200" not in await reader.read()


async def test_an_upgrade_without_a_body_is_answered_and_kept_alive():
    async with connected() as (reader, writer):
        for _ in range(2):
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                b"Upgrade: h2c\r\n\r\n"
            )
            assert (await answer(reader))[0] == b"200"


GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
SILENT = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "a request before": GET % b"",
}


async def opened(beside, count, sent):
    """Open further connections beside one, the oldest first."""
    address = beside.get_extra_info("peername")
    made = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        made.append((reader, writer))
        await asyncio.sleep(0.01)
    return made


@pytest.mark.parametrize("sent", SILENT.values(), ids=SILENT)
async def test_silent_connections_do_not_shut_out_the_others(sent):
    """Slowloris with as many connections as there are places."""
    async with connected(Patient, connections=8) as (_, first):
        silent = await opened(first, 20, sent)
        for _ in range(3):
            ((reader, writer),) = await opened(first, 1, GET % b"")
            assert (await answer(reader))[0] == b"200"
            writer.close()
        for _, writer in silent:
            writer.close()


async def test_who_is_being_answered_keeps_the_place():
    async with connected(Patient, connections=4) as (_, first):
        busy = await opened(first, 2, GET % b"slow")
        silent = await opened(first, 9, b"")
        assert [(await answer(reader))[0] for reader, _ in busy] == [b"200"] * 2
        for _, writer in (*busy, *silent):
            writer.close()


class Watched(Impatient):
    """Tells when the application is done."""

    def connection_made(self, transport):
        self.app_state["done"] = done
        super().connection_made(transport)


done = None  # made by each test that looks at it, in its own loop


@pytest.fixture
def is_done(monkeypatch):
    event = asyncio.Event()
    monkeypatch.setitem(globals(), "done", event)
    return event


async def test_who_does_not_read_is_let_go(is_done):
    """Slowloris from the other end: asks for much, reads none of it, and holds a
    connection, a task and what the handler has opened for as long as it likes."""
    async with connected(Watched) as (_, writer):
        writer.write(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        await is_done.wait()


async def test_who_reads_slowly_gets_all_of_it(is_done):
    async with connected(Watched) as (reader, writer):
        writer.write(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(16):  # longer in all than a stall may last
            await asyncio.sleep(0.05)
            await reader.readexactly(MUCH // 16)


@pytest.mark.parametrize("target", ["/#", "/busy#/../x", "/x?a#b", "/" + "x" * 9 + "#"])
async def test_a_target_with_a_fragment_is_refused(target):
    """Else uvicorn cuts it off, and a proxy's rule or cache for the whole target would
    be one for another address than the one that is served."""
    async with connected() as (reader, writer):
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


class Stopping(Patient):
    """Of a server that stops as soon as somebody has come."""

    last_word_seconds = 0.2

    def connection_made(self, transport):
        super().connection_made(transport)
        self.shutdown()


async def test_what_is_on_its_way_is_answered_before_the_end():
    """A worker that is replaced resets no connection that it has not read yet."""
    async with connected(Stopping) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in head
        assert await reader.read() == b"0"


async def test_a_head_on_its_way_is_waited_for():
    async with connected(Stopping) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n")
        await asyncio.sleep(2 * Stopping.last_word_seconds)
        writer.write(b"Host: x\r\n\r\n")
        assert await answer(reader) == (b"200", b"0")


async def test_silence_ends_with_the_server():
    async with connected(Stopping) as (reader, _):
        assert await reader.read() == b""
