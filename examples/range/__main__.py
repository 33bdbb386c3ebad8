"""Serve the range: ``python -m examples.range --guard off --port 8100``."""

from __future__ import annotations

import argparse
import importlib
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from sqlalchemy.orm import sessionmaker
from starlette.types import ASGIApp

from examples.range.app import build
from examples.range.confine import Confined, own_folder, settle_in
from examples.range.gate import KEY_COOKIE, KEY_HEADER, Gate
from examples.range.given import whose_cookie, whose_principal
from examples.range.orders import Table, engine_for
from examples.range.world import World

_LOOPBACK = "127.0.0.1"
_SHORTEST_KEY = 16
# Libraries import these at the first request, when the range may no longer be allowed
# to read the folder they are in.
_IMPORTED_LATE = (
    "anyio._backends._asyncio",
    "encodings.cp437",
    "encodings.idna",
    "multiprocessing",
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    key = options.key or secrets.token_hex(24)
    if len(key) < _SHORTEST_KEY:
        print(f"--key needs at least {_SHORTEST_KEY} characters.", file=sys.stderr)
        return 2
    try:
        listener = _bind(options.port)
    except OSError as error:
        print(f"Port {options.port}: {error}. Try another PORT.", file=sys.stderr)
        return 2
    # uvicorn stops in good order, then raises the signal again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with _folder(options.data) as data:
            _run(options, key, listener, data)
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    data = own_folder(wanted)
    is_temporary = wanted is None or data != wanted.resolve()
    if is_temporary and wanted is not None:
        print(f"{wanted} is out of reach for a lowly user; using {data}.")
    try:
        yield data
    finally:
        if is_temporary:
            shutil.rmtree(data, ignore_errors=True)


def _run(
    options: argparse.Namespace, key: str, listener: socket.socket, data: Path
) -> None:
    port: int = listener.getsockname()[1]
    environ = dict(os.environ)  # RINGFENCE_... settings reach the guarded side
    settle_in(data)
    app = _guarded(data, port, environ) if options.guard == "on" else _open(data)
    for module in _IMPORTED_LATE:
        importlib.import_module(module)
    _announce(options.guard, port, data, key, given=options.key is not None)
    gate = Gate(app, port=port, key=key, origins=options.origin)
    _serve(Confined(gate, data), listener)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.range",
        description="The guide's vulnerable snippets, on loopback, for this run's key.",
    )
    parser.add_argument("--guard", choices=("off", "on"), required=True)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--data", type=Path, help="default: a temporary folder")
    parser.add_argument("--key", help="default: made for this run and printed")
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        help="a page that may send requests, as http://localhost:9000 or null",
    )
    return parser


def _bind(port: int) -> socket.socket:
    """Bind to loopback; there is no option for another address. Whoever connects
    before the range serves has to wait."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_LOOPBACK, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _open(data: Path) -> ASGIApp:
    path = data / "range.db"
    return build(World(path), whose_cookie, sessionmaker(engine_for(path)))


# What is stored and becomes a statement later is stopped by the statement lock.
_LOCK = {
    "RINGFENCE_INTERPRETERS_SQL_LOCK": str(Path(__file__).with_name("statements.lock")),
    "RINGFENCE_INTERPRETERS_SQL_LOCK_MODE": "enforce",
}


def _guarded(data: Path, port: int, environ: Mapping[str, str]) -> ASGIApp:
    """Put the guard in front of the same application. The library has no off switch:
    the other side is the one without these lines."""
    from ringfence import Guard, Settings, current  # noqa: PLC0415 - the off side goes without
    from ringfence.access.sqlalchemy import Database  # noqa: PLC0415 - likewise: it listens to sessions

    settings = Settings.load(
        environ={**_LOCK, **environ},
        env="development",
        data=data,
        public_origins=(f"http://{_LOOPBACK}:{port}",),
    )
    path = data / "range.db"
    shelf = Database(engine_for(path), Table)
    app = build(World(path), whose_principal, current.blocking_database)
    return Guard(app, settings, data=shelf)


def _announce(guard: str, port: int, data: Path, key: str, *, given: bool) -> None:
    print(f"The range, guard {guard}: http://{_LOOPBACK}:{port} (data in {data})")
    shown = "the one you gave" if given else key
    print(f"Key: {shown}", flush=True)
    print(f"Send it as header {KEY_HEADER} or cookie {KEY_COOKIE}.")
    print("What to attack: /openapi.json, examples/range/README.md", flush=True)


def _serve(app: ASGIApp, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    raise SystemExit(main())
