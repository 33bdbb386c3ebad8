"""Holds the arguments of one call to what its caller may reach.

Pure: what comes in are the arguments of a method of pymongo's, by name, and what goes
out are those that it is called with.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, NoReturn

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.operations import (
    DeleteMany,
    DeleteOne,
    InsertOne,
    ReplaceOne,
    UpdateMany,
    UpdateOne,
)

from ringfence.access.mongo import changes
from ringfence.access.mongo.documents import below, path_of
from ringfence.access.mongo.filters import named_once, no_scripts
from ringfence.access.mongo.pipelines import owned_pipeline
from ringfence.access.mongo.reach import Reach
from ringfence.access.ownership.conditions import (
    ALWAYS,
    NEVER,
    Condition,
    Has,
    Is,
    parts_of,
)
from ringfence.access.ownership.refusals import NOT_FOUND, UNFILTERED, refuse

Said = dict[str, Any]
"""The arguments of a call, by name."""

# pymongo writes options that it does not know into the command as they are:
# ``aggregate="accounts"`` would be another collection, ``query={}`` another filter.
_OPTIONS = frozenset(
    {
        "allowDiskUse",
        "batchSize",
        "bypassDocumentValidation",
        "collation",
        "hint",
        "limit",
        "maxTimeMS",
        "skip",
    }
)
_OTHERS = "kwargs"  # as pymongo names them

# How pymongo's operations of a bulk keep what methods take as arguments.
_FIND = {"filter": "_filter"}
_UPDATE = {**_FIND, "update": "_doc", "upsert": "_upsert"}
_REPLACE = {**_FIND, "replacement": "_doc", "upsert": "_upsert"}
_BULK: Mapping[type, Mapping[str, str]] = {
    InsertOne: {"document": "_doc"},
    UpdateOne: _UPDATE,
    UpdateMany: _UPDATE,
    ReplaceOne: _REPLACE,
    DeleteOne: _FIND,
    DeleteMany: _FIND,
}
# Documents are stored and not carried out, and operators have no place for scripts.
_STORED = frozenset({"document", "documents", "replacement"})


class Holder:
    """Holds calls to what somebody may reach in one collection.

    Args:
        name: of the collection.
        reach: of whoever the running code works for.
    """

    def __init__(self, name: str, reach: Reach) -> None:
        self._name = name
        self._reach = reach
        self._rule = reach.declared(name)
        self._write = reach.view.write[name]
        self._leave = reach.view.leave[name]

    def read(self, said: Said) -> None:
        """Hold a filter to what may be read."""
        self._harmless(said)
        said["filter"] = self._reach.readable(self._name, said.get("filter"))

    def aggregate(self, said: Said) -> None:
        """Hold a pipeline to what may be read, in every collection that it reads."""
        self._harmless(said)
        said["pipeline"] = owned_pipeline(self._name, said["pipeline"], self._reach)

    def remove(self, said: Said) -> None:
        """Hold a filter to what may be written."""
        self._somebody()
        self._harmless(said)
        said["filter"] = self._reach.writable(self._name, said["filter"], ALWAYS)

    def insert(self, said: Said) -> None:
        """Give a document its owner."""
        self._somebody()
        self._harmless(said)
        said["document"] = self._inserted(said["document"])

    def insert_all(self, said: Said) -> None:
        """Give documents their owner: all of them, before the first is sent."""
        self._somebody()
        self._harmless(said)
        said["documents"] = [self._inserted(each) for each in said["documents"]]

    def replace(self, said: Said) -> None:
        """Hold a filter to what may be written, and what it is replaced with."""
        self._somebody()
        self._harmless(said)
        upsert, replacement = bool(said.get("upsert")), said["replacement"]
        if isinstance(replacement, Mapping) and self._may_write(upsert=upsert):
            self._looked_at(replacement)
            owned = changes.stamped(
                replacement, self._leave, self._rule, self._reach.mine, anew=False
            )
            if owned is None:
                self._refuse_foreign()
            said["replacement"] = owned
        said["filter"] = self._reach.writable(
            self._name, said["filter"], ALWAYS, born=upsert
        )

    def update(self, said: Said) -> None:
        """Hold a filter to what may be written, and is the caller's after a change."""
        self._somebody()
        self._harmless(said)
        upsert, update = bool(said.get("upsert")), said["update"]
        kept: Condition = ALWAYS
        if self._may_write(upsert=upsert):
            kept = changes.kept(update, self._leave, self._reach.mine)
            if kept == NEVER:
                self._refuse_change(update)
            if upsert and self._leave != ALWAYS:
                said["update"] = self._born(update, said["filter"])
        said["filter"] = self._reach.writable(
            self._name, said["filter"], kept, born=upsert
        )

    def bulk(self, said: Said) -> None:
        """Hold every change of several, before the first is sent."""
        self._somebody()
        requests = said.pop("requests")
        self._harmless(said)
        said["requests"] = [self._operation(request) for request in requests]

    def _operation(self, request: Any) -> Any:
        fields = _BULK.get(type(request))
        if fields is None:
            raise TypeError(f"{request!r} is no change that bulk_write knows")
        inner = {name: getattr(request, field) for name, field in fields.items()}
        self._hold_of(fields)(inner)
        held = copy.copy(request)
        for name, field in fields.items():
            setattr(held, field, inner[name])
        return held

    def _hold_of(self, fields: Mapping[str, str]) -> Callable[[Said], None]:
        if "document" in fields:
            return self.insert
        if "update" in fields:
            return self.update
        return self.replace if "replacement" in fields else self.remove

    def _somebody(self) -> None:
        """Refuse to write for nobody, but what anybody may write."""
        if self._reach.principal is None and self._is_closed():
            refuse(
                NOT_FOUND,
                f"{self._name}: nobody is signed in for whom to write; give the route "
                "access.signed_in, or name somebody with access.acting_as",
            )

    def _is_closed(self) -> bool:
        return NEVER in (self._leave, self._write)

    def _may_write(self, *, upsert: bool) -> bool:
        """Return whether there is anything that the caller may write. The filter finds
        nothing else, so that only what would insert has to be refused."""
        if self._is_closed() and upsert:
            self._refuse_foreign()
        return not self._is_closed()

    def _harmless(self, said: Said) -> None:
        """Refuse JavaScript, and options that would be another command."""
        no_scripts(
            self._name, *(value for name, value in said.items() if name not in _STORED)
        )
        unknown = sorted(said.get(_OTHERS, {}).keys() - _OPTIONS)
        if unknown:
            refuse(
                UNFILTERED,
                f"{self._name}: the option {unknown[0]} would be written into the "
                f"command as it is; there are {', '.join(sorted(_OPTIONS))}",
            )

    def _inserted(self, document: Any) -> Any:
        if not isinstance(document, Mapping):
            return document  # pymongo says what it wants instead
        self._looked_at(document)
        owned = changes.stamped(
            document, self._leave, self._rule, self._reach.mine, anew=True
        )
        if owned is None:
            self._refuse_foreign()
        if "_id" not in owned:
            owned = {"_id": ObjectId(), **owned}
        if isinstance(document, MutableMapping) and not isinstance(
            document, RawBSONDocument
        ):
            document.setdefault("_id", owned["_id"])  # as pymongo does
        return owned

    def _looked_at(self, document: Mapping[str, Any]) -> None:
        """Refuse a document that another would read otherwise where its owner is."""
        for atom in parts_of(self._leave):
            if isinstance(atom, (Is, Has)):
                pending: list[Any] = [document]
                for step in path_of(atom):
                    for value in pending:
                        named_once(self._name, value)
                    pending = [found for each in pending for found in below(each, step)]

    def _born(self, update: object, asked: object) -> Mapping[str, Any]:
        """Return a change that inserts, if at all, a document of the caller's."""
        owned = None
        if isinstance(update, Mapping):
            owned = changes.born(
                update, self._leave, self._rule, self._reach.mine, asked
            )
        if owned is None:
            refuse(
                NOT_FOUND,
                f"{self._name}: what this upsert inserts might not be the caller's; "
                "say whose it is with $setOnInsert, and use no pipeline",
            )
        return owned

    def _refuse_foreign(self) -> NoReturn:
        refuse(
            NOT_FOUND,
            f"{self._name}: the document would not be the caller's to write, by "
            f"{self._rule.says[1]}",
        )

    def _refuse_change(self, update: object) -> NoReturn:
        if isinstance(update, Mapping):
            refuse(
                NOT_FOUND,
                f"{self._name}: the change would take documents out of what the caller "
                f"may write, by {self._rule.says[1]}",
            )
        refuse(
            UNFILTERED,
            f"{self._name}: it cannot be told what this pipeline does to the fields of "
            f"{self._rule.says[1]}; leave them alone in $set and $unset, or use "
            "operators",
        )
