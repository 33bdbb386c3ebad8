"""Text that LDAP reads: filters and distinguished names, and what escapes values."""

from __future__ import annotations

import re

# White space at either end is no syntax, but ldap3 would cut it off.
_FILTER_SYNTAX = re.compile(r"[\\*()\0]|\A\s+|\s+\Z")
# ``#`` is syntax at the beginning only; ldap3 wants it escaped wherever it stands.
_DN_SYNTAX = re.compile(r'[\\,+"<>;=#\0]')


class Filter(str):
    """A filter in which every value was escaped; see ``ldap.filter``."""

    __slots__ = ()


class Dn(str):
    """A distinguished name in which every value was escaped; see ``ldap.dn``."""

    __slots__ = ()


def escape_in_filter(value: str | bytes) -> str:
    """Return a value that matches itself and nothing else.

    Source: RFC 4515, section 3.
    """
    if isinstance(value, bytes):
        return "".join(f"\\{byte:02x}" for byte in value)
    return _FILTER_SYNTAX.sub(lambda found: escape_in_filter(found[0].encode()), value)


def escape_in_dn(value: str) -> str:
    """Return a value that is one attribute's, whatever stands in it.

    Source: RFC 4514, section 2.4.
    """
    escaped = _DN_SYNTAX.sub(_in_dn, value)
    if escaped.endswith(" "):
        escaped = escaped[:-1] + "\\ "
    if escaped.startswith(" "):
        escaped = "\\" + escaped
    return escaped


def _in_dn(found: re.Match[str]) -> str:
    return "\\00" if found[0] == "\0" else "\\" + found[0]
