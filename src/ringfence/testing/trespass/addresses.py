"""Path templates, filled; and ids that look like others and lead nowhere."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from urllib.parse import quote

_PARAMETER = re.compile(r"{([a-zA-Z_][a-zA-Z0-9_]*)(?::[a-zA-Z_][a-zA-Z0-9_]*)?}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FAR = 900_000_000  # beyond any row that a test makes, within 32 bits
_LAST_OF_UUID = 12


def parameters_of(template: str) -> tuple[str, ...]:
    """Return the names in a path template."""
    return tuple(_PARAMETER.findall(template))


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return the address for these values."""
    return _PARAMETER.sub(lambda found: quote(values[found[1]], safe=""), template)


def pattern_of(template: str) -> re.Pattern[str]:
    """Return what matches the addresses of a template."""
    parts = _PARAMETER.split(template)
    literals = map(re.escape, parts[::2])
    return re.compile("[^/]+".join(literals))


def missing(like: str) -> str:
    """Return an id that no object has, of the same form as one that has."""
    if like.isascii() and like.isdigit():
        return str(_FAR + secrets.randbelow(_FAR))
    if _UUID.fullmatch(like):
        # version and time stay: a UUIDv7 from the future might be refused as such
        return like[:-_LAST_OF_UUID] + secrets.token_hex(_LAST_OF_UUID // 2)
    stem, dot, extension = like.partition(".")
    letters = string.hexdigits if set(stem) <= set(string.hexdigits) else ""
    return "".join(_like(one, letters) for one in stem) + dot + extension


def _like(one: str, letters: str) -> str:
    for alphabet in (string.digits, string.ascii_lowercase, string.ascii_uppercase):
        if one in alphabet:
            kept = [c for c in alphabet if not letters or c in letters]
            return secrets.choice(kept)
    return one
