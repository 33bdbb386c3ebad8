"""Conditions as filters of MongoDB, and what a filter of the caller's may not hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import bson
from bson import Code
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

from ringfence.access.mongo.documents import Mine
from ringfence.access.ownership.conditions import (
    All,
    Always,
    Condition,
    Has,
    Is,
)
from ringfence.access.ownership.conditions import Any as AnyOf
from ringfence.access.ownership.refusals import UNFILTERED, refuse
from ringfence.access.ownership.rules import Constant

Filter = Mapping[str, Any]

# JavaScript is not bound to the filter that it stands in: it can be made to run for
# ever, and its errors tell of the documents that it was tried on.
_SCRIPTS = frozenset({"$where", "$function", "$accumulator"})
_INTERNAL = "$_internal"


def filter_of(condition: Condition, mine: Mine, *, born: bool = False) -> Filter:
    """Return the filter that finds the documents of which a condition is true.

    Args:
        condition: reduced to who asks.
        mine: returns the id and the tenant of whoever asks.
        born: of a change that may insert (upsert): MongoDB would take the values that
            a filter asks for into the new document, and object to naming one twice.
    """
    match condition:
        case Is(column, subject):
            return {column: _exactly(mine(subject), born=born)}
        case Has(column, value):
            if isinstance(value, str):
                return {column: _exactly(value, born=born)}
            return {column: _equals(value, born=born)}
        case All(parts):
            return {"$and": [filter_of(part, mine, born=born) for part in parts]}
        case AnyOf(parts):
            return {"$or": [filter_of(part, mine, born=born) for part in parts]}
        case _:
            # The server knows without looking that no document is like the second.
            return {} if isinstance(condition, Always) else {"_id": {"$in": []}}


def _exactly(text: str, *, born: bool) -> Filter:
    """Compare text byte by byte, whatever the collation: under a loose one, the
    caller's or the collection's own, ``alice`` would equal ``Alice``. Patterns know no
    collation; the equality beside it is what an index answers."""
    return {**_equals(text, born=born), "$regex": f"^{re.escape(text)}$"}


def _equals(value: Constant, *, born: bool) -> dict[str, Constant]:
    return {"$gte": value, "$lte": value} if born else {"$eq": value}


def both(ours: Filter, theirs: Filter | None) -> Filter:
    """Return the filter that finds what both do. Nothing in the caller's can reach out
    of its place: not an ``$or``, and no ``$query``, which pymongo would read as the
    frame of the whole command."""
    if not theirs:
        return ours
    return {"$and": [ours, theirs] if ours else [theirs]}


def no_scripts(name: str, *values: object) -> None:
    """Refuse JavaScript and what MongoDB keeps for itself, anywhere in these values.

    Args:
        name: of the collection, for the message.
        values: filters, pipelines, options: whatever the server carries out.

    Raises:
        OwnershipRefusedError: see above.
    """
    pending = list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            named_once(name, value)
            for key in value:
                if key in _SCRIPTS or str(key).startswith(_INTERNAL):
                    _refuse_script(name, str(key))
            pending.extend(value.values())
        elif isinstance(value, (list, tuple)):
            pending.extend(value)
        elif isinstance(value, Code):
            _refuse_script(name, "JavaScript")


class _TwiceError(Exception):
    """A name stands twice in a document."""


class _Once(dict[str, Any]):
    """A document as it is read from bytes, name by name."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self:
            raise _TwiceError
        super().__setitem__(name, value)


_ONCE = CodecOptions(
    _Once,
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_MS,
)


def named_once(name: str, value: object) -> None:
    """Refuse raw BSON in which a name stands twice: we would see one of the two, and
    the server the other, or both.

    Args:
        name: of the collection, for the message.
        value: that a server is given; only what is raw can be so.

    Raises:
        OwnershipRefusedError: see above.

    Source: CWE-436 (interpretation conflict).
    """
    if not isinstance(value, RawBSONDocument):
        return
    try:
        bson.decode(value.raw, _ONCE)
    except _TwiceError:
        refuse(UNFILTERED, f"{name}: a name stands twice in a RawBSONDocument")


def _refuse_script(name: str, what: str) -> None:
    refuse(
        UNFILTERED,
        f"{name}: {what} runs code on documents before it is known whose they are; "
        "write it with operators ($expr)",
    )
