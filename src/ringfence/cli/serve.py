"""``ringfence serve`` and ``ringfence dev``: uvicorn, set so that it adds no hole."""

from __future__ import annotations

import errno
import ipaddress
import os
import shlex
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.audit.redact import install_log_redaction
from ringfence.cli.target import load_target
from ringfence.errors import MissingExtraError, SettingsError
from ringfence.settings import refuse_unsafe

if TYPE_CHECKING:
    from ringfence.cli.uvicorn_server import UvicornServer
    from ringfence.guard.asgi import Guard

_HIGHEST_PORT = 65_535
_BACKLOG = 512


@dataclass(frozen=True, slots=True)
class Listen:
    """Where and how to listen.

    Args:
        host: an address of this machine, or a name of it.
        port: 0 to 65535; 0 takes any that is free.
        loop: ``auto``, ``asyncio``, ``uvloop`` or ``module:Class``.
        connections: most at once, 1 or more.
    """

    host: str
    port: int
    loop: str = "auto"
    connections: int = 1000


def production(target: str, listen: Listen, *, workers: int) -> int:
    """Serve a guard as its settings say, by default in production.

    Raises:
        SettingsError: the settings are not safe, the target is no guard, the port is
            taken, or more than one worker is wanted.
    """
    _refuse_workers(workers)
    guard = load_target(target)
    if guard.settings.development and not _is_loopback(listen.host):
        message = (
            f"the settings are for development, which is for this machine only, and "
            f"{listen.host} is open to others; unset RINGFENCE_ENV for production"
        )
        raise SettingsError(message)
    refuse_unsafe(guard.settings)
    server = open_server(listen)
    with _bound(listen) as bound:
        ready = f"Listening on {_address(listen, bound)}"
        return _run(server, guard, bound, ready)


def development(target: str, listen: Listen, *, workers: int, reload: bool) -> int:
    """Serve a guard in development, on this machine only.

    Raises:
        SettingsError: as for ``production``; or the host is not loopback; or something
            insists on production.
    """
    _refuse_workers(workers)
    if not _is_loopback(listen.host):
        message = (
            f"development is for this machine only, and {listen.host} is open to "
            "others; leave out --host, or use: ringfence serve"
        )
        raise SettingsError(message)
    if os.environ.get("RINGFENCE_ENV", "development") != "development":
        message = "RINGFENCE_ENV says otherwise; unset it, or use: ringfence serve"
        raise SettingsError(message)
    os.environ["RINGFENCE_ENV"] = "development"
    guard = load_target(target)
    if not guard.settings.development:
        message = (
            f"{target} sets env itself, to production; leave env out of its code and "
            "use: ringfence serve"
        )
        raise SettingsError(message)
    refuse_unsafe(guard.settings)
    server = open_server(listen)
    with _bound(listen) as bound:
        ready = f"{_address(listen, bound)} (development, this machine only)"
        if guard.settings.identity.enabled:
            ready += "\n" + _first_account(guard)
        if reload:
            return server.run_reloading(target, bound, ready=ready)
        return _run(server, guard, bound, ready)


def _refuse_workers(workers: int) -> None:
    if workers != 1:
        message = (
            "only one worker can be served so far: a second process would not see "
            "what the first one counts and revokes at once; write --workers 1"
        )
        raise SettingsError(message)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _run(server: UvicornServer, guard: Guard, bound: socket.socket, ready: str) -> int:
    end_redaction = install_log_redaction()
    try:
        return server.run(guard, bound, ready=ready)
    finally:
        end_redaction()


def open_server(listen: Listen) -> UvicornServer:
    """Return the server.

    Raises:
        MissingExtraError: the extra ``serve`` is not installed.
    """
    try:
        from ringfence.cli.uvicorn_server import UvicornServer  # noqa: PLC0415 - late: optional uvicorn
    except ModuleNotFoundError as error:
        missing = error.name or "uvicorn"
        raise MissingExtraError(missing, "serve", "serve an application") from error
    return UvicornServer(loop=listen.loop, connections=listen.connections)


def _bound(listen: Listen) -> socket.socket:
    """Return a socket that listens already, before anything else is begun.

    Merely bound, another process could still take the same port (SO_REUSEADDR); and
    who connects while the application starts is answered instead of turned away.
    """
    host, port = listen.host, listen.port
    if not 0 <= port <= _HIGHEST_PORT:
        raise SettingsError(f"{port} is no port; write one from 1 to {_HIGHEST_PORT}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        message = f"{host!r} is no address of this machine; write --host 127.0.0.1"
        raise SettingsError(message) from error
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise SettingsError(_why_not(error, listen)) from error
    return bound


def _why_not(error: OSError, listen: Listen) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {listen.port} is in use by another program; take another one "
            f"(--port {listen.port + 1}) or end that program"
        )
    if error.errno == errno.EACCES:
        return (
            f"port {listen.port} needs more rights than this user has; take one above "
            "1023 and let a proxy or the service manager forward to it"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{listen.host} is no address of this machine; write --host 127.0.0.1"
    return f"cannot listen on {listen.host} port {listen.port}: {error.strerror}"


def _address(listen: Listen, bound: socket.socket) -> str:
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"http://{host}:{bound.getsockname()[1]}"


def _first_account(guard: Guard) -> str:
    """Return how to make an account, with a role that some route asks for."""
    data = shlex.quote(str(guard.settings.data.absolute()))
    roles = sorted({role for plan in guard.plan for role in plan.policy.roles()})
    who = f"a first {roles[0]}" if roles else "an account"
    role = f" --role {shlex.quote(roles[0])}" if roles else ""
    return (
        f"Make {who}, from another terminal:\n"
        f"  RINGFENCE_DATA={data} {_this_command()} accounts create "
        f"--email you@example.com{role}"
    )


def _this_command() -> str:
    """Return how this very command is called here."""
    if shutil.which("ringfence"):
        return "ringfence"
    return shlex.quote(str(Path(sys.argv[0]).absolute()))
