"""Forms and queries as an object: names, and what was sent under them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote_to_bytes

from ringfence.denial import Fault

URLENCODED = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data"

Pair = tuple[str, str | None]
"""A name and a text; ``None`` for a file."""

_BOUNDARY = re.compile(
    rb';\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE
)
_NAME = re.compile(rb';\s*name="([^"\r\n]*)"', re.IGNORECASE)
_FILE = re.compile(rb";\s*filename\*?=", re.IGNORECASE)


def urlencoded(raw: bytes) -> list[Pair]:
    """Return the pairs of a query or a form.

    Raises:
        UnicodeDecodeError: it is not UTF-8.

    Source: WHATWG URL, application/x-www-form-urlencoded parsing.
    """
    pairs: list[Pair] = []
    for piece in raw.split(b"&"):
        if piece:
            name, _, value = piece.partition(b"=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(part: bytes) -> str:
    return unquote_to_bytes(part.replace(b"+", b" ")).decode()


def multipart(raw: bytes, content_type: bytes) -> list[Pair]:
    """Return the pairs of a form of several parts.

    Raises:
        ValueError: its parts cannot be told apart, or are not UTF-8.

    Source: RFC 7578.
    """
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise ValueError("no boundary")
    return list(_parts(raw, b"\r\n--" + (match[1] or match[2])))


def _parts(raw: bytes, delimiter: bytes) -> Iterator[Pair]:
    # The first piece is the preamble, the last one the epilogue.
    for part in (b"\r\n" + raw).split(delimiter)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if not line.lower().startswith(b"content-disposition:"):
                continue
            name = _NAME.search(line)
            if name is None:
                raise ValueError("a part without a name")
            yield name[1].decode(), None if _FILE.search(line) else value.decode()


def gather(
    pairs: Iterable[Pair], several: Mapping[str, bool], unasked: frozenset[str]
) -> tuple[dict[str, object], list[Fault]]:
    """Return an object of the pairs, and what is wrong with them.

    Two values where one is expected are read as the first by one program and as the
    last by another (CWE-235).

    Args:
        pairs: as they came.
        several: by field, whether it takes several values.
        unasked: names that are left out, unless they are fields.
    """
    values: dict[str, object] = {}
    faults: list[Fault] = []
    for name, value in pairs:
        if name in unasked and name not in several:
            continue
        if value is None:
            faults.append(Fault((name,), "extra_forbidden"))
        elif several.get(name, False):
            listed = values.setdefault(name, [])
            if isinstance(listed, list):
                listed.append(value)
        elif name in values:
            faults.append(Fault((name,), "repeated"))
        else:
            values[name] = value
    return values, faults


def json_like(value: object) -> object:
    """Return an object whose lists are lists, as JSON would have brought it."""
    if not isinstance(value, dict):
        return value
    return {
        name: list(one) if isinstance(one, (tuple, set, frozenset)) else one
        for name, one in value.items()
    }


def beyond_json(value: object) -> list[Fault]:
    """Return the fields whose numbers no JSON could have brought: text is read as
    ``nan``, ``inf`` and whole numbers of any length."""
    return [
        Fault((name,), "finite_number")
        for name, one in (value.items() if isinstance(value, dict) else ())
        for number in (one if isinstance(one, list) else [one])
        if (isinstance(number, float) and not math.isfinite(number))
        or (isinstance(number, int) and not -(2**63) <= number < 2**64)
    ]
