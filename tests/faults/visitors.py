"""Browsers at their smallest: what they keep, what they send and what comes back."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

UNANSWERED = 0
"""In place of a status, where the connection has ended."""
_PATIENCE = 20.0  # seconds; far more than any deadline
_PASSWORD = "a long pass phrase of "


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Args:
        status: 0 if the connection ended instead.
        took: seconds.
    """

    what: str
    status: int
    took: float
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_refusal(self) -> bool:
        """Whether it says to come back later, and when."""
        return self.status in {429, 503} and self.headers["retry-after"].isdigit()

    @property
    def kind(self) -> str:
        """What it is for those who count: answered, refused or cut."""
        if self.status == UNANSWERED:
            return "cut"
        return "refused" if self.is_refusal else "answered"

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Visitor:
    """One browser: what it sends by itself.

    Args:
        name: of its account.
        cookies: by name.
        token: against forged requests.
        is_leaving: it has asked to be signed out, and may be.
    """

    name: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""
    is_leaving: bool = False

    @property
    def account(self) -> dict[str, str]:
        return {"email": f"{self.name}@example.com", "password": _PASSWORD + self.name}


class Line:
    """A connection that is kept open, and made anew when it has ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, visitor: Visitor, body: object = None
    ) -> Answer:
        """Send a request once and return what came of it."""
        started = time.monotonic()
        what = f"{method} {path}"
        try:
            async with asyncio.timeout(_PATIENCE):
                status, lines, text = await self._exchange(method, path, visitor, body)
        except (OSError, EOFError, TimeoutError):
            self.close()
            return Answer(what, UNANSWERED, time.monotonic() - started)
        took = time.monotonic() - started
        headers = dict(lines)
        cookies = dict(
            value.partition(";")[0].split("=", 1)
            for name, value in lines
            if name == "set-cookie"
        )
        if headers.get("connection") == "close":
            self.close()
        return Answer(what, status, took, headers, cookies, text)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(
        self, method: str, path: str, visitor: Visitor, body: object
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        if self._streams is None or self._streams[0].at_eof():
            self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(self._request(method, path, visitor, body))
        head = await reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")[:-2]
        lines = [(n.lower(), v) for n, _, v in (row.partition(": ") for row in rest)]
        length = int(dict(lines).get("content-length", "0"))
        return int(first.split()[1]), lines, await reader.readexactly(length)

    def _request(self, method: str, path: str, visitor: Visitor, body: object) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}"]
        sent = b"" if body is None else json.dumps(body).encode()
        if method != "GET":
            lines += ["Content-Type: application/json", f"Content-Length: {len(sent)}"]
        if visitor.cookies:
            pairs = "; ".join("=".join(pair) for pair in visitor.cookies.items())
            lines.append(f"Cookie: {pairs}")
        if visitor.token:
            lines.append(f"X-CSRF-Token: {visitor.token}")
        return "\r\n".join((*lines, "", "")).encode() + sent
