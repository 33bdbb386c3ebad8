"""One application, bare or behind the guard as production has it, on a real server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ringfence import Guard, Settings, access
from ringfence.secrets.keyring import Keyring

HOST = "shop.example.com"
PROXY = "127.0.0.1/32"  # every request of a test comes over this one


async def seen(request: Request) -> JSONResponse:
    """Tell who is asking, as the application is told."""
    client = request.client.host if request.client else ""
    return JSONResponse([client, request.url.scheme, request.method])


async def read(request: Request) -> JSONResponse:
    """Read the whole body."""
    return JSONResponse(len(await request.body()))


async def form(request: Request) -> JSONResponse:
    """Parse a form, with the bounds of the parser out of the way."""
    unbounded = float("inf")
    async with request.form(max_fields=unbounded, max_files=unbounded) as fields:
        return JSONResponse(len(fields.multi_items()))


async def ignore(request: Request) -> JSONResponse:
    """Answer without a look at the body."""
    return JSONResponse("ignored")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(str(len(text)))


def application() -> Starlette:
    return Starlette(
        routes=access.routes(
            [
                Route("/", seen, methods=["GET", "POST"]),
                Route("/read", read, methods=["POST"]),
                Route("/form", form, methods=["POST"]),
                Route("/ignore", ignore, methods=["POST"]),
                WebSocketRoute("/echo", echo),
            ],
            access.public,
        )
    )


def guarded(folder: Path, *, proxies: tuple[str, ...] = (PROXY,), **traffic) -> Guard:
    """Return the application behind a guard in production.

    Args:
        folder: for its keys and its ledger.
        proxies: whose word about the client counts.
        traffic: settings of the street.
    """
    keys = folder / "keys"
    Keyring(keys, create=True).open()
    settings = Settings.load(
        environ={},
        data=folder,
        keys_file=keys,
        public_origins=(f"https://{HOST}",),
        proxies=proxies,
        identity={"enabled": False},
        traffic=traffic,
    )
    return Guard(application(), settings)


async def call(app, *, client, headers=()) -> tuple[int, object]:
    """Send one GET without a server; return the status and the JSON of the answer."""
    sent = []

    async def receive():
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "client": client,
        "server": ("127.0.0.1", 80),
        "headers": [(b"host", HOST.encode()), *headers],
    }
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body)
