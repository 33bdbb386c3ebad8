"""uvicorn's HTTP protocol, with a bound on what a client may send before it has asked
for anything."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_SECONDS = 10.0
_HEAD_BYTES = 65_536

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
_REST = b"connection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedHead(HttpToolsProtocol):
    """Close a connection whose request line and headers come too slowly or never end.

    uvicorn alone waits for ever and keeps everything: a few hundred such clients hold
    every connection (Slowloris), and a single one fills the memory.

    Source: CWE-400, CWE-770; RFC 9110 section 15.5.9; RFC 6585 section 5.

    Not covered: bodies that come slowly.
    """

    head_seconds = _HEAD_SECONDS
    head_bytes = _HEAD_BYTES

    _deadline: asyncio.TimerHandle | None = None
    _unfinished = 0
    _in_message = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lift_deadline()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        self._in_message = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_message or self._is_answering() or self._was_handed_on():
            self._unfinished = 0
            self._lift_deadline()
            return
        self._unfinished += len(data)
        if self._unfinished > self.head_bytes:
            self._refuse(_TOO_LARGE)
        elif self._deadline is None:
            self._set_deadline()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _was_handed_on(self) -> bool:
        """Return whether the connection has become a WebSocket."""
        return self.transport.get_protocol() is not self

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(
            self.head_seconds, self._refuse, _TOO_SLOW
        )

    def _lift_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: bytes) -> None:
        self._lift_deadline()
        if not self.transport.is_closing():
            self.transport.write(status + _REST)
            self.transport.close()
