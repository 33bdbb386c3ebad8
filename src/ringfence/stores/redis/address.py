"""Where a server is: a host and a port, or a Unix socket."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to.

    Args:
        host: a name or an IP address, without brackets; empty for a Unix socket.
        port: 1 to 65535.
        path: of a Unix socket.
    """

    host: str
    port: int = 6379
    path: str = ""

    @classmethod
    def parse(cls, text: str, default_port: int) -> Self:
        """Read ``host``, ``host:port``, ``[::1]`` or ``[::1]:port``.

        Raises:
            ValueError: it is none of these. Repeats nothing of the text, which may be
                part of a password.
        """
        if text.startswith("["):
            host, closing, rest = text[1:].partition("]")
            colon, port = rest[:1], rest[1:]
            is_sound = bool(closing) and colon in {"", ":"} and ":" in host
        else:
            host, colon, port = text.partition(":")
            is_sound = bool(host)
        if not is_sound or any(letter.isspace() for letter in host):
            raise ValueError("an address that is not host:port")
        return cls(host, _port(port) if colon else default_port)

    @property
    def is_here(self) -> bool:
        """Whether it is of this machine for sure."""
        if self.path:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.rpartition(".")[2] == "localhost"

    def __str__(self) -> str:
        if self.path:
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 2**16):
        raise ValueError("a port that is not a number between 1 and 65535")
    return int(text)
