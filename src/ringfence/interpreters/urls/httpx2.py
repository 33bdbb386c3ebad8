"""A transport for httpx2 that follows addresses from outside safely."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from functools import cache, partial

import httpcore2
import httpx2

from ringfence.errors import FetchError, SettingsError
from ringfence.interpreters.addresses import Address, not_public, strict
from ringfence.interpreters.destinations import declared
from ringfence.interpreters.objection import object_to
from ringfence.interpreters.urls.checked import SCHEMES, SINK, check
from ringfence.interpreters.urls.egress import carefully, vouch

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Looks a host up: its addresses, in the order in which they are to be tried."""

MOST = 5_000_000
TIMEOUT = 20.0
_MOST_REDIRECTS = 5
_MOST_CONNECTIONS = 100
_TOO_SLOW = "the answer took too long"


async def look_up(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


@cache
def usual_context() -> ssl.SSLContext:
    """Return the TLS context of all transports: it takes a while to make."""
    return httpx2.create_ssl_context(trust_env=False)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was found at an address from outside.

    Args:
        url: where it was found, after redirects.
        status: of the answer.
        headers: of the answer, by lower-case name.
        content: decompressed.
        text: the content by the character set that the answer states.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes
    text: str


class CheckedTransport(httpx2.AsyncHTTPTransport):
    """Dials only what was judged, and reads only so much.

    Every request that a client sends through it is checked, each redirect too. A name
    is looked up once, every address that it has is judged, and one of these is dialled:
    nothing can be rebound between the check and the use (CWE-367). The certificate is
    verified for the name. Proxies of the environment are not used.

    Args:
        schemes: that are taken.
        hosts: as for ``check``.
        private: destinations besides the public internet, as for ``check``.
        most: bytes of one answer as it is sent, before it is decompressed.
        timeout: seconds for one answer, from the lookup to its last byte.
        verify: a TLS context; ``None`` makes the usual one.
        resolve: looks names up.

    Raises:
        SettingsError: an httpx2 of another build than is known.

    Source: ASVS 5.0 V1.3.6, V15.3.2; CWE-918.
    """

    def __init__(  # noqa: PLR0913 - what it allows, each by its name
        self,
        *,
        schemes: Sequence[str] = SCHEMES,
        hosts: Sequence[str] | None = None,
        private: Sequence[str] = (),
        most: int = MOST,
        timeout: float = TIMEOUT,
        verify: ssl.SSLContext | None = None,
        resolve: Resolver = look_up,
    ) -> None:
        context = verify or usual_context()
        super().__init__(verify=context, trust_env=False)
        if not isinstance(self._pool, httpcore2.AsyncConnectionPool):
            raise SettingsError(
                "this release of httpx2 keeps its connections otherwise than ringfence "
                "knows, so that they cannot be judged; install httpx2 2.16"
            )
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_MOST_CONNECTIONS,
            network_backend=_Judging(tuple(private), resolve),
        )
        self._check = partial(check, schemes=schemes, hosts=hosts, private=private)
        self._most = most
        self._timeout = timeout

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request, after a look at where it goes."""
        checked = self._check(str(request.url))
        if request.url.raw_host.decode("ascii") != checked.host:
            object_to(SINK, "its host is read in two ways")
        until = asyncio.get_running_loop().time() + self._timeout
        try:
            with carefully():
                async with asyncio.timeout_at(until):
                    response = await super().handle_async_request(request)
        except TimeoutError as error:
            raise httpx2.ReadTimeout(_TOO_SLOW) from error
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, self._most, until)
        return response


class _Judging(httpcore2.AsyncNetworkBackend):
    """Looks up, judges and dials, in this order and once."""

    def __init__(self, private: tuple[str, ...], resolve: Resolver) -> None:
        self._private = declared(private)
        self._resolve = resolve
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore2 has it
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Dial the first address that answers, if all of them may be dialled."""
        failed = httpcore2.ConnectError(f"{host} has no address")
        for address in await self._judged(host, port):
            with vouch(address, port):
                try:
                    return await self._sockets.connect_tcp(
                        str(address), port, timeout, local_address, socket_options
                    )
                except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                    failed = httpcore2.ConnectError(str(error))
        raise failed

    async def sleep(self, seconds: float) -> None:
        """Wait, as the pool asks."""
        await asyncio.sleep(seconds)

    async def _judged(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a host.

        One among them that may not be dialled speaks against all: whoever answers so
        hopes that the next one is tried.
        """
        literal = strict(host.strip("[]"))
        try:
            found = [str(literal)] if literal else list(await self._resolve(host, port))
        except OSError as error:
            raise httpcore2.ConnectError(f"{host}: {error}") from error
        addresses = []
        for text in found:
            address = strict(text)
            what = "unknown" if address is None else not_public(address)
            if address is None or (
                what and not self._may_be_private(host, address, port)
            ):
                object_to(SINK, f"its name stands for an address that is {what}")
            addresses.append(address)
        return addresses

    def _may_be_private(self, host: str, address: Address, port: int) -> bool:
        return self._private.name(host, port) or self._private.hold(address, port)


class _Bounded(httpx2.AsyncByteStream):
    """An answer that ends, in bytes and in time."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int, until: float) -> None:
        self._stream = stream
        self._most = most
        self._until = until

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        pieces = aiter(self._stream)
        while True:
            try:
                async with asyncio.timeout_at(self._until):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                raise httpx2.ReadTimeout(_TOO_SLOW) from error
            if piece is None:
                return
            read += len(piece)
            if read > self._most:
                raise httpx2.ReadError(f"the answer has more than {self._most} bytes")
            yield piece

    async def aclose(self) -> None:
        """Give the connection back, or drop it."""
        await self._stream.aclose()


async def fetch(  # noqa: PLR0913 - what it allows, each by its name
    url: str,
    *,
    most: int = MOST,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - bounds more than one await
    redirects: int = _MOST_REDIRECTS,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    transport: CheckedTransport,
) -> Fetched:
    """Get what is at an address from outside; see ``ringfence.urls.fetch``."""
    method = "GET" if content is None else "POST"
    try:
        async with (
            asyncio.timeout(timeout),
            httpx2.AsyncClient(
                transport=transport,
                follow_redirects=True,
                max_redirects=redirects,
                headers={"user-agent": "ringfence", **(headers or {})},
                timeout=timeout,
                trust_env=False,
            ) as client,
            client.stream(method, url, content=content) as response,
        ):
            found = bytearray()
            async for piece in response.aiter_bytes():
                found += piece
                if len(found) > most:  # a small answer may unpack to a large one
                    raise FetchError(f"the answer has more than {most} bytes")
    except (httpx2.HTTPError, TimeoutError) as error:
        raise FetchError(str(error) or type(error).__name__) from error
    encoding = response.encoding or "utf-8"
    return Fetched(
        str(response.url),
        response.status_code,
        response.headers,
        bytes(found),
        found.decode(encoding, "replace"),
    )
