"""The quick look: could this request have brought markup at all?

Nearly every request for a page has not. It looks at the raw bytes, so it asks for every
spelling that something behind it might undo: percent-encoding, entities, JSON, base64,
full-width letters.
"""

from __future__ import annotations

import re
import string

from ringfence.exchange import Exchange

_LETTERS = (string.ascii_lowercase + string.digits).encode()
# Of this alone no markup is made, and without certain words no address of a script.
_PLAIN = _LETTERS + b"/+.,:;=&~@!*$?#_- |\n"

# Percent-encoded letters beyond ASCII (but full-width ones), space, and signs that
# nothing breaks out with.
_UNUSUAL_IN_ADDRESS = re.compile(
    rb"""[^\w\s+/.,:;=&%~@!*$?\#-]"""
    rb"""|%(?!20|2[CDEFcdef]|40|3[Aa]|[89A-Da-d][0-9A-Fa-f]|[Ee][0-9A-Ea-e])"""
    rb"""|//|%2f%2f|script|data(?::|%3a)|&(?:\#|[a-z]+;)""",
    re.IGNORECASE | re.VERBOSE,
)
_UNUSUAL_IN_HEADERS = re.compile(
    rb"""[<"'`\\(]|%(?!20|2[b-f]|3[af]|40|[89a-e])|%ef%bc|script:|&\#|&[a-z]+;""",
    re.IGNORECASE,
)
_IN_BODY = re.compile(
    rb"""[<>"'`\\(\x00-\x08]|%[02-7]|&\#|script|//|on[a-z]+=|[\w/+-]{24}""",
    re.IGNORECASE,
)
_SECOND_EQUALS = re.compile(rb"=[^&=]*=")
_LONGEST_WORD = 24
# Base64 of anything that can run; in words of small letters only there is nothing.
_LONG_WORD = re.compile(rb"[A-Za-z0-9_/+-]{24,}")

# Browsers write these themselves, with quotes and brackets of their own.
_OF_BROWSERS = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"connection",
        b"content-length",
        b"content-type",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"priority",
        b"sec-ch-ua",
        b"sec-ch-ua-mobile",
        b"sec-ch-ua-platform",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"sec-fetch-user",
        b"upgrade-insecure-requests",
        b"user-agent",
    }
)


def may_bring_markup(exchange: Exchange) -> bool:
    """Return whether a request might have brought something that a page could carry
    out: ``False`` is certain for values that reach a page as they came, or decoded.

    A body that has not been read yet counts as one that might.
    """
    scope = exchange.scope
    query: bytes = scope.get("query_string", b"")
    path: bytes = scope.get("raw_path") or exchange.path.encode()
    headers = exchange.headers
    chosen = [headers[name] for name in headers.keys() - _OF_BROWSERS]
    raw = b"\n".join((query, path, *chosen)).lower()
    if (raw.translate(None, _PLAIN) or b"script" in raw or b"data:" in raw) and (
        _UNUSUAL_IN_ADDRESS.search(query)
        or _UNUSUAL_IN_ADDRESS.search(path)
        or any(map(_UNUSUAL_IN_HEADERS.search, chosen))
    ):
        return True
    if (
        # An equals sign within a value: a handler, an assignment.
        _SECOND_EQUALS.search(query)
        or b"=" in path
        # From where a script may come.
        or b"//" in query
        or b"//" in path
        or _has_long_word(query)
        or _has_long_word(path)
    ):
        return True
    if b"<" in b"\n".join(headers.values()):
        return True
    if exchange.received:
        return any(
            isinstance(piece, str) or _IN_BODY.search(piece)
            for piece in exchange.received
        )
    return is_body_to_come(exchange)


def is_body_to_come(exchange: Exchange) -> bool:
    """Return whether the request announces a body of which nothing has been read."""
    headers = exchange.headers
    return not exchange.received and (
        headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    )


def _has_long_word(address: bytes) -> bool:
    return len(address) >= _LONGEST_WORD and any(
        not word.islower() for word in _LONG_WORD.findall(address)
    )
