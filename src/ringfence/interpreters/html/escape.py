"""Escaping: one function for each place in a page where a value can stand."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection

from ringfence.interpreters.html.safe import SafeHtml, made

SCHEMES = frozenset({"http", "https", "mailto", "tel"})
"""Schemes that a link of a visitor's may have."""

NOWHERE = "about:invalid"
"""Stands in the place of an address that is not let through."""

_DEEPEST = 3  # entities within entities that somebody further on may undo
_SCHEME = re.compile(r"([^/?#:]*):")
_LEADING = "".join(map(chr, range(33)))
_DROPPED_BY_BROWSERS = re.compile(r"[\t\r\n]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]")
_IN_SCRIPT = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'"}


def text(value: object) -> SafeHtml:
    """Escape a value for the text of a page, or for an attribute between quotes.

    Args:
        value: anything; ``SafeHtml`` stays what it is.

    Source: ASVS 5.0 V1.2.1; CWE-79.

    Not covered: attributes without quotes (``attribute``), addresses (``url``),
    ``<script>`` (``script``), ``<style>`` (``css``).
    """
    return value if isinstance(value, SafeHtml) else made(html.escape(str(value)))


def attribute(value: object) -> SafeHtml:
    """Escape a value for an attribute, with or without quotes around it.

    Args:
        value: anything; of ``SafeHtml``, too, the markup is escaped.

    Source: ASVS 5.0 V1.2.1; CWE-83.

    Not covered: attributes that are code (``onclick``, ``style``, ``srcdoc``) or an
    address (``url``).
    """
    return made(_NOT_PLAIN.sub(_entity, str(value)))


def url(value: object, schemes: Collection[str] = SCHEMES) -> SafeHtml:
    """Return an address for ``href`` or ``src``, escaped; one that could be code
    becomes ``about:invalid``.

    Nothing is raised: a link that somebody stored would else keep a whole page from
    being shown. Stops ``javascript:`` in every spelling: with line breaks, control
    characters, other case, and entities in it.

    Args:
        value: absolute or relative.
        schemes: which may be named, lower case.

    Source: ASVS 5.0 V1.2.2; WHATWG URL, section 4.4; CWE-83.

    Not covered: where the address leads.
    """
    address = _DROPPED_BY_BROWSERS.sub("", str(value).strip(_LEADING))
    candidate = address
    for _ in range(_DEEPEST):
        if _CONTROLS.search(candidate) or not _is_of(schemes, candidate):
            return made(NOWHERE)
        candidate = _DROPPED_BY_BROWSERS.sub("", html.unescape(candidate))
        candidate = candidate.strip(_LEADING)
    return made(html.escape(address))


def script(value: object) -> SafeHtml:
    """Write a value as JSON that is safe within ``<script>``, and between single
    quotes in an attribute.

    Args:
        value: what JSON can say: text, numbers, lists, dictionaries with text as keys.

    Raises:
        TypeError: JSON cannot say it.
        ValueError: it contains NaN or an infinity, or itself.

    Source: ASVS 5.0 V1.2.3; CWE-79.

    Not covered: what the script does with the value: ``innerHTML``, ``eval``.
    """
    written = json.dumps(value, allow_nan=False)  # ASCII only: no U+2028 either
    return made(written.translate(_IN_SCRIPT))


def css(value: object) -> SafeHtml:
    """Escape a value for a string or a name within CSS, in ``<style>`` or ``style=``.

    Args:
        value: anything; its text is taken.

    Source: CSS Syntax Module level 3, section 4.3.7; ASVS 5.0 V1.2.1.

    Not covered: whole declarations, and addresses within ``url(...)``.
    """
    return made(_NOT_PLAIN.sub(_css_escape, str(value)))


def _is_of(schemes: Collection[str], address: str) -> bool:
    match = _SCHEME.match(address)
    return match is None or match[1].lower() in schemes


def _entity(match: re.Match[str]) -> str:
    return f"&#{ord(match[0]) or 0xFFFD};"


def _css_escape(match: re.Match[str]) -> str:
    return f"\\{ord(match[0]) or 0xFFFD:06x}"
