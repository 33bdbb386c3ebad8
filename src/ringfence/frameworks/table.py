"""A framework's route table, read into one shape that the guard understands.

An adapter reads a framework's own objects, never a retyped list, into a ``Table``:
entries in the framework's order of precedence. A ``Leaf`` is an entry point, a
``Branch`` a prefix or a host with a table of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from ringfence.access import Policy
from ringfence.exchange import ASGIApp, Scope
from ringfence.frameworks.sealed import RouteList
from ringfence.frameworks.segments import EVERYWHERE, Reach
from ringfence.interpreters.validation.intake import Takes
from ringfence.marks import Mark

Wrap = Callable[[ASGIApp], ASGIApp]

Enter = Callable[[Scope], ASGIApp | None]
"""Writes into the scope what the framework writes once it has found an entry, and
returns what it then calls; ``None`` if it would not have found this one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the developer's source a route comes from.

    Args:
        file: path as Python reports it; empty when it cannot be told.
        line: first line, 0 when it cannot be told.
        name: the qualified name of the handler.
    """

    file: str = ""
    line: int = 0
    name: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file else "unknown place"
        return f"{self.name} ({where})" if self.name else where


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry point of the application.

    Args:
        kind: ``http``, ``websocket``, or ``mount`` for a foreign application or static
            files, which answer every path and method below their prefix.
        path: the full template with all prefixes, ``/api/orders/{order_id}``.
        pattern: the framework's own compiled pattern, applied with ``match`` to the
            path as it arrives in this table (a branch hands on the rest of the path,
            starting with ``/``).
        template: the part of ``path`` that ``pattern`` was compiled from.
        methods: the methods that the framework routes here; ``None`` means every one.
        place: where the handler is defined.
        policy: what the developer declared, all marks combined; ``None`` if nothing.
        bind: replaces the application that the framework calls for this entry by
            ``wrap(that application)``. Called once.
        reach: the paths that the template can match, wide enough to hold whatever
            ``pattern`` matches.
        integers: names of the pattern's groups that the framework turns into ``int``.
        sample: a path (as it arrives in this table) that the pattern matches and that
            is used to rehearse; empty when none can be made.
        is_docs: the framework made this route itself, for its documentation pages, and
            nobody has said anything about it in particular.
        host: the pattern of the Host header as text, empty for every host.
        marks: what else was declared beside the route, the outermost first.
        takes: what the framework reads into models for this entry; ``None`` where it
            reads nothing, or that cannot be known.
        enter: goes straight to this entry where the guard has found it already;
            ``None`` where the framework has to search for it again.
    """

    kind: str
    path: str
    pattern: re.Pattern[str]
    template: str
    methods: frozenset[str] | None
    place: Place
    policy: Policy | None
    bind: Callable[[Wrap], None]
    reach: Reach = EVERYWHERE
    integers: tuple[str, ...] = ()
    sample: str = ""
    is_docs: bool = False
    host: str = ""
    marks: tuple[Mark, ...] = ()
    takes: Takes | None = None
    enter: Enter | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """A prefix or a host behind which another table begins. It never falls through:
    what its table does not know is not found.

    Args:
        pattern: the framework's own pattern, for a prefix with a group named ``path``
            that holds the rest without its slash.
        template: the prefix that the pattern was compiled from, or the host.
        table: what begins behind it.
        reach: as on a leaf.
        integers: as on a leaf.
        by_host: the pattern is matched against the host, without port, lower case.
        sample: a path prefix (or a host) that the pattern matches, to rehearse; for a
            prefix without its last slash.
        transparent: nothing of the user's stands between this branch and its table,
            so that rehearsals must get through.
    """

    pattern: re.Pattern[str]
    template: str
    table: Table
    reach: Reach = EVERYWHERE
    integers: tuple[str, ...] = ()
    by_host: bool = False
    sample: str | None = None
    transparent: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """One router's entries, in the order in which the framework tries them.

    Args:
        entries: first match wins; a match of the path with another method is
            remembered and answered with 405 if nothing else matches.
        redirect_slashes: the framework redirects ``/a/`` to ``/a`` and back.
        fallbacks: entries tried after everything else, the first that matches wins
            (``app.frontend`` of FastAPI, most specific first).
        root_path: what the application behind this table takes for its own
            ``root_path``, whatever the server or a mount said; empty to keep theirs.
    """

    entries: tuple[Leaf | Branch, ...]
    redirect_slashes: bool = False
    fallbacks: tuple[Leaf, ...] = ()
    root_path: str = ""


class Answered(Enum):
    """What a framework's own router says where no endpoint is meant."""

    ITSELF = "itself"


ANSWERED = Answered.ITSELF
"""The framework answers by itself: 405 for another method."""

Choose = Callable[[str, str, str], Leaf | Answered | None]
"""Return the entry point for a method (``WEBSOCKET`` for handshakes), a path and the
server's ``root_path``, ``ANSWERED``, or ``None`` where there is nothing."""


@dataclass(frozen=True, slots=True)
class Application:
    """An application as its adapter read it.

    Args:
        framework: ``starlette``, ``fastapi``, ``litestar`` or ``plain``.
        table: its routes.
        router: the ASGI callable that routes, below the application's own middleware;
            rehearsals are sent there.
        lists: the framework's own route lists, to be sealed.
        debug: the application sends traces to clients.
        middleware: names of the user's middleware, outermost first.
        notes: what a reader of the plan should know, in sentences.
        input_errors: what the framework raises about input that it does not accept;
            each has a method ``errors`` that tells which fields are meant.
        lead: makes the router ask first where to go, before it searches; given what
            answers for a scope, as ``Enter`` does.
        answers_itself: what is no entry point by its method, or for its slash, may be
            handed on for a 405 or a redirect: no endpoint can be entered by it.
        choose: asks the framework's own router, where that can be done without entering
            anything; else the patterns of the table decide, in its order.
    """

    framework: str
    table: Table
    router: ASGIApp
    lists: tuple[RouteList, ...] = ()
    debug: bool = False
    middleware: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    input_errors: tuple[type[Exception], ...] = ()
    lead: Callable[[Enter], None] | None = None
    answers_itself: bool = True
    choose: Choose | None = None

    def leaves(self) -> Iterator[Leaf]:
        """Yield every entry point, in the order of the tables."""
        return leaves(self.table)


def leaves(table: Table) -> Iterator[Leaf]:
    """Yield every entry point of a table and of the tables behind it, in order."""
    for entry in table.entries:
        if isinstance(entry, Leaf):
            yield entry
        else:
            yield from leaves(entry.table)
    yield from table.fallbacks
