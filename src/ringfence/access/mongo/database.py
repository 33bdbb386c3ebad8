"""A database of MongoDB in which every collection says whose its documents are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.synchronous.collection import Collection
from pymongo.synchronous.database import Database

from ringfence.access.mongo.collection import OwnedCollection
from ringfence.access.mongo.declared import names_of, rule_of
from ringfence.access.mongo.reach import Gate, undeclared
from ringfence.access.ownership.conditions import TableRule
from ringfence.access.ownership.refusals import UNFILTERED, refuse
from ringfence.access.ownership.rules import Declared
from ringfence.access.ownership.views import Views
from ringfence.access.policy import Hierarchy
from ringfence.audit.events import Event


class OwnedDatabase:
    """Has the collections of a database, each with the documents of its caller alone.

    Say whose they are once, and hand it to the guard::

        documents = OwnedDatabase(
            AsyncMongoClient(url)["shop"],
            {
                "orders": access.owner("owner_id"),
                "reviews": access.rows(access.public, write=access.owner("author_id")),
            },
        )
        app = Guard(api, data=documents)

        await documents.orders.find_one({"_id": order_id})

    ``documents["orders"]`` and ``documents.orders`` have the methods of pymongo's
    collections; see ``OwnedCollection``. A collection of which nothing is declared is
    refused, and so is everything else that a database can do, but for code inside
    ``unscoped("reason")``.

    Args:
        database: of a ``MongoClient`` or an ``AsyncMongoClient``.
        collections: by name, who reads and writes which documents. Paths are those of
            MongoDB (``access.owner("meta.owner")``) and lead through arrays: a field
            that holds several ids belongs to each of them.

    Raises:
        TypeError: no database of pymongo's, or no rules.
        DeclarationError: a rule that leads to another collection.

    Not covered: the bare database and client, which stay the application's own; what
    was taken out of the owned one inside ``unscoped``; GridFS; ids that are not text:
    an ``ObjectId`` is nobody's.
    """

    def __init__(
        self,
        database: Database[Any] | AsyncDatabase[Any],
        collections: Mapping[str, Declared],
    ) -> None:
        if not isinstance(database, (Database, AsyncDatabase)):
            raise TypeError(
                'OwnedDatabase takes a database of pymongo, as in client["shop"]; not '
                f"{database!r}"
            )
        names_of(collections)
        self._database = database
        self._gate = Gate(
            {name: rule_of(name, collections[name]) for name in collections}
        )

    def bind(self, hierarchy: Hierarchy, record: Callable[[Event], None]) -> None:
        """Take from the guard what roles include and where events go. No I/O."""
        self._gate.bind(Views(self.rules(), hierarchy), record)

    def rules(self) -> Sequence[TableRule]:
        """Return what is enforced, for the plan."""
        return tuple(self._gate.rules.values())

    def open(self) -> OwnedDatabase:
        """Return itself: what may be reached is decided at every call."""
        return self

    def close(self) -> None:
        """Do nothing: the client is the application's, which closes it."""

    async def dispose(self) -> None:
        """Do nothing, for the same reason."""

    def __repr__(self) -> str:
        return f"OwnedDatabase({self._database.name!r})"

    def __getitem__(self, name: str) -> OwnedCollection:
        if name not in self._gate.rules and self._gate.reach(name) is not None:
            undeclared(name)
        return OwnedCollection(self._gate, self._database[name])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"OwnedDatabase has no {name}")
        if name in self._gate.rules:
            return self[name]
        is_pymongos = hasattr(type(self._database), name)
        if self._gate.reach(name) is None:
            found = getattr(self._database, name)
            is_collection = isinstance(found, (Collection, AsyncCollection))
            return OwnedCollection(self._gate, found) if is_collection else found
        if is_pymongos:
            refuse(
                UNFILTERED,
                f"database.{name} is refused: no filter holds it to the caller's "
                'documents; it needs unscoped("reason")',
            )
        raise AttributeError(
            f"nothing says whose the documents of {name} are: add it to the "
            f'OwnedDatabase, as in {{"{name}": access.owner("owner_id")}}'
        )
