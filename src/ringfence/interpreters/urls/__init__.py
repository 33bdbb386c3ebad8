"""Outgoing addresses: where a request may lead the connections of this process.

``check`` reads a URL from outside, ``fetch`` gets what is there, ``transport`` makes a
client of httpx2 safe, and ``redirect_target`` says where a browser may be sent.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ringfence.errors import FetchError, MissingExtraError
from ringfence.interpreters.urls.checked import SCHEMES, CheckedUrl, check
from ringfence.interpreters.urls.redirects import redirect_target

if TYPE_CHECKING:
    import ssl

    from ringfence.interpreters.urls.httpx2 import (
        CheckedTransport,
        Fetched,
        Resolver,
    )

__all__ = [
    "CheckedUrl",
    "FetchError",
    "check",
    "fetch",
    "redirect_target",
    "transport",
]

_MOST = 5_000_000
_TIMEOUT = 20.0


def transport(  # noqa: PLR0913 - what it allows, each by its name
    *,
    schemes: Sequence[str] = SCHEMES,
    hosts: Sequence[str] | None = None,
    private: Sequence[str] = (),
    most: int = _MOST,
    timeout: float = _TIMEOUT,
    verify: ssl.SSLContext | None = None,
    resolve: Resolver | None = None,
) -> CheckedTransport:
    """Return a transport for ``httpx2.AsyncClient`` that follows addresses from outside
    safely: ``httpx2.AsyncClient(transport=urls.transport(), follow_redirects=True)``.

    Args:
        schemes: that are taken.
        hosts: the only ones that are taken; with a dot in front, also all below.
            ``None`` takes every public host.
        private: destinations besides the public internet, ``10.20.0.0/16``,
            ``api.internal:8080``.
        most: bytes of one answer, before it is decompressed.
        timeout: seconds for one answer, from the lookup to its last byte.
        verify: a TLS context; ``None`` makes the usual one.
        resolve: looks names up, ``async def resolve(host, port)``; ``None`` asks the
            system.

    Raises:
        MissingExtraError: httpx2 is not installed.

    Source: ASVS 5.0 V1.3.6, V15.3.2; CWE-918, CWE-367.

    Not covered: answers that are shown to visitors, who may read in them what was meant
    for this machine only; synchronous clients.
    """
    options: dict[str, Any] = {} if resolve is None else {"resolve": resolve}
    made: CheckedTransport = open_httpx2().CheckedTransport(
        schemes=schemes,
        hosts=hosts,
        private=private,
        most=most,
        timeout=timeout,
        verify=verify,
        **options,
    )
    return made


async def fetch(  # noqa: PLR0913 - what it allows, each by its name
    url: str,
    *,
    most: int = _MOST,
    timeout: float = _TIMEOUT,  # noqa: ASYNC109 - bounds more than one await
    redirects: int = 5,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    schemes: Sequence[str] = SCHEMES,
    hosts: Sequence[str] | None = None,
    private: Sequence[str] = (),
    verify: ssl.SSLContext | None = None,
    resolve: Resolver | None = None,
) -> Fetched:
    """Get what is at an address from outside.

    Args:
        url: absolute.
        most: bytes of the answer, before and after it is decompressed.
        timeout: seconds for everything.
        redirects: that are followed; each is checked as the first address was.
        headers: to be sent.
        content: to be sent by POST; without it the address is asked by GET. A redirect
            then leads to a GET or repeats it, as its status says.
        schemes: as for ``transport``; so are the following.
        hosts: the only ones that are taken.
        private: destinations besides the public internet.
        verify: a TLS context.
        resolve: looks names up.

    Returns:
        What was found, whatever its status.

    Raises:
        InjectionRefusedError: it leads where it must not. The guard answers with 400.
        FetchError: there was no answer, or it was too slow or too large.
        MissingExtraError: httpx2 is not installed.

    Source: as for ``transport``.

    Not covered: what was found: it is a stranger's text, and an answer that shows it
    has to escape it.
    """
    way = transport(
        schemes=schemes,
        hosts=hosts,
        private=private,
        most=most,
        timeout=timeout,
        verify=verify,
        resolve=resolve,
    )
    found: Fetched = await open_httpx2().fetch(
        url,
        most=most,
        timeout=timeout,
        redirects=redirects,
        headers=headers,
        content=content,
        transport=way,
    )
    return found


def open_httpx2() -> Any:
    """Return the module that is built on httpx2.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("ringfence.interpreters.urls.httpx2")
    except ModuleNotFoundError as error:
        purpose = "follow addresses from outside"
        raise MissingExtraError("httpx2", "http", purpose) from error
