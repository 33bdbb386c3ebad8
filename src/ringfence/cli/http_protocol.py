"""uvicorn's HTTP protocol, with a bound on what a client may send around its bodies,
and without trailers among the headers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

_HEAD_SECONDS = 10.0
_HEAD_BYTES = 65_536
_REST_SECONDS = 10.0
_STALL_SECONDS = 60.0  # nginx's send_timeout
_LAST_WORD_SECONDS = 0.25  # a request that was sent before the end, on a slow way
_MOST_WAITING = 64  # browsers do not pipeline; programs that do send a handful

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
_BAD = b"HTTP/1.1 400 Bad Request\r\n"
_REST = b"connection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedHead(HttpToolsProtocol):
    """Close a connection whose heads or trailers come too slowly or never end.

    uvicorn alone waits for ever and keeps everything: a few hundred such clients hold
    every connection (Slowloris), and a single one fills the memory. It also appends
    trailers, the fields behind a chunked body, to the headers: an ``X-Forwarded-For``
    there would be believed, though no proxy has written or seen it. Here they are read
    and dropped. And it takes the body of a request that asks for another protocol for
    the next request, which a proxy in front of it never judged: that is refused.

    And it cuts a target at ``#``, which no client may send: a proxy in front may have
    judged, or cached, all of it. Who asks for much and does not read it, a Slowloris
    from the other end, is let go after a minute without progress. Where all places are
    taken, who is silent gives way to who comes.

    Source: CWE-400, CWE-770; CWE-444, RFC 9110 section 6.5.1 and RFC 9112 sections 3.2
    and 7.1.2; RFC 9110 section 15.5.9; RFC 6585 section 5.

    A body that goes on after its answer is thrown away, and the connection is closed
    when that has no end. A body that is still wanted may take its time here:
    ``traffic.body_limit`` sees to it.

    A server that stops hangs up on nobody whose request is on its way: uvicorn would
    reset connections that it has taken and not read yet, so that each worker which is
    replaced would lose some.
    """

    head_seconds = _HEAD_SECONDS
    head_bytes = _HEAD_BYTES
    rest_seconds = _REST_SECONDS
    stall_seconds = _STALL_SECONDS
    most_waiting = _MOST_WAITING
    last_word_seconds = _LAST_WORD_SECONDS

    _deadline: asyncio.TimerHandle | None = None
    _end_of_rest: asyncio.TimerHandle | None = None
    _end_of_stall: asyncio.TimerHandle | None = None
    _unfinished = 0  # bytes since the last head, piece of a body or end of a message
    _got_further = False
    _in_message = False
    _awaits_chunk = False
    _too_many = False
    _upgrades_with_body = False
    _is_stopping = False
    _earlier: Sequence[RequestResponseCycle] = ()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._make_room()
        super().connection_made(transport)
        self._set_deadline()

    def _make_room(self) -> None:
        """Where all places are taken, let go of who has waited the longest without
        asking anything.

        A laptop opens a thousand silent connections, and others as fast as these reach
        their deadline; uvicorn would answer 503 to everybody else. Who asks at once
        is no longer waiting when the next ones come.
        """
        if not self.limit_concurrency:
            return
        if len(self.connections) + 1 < self.limit_concurrency:
            return
        waiting = [
            (ends, one)
            for one in self.connections
            if isinstance(one, BoundedHead) and (ends := one.waits_until()) is not None
        ]
        if waiting:
            _, longest = min(waiting, key=lambda pair: pair[0])
            # Counted no more at once: uvloop tells of the end too late for who comes.
            self.connections.discard(longest)
            longest.transport.abort()

    def waits_until(self) -> float | None:
        """Return when a client's time is up that has asked nothing, or not all of it;
        ``None`` for one that is being answered."""
        if self._is_answering() or self.transport.is_closing():
            return None
        timer = self.timeout_keep_alive_task or self._deadline
        return None if timer is None else timer.when()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lift_deadline()
        self._rest_has_come()
        self._is_read_again()
        # uvicorn tells only the last request that the client has gone: an earlier one
        # that waits to hear it, an event stream say, would never end.
        for cycle in filter(_is_unanswered, self._earlier):
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._is_stopping = True
        if self._is_answering():
            super().shutdown()
        else:
            self.loop.call_later(self.last_word_seconds, self._hang_up_on_silence)

    def _hang_up_on_silence(self) -> None:
        # Within a head its own deadline counts.
        if not self._is_answering() and not self._unfinished:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._end_of_stall = self.loop.call_later(
            self.stall_seconds, self.transport.abort
        )

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_read_again()

    def _is_read_again(self) -> None:
        if self._end_of_stall is not None:
            self._end_of_stall.cancel()
            self._end_of_stall = None

    def on_url(self, url: bytes) -> None:
        """Take a target, or a piece of it.

        Raises:
            ValueError: it has a fragment; uvicorn answers 400 for it and hangs up.
        """
        if b"#" in url:
            raise ValueError("a request target has no fragment")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; drop a trailer.

        The guard has judged the head, or judges it now, and a trailer would pass it:
        as a second credential, another method or address.
        """
        if not self._in_message:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_message = self._got_further = True
        if self.parser.should_upgrade() and any(map(_announces_body, self.headers)):
            self._upgrades_with_body = True
            return
        # A request of 18 bytes becomes a kilobyte here: one packet of them, behind an
        # answer that does not come, would be worth megabytes.
        if len(self.pipeline) >= self.most_waiting:
            self._too_many = True
            return
        before = self.cycle
        super().on_headers_complete()
        if self._is_stopping and self.cycle is not None:
            self.cycle.keep_alive = False
        if before is not None and not before.response_complete:
            self._earlier = [*filter(_is_unanswered, self._earlier), before]

    def on_chunk_header(self) -> None:
        self._awaits_chunk = True

    def on_body(self, body: bytes) -> None:
        self._got_further = True
        self._awaits_chunk = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._got_further = True
        self._in_message = self._awaits_chunk = False
        self._rest_has_come()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_message and not self._is_answering():
            self._end_of_rest = self.loop.call_later(
                self.rest_seconds, self.transport.close
            )

    def _rest_has_come(self) -> None:
        if self._end_of_rest is not None:
            self._end_of_rest.cancel()
            self._end_of_rest = None

    def data_received(self, data: bytes) -> None:
        self._got_further = False
        super().data_received(data)
        if self._upgrades_with_body:
            self._refuse(_BAD)
            return
        if self._too_many:
            self._lift_deadline()
            self.transport.abort()
            return
        if self._got_further:
            self._unfinished = 0
            self._lift_deadline()
        else:
            self._unfinished += len(data)
        if self._unfinished > self.head_bytes:
            self._refuse(_TOO_LARGE)
        elif self._deadline is None and not self._may_take_its_time():
            self._set_deadline()

    def _may_take_its_time(self) -> bool:
        """Return whether the client is in a body, or waits for us.

        Behind the size of a chunk it is in no body yet: the parser does not tell
        whether that chunk is the last, which only trailers follow.
        """
        if self._in_message:
            return not self._awaits_chunk
        return self._is_answering() or self._was_handed_on()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _was_handed_on(self) -> bool:
        """Return whether the connection has become a WebSocket."""
        return self.transport.get_protocol() is not self

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._expire)

    def _lift_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        if self.flow.read_paused:  # the application is slow to read, not the client
            self._set_deadline()
        else:
            self._refuse(_TOO_SLOW)

    def _refuse(self, status: bytes) -> None:
        self._lift_deadline()
        if self.transport.is_closing():
            return
        if self._is_answering():
            # The status would be taken for the answer that is due, or for a part of it
            # (CWE-444); the connection says the same by ending.
            self.transport.abort()
            return
        self.transport.write(status + _REST)
        self.transport.close()


def _is_unanswered(cycle: RequestResponseCycle) -> bool:
    return not cycle.response_complete


def _announces_body(header: tuple[bytes, bytes]) -> bool:
    name, value = header
    return name == b"transfer-encoding" or (
        name == b"content-length" and value.strip(b"0 \t") != b""
    )
