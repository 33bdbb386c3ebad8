"""The proof: what one has made is neither seen, found, guessed nor changed by another.

The order matters. Another reads everything before the owner has anything, so that what
differs afterwards is the owner's doing. What only reads comes before what changes, and
what destroys comes last. The owner looks at everything again at the end; only if
something has changed is it all sent once more, one request at a time, to find out by
which.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from ringfence.guard.asgi import Guard
from ringfence.testing.trespass.answers import (
    Answer,
    differ,
    differ_beyond,
    difference,
    marks_in,
    read,
)
from ringfence.testing.trespass.findings import Finding, Kind, Proof, Unproven
from ringfence.testing.trespass.forms import forms_on
from ringfence.testing.trespass.judge import is_function, judge
from ringfence.testing.trespass.parties import Client, Party, Stage
from ringfence.testing.trespass.routes import Route, routes_of
from ringfence.testing.trespass.tries import Request, Script, Try, Writer
from ringfence.testing.visitor import Visitor, signed_in

Create = Callable[[Any, Party], Mapping[str, object]]
"""Makes objects with a client as a party; returns path parameters with their ids."""

SignIn = Callable[..., AbstractContextManager[Visitor]]

_OWNER, _ANOTHER = _PARTIES = ("the owner", "another")
_GONE = {404, 409, 410}
_NOT_TAKEN = {400, 422}
_NOT_SIGNED_IN = 401
_STATE = "state()"


def prove_no_trespass(guard: Guard, client: Client, **terms: Any) -> Proof:
    """Fail with a list of what got through, if anything did.

    Args:
        guard: of the application.
        client: talks to it.
        terms: as in ``find_trespass``.

    Raises:
        AssertionError: something got through, or nothing could be found out about a
            route; says what, why that is wrong, and what mends it.
    """
    proof = find_trespass(guard, client, **terms)
    if not proof.holds:
        raise AssertionError(str(proof))
    return proof


def find_trespass(  # noqa: PLR0913 - each by its name, and all but one optional
    guard: Guard,
    client: Client,
    *,
    create: Create,
    shared: Mapping[str, str] | None = None,
    public: Collection[str] = (),
    skip: Mapping[str, str] | None = None,
    bodies: Mapping[str, Mapping[str, Any]] | None = None,
    roles: Iterable[str] = (),
    tenants: tuple[str, str] = ("", ""),
    state: Callable[[Party], object] | None = None,
    sign_in: SignIn = signed_in,
) -> Proof:
    """Create objects as one, try every route of the plan as another and as nobody, and
    return what got through.

    Two accounts are made. ``create`` is called for each::

        def create(client, party):
            order = client.post("/orders", json={"note": party.marker}).json()
            return {"order_id": order["id"], "user_id": party.id}

        prove_no_trespass(guard, client, create=create)

    Everything else is derived: addresses from the plan, bodies from the models of the
    routes or from the forms of pages, and requests that claim in a query, a header or a
    field to be about the owner.

    Args:
        guard: in development, with limits that only watch.
        client: talks to the guard, whose lifespan is running; synchronous.
        create: makes objects and returns path parameters with their ids. A name such as
            ``id`` that means different things is written with its template:
            ``{"/orders/{id}": "7"}``.
        shared: path parameters whose values belong to nobody: a product, a language.
        public: routes whose answers may hold anybody's, as ``/reviews`` or
            ``GET /reviews``.
        skip: routes that are not tried, each with the reason.
        bodies: what routes take that do not say it themselves:
            ``{"POST /import": {"content": "<a/>", "headers": {...}}}``, with ``json``,
            ``data`` or ``content``.
        roles: of both accounts.
        tenants: of the owner, and of the other; empty for none.
        state: returns what a database holds of the owner, for what no route shows.
        sign_in: signs the client in, as ``signed_in`` does.

    Returns:
        What got through, and the routes of which nothing could be found out.

    Raises:
        ValueError: a route that is named does not exist.
        ThrottledError: a rate limit has answered (an ``AssertionError``).

    Source: OWASP API1:2023, API3:2023, API5:2023; ASVS 5.0 V8.2.1, V8.2.2; CWE-639.

    Not covered: WebSockets, mounted applications and files, the guard's own routes;
    objects that ``create`` does not make; differences in time; what only somebody with
    another role could reach; chains of requests.
    """
    held = frozenset(roles)
    routes = routes_of(
        guard, roles=held, public=public, skip=skip or {}, bodies=bodies or {}
    )
    with ExitStack() as stack:
        stage = Stage(client)
        stack.enter_context(stage.cleared())
        enter = partial(sign_in, client, guard, roles=held)
        arrive = _arrivals(
            stage, stack, enter, dict(zip(_PARTIES, tenants, strict=True))
        )
        world = _World(arrive, create, state)
        return _Run(routes, stage, world, shared or {}).proof()


def _arrivals(
    stage: Stage, stack: ExitStack, sign_in: SignIn, tenants: Mapping[str, str]
) -> Callable[[str], Party]:
    """Return what makes a party with an account of its own."""

    def arrive(says: str) -> Party:
        party = Party(says, f"mark{secrets.token_hex(8)}")
        stage.enter(party)
        tenant = {"tenant": tenants[says]} if tenants[says] else {}
        visitor = stack.enter_context(sign_in(**tenant))
        stack.callback(stage.enter, party)
        stage.keep(party)
        party.id, party.email = visitor.id, visitor.email
        return party

    return arrive


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a party has read, by route.

    Args:
        answers: to each.
        steady: the routes that answer alike when they are asked twice.
        state: of the owner in a database.
    """

    answers: Mapping[Route, Answer]
    steady: frozenset[Route]
    state: object = None


@dataclass(frozen=True, slots=True)
class _World:
    """How parties and their objects come about.

    Args:
        arrive: makes a party with an account.
        create: makes its objects.
        state: returns what a database holds of the owner.
    """

    arrive: Callable[[str], Party]
    create: Create
    state: Callable[[Party], object] | None


class _Run:
    """One proof, while it is made.

    Args:
        routes: what is tried.
        stage: lends the client.
        world: how parties and their objects come about.
        shared: path parameters whose values belong to nobody.
    """

    def __init__(
        self,
        routes: list[Route],
        stage: Stage,
        world: _World,
        shared: Mapping[str, str],
    ) -> None:
        self._routes = routes
        self._stage = stage
        self._world = world
        self._owner, self._another = world.arrive(_OWNER), world.arrive(_ANOTHER)
        self._nobody = Party("nobody")
        self._writer = Writer(self._owner, shared)
        self._script = Script(self._another, self._nobody, self._writer)
        self._findings: dict[tuple[Kind, Route], Finding] = {}
        self._unproven: dict[Route, Unproven] = {}

    def proof(self) -> Proof:
        self._make(self._another)
        # As if they were the owner's, to fill addresses before there are any.
        self._owner.ids = dict(self._another.ids)
        self._name_unknown()
        before = self._read_twice(self._another)
        self._take_forms(before)
        self._make(self._owner)
        theirs = self._read_twice(self._owner)
        self._compare_readings(before, theirs)
        for route in self._tried(safe=True):
            for one in self._script.all(route):
                self._try(one)
        sent = [one for route in self._tried(safe=False) for one in self._attack(route)]
        self._find_changes(theirs, sent)
        self._must_be_signed_in(before)
        return Proof(
            tuple(self._findings.values()),
            tuple(self._unproven.values()),
            len(self._routes),
            self._stage.sent,
        )

    # What belongs to whom.

    def _make(self, party: Party) -> None:
        client = self._stage.enter(party)
        made = self._world.create(client, party)
        party.ids = {name: str(value) for name, value in made.items()}

    def _name_unknown(self) -> None:
        for route in self._routes:
            unknown = [
                name
                for name in route.parameters
                if not self._writer.knows_name(route, name)
            ]
            if unknown and route.admits:
                self._unprove(
                    route,
                    f"no value for {{{unknown[0]}}}: return it from create, or name it "
                    "in shared where it is nobody's",
                )

    def _tried(self, *, safe: bool) -> Iterator[Route]:
        for route in self._routes:
            if route.is_safe is safe and self._writer.knows(route):
                yield route

    # Reading.

    def _read(self, party: Party, routes: Iterable[Route]) -> dict[Route, Answer]:
        return {
            route: self._send(self._script.honest(route, party))[1] for route in routes
        }

    def _read_twice(self, party: Party) -> _Reading:
        """Read everything that only reads, twice, to learn what differs each time."""
        routes = [r for r in self._tried(safe=True) if r.method == "GET"]
        first, again = self._read(party, routes), self._read(party, routes)
        steady = frozenset(r for r in routes if not differ(first[r], again[r]))
        if party is self._another:
            for route, answer in first.items():
                if route.admits and not answer.was_heard:
                    self._blind(route, answer)
        return _Reading(again, steady, self._told())

    def _told(self) -> object:
        state = self._world.state
        return None if state is None else state(self._owner)

    def _compare_readings(self, before: _Reading, theirs: _Reading) -> None:
        """Neither reads anything of the other, nor anything that depends on them."""
        after = self._read(self._another, before.answers)
        for route, answer in after.items():
            if route.is_public:
                continue
            self._look_for(self._owner, route, answer, "another")
            self._look_for(self._another, route, theirs.answers[route], "the owner")
            if route in before.steady and differ(before.answers[route], answer):
                seen = difference(before.answers[route], answer)
                sent = f"once {self._owner.says} has objects"
                self._find(Kind.INTERFERES, route, "another", sent, seen)
        self._owner_sees(theirs)

    def _look_for(self, of: Party, route: Route, answer: Answer, says: str) -> None:
        held = marks_in(answer, of.marks(), "")
        if held:
            seen = f"{answer.status}, and in it {', '.join(held)} of {of.says}"
            self._find(Kind.LEAKED, route, says, "", seen)

    def _owner_sees(self, theirs: _Reading) -> None:
        """Without anything that the owner could lose, nothing is proven."""
        marks = self._owner.marks() - {self._owner.id, self._owner.email}
        sees = any(marks_in(one, marks, "") for one in theirs.answers.values())
        if not sees and not self._findings:
            raise AssertionError(
                "create made nothing that its owner could read afterwards: neither the "
                "marker nor an id that it returned is in any answer to them"
            )

    def _take_forms(self, reading: _Reading) -> None:
        """Learn from pages what routes take that say nothing of it."""
        for answer in reading.answers.values():
            if not answer.is_page:
                continue
            for form in forms_on(answer.text):
                self._take_form(form.action.partition("?")[0], form.fields)

    def _take_form(self, action: str, fields: dict[str, str]) -> None:
        for route in self._routes:
            if (
                route.method == "POST"
                and not route.intake.sends
                and route.pattern.fullmatch(action)
            ):
                route.intake.sends, route.intake.fixed = "data", fields
                return

    # Trying.

    def _send(self, one: Try) -> tuple[Request, Answer]:
        """Send a try; with its own objects once more, if earlier ones have used them
        up."""
        request, answer = self._send_once(one)
        uses_own = one.party is self._another and one.route.parameters and not one.whose
        if uses_own and answer.status in _GONE and not one.route.is_safe:
            self._make(self._another)
            request, answer = self._send_once(one)
        return request, answer

    def _send_once(self, one: Try) -> tuple[Request, Answer]:
        request = self._writer.write(one)
        response = self._stage.send(
            one.party, one.route.method, request.url, **request.options
        )
        return request, read(response, request.volatile)

    def _try(self, one: Try) -> list[Try]:
        """Try one thing, in parts where the whole of it is not taken; return what was
        sent."""
        request, answer = self._send(one)
        twin = self._told_apart(one, request, answer)
        finding = judge(one, request, answer, twin, owner=self._owner)
        if finding is not None:
            self._keep(finding, one.route)
        parts = one.parts if answer.status in _NOT_TAKEN else ()
        return [one, *(sent for part in parts for sent in self._try(part))]

    def _told_apart(self, one: Try, request: Request, answer: Answer) -> Answer | None:
        """Return the answer to what does not exist, if it is another."""
        if one.twin is None:
            return None
        absent, twin = self._send(one.twin)
        # What either has said is no difference: a short id turns up by chance.
        answer, twin = answer.masked(absent.volatile), twin.masked(request.volatile)
        if not differ(answer, twin):
            return None
        if differ(answer, twin, bodies=False):
            return twin
        # By their words alone: what differs each time, or has changed on the way, is no
        # difference.
        self._writer.forget_missing()
        absent, again = self._send(one.twin)
        request, after = self._send(one)
        again, after = again.masked(request.volatile), after.masked(absent.volatile)
        told = differ_beyond(answer, twin, again) and differ_beyond(after, again, twin)
        return twin if told else None

    def _attack(self, route: Route) -> Iterator[Try]:
        """Try what changes something, and then whether honest use works at all: what
        refuses everybody proves nothing."""
        for one in self._script.all(route):
            yield from self._try(one)
        if is_function(route):
            return
        honest = self._script.honest(route, self._another)
        _, answer = self._send(honest)
        yield honest
        if not answer.was_heard:
            self._blind(route, answer)

    # What has changed.

    def _find_changes(self, theirs: _Reading, sent: list[Try]) -> None:
        watched = self._watched(theirs)
        changed = self._changed(theirs, watched)
        if not changed:
            return
        self._owner_anew()
        theirs = self._glance(changed)
        found = False
        for one in sent:
            if (Kind.CHANGED, one.route) in self._findings:
                continue
            self._send(one)
            now = self._changed(theirs, theirs.answers)
            if not now:
                continue
            found = True
            kind, route = Kind.CHANGED, one.route
            self._find(kind, route, one.party.says, one.sent, "; ".join(now.values()))
            self._owner_anew()
            theirs = self._glance(changed)
        if not found:
            self._find_unexplained(changed)

    def _find_unexplained(self, changed: Mapping[Route | None, str]) -> None:
        for route, seen in changed.items():
            if route is not None:
                sent = "after all that was tried"
                self._find(Kind.CHANGED, route, "the owner", sent, seen)

    def _watched(self, theirs: _Reading) -> list[Route]:
        return [
            route
            for route in theirs.answers
            if route in theirs.steady
            and not route.is_public
            and theirs.answers[route].was_heard
            and not self._shows_others(route)
        ]

    def _shows_others(self, route: Route) -> bool:
        """Whether it was found to, so that what it shows changes anyhow."""
        shown = (Kind.LEAKED, Kind.INTERFERES)
        return any((kind, route) in self._findings for kind in shown)

    def _changed(
        self, before: _Reading, routes: Iterable[Route]
    ) -> dict[Route | None, str]:
        """Return what the owner reads otherwise than before; ``None`` for the state."""
        now = self._read(self._owner, routes)
        changed: dict[Route | None, str] = {
            route: f"GET {route.path} of the owner: "
            f"{difference(before.answers[route], answer)}"
            for route, answer in now.items()
            if differ(before.answers[route], answer)
        }
        if self._told() != before.state:
            changed[None] = f"what {_STATE} returns of the owner is another"
        return changed

    def _glance(self, changed: Iterable[Route | None]) -> _Reading:
        routes = [route for route in changed if route is not None]
        answers = self._read(self._owner, routes)
        return _Reading(answers, frozenset(routes), self._told())

    def _owner_anew(self) -> None:
        """Have an owner with objects again, whatever has become of the last one."""
        if self._has_left(self._owner):
            self._owner = self._writer.owner = self._world.arrive(_OWNER)
        self._make(self._owner)
        self._make(self._another)

    def _has_left(self, party: Party) -> bool:
        """Whether the account of somebody is gone, or their session."""
        routes = [one for one in self._tried(safe=True) if one.admits]
        answers = self._read(party, routes).values()
        return any(answer.status == _NOT_SIGNED_IN for answer in answers)

    def _must_be_signed_in(self, before: _Reading) -> None:
        """A route that ends the session makes the rest of the proof worthless."""
        for route, answer in self._read(self._another, before.answers).items():
            was = before.answers[route].status
            if answer.status == _NOT_SIGNED_IN != was:
                raise AssertionError(
                    f"the session of another ended on the way: {route} answered {was}, "
                    "and 401 by now. Name the route that ends it in skip"
                )

    # Keeping.

    def _find(self, kind: Kind, route: Route, says: str, sent: str, seen: str) -> None:
        self._keep(Finding(kind, route.method, route.path, says, sent, seen), route)

    def _keep(self, finding: Finding, route: Route) -> None:
        self._findings.setdefault((finding.kind, route), finding)

    def _blind(self, route: Route, answer: Answer) -> None:
        self._unprove(
            route,
            f"honest use is answered with {answer}; give it what it takes in bodies, "
            "or name it in skip with the reason",
        )

    def _unprove(self, route: Route, why: str) -> None:
        self._unproven.setdefault(route, Unproven(route.method, route.path, why))
