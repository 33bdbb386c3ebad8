"""What one signed-in browser sends: the same headers to every target."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass

from benchmarks.servers import Server

BODY = json.dumps({"name": "a new item", "note": "x" * 200}).encode()
PASSWORD = "correct horse battery staple 42"
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
    "Accept": "application/json, text/plain, */*",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
}
"""What a browser sends with every request."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, over and over, with the cookies of a session."""

    method: str
    port: int
    headers: dict[str, str]
    body: bytes = b""
    path: str = "/items"

    def raw(self) -> bytes:
        """Return the request as it goes over the wire."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


def visits(server: Server, email: str = "bench@shop.example") -> dict[str, Visit]:
    """Sign in where there is something to sign in to; return a visit a method.

    Eight headers of a browser, two cookies; a write carries Origin and a token.

    Args:
        server: to visit.
        email: of the account, which is made.
    """
    cookies, token = _sign_in(server, email)
    common = {
        **HEADERS,
        "Referer": f"http://127.0.0.1:{server.port}/",
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
    }
    writing = {
        **common,
        "Origin": f"http://127.0.0.1:{server.port}",
        "Content-Type": "application/json",
        "X-CSRF-Token": token,
    }
    found = {
        "GET": Visit("GET", server.port, common),
        "POST": Visit("POST", server.port, writing, BODY),
    }
    for visit in found.values():
        _must_succeed(server, visit)
    return found


def _sign_in(server: Server, email: str) -> tuple[dict[str, str], str]:
    if server.target.endswith("stack"):
        cookies = _cookies(server, "GET", "/sign-in")
        return cookies, cookies["csrftoken"]
    placeholder = "x" * 60
    if not server.target.endswith("ringfence"):
        return {"session": placeholder, "csrftoken": placeholder}, placeholder
    account = {"email": email, "password": PASSWORD}
    _cookies(server, "POST", "/auth/register", account)
    cookies = _cookies(server, "POST", "/auth/login", account)
    session = {name: value for name, value in cookies.items() if "session" in name}
    return {**session, "csrftoken": placeholder}, placeholder


def _cookies(
    server: Server, method: str, path: str, body: dict[str, str] | None = None
) -> dict[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Content-Type": "application/json"} if body else {}
    content = json.dumps(body) if body else None
    connection.request(method, path, content, headers)
    response = connection.getresponse()
    text = response.read()
    lines = response.headers.get_all("Set-Cookie") or []
    connection.close()
    if response.status >= 400:
        message = f"{server.target}: {method} {path}: {response.status} {text!r}"
        raise RuntimeError(message)
    pairs = (line.split(";", 1)[0].partition("=") for line in lines)
    return {name: value for name, _, value in pairs}


def _must_succeed(server: Server, visit: Visit) -> None:
    """A refusal is cheaper than an answer: measuring one would be a lie."""
    connection = http.client.HTTPConnection("127.0.0.1", visit.port, timeout=30)
    connection.request(visit.method, "/items", visit.body or None, visit.headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    if response.status != 200:
        message = f"{server.target}: {visit.method}: {response.status} {text!r}"
        raise RuntimeError(message)
