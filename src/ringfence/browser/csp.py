"""The Content-Security-Policy: written once, completed with a nonce per response."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ringfence.browser.directives import STRICT, check_directives
from ringfence.browser.settings import BrowserSettings

DATA_POLICY = b"default-src 'none'; frame-ancestors 'none'"
"""The policy of everything that is no document: if a browser is ever talked into
showing it as one, nothing in it runs (OWASP REST Security Cheat Sheet)."""

_NONCED = ("script-src", "style-src")


def compile_policy(
    settings: BrowserSettings,
    *,
    secure: bool,
    directives: Mapping[str, str] | None = None,
) -> Callable[[str], bytes]:
    """Return the function that gives the policy for a nonce, or for none (``""``).

    The text is split at start-up where the nonce goes, so that a response costs one
    join, and nothing at all if its page has asked for no nonce.

    Args:
        settings: ``csp``, merged over ``STRICT``.
        secure: the service is reached by https; http within pages is upgraded.
        directives: for a scoped policy (a documentation page, say), merged over that.

    Raises:
        SettingsError: a directive that browsers would not understand.

    Source: W3C Content Security Policy level 3; W3C Trusted Types; ASVS 5.0 V3.4.3.
    """
    further = dict(directives or {})
    check_directives(further)
    merged = {**STRICT, **settings.csp, **further}
    if secure:
        merged.setdefault("upgrade-insecure-requests", " ")
    plain = _render(merged)
    before, between, after = _split(merged)

    def content_security_policy(nonce: str) -> bytes:
        if not nonce:
            return plain
        source = nonce.encode("ascii")
        return b"".join((before, source, between, source, after))

    return content_security_policy


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
