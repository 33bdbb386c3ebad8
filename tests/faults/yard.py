"""A guarded application with something to lose, for processes of their own: accounts
and sessions of the guard, and orders, which it keeps in a file."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.faults.clock import wall

from ringfence import Guard, Settings, access, current, limit

EXACT = 50
LARGE = 400
_AT_ONCE = 512


def make(environ: Mapping[str, str]) -> Guard:
    """Build the application for these settings."""
    settings = Settings.load(environ=environ)
    book = Path(settings.data) / "orders"

    @access.require(access.public)
    async def open_to_all(request: Request) -> JSONResponse:
        return JSONResponse({"pid": os.getpid()})

    @access.require(access.signed_in)
    async def mine(request: Request) -> JSONResponse:
        return JSONResponse({"account": current.principal().id})

    @access.require(access.signed_in)
    async def order(request: Request) -> JSONResponse:
        number = secrets.token_hex(8)
        try:
            _write(book, f"{number}\n".encode())
        except OSError:
            return JSONResponse({}, 503, {"Retry-After": "1"})
        return JSONResponse({"id": number}, 201)

    @limit(f"{EXACT}/day", by="route")
    @access.require(access.public)
    async def exact(request: Request) -> JSONResponse:
        return JSONResponse({})

    @limit(f"{LARGE}/day", by="route")
    @access.require(access.public)
    async def large(request: Request) -> JSONResponse:
        return JSONResponse({})

    routes = [
        Route("/open", open_to_all),
        Route("/mine", mine),
        Route("/orders", order, methods=["POST"]),
        Route("/exact", exact),
        Route("/large", large),
    ]
    return Guard(Starlette(routes=routes), settings)


def _write(book: Path, line: bytes) -> None:
    written = os.open(book, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(written, line)
    finally:
        os.close(written)


def serve(
    environ: Mapping[str, str], bound: socket.socket, holder: Connection, log: Path
) -> None:
    """Serve until told to stop, or until whoever holds the other end of ``holder`` is
    gone, however that happens. What comes from there sets the clock."""
    with log.open("a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    threading.Thread(target=_obey, args=(holder,), daemon=True).start()
    config = uvicorn.Config(
        make(environ),
        backlog=_AT_ONCE,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[bound])


def _obey(holder: Connection) -> None:
    try:
        while True:
            wall.ahead = holder.recv()
            holder.send("done")
    except (EOFError, OSError):
        os._exit(1)
