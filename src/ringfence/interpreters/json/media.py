"""Which bodies are JSON, by what their sender says about them."""

from __future__ import annotations

from functools import lru_cache

# Names under which a body that is plain ASCII means what it means in UTF-8.
_ASCII_ALIKE = frozenset(
    {b"us-ascii", b"ascii", b"iso-8859-1", b"latin1", b"latin-1", b"windows-1252"}
)
_UTF_8 = frozenset({b"utf-8", b"utf8"})


@lru_cache(maxsize=128)
def is_json(content_type: bytes) -> bool:
    """Tell whether a Content-Type means JSON: ``application/json``, ``+json``.

    Not covered: what a handler takes for JSON although it was called something else.

    Source: RFC 8259, section 11; RFC 6839, section 3.1.
    """
    subtype = media_type(content_type).rpartition(b"/")[2]
    return subtype == b"json" or subtype.endswith(b"+json")


@lru_cache(maxsize=128)
def media_type(content_type: bytes) -> bytes:
    """Return a Content-Type's type and subtype, lower case."""
    return content_type.partition(b";")[0].strip().lower()


@lru_cache(maxsize=128)
def _charset(content_type: bytes) -> bytes:
    for parameter in content_type.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset":
            return value.strip().strip(b'"').lower()
    return b""


def names_another_encoding(content_type: bytes, body: bytes) -> bool:
    """Tell whether a reader that believes ``charset`` reads other text than one that
    takes UTF-8, as RFC 8259 says."""
    if b";" not in content_type:
        return False
    charset = _charset(content_type)
    if not charset or charset in _UTF_8:
        return False
    return charset not in _ASCII_ALIKE or not body.isascii()
