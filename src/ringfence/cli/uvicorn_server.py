"""uvicorn, with what it would decide by itself taken out of its hands."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from importlib.util import find_spec

import uvicorn
from uvicorn.supervisors import ChangeReload

from ringfence.cli.http_protocol import BoundedHead
from ringfence.exchange import ASGIApp

_COULD_NOT_RUN = 2
_BACKLOG = 512
_KEEP_ALIVE_SECONDS = 5
_GRACE_SECONDS = 10
_MESSAGE_BYTES = 1_048_576
_GUARDED_LOOP = "ringfence.interpreters.loops.guarded:GuardedLoop"


class UvicornServer:
    """Serve on a socket that is bound already.

    uvicorn's own handling of forwarding headers is off, because it trusts them from
    every loopback peer before the guard has seen them; so is the header that names the
    server. WebSocket messages are not compressed: beside a secret, the length of a
    compressed text tells what it holds (CVE-2012-4929).

    Args:
        loop: ``auto``, ``asyncio``, ``uvloop`` or ``module:Class``. Where that is
            uvloop, it is the one that announces what it does.
        connections: most at once; more are answered with 503.
    """

    def __init__(self, *, loop: str, connections: int) -> None:
        self._loop = _seen(loop)
        self._connections = connections

    def run(self, app: ASGIApp, bound: socket.socket, *, ready: str) -> int:
        """Serve until told to stop; return the exit code.

        Args:
            app: what to serve.
            bound: where, listening already.
            ready: what to say once the application has started.
        """
        server = _Telling(self._config(app), ready)
        try:
            # Ctrl-C: uvicorn has ended in good order and raises it once more.
            with suppress(KeyboardInterrupt):
                server.run(sockets=[bound])
        except SystemExit:  # the start-up failed, and uvicorn has said why
            return _COULD_NOT_RUN
        return 0 if server.started else _COULD_NOT_RUN

    def run_reloading(self, target: str, bound: socket.socket, *, ready: str) -> int:
        """Serve in a process that begins anew when a Python file changes."""
        config = self._config(target, reload=True)
        server = _Telling(config, ready)
        ChangeReload(config, target=server.run, sockets=[bound]).run()
        return 0

    def _config(self, app: ASGIApp | str, *, reload: bool = False) -> uvicorn.Config:
        return uvicorn.Config(
            app,
            http=BoundedHead,
            loop=self._loop,
            reload=reload,
            lifespan="on",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=self._connections,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            ws_max_size=_MESSAGE_BYTES,
            ws_per_message_deflate=False,
        )


def _seen(loop: str) -> str:
    """Return a loop whose doings the guards at interpreters see: uvloop's own starts
    programs and connects without an audit event (CWE-78, CWE-918)."""
    if loop == "uvloop" or (loop == "auto" and find_spec("uvloop") is not None):
        return _GUARDED_LOOP
    return loop


class _Telling(uvicorn.Server):
    """Says where it listens once the application has started, and not before: after
    an address, the reason why a start-up failed would be overlooked."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(self._ready + "\n")
        sys.stdout.flush()
