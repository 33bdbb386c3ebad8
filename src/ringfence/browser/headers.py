"""The security headers, encoded once at start-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ringfence.browser.csp import (
    compile_data_policy,
    compile_policy,
    effective_directives,
)
from ringfence.browser.directives import ENDPOINT, FRAMING
from ringfence.browser.features import DENIED, parse_features, render_features
from ringfence.browser.settings import BrowserSettings
from ringfence.errors import SettingsError
from ringfence.exchange import Headers

POLICY = b"content-security-policy"
REPORT_ONLY = b"content-security-policy-report-only"


class RouteHeaders(NamedTuple):
    """What the answers of a route carry, encoded.

    Args:
        document: for what a browser shows as a page, or runs.
        data: for everything else.
        nonced: gives ``document`` with a nonce in its policy.
        caching: ``Cache-Control`` for everybody and for one reader, if the route says
            so itself.
        overrides: what differs from the settings, by name, for the plan.
    """

    document: Headers
    data: Headers
    nonced: Callable[[str], Headers]
    caching: Headers | None = None
    overrides: Mapping[str, str] = MappingProxyType({})


def compile_headers(
    settings: BrowserSettings,
    *,
    secure: bool,
    directives: Mapping[str, str] | None = None,
    report_only: bool = False,
) -> RouteHeaders:
    """Return the headers of documents, and those of everything else.

    Every line costs the server about a microsecond, so each must earn its place.

    Documents, 9 lines (7 without https): what a page may load and do
    (content-security-policy), where violations are reported to (reporting-endpoints,
    which browsers heed over https only), no guessing of types (x-content-type-options),
    no frames for browsers and scanners that do not know ``frame-ancestors``
    (x-frame-options), no addresses told to other sites (referrer-policy), no device
    features (permissions-policy), no handle for a window that opened us or that we
    opened (cross-origin-opener-policy), no embedding elsewhere
    (cross-origin-resource-policy, against Spectre-like reading), https only
    (strict-transport-security).

    Data, 4 lines (3 without https): the four of these that do something for JSON or an
    image.

    Left out on purpose: X-XSS-Protection (its filter was itself an attack),
    Cross-Origin-Embedder-Policy unless asked for (it grants shared memory, and
    protects nothing more while the policy allows only our own sources),
    Origin-Agent-Cluster (what it asks for is the default now),
    X-Permitted-Cross-Domain-Policies and X-Download-Options (for programs that are
    gone), Expect-CT and Public-Key-Pins (withdrawn).

    Args:
        settings: the values.
        secure: the service is reached by https. Without it nothing is said about
            https, which a browser would remember for every port of the host.
        directives: of the policy of one route, merged over the settings.
        report_only: ask browsers to report what the policy would refuse, and to refuse
            nothing. X-Frame-Options stays.

    Raises:
        SettingsError: ``report_only`` without reports, which does nothing at all.

    Source: OWASP HTTP Headers Cheat Sheet; ASVS 5.0 V3.4; W3C Reporting API.
    """
    if report_only and not settings.reports:
        raise SettingsError(
            "browser.reports is off, so that a policy which only reports tells nobody; "
            "switch browser.reports on"
        )
    name = REPORT_ONLY if report_only else POLICY
    policy = compile_policy(
        settings, secure=secure, directives=directives, report_only=report_only
    )
    data = compile_data_policy(settings, directives=directives, report_only=report_only)
    effective = effective_directives(settings, directives)
    nosniff = (b"x-content-type-options", b"nosniff")
    transport = _transport(settings) if secure else ()
    embedding = _line("cross-origin-resource-policy", settings.resource_policy)
    others = (
        *(_endpoints(settings) if secure else ()),
        nosniff,
        *_frame_options(effective),
        *_line("referrer-policy", settings.referrer_policy),
        (b"permissions-policy", render_features(_features(settings))),
        *_line("cross-origin-opener-policy", settings.opener_policy),
        *_embedder_policy(settings, secure=secure),
        *embedding,
        *transport,
    )

    def nonced(nonce: str) -> Headers:
        return ((name, policy(nonce)), *others)

    return RouteHeaders(
        document=nonced(""),
        data=((name, data), nosniff, *embedding, *transport),
        nonced=nonced,
    )


def _line(name: str, value: str) -> Headers:
    return ((name.encode("ascii"), value.encode("ascii")),) if value else ()


def _features(settings: BrowserSettings) -> dict[str, str]:
    return {**DENIED, **parse_features(settings.permissions_policy)}


def _endpoints(settings: BrowserSettings) -> Headers:
    value = f'{ENDPOINT}="{settings.report_path}"'
    return _line("reporting-endpoints", value) if settings.reports else ()


def _embedder_policy(settings: BrowserSettings, *, secure: bool) -> Headers:
    """Whoever switches it on has to see what it keeps out."""
    value = settings.embedder_policy
    if value and settings.reports and secure:
        value += f'; report-to="{ENDPOINT}"'
    return _line("cross-origin-embedder-policy", value)


def _frame_options(directives: Mapping[str, str]) -> Headers:
    """Say the same as ``frame-ancestors``. Where that names other origins, nothing is
    said: the old header has no words for it and would lock them out."""
    ancestors = directives.get("frame-ancestors", "")
    for option, said in FRAMING.items():
        if said == ancestors:
            return _line("x-frame-options", option)
    return ()


def _transport(settings: BrowserSettings) -> Headers:
    value = f"max-age={settings.hsts_max_age}"
    if settings.hsts_subdomains:
        value += "; includeSubDomains"
    if settings.hsts_preload:
        value += "; preload"
    return _line("strict-transport-security", value)
