"""The Content-Security-Policy: written once, completed with a nonce per response."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ringfence.browser.directives import ENDPOINT, FRAMING, STRICT
from ringfence.browser.settings import BrowserSettings

_NONCED = ("script-src", "style-src")
_UPGRADE = "upgrade-insecure-requests"
_NO_VALUE = " "  # an empty one takes a directive out


def effective_directives(
    settings: BrowserSettings, further: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the directives that hold: ``STRICT``, then settings, then a route's own.

    Args:
        settings: ``csp`` and ``frame_options``.
        further: of one route, merged over that.
    """
    framing = {"frame-ancestors": FRAMING[settings.frame_options or "DENY"]}
    merged = {**STRICT, **framing, **settings.csp, **(further or {})}
    if "sandbox" in merged:  # without a value it is the strictest one
        merged["sandbox"] = merged["sandbox"] or _NO_VALUE
    return merged


def compile_policy(
    settings: BrowserSettings,
    *,
    secure: bool,
    directives: Mapping[str, str] | None = None,
    report_only: bool = False,
) -> Callable[[str], bytes]:
    """Return the function that gives the policy for a nonce, or for none (``""``).

    The text is split at start-up where the nonce goes, so that a response costs one
    join, and nothing at all if its page has asked for no nonce.

    Args:
        settings: the values.
        secure: the service is reached by https; http within pages is upgraded.
        directives: of one route, checked already.
        report_only: leave out what browsers ignore in a policy that only reports.

    Source: W3C Content Security Policy level 3; W3C Trusted Types; ASVS 5.0 V3.4.3.
    """
    merged = effective_directives(settings, directives)
    if secure:
        merged.setdefault(_UPGRADE, _NO_VALUE)
    if report_only:
        merged = {**merged, _UPGRADE: "", "sandbox": ""}
    merged |= _reporting(settings, merged, secure=secure)
    plain = _render(merged)
    before, between, after = _split(merged)

    def content_security_policy(nonce: str) -> bytes:
        if not nonce:
            return plain
        source = nonce.encode("ascii")
        return b"".join((before, source, between, source, after))

    return content_security_policy


def compile_data_policy(
    settings: BrowserSettings,
    *,
    directives: Mapping[str, str] | None = None,
    report_only: bool = False,
) -> bytes:
    """Return the policy of everything that is no document.

    If a browser is ever talked into showing it as one, nothing in it runs. It may be
    framed by whom pages may be framed by: a PDF in a page, say.

    Source: OWASP REST Security Cheat Sheet.
    """
    effective = effective_directives(settings, directives)
    policy = {
        "default-src": "'none'",
        "frame-ancestors": effective["frame-ancestors"],
        "report-uri": settings.report_path if report_only else "",
    }
    return _render(policy)


def _reporting(
    settings: BrowserSettings, directives: Mapping[str, str], *, secure: bool
) -> dict[str, str]:
    """Return where violations are reported to, unless the policy itself says so.

    ``report-uri`` is for browsers that do not know ``report-to``; those that do ignore
    it then. Over plain http they would send nothing at all, so that only the old
    directive is given there.
    """
    if not settings.reports or "report-uri" in directives or "report-to" in directives:
        return {}
    found = {"report-uri": settings.report_path}
    return {**found, "report-to": ENDPOINT} if secure else found


def _render(directives: Mapping[str, str]) -> bytes:
    return "; ".join(
        f"{name} {value}".strip() for name, value in directives.items() if value
    ).encode("ascii")


def _split(directives: Mapping[str, str]) -> tuple[bytes, bytes, bytes]:
    """Return the policy in pieces, with a hole for the nonce of scripts and styles."""
    hole = "\0"
    nonced = dict(directives)
    for name in _NONCED:
        value = nonced.get(name) or nonced.get("default-src") or ""
        sources = "" if value in {"'none'", ""} else f"{value} "
        nonced[name] = f"{sources}'nonce-{hole}'"
    before, between, after = _render(nonced).split(hole.encode())
    return before, between, after
