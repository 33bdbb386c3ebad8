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

ENDPOINT = "ringfence"
"""Name of the reporting endpoint that the guard serves itself."""

FRAMING: Mapping[str, str] = MappingProxyType(
    {"DENY": "'none'", "SAMEORIGIN": "'self'"}
)
"""Values of X-Frame-Options, and the ``frame-ancestors`` that say the same."""

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
_WITHDRAWN = frozenset(
    {
        "block-all-mixed-content",
        "navigate-to",
        "plugin-types",
        "prefetch-src",
        "referrer",
        "reflected-xss",
        "require-sri-for",
    }
)
_KEYWORDS = (
    "none",
    "self",
    "unsafe-inline",
    "unsafe-eval",
    "unsafe-hashes",
    "strict-dynamic",
    "report-sample",
    "wasm-unsafe-eval",
    "trusted-types-eval",
    "inline-speculation-rules",
    "script",
    "allow-duplicates",
)
_HASH_OR_NONCE = re.compile(
    r"nonce-[A-Za-z0-9+/_-]+={0,2}|sha(?:256|384|512)-[A-Za-z0-9+/_-]+={0,2}",
    re.IGNORECASE,
)
_SANDBOX = (
    "allow-downloads",
    "allow-forms",
    "allow-modals",
    "allow-orientation-lock",
    "allow-pointer-lock",
    "allow-popups",
    "allow-popups-to-escape-sandbox",
    "allow-presentation",
    "allow-same-origin",
    "allow-scripts",
    "allow-storage-access-by-user-activation",
    "allow-top-navigation",
    "allow-top-navigation-by-user-activation",
    "allow-top-navigation-to-custom-protocols",
)
# CSP level 3, 2.3.1: a scheme, or a host that may begin with "*.", with what follows.
_SOURCE = re.compile(
    r"[a-z][a-z0-9+.-]*:"
    r"|\*"
    r"|(?:[a-z][a-z0-9+.-]*://)?(?:\*|(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*\.?|\[[0-9a-f:]+\])"
    r"(?::(?:[0-9]{1,5}|\*))?(?:/(?!/)[^\s*'\"]*)?",
    re.IGNORECASE,
)
_POLICY_NAME = re.compile(r"\*|[A-Za-z0-9#=_/@.%-]+")
_SCRIPTS = frozenset(
    {"default-src", "script-src", "script-src-attr", "script-src-elem"}
)
# Any host, whatever stands around it: "https://*" is no narrower than "https:".
_EVERYWHERE = re.compile(
    r"https?:|(?:(?:https?|wss?)://)?\*(?::[^/]*)?(?:/.*)?", re.IGNORECASE
)
_INJECTABLE = frozenset({"'unsafe-inline'", "data:"})
_RISKY = _INJECTABLE | {"'unsafe-eval'", "'unsafe-hashes'", "blob:"}


def check_directives(directives: Mapping[str, str], *, strict: bool = True) -> None:
    """Refuse directives that browsers would ignore in silence.

    Args:
        directives: names and values; an empty value takes the directive out.
        strict: refuse as well what lets injected scripts run and others frame a page.

    Raises:
        SettingsError: says which directive, what is wrong, and the likely fix.
    """
    for name, value in directives.items():
        _check_name(name)
        _check_value(name, value)
        if strict:
            _check_strict(name, value)


def weaknesses(directives: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a whole policy leaves open that a strict one closes, as texts.

    Args:
        directives: the policy as browsers get it.

    Source: W3C Content Security Policy level 3, 6 and 8; CWE-79, CWE-1021.
    """
    found = []
    for name in ("script-src", "script-src-elem", "script-src-attr", "object-src"):
        if name.startswith("script-src-") and name not in directives:
            continue
        found += _open_sources(directives, name, _RISKY)
    for name in ("style-src", "style-src-elem"):
        found += _open_sources(directives, name, frozenset({"'unsafe-inline'"}))
    for name in ("base-uri", "form-action", "frame-ancestors"):
        value = directives.get(name, "").strip()
        if not value:
            found.append(f"no {name}")
        elif name == "frame-ancestors" or any(map(_is_anywhere, value.split())):
            others = [one for one in value.split() if one not in {"'none'", "'self'"}]
            found += [f"{name} {one}" for one in others]
    if not directives.get("require-trusted-types-for"):
        found.append("no require-trusted-types-for")
    return tuple(found)


def _open_sources(
    directives: Mapping[str, str], name: str, risky: frozenset[str]
) -> list[str]:
    value = directives.get(name, "").strip()
    if not value:
        if name.endswith(("-elem", "-attr")):
            return []
        value = directives.get("default-src", "").strip()
    if not value:
        return [f"no {name}"]
    return [
        f"{name} {one}"
        for one in value.split()
        if one.lower() in risky or _is_anywhere(one)
    ]


def _is_anywhere(source: str) -> bool:
    """Return whether whoever likes can serve something from this source."""
    return _EVERYWHERE.fullmatch(source) is not None


def _check_name(name: str) -> None:
    if name in _KNOWN:
        return
    written = name.strip().lower().replace("_", "-")
    if written in _WITHDRAWN:
        cure = "; it has been withdrawn, take it out"
    else:
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
    words = value.split()
    _check_whole(name, where, words)
    for word in words:
        if name == "sandbox":
            _check_choice(where, word, _SANDBOX)
        elif name == "trusted-types":
            _check_policy_name(where, word)
        elif name not in {"report-to", "report-uri"}:
            _check_source(where, word)
    if len(words) > 1 and "'none'" in words:
        raise SettingsError(f"{where}: 'none' must stand alone")


def _check_whole(name: str, where: str, words: list[str]) -> None:
    """Check directives that have one value only, or none."""
    value = " ".join(words)
    if name == "upgrade-insecure-requests" and words:
        raise SettingsError(f"{where} takes no value, so that {value!r} is ignored")
    if name == "require-trusted-types-for" and value not in {"", "'script'"}:
        raise SettingsError(f"{where} has one value only: write \"'script'\"")
    if name == "report-to" and value not in {"", ENDPOINT}:
        raise SettingsError(
            f"{where}: no endpoint is called {value!r}; the one that exists is "
            f"{ENDPOINT!r} (browser.reports), another collector's goes into report-uri"
        )


def _check_source(where: str, source: str) -> None:
    bare = source.strip("'").lower()
    is_keyword = bare in _KEYWORDS or _HASH_OR_NONCE.fullmatch(bare) is not None
    if not source.startswith("'"):
        if is_keyword:
            raise SettingsError(
                f"{where}: {source} is missing its quotes, so that browsers take it "
                f"for a host; write \"'{source.strip(chr(39)).lower()}'\""
            )
        _check_host(where, source)
    elif len(source) == 1 or not source.endswith("'"):
        raise SettingsError(f"{where}: {source} is missing its closing quote")
    elif not is_keyword:
        guesses = difflib.get_close_matches(bare, _KEYWORDS, n=1)
        cure = f"write \"'{guesses[0]}'\"" if guesses else "hosts have no quotes"
        raise SettingsError(
            f"{where}: {source} is no keyword, so that browsers ignore it; {cure}"
        )
    elif bare.startswith("nonce-"):
        raise SettingsError(
            f"{where}: {source} is the same in every answer, so that an injected "
            f"script knows it too; take it out, and write nonce=current.nonce()"
        )


def _check_host(where: str, source: str) -> None:
    if source.lower() in {"https", "http", "data", "blob", "wss", "ws"}:
        raise SettingsError(
            f"{where}: {source} without its colon is taken for a host; write "
            f"'{source.lower()}:'"
        )
    if not _SOURCE.fullmatch(source):
        raise SettingsError(
            f"{where}: {source} is not understood by browsers; write an origin such as "
            f"'https://images.example', or '*.images.example' for all below it"
        )


def _check_policy_name(where: str, word: str) -> None:
    bare = word.strip("'").lower()
    if bare in {"none", "allow-duplicates"}:
        if word != f"'{bare}'":
            raise SettingsError(
                f"{where}: {word} is missing its quotes, so that browsers take it for "
                f"the name of a policy; write \"'{bare}'\""
            )
    elif not _POLICY_NAME.fullmatch(word):
        raise SettingsError(f"{where}: {word} is no name of a policy")


def _check_choice(where: str, word: str, choices: tuple[str, ...]) -> None:
    if word in choices:
        return
    guesses = difflib.get_close_matches(word.strip("'").lower(), choices, n=1)
    cure = f"; did you mean {guesses[0]!r}?" if guesses else ""
    raise SettingsError(f"{where}: {word} is unknown{cure}")


def _check_strict(name: str, value: str) -> None:
    where = f"browser.csp: {name!r}"
    sources = sorted(source.lower() for source in value.split())
    anywhere = [source for source in sources if _is_anywhere(source)]
    injectable = [*anywhere, *(one for one in sources if one in _INJECTABLE)]
    if name in _SCRIPTS and injectable:
        raise SettingsError(
            f"{where}: {injectable[0]} lets injected scripts run, which this policy is "
            f"there to stop; give inline scripts nonce=current.nonce() instead, or "
            f"loosen one route with ringfence.headers(csp=..., because=...)"
        )
    if name == "frame-ancestors" and anywhere:
        raise SettingsError(
            f"{where}: {anywhere[0]} lets every site frame these pages "
            f"(clickjacking); name the origins that may"
        )
