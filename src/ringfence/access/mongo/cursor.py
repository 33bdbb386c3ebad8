"""Cursors of pymongo that cannot be led past the filter that they were made with."""

from __future__ import annotations

from typing import Any, NoReturn

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.synchronous.collection import Collection
from pymongo.synchronous.cursor import Cursor

from ringfence.access.mongo.filters import Filter
from ringfence.access.ownership.refusals import UNFILTERED, refuse


def cursor_over(collection: Any, filter: Filter, **options: Any) -> Any:  # noqa: A002 - pymongo's name, which callers may write
    """Return a cursor of pymongo's over the documents that a filter finds.

    Args:
        collection: pymongo's, blocking or async.
        filter: the caller's, held to what the caller may read.
        options: as ``find`` takes them.
    """
    is_async = isinstance(collection, AsyncCollection)
    kind = OwnedAsyncCursor if is_async else OwnedCursor
    return kind(collection, filter, **options)


class _Held:
    """What of a cursor would lead past its filter."""

    __slots__ = ()

    def where(self, code: object) -> NoReturn:
        """Refuse JavaScript, which runs on documents whosever they are."""
        refuse(UNFILTERED, "cursor.where runs JavaScript; write a filter with $expr")

    def explain(self) -> NoReturn:
        """Refuse to count the documents that were looked at, whosever they are."""
        refuse(
            UNFILTERED,
            "cursor.explain tells of everybody's documents; find inside unscoped",
        )


class OwnedCursor(_Held, Cursor[Any]):
    """A blocking cursor over what the caller may read."""

    @property
    def collection(self) -> Collection[Any]:
        """Refuse the bare collection."""
        _refuse_collection()


class OwnedAsyncCursor(_Held, AsyncCursor[Any]):
    """An async cursor over what the caller may read."""

    @property
    def collection(self) -> AsyncCollection[Any]:
        """Refuse the bare collection."""
        _refuse_collection()


def _refuse_collection() -> NoReturn:
    refuse(
        UNFILTERED,
        "cursor.collection is the bare collection; keep the owned one, that find was "
        "called on",
    )
