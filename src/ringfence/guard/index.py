"""Which plan belongs to a request, by the framework's own rules.

The framework's compiled patterns decide, in the framework's order. What is added is
only speed: a dictionary for paths without parameters, decided once at start-up, and a
tree of segments that leaves out the patterns which cannot match. So the cost stays
the same from ten routes to a thousand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from ringfence.frameworks.segments import Parameter, Reach, Segments
from ringfence.frameworks.table import Application, Branch, Choose, Leaf, Table
from ringfence.guard.plan import RoutePlan

PlanOf = Callable[[Leaf], RoutePlan]

_WEBSOCKET = "WEBSOCKET"
_HOST = re.compile(
    r"(?P<name>[a-z0-9._~%!$&'()*+,;=-]+|\[[a-z0-9._~!$&'()*+,;=:-]+\])(?::[0-9]+)?"
)


class Index(Protocol):
    """Finds the plan that belongs to a request."""

    fixed: Mapping[str, Mapping[str, RoutePlan]]
    """Plans by path and method, where these two decide alone: on every host, without a
    ``root_path``. What is not in it must be looked for with ``find``."""

    def find(
        self, method: str, path: str, host: str, root_path: str = ""
    ) -> RoutePlan | None:
        """Return the plan, or ``None`` where the framework has no endpoint.

        Args:
            method: as it arrived; ``WEBSOCKET`` for the handshake of a WebSocket.
            path: ``scope["path"]``.
            host: the Host header in lower case, with its port if it has one.
            root_path: ``scope["root_path"]`` as the server set it.
        """


def compile_index(
    application: Application, plan_of: PlanOf, answer: RoutePlan
) -> Index:
    """Make the index of an application.

    Args:
        application: as its adapter read it.
        plan_of: the plan of each entry point.
        answer: the plan of what the framework answers itself: 405 and the redirects
            of slashes. No endpoint may be entered under it.
    """
    if application.choose is not None:
        return _Asked(application, application.choose, plan_of, answer)
    return _Level(application.table, plan_of, answer)


def route_path(path: str, root_path: str) -> str:
    """Return what a router below ``root_path`` matches its patterns against.

    A path outside ``root_path`` stays whole, as in the frameworks.
    """
    if not root_path or not path.startswith(root_path):
        return path
    rest = path[len(root_path) :]
    return rest if not rest or rest[0] == "/" else path


def _decided(fixed: Mapping[str, _Fixed]) -> dict[str, dict[str, RoutePlan]]:
    return {
        path: {method: plan for method, plan in plans.items() if plan is not None}
        for path, (plans, _) in fixed.items()
    }


class _Asked:
    """Asks the framework's own router, so that there is only one opinion."""

    __slots__ = ("_answer", "_choose", "_plan_of", "fixed")

    def __init__(
        self,
        application: Application,
        choose: Choose,
        plan_of: PlanOf,
        answer: RoutePlan,
    ) -> None:
        self._choose = choose
        self._plan_of = plan_of
        self._answer = answer
        self.fixed: Mapping[str, Mapping[str, RoutePlan]] = dict(
            self._fixed_paths(application)
        )

    def find(
        self, method: str, path: str, host: str, root_path: str = ""
    ) -> RoutePlan | None:
        chosen = self._choose(method, path, root_path)
        if isinstance(chosen, Leaf):
            return self._plan_of(chosen)
        return None if chosen is None else self._answer

    def _fixed_paths(
        self, application: Application
    ) -> Iterator[tuple[str, Mapping[str, RoutePlan]]]:
        methods: dict[str, set[str]] = {}
        for leaf in application.leaves():
            segments = leaf.reach.segments
            if leaf.reach.tail or not all(isinstance(one, str) for one in segments):
                continue
            path = "".join(f"/{segment}" for segment in segments)
            methods.setdefault(path, set()).update(leaf.methods or (_WEBSOCKET,))
        for path, names in methods.items():
            found = {name: self.find(name, path, "") for name in names}
            yield path, {name: plan for name, plan in found.items() if plan is not None}


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """One entry of a table, with what is needed to decide about a path."""

    order: int
    match: Callable[[str], re.Match[str] | None]
    reach: Reach
    http: bool
    websocket: bool
    methods: frozenset[str] | None
    integers: tuple[str, ...]
    plan: RoutePlan | None
    below: _Level | None
    by_host: bool


_Candidates = tuple[_Candidate, ...]
_Fixed = tuple[dict[str, RoutePlan | None], RoutePlan | None]


class _Level:
    """One compiled table; the index is the one at the top."""

    __slots__ = (
        "_answer",
        "_fallbacks",
        "_fixed",
        "_redirects",
        "_root_path",
        "_tree",
        "fixed",
    )

    def __init__(self, table: Table, plan_of: PlanOf, answer: RoutePlan) -> None:
        entries = _candidates(table.entries, plan_of, answer)
        self._answer = answer
        self._root_path = table.root_path
        self._redirects = table.redirect_slashes
        self._fallbacks = _candidates(table.fallbacks, plan_of, answer)
        self._tree = _Node.tree(entries)
        self._fixed = dict(self._fixed_paths(entries))
        self.fixed: Mapping[str, Mapping[str, RoutePlan]] = (
            {} if self._root_path else _decided(self._fixed)
        )

    def find(
        self, method: str, path: str, host: str, root_path: str = ""
    ) -> RoutePlan | None:
        root_path = self._root_path or root_path
        rest = route_path(path, root_path) if root_path else path
        fixed = self._fixed.get(rest)
        if fixed is not None:
            plans, others = fixed
            plan = plans.get(method, others)
            if plan is not None:
                return plan
        return self._search(method, path, rest, host, root_path)

    def _search(
        self, method: str, path: str, rest: str, host: str, root_path: str
    ) -> RoutePlan | None:
        websocket = method == _WEBSOCKET
        by_other_method = False
        for one in self._tree.candidates(rest):
            if not (one.websocket if websocket else one.http):
                continue
            found = one.match(_name_of(host) if one.by_host else rest)
            if found is None:
                continue
            if one.integers and not _convertible(found, one.integers):
                return None
            if one.below is not None:
                if not one.by_host:
                    root_path += rest[: -len(found["path"]) - 1]
                return one.below.find(method, path, host, root_path)
            if one.methods is None or method in one.methods:
                return one.plan
            by_other_method = True
        if by_other_method:
            return self._answer
        return self._search_further(method, path, rest, host, root_path)

    def _search_further(
        self, method: str, path: str, rest: str, host: str, root_path: str
    ) -> RoutePlan | None:
        websocket = method == _WEBSOCKET
        if self._redirects and not websocket and rest != "/":
            other = path.rstrip("/") if rest.endswith("/") else path + "/"
            if self._knows(route_path(other, root_path), host):
                return self._answer
        for one in self._fallbacks:
            if (one.websocket if websocket else one.http) and one.match(rest):
                return one.plan
        return None

    def _knows(self, rest: str, host: str) -> bool:
        """Return whether some route for HTTP matches, by whatever method."""
        return any(
            one.http and one.match(_name_of(host) if one.by_host else rest)
            for one in self._tree.candidates(rest)
        )

    def _fixed_paths(self, entries: _Candidates) -> Iterator[tuple[str, _Fixed]]:
        """Yield each path without parameters with its plan for each method, and for
        all other methods; ``None`` where that depends on more than the method."""
        literal = {
            cast("tuple[str, ...]", one.reach.segments)
            for one in entries
            if not one.reach.tail
            and all(isinstance(segment, str) for segment in one.reach.segments)
        }
        for segments in literal:
            path = "".join(f"/{segment}" for segment in segments)
            candidates = self._tree.candidates(path)
            named = {_WEBSOCKET}.union(*(one.methods or () for one in candidates))
            plans = {name: self._decide(candidates, name, path) for name in named}
            yield path, (plans, self._decide(candidates, "", path))

    def _decide(
        self, candidates: _Candidates, method: str, path: str
    ) -> RoutePlan | None:
        by_other_method = False
        for one in candidates:
            if not (one.websocket if method == _WEBSOCKET else one.http):
                continue
            if one.by_host:
                return None
            if one.match(path) is None:
                continue
            if one.below is not None or one.integers:
                return None
            if one.methods is None or method in one.methods:
                return one.plan
            by_other_method = True
        return self._answer if by_other_method else None


class _Node:
    """One step of the tree of segments: what may match a path that led here.

    Args:
        above: what may match any path that led here, because its own segments end
            above and a tail follows.
    """

    __slots__ = ("ends", "literals", "other", "rest")

    def __init__(self, above: _Candidates) -> None:
        self.ends = above  # for a path that ends here
        self.rest = above  # for a path that goes on where no branch leads
        self.literals: dict[str, _Node] = {}
        self.other: _Node | None = None

    @classmethod
    def tree(cls, entries: _Candidates) -> _Node:
        """Grow the tree; what has the shortest segments first, so that tails are known
        to all nodes below."""
        root = cls(())
        for one in sorted(entries, key=lambda one: len(one.reach.segments)):
            root.grow(one.reach.segments).hold(one)
        return root

    def grow(self, segments: Segments) -> _Node:
        """Return the node that these segments lead to, grown as needed."""
        node = self
        for segment in segments:
            if isinstance(segment, Parameter):
                following = node.other = node.other or _Node(node.rest)
            else:
                following = node.literals.setdefault(segment, _Node(node.rest))
            node = following
        return node

    def hold(self, one: _Candidate) -> None:
        """Add an entry whose segments lead here."""
        self.ends = _in_order((*self.ends, one))
        if one.reach.tail:
            self.rest = _in_order((*self.rest, one))

    def candidates(self, path: str) -> _Candidates:
        """Return every entry whose pattern may match, in the framework's order."""
        # ``$`` in a pattern also matches before a last line feed
        return self.walk(path.removesuffix("\n").split("/"), 1)

    def walk(self, segments: list[str], start: int) -> _Candidates:
        """Return the candidates for the segments from ``start`` on."""
        node = self
        for at in range(start, len(segments)):
            following = node.literals.get(segments[at])
            if following is None:
                following = node.other
                if following is None:
                    return node.rest
            elif node.other is not None:
                known = following.walk(segments, at + 1)
                return _in_order({*known, *node.other.walk(segments, at + 1)})
            node = following
        return node.ends


def _in_order(candidates: Iterable[_Candidate]) -> _Candidates:
    return tuple(sorted(candidates, key=lambda one: one.order))


def _candidates(
    entries: tuple[Leaf | Branch, ...], plan_of: PlanOf, answer: RoutePlan
) -> _Candidates:
    return tuple(
        _of_leaf(order, one, plan_of(one))
        if isinstance(one, Leaf)
        else _of_branch(order, one, _Level(one.table, plan_of, answer))
        for order, one in enumerate(entries)
    )


def _of_leaf(order: int, leaf: Leaf, plan: RoutePlan) -> _Candidate:
    return _Candidate(
        order=order,
        match=leaf.pattern.match,
        reach=leaf.reach,
        http=leaf.kind != "websocket",
        websocket=leaf.kind != "http",
        methods=leaf.methods,
        integers=leaf.integers,
        plan=plan,
        below=None,
        by_host=False,
    )


def _of_branch(order: int, branch: Branch, below: _Level) -> _Candidate:
    return _Candidate(
        order=order,
        match=branch.pattern.match,
        reach=branch.reach,
        http=True,
        websocket=True,
        methods=None,
        integers=branch.integers,
        plan=None,
        below=below,
        by_host=branch.by_host,
    )


def _name_of(host: str) -> str:
    """Return the host without its port; nothing for what is no host, since patterns of
    hosts match no empty text."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found["name"]


def _convertible(found: re.Match[str], integers: tuple[str, ...]) -> bool:
    """Return whether the framework can turn these groups into integers.

    Python refuses very long ones (CVE-2020-10735), and the framework answers 500.
    """
    limit = sys.get_int_max_str_digits()
    return not limit or all(len(found[name]) <= limit for name in integers)
