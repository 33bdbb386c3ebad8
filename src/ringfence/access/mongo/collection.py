"""A collection whose documents have owners, with pymongo's names and signatures.

Every method makes its arguments safe and hands them to pymongo's own, and returns what
that returns: a value of a blocking collection, something to await of an async one. So
there is one copy of everything, and what a call may reach is decided when it is made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pymongo.synchronous.collection import Collection
from pymongo.synchronous.cursor import Cursor

from ringfence.access.mongo.cursor import cursor_over
from ringfence.access.mongo.holder import Holder, Said
from ringfence.access.mongo.reach import Gate
from ringfence.access.ownership.refusals import UNFILTERED, refuse

_WHY_NOT = {
    "aggregate_raw_batches": "aggregate does the same",
    "estimated_document_count": "it counts everybody's documents; count_documents "
    "counts those that the caller may read",
    "find_raw_batches": "find does the same",
    "watch": "it shows everybody's changes",
}


class OwnedCollection:
    """Finds, counts and changes the documents of whoever the running code works for.

    The methods are those of pymongo's ``Collection`` and ``AsyncCollection``, with
    their arguments; sessions and transactions go along. An inserted document gets its
    owner where it has none. One that is somebody else's, or would be, is refused as if
    it were not there (404). Whatever a filter cannot hold to an owner is refused, but
    for code inside ``unscoped("reason")``.

    Args:
        gate: knows what the running code may reach.
        raw: pymongo's own collection.

    Source: ASVS 5.0 V8.2.2, V8.3.1; OWASP API1:2023; CWE-639.

    Not covered: that an ``_id`` or another unique value is taken shows in the
    ``DuplicateKeyError``; and an expression that fails on some documents (``$expr``
    that divides by zero) may fail on those that are not the caller's, and tell so.
    """

    def __init__(self, gate: Gate, raw: Any) -> None:
        self._gate = gate
        self._raw = raw
        self._name: str = raw.name

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self._name

    @property
    def full_name(self) -> str:
        """The name, with the database's in front."""
        return str(self._raw.full_name)

    def __repr__(self) -> str:
        return f"OwnedCollection({self.full_name!r})"

    def with_options(self, *args: Any, **options: Any) -> OwnedCollection:
        """Return the same with other options: a ``read_preference``, say."""
        return OwnedCollection(self._gate, self._raw.with_options(*args, **options))

    def find(self, *args: Any, **options: Any) -> Any:
        """Return a cursor over the documents that a filter finds."""
        holder = self._holder()
        if holder is None:
            return self._raw.find(*args, **options)
        said = _said(_FIND, (self._raw, *args), options)
        holder.read(said)
        return cursor_over(**said)

    def find_one(self, *args: Any, **options: Any) -> Any:
        """Return the first document that a filter, or an ``_id``, finds."""
        holder = self._holder()
        if holder is None:
            return self._raw.find_one(*args, **options)
        said = _said(_FIND, (self._raw, *args), options)
        theirs = said.get("filter")
        if theirs is not None and not isinstance(theirs, Mapping):
            said["filter"] = {"_id": theirs}
        holder.read(said)
        del said["collection"]
        return self._raw.find_one(**said)

    def count_documents(self, *args: Any, **options: Any) -> Any:
        """Return how many documents a filter finds."""
        return self._call("count_documents", Holder.read, args, options)

    def distinct(self, *args: Any, **options: Any) -> Any:
        """Return the values that a field has in the documents that a filter finds."""
        return self._call("distinct", Holder.read, args, options)

    def aggregate(self, *args: Any, **options: Any) -> Any:
        """Return a cursor over what a pipeline makes of the documents."""
        return self._call("aggregate", Holder.aggregate, args, options)

    def insert_one(self, *args: Any, **options: Any) -> Any:
        """Insert a document, with its owner where it has none."""
        return self._call("insert_one", Holder.insert, args, options)

    def insert_many(self, *args: Any, **options: Any) -> Any:
        """Insert documents: none where one is somebody else's."""
        return self._call("insert_many", Holder.insert_all, args, options)

    def replace_one(self, *args: Any, **options: Any) -> Any:
        """Replace the first document that a filter finds; it stays the caller's."""
        return self._call("replace_one", Holder.replace, args, options)

    def update_one(self, *args: Any, **options: Any) -> Any:
        """Change the first document that a filter finds; it stays the caller's."""
        return self._call("update_one", Holder.update, args, options)

    def update_many(self, *args: Any, **options: Any) -> Any:
        """Change the documents that a filter finds; they stay the caller's."""
        return self._call("update_many", Holder.update, args, options)

    def delete_one(self, *args: Any, **options: Any) -> Any:
        """Remove the first document that a filter finds."""
        return self._call("delete_one", Holder.remove, args, options)

    def delete_many(self, *args: Any, **options: Any) -> Any:
        """Remove the documents that a filter finds."""
        return self._call("delete_many", Holder.remove, args, options)

    def find_one_and_delete(self, *args: Any, **options: Any) -> Any:
        """Remove the first document that a filter finds, and return it."""
        return self._call("find_one_and_delete", Holder.remove, args, options)

    def find_one_and_replace(self, *args: Any, **options: Any) -> Any:
        """Replace the first document that a filter finds, and return it."""
        return self._call("find_one_and_replace", Holder.replace, args, options)

    def find_one_and_update(self, *args: Any, **options: Any) -> Any:
        """Change the first document that a filter finds, and return it."""
        return self._call("find_one_and_update", Holder.update, args, options)

    def bulk_write(self, *args: Any, **options: Any) -> Any:
        """Carry out several changes: none where one is refused."""
        return self._call("bulk_write", Holder.bulk, args, options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(type(self._raw), name):
            raise AttributeError(
                f"OwnedCollection has no {name}; a collection below this one is "
                f'database["{self._name}.{name}"]'
            )
        if self._holder() is not None:
            why = _WHY_NOT.get(name, "no filter holds it to the caller's documents")
            refuse(
                UNFILTERED,
                f'{self._name}.{name} is refused: {why}; it needs unscoped("reason")',
            )
        return getattr(self._raw, name)

    def _holder(self) -> Holder | None:
        """Return what holds the caller to its documents; ``None`` inside
        ``unscoped``."""
        reach = self._gate.reach(self._name)
        return None if reach is None else Holder(self._name, reach)

    def _call(
        self,
        method: str,
        hold: Callable[[Holder, Said], None],
        args: tuple[Any, ...],
        options: Mapping[str, Any],
    ) -> Any:
        """Call a method of pymongo's with arguments that are held to the caller."""
        call = getattr(self._raw, method)
        holder = self._holder()
        if holder is None:
            return call(*args, **options)
        said = _said(_SIGNATURES[method], args, options)
        hold(holder, said)
        others = said.pop("kwargs", {})
        return call(**said, **others)


def _said(
    signature: inspect.Signature, args: tuple[Any, ...], options: Mapping[str, Any]
) -> Said:
    """Return the arguments by name, so that none is overlooked for its place."""
    return signature.bind(*args, **options).arguments


def _unbound(function: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function)
    _, *parameters = signature.parameters.values()
    return signature.replace(parameters=parameters)


_FIND = _unbound(Cursor.__init__)
_SIGNATURES = {
    method: _unbound(getattr(Collection, method))
    for method in (
        "aggregate",
        "bulk_write",
        "count_documents",
        "delete_many",
        "delete_one",
        "distinct",
        "find_one_and_delete",
        "find_one_and_replace",
        "find_one_and_update",
        "insert_many",
        "insert_one",
        "replace_one",
        "update_many",
        "update_one",
    )
}
