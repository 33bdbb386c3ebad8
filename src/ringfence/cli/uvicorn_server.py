"""uvicorn, with what it would decide by itself taken out of its hands."""

from __future__ import annotations

import gc
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from logging.config import dictConfig
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.supervisors import ChangeReload

from ringfence.cli.compared import Compared
from ringfence.cli.http_protocol import BoundedHead
from ringfence.cli.leash import Leash, Serving
from ringfence.exchange import ASGIApp
from ringfence.guard.asgi import Guard

_COULD_NOT_RUN = 2
_BACKLOG = 512
_KEEP_ALIVE_SECONDS = 5
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
        connections: most at once, of one process; more are answered with 503.
        grace: seconds in which a server that is stopped finishes what it has begun.
    """

    def __init__(self, *, loop: str, connections: int, grace: int = 10) -> None:
        self._loop = _seen(loop)
        self._connections = connections
        self._grace = grace

    def run(self, app: ASGIApp, bound: socket.socket, *, ready: str) -> int:
        """Serve until told to stop; return the exit code.

        Args:
            app: what to serve.
            bound: where, listening already.
            ready: what to say once the application has started.
        """
        server = _Telling(self._config(app), partial(_say, ready))
        # uvicorn ends in good order and raises once more what has ended it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with suppress(KeyboardInterrupt):
                server.run(sockets=[bound])
        except SystemExit:  # the start-up failed, and uvicorn has said why
            return _COULD_NOT_RUN
        return 0 if server.started else _COULD_NOT_RUN

    def work(
        self, guard: Guard, bound: socket.socket, leash: Leash, *, words: str, name: str
    ) -> int:
        """Serve as one worker of several until told to stop; return the exit code.

        Args:
            guard: what to serve.
            bound: where, listening already, shared with the others.
            leash: to the parent, which compares this worker with the others.
            words: what the parent is to say besides the address.
            name: of this worker, in its logs.
        """
        config = self._config(Compared(guard, leash, words), name=name)
        server = _Worker(config, partial(leash.say, Serving()))
        leash.on_stop(server.stop)
        server.run(sockets=[bound])
        return 0 if server.started else _COULD_NOT_RUN

    def run_reloading(self, target: str, bound: socket.socket, *, ready: str) -> int:
        """Serve in a process that begins anew when a Python file changes."""
        config = self._config(target, reload=True)
        server = _Telling(config, partial(_say, ready))
        ChangeReload(config, target=server.run, sockets=[bound]).run()
        return 0

    def set_up_logging(self) -> None:
        """Log as the server does, in a process that watches over others."""
        dictConfig(logging_of(""))

    def _config(
        self, app: ASGIApp | str, *, reload: bool = False, name: str = ""
    ) -> uvicorn.Config:
        return uvicorn.Config(
            app,
            interface="asgi3",
            workers=1,  # else WEB_CONCURRENCY would be heard here as well
            log_config=logging_of(name),
            http=BoundedHead,
            loop=self._loop,
            reload=reload,
            lifespan="on",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=self._connections,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=self._grace,
            ws_max_size=_MESSAGE_BYTES,
            ws_per_message_deflate=False,
        )


def _seen(loop: str) -> str:
    """Return a loop whose doings the guards at interpreters see: uvloop's own starts
    programs and connects without an audit event (CWE-78, CWE-918)."""
    if loop == "uvloop" or (loop == "auto" and find_spec("uvloop") is not None):
        return _GUARDED_LOOP
    return loop


def logging_of(name: str) -> dict[str, Any]:
    """Return uvicorn's logging with a name in each line, for lines of several processes
    in one place.

    Args:
        name: of the process, ``""`` for none.
    """
    config = deepcopy(LOGGING_CONFIG)
    for formatter in config["formatters"].values() if name else ():
        prefix = f"%(levelprefix)s [{name}]"
        formatter["fmt"] = formatter["fmt"].replace("%(levelprefix)s", prefix)
    return config


def settle_memory() -> None:
    """Have the garbage collector leave alone what there is now.

    What a start-up makes lasts as long as the process: a hundred thousand objects,
    which a full collection would go through again and again, and hold up every request
    for a tenth of a second meanwhile.
    """
    gc.collect()
    gc.freeze()


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


class _Telling(uvicorn.Server):
    """Tells where it listens once the application has started, and not before: after
    an address, the reason why a start-up failed would be overlooked."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settle_memory()
        self._tell()


class _Worker(_Telling):
    """Stopped by its parent. Ctrl-C reaches all processes of a terminal at once, and
    the parent then says what is to be done."""

    def stop(self) -> None:
        """End in good order."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig != signal.SIGINT:
            super().handle_exit(sig, frame)
