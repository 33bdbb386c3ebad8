"""The security headers, encoded once at start-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ringfence.browser.csp import DATA_POLICY, compile_policy
from ringfence.browser.settings import BrowserSettings
from ringfence.exchange import Headers

POLICY = b"content-security-policy"


class RouteHeaders(NamedTuple):
    """What the answers of a route carry, encoded.

    Args:
        document: for what a browser shows as a page, or runs.
        data: for everything else.
        nonced: gives ``document`` with a nonce in its policy.
        caching: ``Cache-Control`` for everybody and for one reader, if the route says
            so itself.
        overrides: what differs from the settings, as text for the plan.
    """

    document: Headers
    data: Headers
    nonced: Callable[[str], Headers]
    caching: Headers | None = None
    overrides: tuple[str, ...] = ()


def compile_headers(settings: BrowserSettings, *, secure: bool) -> RouteHeaders:
    """Return the headers of documents, and those of everything else.

    Every line costs the server about a microsecond, so each must earn its place.

    Documents, 8 lines (7 without https): what a page may load and do
    (content-security-policy), no guessing of types (x-content-type-options), no frames
    for browsers and scanners that do not know ``frame-ancestors`` (x-frame-options),
    no addresses told to other sites (referrer-policy), no device features
    (permissions-policy), no handle for a window that opened us or that we opened
    (cross-origin-opener-policy), no embedding elsewhere
    (cross-origin-resource-policy, against Spectre-like reading), https only
    (strict-transport-security).

    Data, 4 lines (3 without https): the four of these that do something for JSON or an
    image.

    Left out on purpose: X-XSS-Protection (its filter was itself an attack),
    Cross-Origin-Embedder-Policy (grants shared memory, protects nothing more while the
    policy allows only our own sources), Origin-Agent-Cluster (what it asks for is the
    default now), X-Permitted-Cross-Domain-Policies and X-Download-Options (for
    programs that are gone), Expect-CT and Public-Key-Pins (withdrawn).

    Args:
        settings: the values.
        secure: the service is reached by https.

    Source: OWASP HTTP Headers Cheat Sheet; ASVS 5.0 V3.4.
    """
    transport = _transport(settings) if secure else ()
    nosniff = (b"x-content-type-options", b"nosniff")
    embedding = (
        b"cross-origin-resource-policy",
        settings.resource_policy.encode("ascii"),
    )
    policy = compile_policy(settings, secure=secure)
    others = (
        nosniff,
        (b"x-frame-options", settings.frame_options.encode("ascii")),
        (b"referrer-policy", settings.referrer_policy.encode("ascii")),
        (b"permissions-policy", ", ".join(settings.permissions_policy).encode("ascii")),
        (b"cross-origin-opener-policy", settings.opener_policy.encode("ascii")),
        embedding,
        *transport,
    )
    data = ((POLICY, DATA_POLICY), nosniff, embedding, *transport)

    def nonced(nonce: str) -> Headers:
        return ((POLICY, policy(nonce)), *others)

    return RouteHeaders(document=nonced(""), data=data, nonced=nonced)


def _transport(settings: BrowserSettings) -> Headers:
    value = f"max-age={settings.hsts_max_age}"
    if settings.hsts_subdomains:
        value += "; includeSubDomains"
    return ((b"strict-transport-security", value.encode("ascii")),)
