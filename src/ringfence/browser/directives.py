"""The directives of a Content-Security-Policy: the strict ones, and wrong ones."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType

from ringfence.errors import SettingsError

STRICT: Mapping[str, str] = MappingProxyType(
    {
        # Nothing, and then one by one what a server-rendered page needs, from here.
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "media-src": "'self'",
        "manifest-src": "'self'",
        "worker-src": "'self'",
        "object-src": "'none'",
        # A form that markup has been injected around must not post elsewhere.
        "form-action": "'self'",
        # Clickjacking.
        "frame-ancestors": "'none'",
        # An injected <base> would send every relative script elsewhere.
        "base-uri": "'none'",
        # DOM XSS: text given to innerHTML and its kin is refused; and nobody may make
        # a policy that lets it pass.
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
)
"""The policy of documents, where settings say nothing else."""

_FURTHER = (
    "child-src",
    "fenced-frame-src",
    "frame-src",
    "report-to",
    "report-uri",
    "sandbox",
    "script-src-attr",
    "script-src-elem",
    "style-src-attr",
    "style-src-elem",
    "upgrade-insecure-requests",
)
_KNOWN = (*STRICT, *_FURTHER)
_KEYWORDS = re.compile(
    r"none|self|unsafe-(?:inline|eval|hashes)|strict-dynamic|report-sample"
    r"|wasm-unsafe-eval|script|allow-duplicates|(?:nonce|sha256|sha384|sha512)-.+",
    re.IGNORECASE,
)
_UNQUOTED_ALLOWED = frozenset({"report-to", "report-uri", "sandbox", "trusted-types"})
_SCRIPTS = frozenset(
    {"default-src", "script-src", "script-src-attr", "script-src-elem"}
)


def check_directives(directives: Mapping[str, str]) -> None:
    """Refuse directives that browsers would ignore in silence.

    Raises:
        SettingsError: says which directive, what is wrong, and the likely fix.
    """
    for name, value in directives.items():
        _check_name(name)
        _check_value(name, value)


def _check_name(name: str) -> None:
    if name in _KNOWN:
        return
    written = name.strip().lower().replace("_", "-")
    guesses = difflib.get_close_matches(written, _KNOWN, n=1)
    cure = f"; did you mean {guesses[0]!r}?" if guesses else ""
    raise SettingsError(f"browser.csp: there is no directive {name!r}{cure}")


def _check_value(name: str, value: str) -> None:
    where = f"browser.csp: {name!r}"
    if ";" in value or "," in value:
        raise SettingsError(
            f"{where} contains ';' or ',', which would begin another directive or "
            f"policy; give each directive its own entry"
        )
    if not value.isascii() or any(sign < " " or sign == "\x7f" for sign in value):
        raise SettingsError(
            f"{where} contains a line break or a character outside ASCII; write "
            f"international names in their 'xn--' form"
        )
    for source in value.split():
        if name not in _UNQUOTED_ALLOWED and _KEYWORDS.fullmatch(source):
            raise SettingsError(
                f"{where}: {source} is missing its quotes, so that browsers take it "
                f"for a host; write \"'{source.lower()}'\""
            )
        if source.startswith("'") and not source.endswith("'"):
            raise SettingsError(f"{where}: {source} is missing its closing quote")
        if name in _SCRIPTS and source.lower() in {"'unsafe-inline'", "*", "data:"}:
            raise SettingsError(
                f"{where}: {source} lets injected scripts run, which this policy is "
                f"there to stop; give inline scripts nonce=current.nonce() instead"
            )
    if len(value.split()) > 1 and "'none'" in value.split():
        raise SettingsError(f"{where}: 'none' must stand alone")
