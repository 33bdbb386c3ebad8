"""What the running code may reach: decided anew at every call of a collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from ringfence.access.mongo.filters import Filter, both, filter_of
from ringfence.access.ownership.acting import acting
from ringfence.access.ownership.conditions import Condition, Subject, TableRule, all_of
from ringfence.access.ownership.escape import Unscoped
from ringfence.access.ownership.refusals import UNFILTERED, refuse
from ringfence.access.ownership.views import View, Views, value_of
from ringfence.audit.events import Event, OwnershipLifted
from ringfence.exchange import active
from ringfence.principal import Principal


@dataclass(frozen=True, slots=True)
class Reach:
    """What somebody may do with the documents of each collection.

    Args:
        principal: who; ``None`` for nobody.
        view: what principals of this kind may do.
        rules: by collection, what was declared.
    """

    principal: Principal | None
    view: View
    rules: Mapping[str, TableRule]

    def mine(self, subject: Subject) -> str:
        """Return the id, or the tenant, of whoever asks; empty for none."""
        return "" if self.principal is None else value_of(self.principal, subject)

    def declared(self, name: str) -> TableRule:
        """Return what is declared of a collection.

        Raises:
            OwnershipRefusedError: nothing is.
        """
        rule = self.rules.get(name)
        if rule is None:
            undeclared(name)
        return rule

    def readable(self, name: str, theirs: Filter | None = None) -> Filter:
        """Return the filter for reading, with the caller's in it.

        Raises:
            OwnershipRefusedError: nothing is declared of the collection.
        """
        self.declared(name)
        return both(filter_of(self.view.read[name], self.mine), theirs)

    def writable(
        self,
        name: str,
        theirs: Filter | None,
        further: Condition,
        *,
        born: bool = False,
    ) -> Filter:
        """Return the filter for changing, with the caller's in it.

        Args:
            name: of the collection.
            theirs: which documents the caller has asked for.
            further: what must be true of them besides.
            born: the change may insert; see ``filter_of``.
        """
        condition = all_of((self.view.write[name], further))
        return both(filter_of(condition, self.mine, born=born), theirs)


class Gate:
    """Knows, for all collections of a database, what the running code may reach.

    Args:
        rules: of the collections.
    """

    def __init__(self, rules: Mapping[str, TableRule]) -> None:
        self.rules = rules
        self._views: Views | None = None
        self._record: Callable[[Event], None] | None = None

    def bind(self, views: Views, record: Callable[[Event], None]) -> None:
        """Take from the guard what principals may do, and where events go."""
        self._views, self._record = views, record

    def reach(self, name: str) -> Reach | None:
        """Return what the running code may reach; ``None`` inside ``unscoped``, which
        the ledger then knows of.

        Args:
            name: of the collection that is asked.

        Raises:
            RuntimeError: no guard knows of this database.
        """
        views, record = self._views, self._record
        if views is None or record is None:
            raise RuntimeError(
                "no guard knows this database, so that nobody knows what roles may do: "
                "write Guard(app, data=documents)"
            )
        actor = acting()
        if not isinstance(actor, Unscoped):
            _refuse_line_end(actor)
            return Reach(actor, views.of(actor), self.rules)
        if not actor.told:
            record(_lifted(actor, name))
            actor.told = True
        return None


def undeclared(name: str) -> NoReturn:
    """Refuse to touch a collection of which nobody has said whose it is.

    Raises:
        OwnershipRefusedError: always.
    """
    refuse(
        UNFILTERED,
        f"nothing says whose the documents of {name} are: add it to the OwnedDatabase, "
        f'as in {{"{name}": access.owner("owner_id")}}',
    )


def _refuse_line_end(principal: Principal | None) -> None:
    """Refuse an id whose last character a pattern would overlook: what ends in ``$``
    matches in front of a last line feed as well."""
    if principal is not None and "\n" in (principal.id[-1:], principal.tenant[-1:]):
        refuse(UNFILTERED, "the id or the tenant of the principal ends in a line feed")


def _lifted(escape: Unscoped, name: str) -> OwnershipLifted:
    exchange = active.get()
    if exchange is None:
        return OwnershipLifted(reason=escape.reason, table=name)
    principal = exchange.principal
    return OwnershipLifted(
        request_id=exchange.request_id,
        client=exchange.client,
        account="" if principal is None else principal.id,
        reason=escape.reason,
        table=name,
    )
