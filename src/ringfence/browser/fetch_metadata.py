"""Believe the browser when it says that a request was made by another site."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from ringfence.browser.cors import Sharing
from ringfence.denial import Denial
from ringfence.exchange import Exchange, Stage, at_once

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1; TRACE is refused on the street)."""

_OUR_SITE = frozenset({b"same-origin", b"none"})  # none: the user, by address bar
HARMLESS = frozenset({None, *_OUR_SITE})
"""What ``Sec-Fetch-Site`` says of what no other site has made, if anything."""
_EMBEDDED = frozenset({b"embed", b"fencedframe", b"frame", b"iframe", b"object"})

CROSS_SITE = Denial(
    403, "browser.cross_site", "The request was made by another site, so it is refused."
)
FOREIGN_ORIGIN = Denial(
    403,
    "browser.foreign_origin",
    "The request comes from an origin that is not this service's.",
)
CROSS_SITE_READ = Denial(
    403,
    "browser.cross_site_read",
    "Another site may link to this address, but not load it into its pages.",
)


def same_origin(
    public_origins: tuple[str, ...],
    *,
    development: bool,
    sharing: Sharing | None = None,
) -> Stage:
    """Return the stage that refuses what other sites make a browser send.

    A form on another site posts with the visitor's cookies (CSRF); a script there
    opens a WebSocket with them. Browsers say so themselves, in ``Sec-Fetch-Site`` and
    ``Origin``, which scripts cannot set. Both are asked, and the stricter answer wins.
    Where both are missing, as in browsers before 2020, a ``Referer`` of another origin
    refuses too; one of our own proves nothing, and its absence nothing either, since
    pages can leave it out. What is left goes on to ``browser.csrf``, which asks for a
    token once it is known that the request carries a session.

    Args:
        public_origins: origins of this service, as in ``https://shop.example``.
        development: the origin may also be the one that was asked, which is a loopback
            name there. In production origins are never derived from the request.
        sharing: what other origins may do on this route, ``None`` for nothing.

    Source: W3C Fetch Metadata; RFC 6454, 7; OWASP CSRF Prevention Cheat Sheet;
    ASVS 5.0 V3.5.1 and V4.4.2; CWE-352, CWE-1385.
    """
    ours = frozenset(origin.rstrip("/").lower().encode() for origin in public_origins)

    def fetch_metadata(exchange: Exchange) -> Denial | None:
        headers = exchange.headers
        if exchange.method in SAFE_METHODS:
            return None
        if headers.get(b"origin") in ours and (
            headers.get(b"sec-fetch-site") in HARMLESS
        ):
            return None  # what nearly every honest request says
        known = b"origin" in headers or b"sec-fetch-site" in headers
        if not known and b"referer" not in headers:
            return None
        asked = f"{exchange.scheme}://{exchange.host}".encode()
        if not known:
            own = {*ours, asked} if development else ours
            return judge_referer(headers[b"referer"], own)
        denial = judge_unsafe(headers, ours, asked, derive=development)
        if denial is FOREIGN_ORIGIN and sharing is not None:
            return None if sharing.admits(exchange) else denial
        return denial

    return at_once(fetch_metadata)


def judge_unsafe(
    headers: Mapping[bytes, bytes],
    ours: frozenset[bytes],
    asked: bytes,
    *,
    derive: bool,
) -> Denial | None:
    """Judge a request that changes something, or a WebSocket handshake.

    Args:
        headers: of the request.
        ours: origins of this service, lower case.
        asked: the origin that the request was sent to.
        derive: whether that one counts as ours.
    """
    origin = headers.get(b"origin")
    known = origin in ours
    if origin is not None and not known and not (derive and origin == asked):
        return FOREIGN_ORIGIN  # "null" too: sandboxes and redirects hide behind it
    site = headers.get(b"sec-fetch-site")
    if site in HARMLESS:
        return None
    # Our other origin may ask; our own origin would not be another site.
    return None if known and origin != asked else CROSS_SITE


def judge_referer(referer: bytes, own: AbstractSet[bytes]) -> Denial | None:
    """Judge a request that says nothing else about where it comes from.

    Stops a foreign form that signs the visitor of an old browser in to an account of
    the attacker's: no session is there yet, so nothing would ask for a token.

    Args:
        referer: the header.
        own: origins of this service.
    """
    origin = b"/".join(referer.split(b"/", 3)[:3])
    return None if origin.lower() in own else FOREIGN_ORIGIN


def judge_read(headers: Mapping[bytes, bytes], ours: frozenset[bytes]) -> Denial | None:
    """Judge a GET that carries a session: another site may link here, not load.

    Stops what reads across origins by side channels (Spectre, timing, counting
    frames): a private answer never enters another site's process.

    Source: W3C Fetch Metadata, resource isolation policy; XS-Leaks wiki.
    """
    if headers.get(b"sec-fetch-site") in HARMLESS:
        return None
    navigates = headers.get(b"sec-fetch-mode") == b"navigate"
    if navigates and headers.get(b"sec-fetch-dest") not in _EMBEDDED:
        return None
    return None if headers.get(b"origin") in ours else CROSS_SITE_READ
