"""The methods of a uvloop that raise no audit event, each with the event that asyncio
raises in its place.

Nothing is decided here: whoever judges the events refuses by an exception, before
anything happens.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

_MARK = "_ringfence_announced"
_SHELL = "/bin/sh"

_Method = Callable[..., Awaitable[Any]]
_Pair = tuple[Any, Any]  # transport and protocol


def is_seen(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether what a loop does reaches the judges of audit events.

    Not covered: a loop of another make that is written in Python on top of asyncio's
    and reaches the system by other ways.
    """
    return isinstance(loop, asyncio.BaseEventLoop) or hasattr(loop, _MARK)


def arm_loop(loop: asyncio.AbstractEventLoop) -> bool:
    """Have a uvloop announce what it does; a loop that does so already is left alone.

    Sets methods on this one loop: neither the class nor the library is changed.

    Args:
        loop: the running one.

    Returns:
        Whether what the loop does is seen: ``False`` for a loop of unknown make.
    """
    if is_seen(loop):
        return True
    if not any(base.__module__ == "uvloop.loop" for base in type(loop).__mro__):
        return False
    announced = Announced(loop)
    for name in _ANNOUNCED:
        setattr(loop, name, getattr(announced, name))
    setattr(loop, _MARK, True)
    return True


class Announced:
    """Announces what a loop is about to do, then has it done.

    Args:
        loop: a uvloop whose methods are still its own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        own: Any = loop
        self._connect: _Method = own.create_connection
        self._connect_unix: _Method = own.create_unix_connection
        self._open_datagrams: _Method = own.create_datagram_endpoint
        self._resolve: _Method = own.getaddrinfo
        self._name: _Method = own.getnameinfo
        self._execute: _Method = own.subprocess_exec
        self._execute_script: _Method = own.subprocess_shell

    async def subprocess_exec(
        self, protocol_factory: Any, program: Any, *args: Any, **options: Any
    ) -> _Pair:
        """As ``loop.subprocess_exec``."""
        _announce_program(options, [program, *args])
        pair = await self._execute(protocol_factory, program, *args, **options)
        return cast("_Pair", pair)

    async def subprocess_shell(
        self, protocol_factory: Any, cmd: Any, **options: Any
    ) -> _Pair:
        """As ``loop.subprocess_shell``."""
        _announce_program(options, [_SHELL, "-c", cmd])
        pair = await self._execute_script(protocol_factory, cmd, **options)
        return cast("_Pair", pair)

    async def getaddrinfo(
        self, host: Any, port: Any, **options: Any
    ) -> list[tuple[Any, ...]]:
        """As ``loop.getaddrinfo``."""
        asked = (options.get(name, 0) for name in ("family", "type", "proto"))
        sys.audit("socket.getaddrinfo", host, port, *asked)
        found = await self._resolve(host, port, **options)
        return cast("list[tuple[Any, ...]]", found)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """As ``loop.getnameinfo``."""
        sys.audit("socket.getnameinfo", sockaddr)
        return cast("tuple[str, str]", await self._name(sockaddr, flags))

    async def create_unix_connection(
        self, protocol_factory: Any, path: Any = None, **options: Any
    ) -> _Pair:
        """As ``loop.create_unix_connection``."""
        if path is not None:
            _announce(socket.AF_UNIX, socket.SOCK_STREAM, path)
        pair = await self._connect_unix(protocol_factory, path, **options)
        return cast("_Pair", pair)

    async def create_connection(
        self,
        protocol_factory: Any,
        host: Any = None,
        port: Any = None,
        **options: Any,
    ) -> _Pair:
        """As ``loop.create_connection``.

        The name is resolved here, and each address is announced and then dialled as
        it is: resolved once more, it could be another one (DNS rebinding, CWE-367).
        """
        if options.get("sock") is not None or (host is None and port is None):
            pair = await self._connect(protocol_factory, host, port, **options)
            return cast("_Pair", pair)
        if options.get("ssl") and options.get("server_hostname") is None:
            if not host:  # as the loop does
                message = "You must set server_hostname when using ssl without a host"
                raise ValueError(message)
            options["server_hostname"] = host
        addresses = await self._addresses((host, port), socket.SOCK_STREAM, options)
        options = {**options, "flags": 0, "family": 0}
        protocol = _Once(protocol_factory)
        failures: list[OSError] = []
        for family, address in addresses:
            _announce(family, socket.SOCK_STREAM, address)
            try:
                pair = await self._connect(
                    protocol, *_numeric(address), **{**options, "family": family}
                )
            except OSError as error:
                failures.append(error)
            else:
                return cast("_Pair", pair)
        raise _all_of(failures)

    async def create_datagram_endpoint(
        self,
        protocol_factory: Any,
        local_addr: Any = None,
        remote_addr: Any = None,
        **options: Any,
    ) -> _Pair:
        """As ``loop.create_datagram_endpoint``.

        Not covered: packets that are sent to another address than the one the endpoint
        is connected to; ``transport.sendto(data, address)`` of a uvloop is C.
        """
        open_one = partial(self._open_datagrams, protocol_factory)
        if remote_addr is None:
            return cast("_Pair", await open_one(local_addr, None, **options))
        addresses = await self._addresses(remote_addr, socket.SOCK_DGRAM, options)
        if local_addr is not None:
            near = await self._addresses(local_addr, socket.SOCK_DGRAM, options)
            families = {family for family, _ in near}
            addresses = [each for each in addresses if each[0] in families]
            if not addresses:
                raise OSError(f"could not bind to remote_addr {remote_addr}")
        family, address = addresses[0]
        _announce(family, socket.SOCK_DGRAM, address)
        options = {**options, "family": family, "flags": 0}
        pair = await open_one(local_addr, _numeric(address), **options)
        return cast("_Pair", pair)

    async def _addresses(
        self, named: tuple[Any, Any], kind: int, options: dict[str, Any]
    ) -> list[tuple[int, tuple[Any, ...]]]:
        found = await self.getaddrinfo(
            *named,
            family=options.get("family", 0),
            type=kind,
            proto=options.get("proto", 0),
            flags=options.get("flags", 0),
        )
        if not found:
            raise OSError("getaddrinfo() returned empty list")
        return [(family, address) for family, *_, address in found]


_ANNOUNCED = tuple(name for name in vars(Announced) if not name.startswith("_"))


class _Once:
    """Makes one protocol, however many addresses are tried."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._factory = factory
        self._made: list[Any] = []

    def __call__(self) -> Any:
        if not self._made:
            self._made.append(self._factory())
        return self._made[0]


def _announce(family: int, kind: int, address: Any) -> None:
    """Raise the event of a connection, with a socket of its kind: judges ask it."""
    with socket.socket(family, kind) as unconnected:
        sys.audit("socket.connect", unconnected, address)


def _announce_program(options: dict[str, Any], arguments: list[Any]) -> None:
    program = options.get("executable")
    named = arguments[0] if program is None else program
    folder, environment = options.get("cwd"), options.get("env")
    sys.audit("subprocess.Popen", named, arguments, folder, environment)


def _numeric(address: Sequence[Any]) -> tuple[str, int]:
    """Return host and port of an address, with the interface of a link-local one."""
    host, port, *further = address
    if len(further) > 1 and further[1] and "%" not in host:
        host = f"{host}%{socket.if_indextoname(further[1])}"
    return host, port


def _all_of(failures: Sequence[OSError]) -> OSError:
    """Return one failure for all addresses, as the loop does."""
    told = {str(failure) for failure in failures}
    if len(told) == 1:
        return failures[0]
    return OSError(f"Multiple exceptions: {', '.join(map(str, failures))}")
