"""Making a connection: socket, TLS, sign-in, and a look at who answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from ringfence.errors import SettingsError
from ringfence.secrets.private_file import read_private
from ringfence.stores.redis.address import Address
from ringfence.stores.redis.failures import DownError
from ringfence.stores.redis.inspection import INFO, Facts
from ringfence.stores.redis.url import Certificates, Credentials, Target

BROKEN: Final = (RedisError, OSError, EOFError, ValueError)
"""What redis-py raises where a connection ends, or where what answers is no Redis."""

_PROTOCOL = 2  # as fast as 3 here, and nothing comes that was not asked for
_CERTIFICATES_KEPT = 60.0
"""Seconds until files are read again: a renewed certificate is used a minute later, and
a server that is down does not cost the 10 ms of reading them at each attempt."""


class Dialled(NamedTuple):
    """A connection that can be used.

    Args:
        wire: of redis-py; nothing is under way on it.
        facts: about who answers.
        address: of who answers.
    """

    wire: AbstractConnection
    facts: Facts
    address: Address


Dial = Callable[[], Awaitable[Dialled]]
"""Makes a connection, or raises ``DownError`` with a sentence for the operator."""


class Dialler:
    """Makes connections as a URL says.

    Args:
        target: what the URL says.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stays_here = target.tls is None and all(
            one.is_here for one in target.addresses
        )
        self._tls: ssl.SSLContext | None = None
        self._tls_read = 0.0

    async def dial(self, address: Address) -> Dialled:
        """Connect to a server that takes writes.

        Raises:
            DownError: it cannot be reached in time, or not used.
        """
        target = self._target
        wire = await self.connect(address, target.credentials, target.db)
        try:
            facts = await self._inspect(wire, address)
        except BaseException:
            await hang_up(wire)
            raise
        return Dialled(wire, facts, address)

    async def connect(
        self, address: Address, credentials: Credentials, db: int = 0
    ) -> AbstractConnection:
        """Connect and sign in, whoever answers.

        Raises:
            DownError: likewise.
        """
        self._refuse_elsewhere(address)
        wire = await self._wire(address, credentials, db)
        try:
            async with asyncio.timeout(self._target.connect_timeout):
                await wire.connect()  # type: ignore[no-untyped-call]  # redis-py's own
        except BROKEN as error:
            await hang_up(wire)
            raise DownError(self._sentence(address, error)) from error
        except BaseException:
            await hang_up(wire)
            raise
        return wire

    def _refuse_elsewhere(self, address: Address) -> None:
        """Stay on this machine if the URL does: sentinels and nodes name others, and
        the start-up has let clear text pass for this machine only (CWE-319)."""
        if self._stays_here and not address.is_here:
            message = (
                f"Redis at {address} is named by one on this machine, and is not on it "
                "itself: what goes there needs TLS; write rediss+... for redis+..., or "
                "have 127.0.0.1 announced if it is this machine"
            )
            raise DownError(message)

    async def ask(self, wire: AbstractConnection, packed: bytes) -> Any:
        """Send one command and return its reply, in time."""
        async with asyncio.timeout(self._target.connect_timeout):
            await wire.send_packed_command(packed, check_health=False)
            return await wire.read_response()

    async def _inspect(self, wire: AbstractConnection, address: Address) -> Facts:
        try:
            facts = Facts.read(await self.ask(wire, INFO))
        except BROKEN as error:
            raise DownError(self._sentence(address, error)) from error
        is_cluster = self._target.kind == "cluster"
        if objection := facts.objection(is_cluster=is_cluster):
            message = f"Redis at {address} {objection}"
            raise DownError(message)
        return facts

    async def _wire(
        self, address: Address, credentials: Credentials, db: int
    ) -> AbstractConnection:
        settings: dict[str, Any] = {
            "db": db,
            "protocol": _PROTOCOL,
            # redis-py repeats ten times by default, also what may have been executed.
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": None,
            "socket_connect_timeout": self._target.connect_timeout,
            "driver_info": None,  # CLIENT SETINFO is one more right to be given
        }
        if credentials.password is not None or credentials.file is not None:
            settings["credential_provider"] = _Password(credentials)
        if address.path:
            return UnixDomainSocketConnection(path=address.path, **settings)
        settings |= {"host": address.host, "port": address.port}
        if self._target.tls is None:
            return Connection(**settings)
        wire = SSLConnection(**settings)
        wire.ssl_context.context = await self._context(self._target.tls)
        return wire

    async def _context(self, certificates: Certificates) -> ssl.SSLContext:
        now = time.monotonic()
        if self._tls is None or now - self._tls_read > _CERTIFICATES_KEPT:
            try:
                self._tls = await asyncio.to_thread(_read_certificates, certificates)
            except (OSError, ssl.SSLError) as error:
                message = (
                    f"the certificates for Redis cannot be read: {error}; see "
                    f"{_named(certificates)}"
                )
                raise DownError(message) from error
            self._tls_read = now
        return self._tls

    def _sentence(self, address: Address, error: Exception) -> str:
        """Say what has gone wrong, and the likely way out."""
        return f"Redis at {address} {_reason(error, tls=self._target.tls is not None)}"


async def hang_up(wire: AbstractConnection) -> None:
    """Close a connection at once. TLS would say goodbye first, and stay open for as
    long as a server that is busy or gone does not."""
    stream: asyncio.StreamWriter | None = getattr(wire, "_writer", None)
    await wire.disconnect(nowait=True)
    if stream is not None:
        stream.transport.abort()


class _Password(CredentialProvider):
    """Hands redis-py a password when it signs in, read anew from its file."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        given = self._credentials
        if given.file is not None:
            password = await _content(given.file)
        else:
            password = given.password.reveal() if given.password is not None else ""
        return (given.user, password) if given.user else (password,)


async def _content(file: Path) -> str:
    cure = "write the password into it, readable by this user only"
    try:
        raw = await asyncio.to_thread(
            read_private, file, "password file of Redis", cure=cure
        )
        return raw.removesuffix(b"\n").removesuffix(b"\r").decode()
    except (SettingsError, UnicodeDecodeError) as error:
        message = f"the password for Redis cannot be read: {error}"
        raise DownError(message) from error


def _read_certificates(certificates: Certificates) -> ssl.SSLContext:
    """Trust the given authorities and no others, or else those of the system."""
    context = ssl.create_default_context(cafile=certificates.ca_file)
    if certificates.cert_file is not None:
        context.load_cert_chain(certificates.cert_file, certificates.key_file)
    return context


def _named(certificates: Certificates) -> str:
    """Return the parameters with their files: errors of OpenSSL name none."""
    names = ("ca_file", "cert_file", "key_file")
    given = ((name, getattr(certificates, name)) for name in names)
    said = ", ".join(f"{name}={file}" for name, file in given if file)
    return f"{said} in its URL" if said else "the authorities of this system"


def _reason(error: Exception, *, tls: bool) -> str:
    causes = _chain(error)
    if any(isinstance(cause, FileNotFoundError | PermissionError) for cause in causes):
        return (
            f"cannot be reached: {causes[-1]}; is there such a socket, and is it ours?"
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"cannot be found: {causes[-1]}; is its name right, and known here?"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "cannot be reached: nobody listens there; is it running, on this port?"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return (
            f"does not pass TLS: {causes[-1]}; does ca_file name who has signed its "
            "certificate, does that name the host as the URL does, and does the "
            "server speak TLS on this port?"
        )
    if any(isinstance(cause, TimeoutError) for cause in causes):
        hint = "; does it speak TLS on this port?" if tls else ""
        return f"does not answer in time (connect_timeout){hint}"
    return _answer(error, tls=tls)


def _answer(error: Exception, *, tls: bool) -> str:
    """Say what somebody who listens there has answered."""
    said = str(error).strip().rstrip(".")
    if isinstance(error, AuthenticationError):
        return (
            f"does not let us in: {said}; see the user and the password in its URL, "
            "or the file that password_file names"
        )
    if isinstance(error, NoPermissionError):
        return (
            f"refuses to be asked: {said}; its user needs the commands of the rule in "
            "docs/guides/stores.md"
        )
    if isinstance(error, ResponseError):
        return f"refuses what its URL asks for: {said}"
    hint = "" if tls else ", and if it speaks TLS, write rediss for redis"
    return f"cannot be reached: {said}; is it a Redis?{hint}"


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error and what has led to it, the first cause last."""
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None:
        found.append(cause)
    return found
