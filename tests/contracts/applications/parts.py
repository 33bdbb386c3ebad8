"""What the four applications of the contract share: what happened, and middleware."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ringfence import access
from ringfence.marks import Mark

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
STAFF = access.role("staff")
SECRET = "the password is hunter2"


@dataclass(frozen=True)
class Named(Mark):
    """A mark that says where it stood."""

    name: str


class TeapotError(Exception):
    """One that the application has a handler of its own for."""


@dataclass
class Story:
    """What happened inside the application, in order.

    Args:
        middleware: ASGI middleware between the guard and the router, outermost first.
        fails: the start-up of the application fails.
    """

    middleware: tuple[type, ...] = ()
    fails: bool = False
    events: list[str] = field(default_factory=list)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, event: str) -> None:
        self.events.append(event)

    def start(self) -> None:
        if self.fails:
            message = "the database of the application is gone"
            raise RuntimeError(message)
        self.tell("started")


class Stamp:
    """Adds a header to every answer."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def stamped(message):
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-stamp", b"yes")]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, stamped if scope["type"] == "http" else send)


class CopyScope:
    """Hands on a scope of its own."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app({**scope}, receive, send)


class ReadBody:
    """Reads the whole body and gives it again."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def again():
            return messages.pop() if messages else await receive()

        await self.app(scope, again, send)


class MoveToStaff:
    """Rewrites paths behind the guard: what it leads to was not asked for."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope.get("path") == "/open":
            scope = {**scope, "path": "/staff", "raw_path": b"/staff"}
        await self.app(scope, receive, send)


class OverrideMethod:
    """Believes a header about the method, as some do."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        headers = dict(scope.get("headers", ()))
        if b"x-verb" in headers:
            scope["method"] = headers[b"x-verb"].decode()
        await self.app(scope, receive, send)


async def below(scope, receive, send):
    """A plain application, to be mounted."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"below"})
