"""Names and values, as SQL of PostgreSQL has them."""

from __future__ import annotations

from ringfence.errors import DeclarationError


def quoted(*names: str) -> str:
    """Return an identifier, qualified where there are several names."""
    for name in names:
        if not name or "\x00" in name:
            raise DeclarationError(f"{name!r} is no name that PostgreSQL could have")
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """Return a constant, whatever ``standard_conforming_strings`` is."""
    if "\x00" in text:
        raise DeclarationError(f"{text!r} is no text that PostgreSQL could keep")
    escaped = text.replace("'", "''")
    if "\\" not in escaped:
        return f"'{escaped}'"
    doubled = escaped.replace("\\", "\\\\")
    return f"E'{doubled}'"


def block(body: str) -> str:
    """Return the body of a function or of ``DO``, between dollar quotes."""
    mark = "$ringfence$"
    if mark in body:
        raise DeclarationError(f"no name or value may contain {mark}")
    return f"{mark}\n{body.strip()}\n{mark}"


def array(names: frozenset[str]) -> str:
    """Return a constant array of text."""
    return f"ARRAY[{', '.join(map(literal, sorted(names)))}]::text[]"
