"""Where to listen: the socket, and why there is none."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass

from ringfence.errors import SettingsError

_HIGHEST_PORT = 65_535
_BACKLOG = 512


@dataclass(frozen=True, slots=True)
class Listen:
    """Where and how to listen.

    Args:
        host: an address of this machine, or a name of it.
        port: 0 to 65535; 0 takes any that is free.
        loop: ``auto``, ``asyncio``, ``uvloop`` or ``module:Class``.
        connections: most at once in one process, 1 or more.
        grace: seconds in which a server that is stopped finishes what it has begun.
    """

    host: str
    port: int
    loop: str = "auto"
    connections: int = 1000
    grace: int = 10

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def address(self, bound: socket.socket) -> str:
        """Return the URL at which a socket is reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{bound.getsockname()[1]}"


def bind(listen: Listen) -> socket.socket:
    """Return a socket that listens already, before anything else is begun.

    Merely bound, another process could still take the same port (SO_REUSEADDR); and
    who connects while the application starts is answered instead of turned away.

    Raises:
        SettingsError: there is no such address, or it is taken.
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
