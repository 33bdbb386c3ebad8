"""Refusing route tables whose order hides a route or loosens a policy.

The framework takes the first route that matches, and so does the guard. That is only
safe if the order says what the developer meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from ringfence.access import Policy
from ringfence.access.policy import Hierarchy, at_least_as_strict
from ringfence.errors import PlanError
from ringfence.frameworks.segments import Parameter, Reach, Segments, Tail
from ringfence.frameworks.table import Application, Branch, Leaf, Table

_WEBSOCKET = "WEBSOCKET"
_ANY_METHOD = "*"  # every method: taken only by what names none


def check_precedence(
    application: Application,
    policy_of: Callable[[Leaf], Policy],
    hierarchy: Hierarchy,
) -> None:
    """Refuse a table in which the framework's order goes against the policies.

    A narrower route may stand before a wider one whatever their policies
    (``/users/me`` before ``/users/{id}``), and so may routes that differ in method.

    Args:
        application: as its adapter read it.
        policy_of: who may use an entry point, rules included.
        hierarchy: which roles include which, complete.

    Raises:
        PlanError: a route can never be reached, or an earlier route with a looser
            policy answers paths of a later one.

    Not covered: patterns that cannot be understood from their template, such as those
    of custom convertors that match slashes.
    """
    earlier = _Earlier()
    for entry in _laid_out(application.table, _Above(), count()):
        if entry.leaf is not None:
            met = earlier.meeting(entry)
            _refuse_hidden(entry, entry.leaf, met)
            for other in met:
                _refuse_looser(other, entry, policy_of, hierarchy)
        earlier.add(entry)


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """An entry point with its whole path; or, without a leaf, the end of a branch,
    which lets nothing below its prefix through to later entries."""

    order: int
    reach: Reach
    host: str
    leaf: Leaf | None
    template: str

    def takes(self, method: str) -> bool:
        """Return whether requests with this method come here."""
        leaf = self.leaf
        if leaf is None or leaf.kind == "mount":
            return True
        if (leaf.kind == "websocket") != (method == _WEBSOCKET):
            return False
        return leaf.methods is None or method in leaf.methods

    def __str__(self) -> str:
        if self.leaf is None:
            return f"the mount or host at {self.template}"
        methods = sorted(self.leaf.methods or ()) or [self.leaf.kind]
        return f"{','.join(methods)} {self.leaf.path} [{self.leaf.place}]"


@dataclass(frozen=True, slots=True)
class _Above:
    segments: Segments = ()
    host: str = ""
    understood: bool = True

    def reach(self, reach: Reach) -> Reach:
        """Return a reach with the segments above it."""
        if not self.understood:
            return Reach(self.segments, Tail.SOME)
        return Reach(self.segments + reach.segments, reach.tail)


def _laid_out(table: Table, above: _Above, orders: Iterator[int]) -> Iterator[_Entry]:
    """Yield all entries of all tables in the order in which they are tried."""
    for one in (*table.entries, *table.fallbacks):
        if isinstance(one, Leaf):
            reach = above.reach(one.reach)
            yield _Entry(next(orders), reach, above.host, one, one.path)
        else:
            below = _below(one, above)
            yield from _laid_out(one.table, below, orders)
            end = Reach(below.segments, Tail.ALL if below.understood else Tail.SOME)
            yield _Entry(next(orders), end, below.host, None, one.template)


def _below(branch: Branch, above: _Above) -> _Above:
    if branch.by_host:
        return _Above(above.segments, branch.template, above.understood)
    understood = above.understood and branch.reach.tail is Tail.ALL
    return _Above(above.reach(branch.reach).segments, above.host, understood)


def _refuse_hidden(entry: _Entry, leaf: Leaf, met: Iterable[_Entry]) -> None:
    """A route that is never reached is a mistake: its policy protects nothing."""
    if leaf.methods == frozenset({"HEAD"}):
        return  # frameworks add HEAD to GET; one of its own is superfluous at worst
    hiding = [other for other in met if other.reach.covers(entry.reach)]
    by = [
        next((other for other in hiding if other.takes(method)), None)
        for method in _methods(leaf)
    ]
    if None in by:
        return
    names = " and ".join(dict.fromkeys(map(str, by)))
    message = (
        f"{entry} can never be reached, because {names}, declared before it, answers "
        "all its paths; declare the narrower one first, or remove one of them"
    )
    raise PlanError(message)


def _refuse_looser(
    earlier: _Entry,
    entry: _Entry,
    policy_of: Callable[[Leaf], Policy],
    hierarchy: Hierarchy,
) -> None:
    """An earlier route that answers paths of a later one by a looser policy opens what
    the later one was meant to close."""
    if earlier.leaf is None or entry.leaf is None:
        return
    if not _share_method(earlier, entry) or earlier.reach.precedes(entry.reach):
        return
    found, wanted = policy_of(earlier.leaf), policy_of(entry.leaf)
    if at_least_as_strict(found, wanted, hierarchy):
        return
    message = (
        f"{earlier} ({found}) answers some paths of {entry} ({wanted}), which is "
        "stricter; declare the stricter one first, or give both the same policy"
    )
    raise PlanError(message)


def _methods(leaf: Leaf) -> tuple[str, ...]:
    if leaf.kind == "websocket":
        return (_WEBSOCKET,)
    if leaf.kind == "mount":
        return (_WEBSOCKET, _ANY_METHOD)
    return tuple(sorted(leaf.methods)) if leaf.methods else (_ANY_METHOD,)


def _share_method(first: _Entry, second: _Entry) -> bool:
    return any(
        one.leaf is not None and any(map(other.takes, _methods(one.leaf)))
        for one, other in ((first, second), (second, first))
    )


class _Earlier:
    """The entries so far, found by their segments: comparing each with each would take
    seconds for a thousand routes."""

    __slots__ = ("entries", "literals", "others")

    def __init__(self) -> None:
        self.entries: list[_Entry] = []  # whose segments end here
        self.literals: dict[str, _Earlier] = {}
        self.others: _Earlier | None = None

    def add(self, entry: _Entry) -> None:
        """Remember an entry."""
        node = self
        for segment in entry.reach.segments:
            if isinstance(segment, Parameter):
                node.others = node.others or _Earlier()
                node = node.others
            else:
                node = node.literals.setdefault(segment, _Earlier())
        node.entries.append(entry)

    def meeting(self, entry: _Entry) -> list[_Entry]:
        """Return the entries that answer some path of this one, in order.

        What cannot be understood is left out: a false alarm would stop an honest app.
        """
        if entry.reach.tail is Tail.SOME:
            return []
        found = [
            other
            for other in self.near(
                entry.reach.segments, 0, deeper=bool(entry.reach.tail)
            )
            if other.host in {"", entry.host}
            and other.reach.tail is not Tail.SOME
            and other.reach.meets(entry.reach)
        ]
        return sorted(found, key=lambda other: other.order)

    def near(self, segments: Segments, at: int, *, deeper: bool) -> Iterator[_Entry]:
        """Yield the entries whose segments may meet these, from the one ``at``."""
        yield from self.entries
        ended = at == len(segments)
        if ended and not deeper:
            return
        segment = None if ended else segments[at]
        if isinstance(segment, str):
            below = [self.literals[segment]] if segment in self.literals else []
        else:
            below = list(self.literals.values())
        if self.others is not None:
            below.append(self.others)
        for node in below:
            yield from node.near(segments, min(at + 1, len(segments)), deeper=deeper)
