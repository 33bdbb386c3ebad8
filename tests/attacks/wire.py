"""Requests written by hand, where a client library would correct them."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from http.client import HTTPResponse

_TIMEOUT = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def send(port: int, request: bytes) -> Answer:
    """Send ``request`` as it stands and read one response."""
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as connection:
        # It may have answered, and hung up, before everything was sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        response = HTTPResponse(connection, method=request.split(b" ", 1)[0].decode())
        response.begin()
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        response.close()
        return Answer(response.status, headers, body)


def request(
    method: str, target: str, headers: dict[str, str], body: bytes = b""
) -> bytes:
    """Return the bytes of a request, with nothing normalised."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    lines.append("Connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body
