"""What is sent: each route, with the ids of others, and with claims to be them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from ringfence.testing.trespass.addresses import filled, missing
from ringfence.testing.trespass.intakes import Intake
from ringfence.testing.trespass.names import (
    is_any_id,
    is_ownerlike,
    meant,
    same,
    says_id,
)
from ringfence.testing.trespass.parties import Party
from ringfence.testing.trespass.routes import Route
from ringfence.testing.trespass.samples import Samples, Schema, holds_ids

_GUESSED = ("owner_id", "user_id", "account_id", "owner", "user", "account")
_GUESSED_SWITCHES = ("all", "all_users", "include_all", "everyone", "admin")
_GUESSED_HEADERS = ("X-User-Id", "X-Account-Id", "X-Owner-Id", "X-User", "X-Owner")
_MOST_CHOICES = 8  # values of one parameter that are tried


class Whose(Enum):
    """Whose id stands in the address."""

    OWN = "its own"
    OWNERS = "the owner's"
    MISSING = "nobody's"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a request says besides its address: each name with what stands for the
    owner, or a text that is sent as it is.

    Args:
        query: parameters of the query.
        headers: likewise.
        fields: of the body, by their paths (``items.*.order_id``); they replace those
            that stand there.
        is_empty: the body has no fields at all.
    """

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    is_empty: bool = False


NO_CLAIMS = Claims()
OWNER = "\0owner"
"""Stands for the owner's account; followed by a name, for that object of theirs."""

_HEADERS = Claims(headers=dict.fromkeys(_GUESSED_HEADERS, OWNER))
_HEADERS_SAY = "headers that name the owner"
_ALL_SAY = "headers, a query and fields that name the owner"


@dataclass(frozen=True, slots=True, eq=False)
class Try:
    """One request, still without ids: objects may be made anew before it is sent.

    Args:
        route: where it goes.
        party: who sends it.
        whose: by parameter, whose id stands in the address.
        claims: what else it says.
        sent: the same for people.
        twin: the same with what does not exist, to be compared with.
        parts: what it says in one request, in several; for routes that refuse the one
            because of what they do not know.
    """

    route: Route
    party: Party
    whose: Mapping[str, Whose]
    claims: Claims = NO_CLAIMS
    sent: str = ""
    twin: Try | None = None
    parts: tuple[Try, ...] = ()

    @property
    def aims_at_owner(self) -> bool:
        """Whether its address leads to an object of the owner's."""
        return Whose.OWNERS in self.whose.values()


@dataclass(frozen=True, slots=True)
class Request:
    """A try, with its ids.

    Args:
        url: path and query.
        options: for the client.
        said: all that it says, to be left out where marks are looked for.
        volatile: what differs between it and its twin.
    """

    url: str
    options: dict[str, Any]
    said: str
    volatile: dict[str, str]


class Writer:
    """Writes tries as requests.

    Args:
        owner: whose objects are aimed at.
        shared: path parameters whose values are nobody's.
    """

    def __init__(self, owner: Party, shared: Mapping[str, str]) -> None:
        self.owner = owner
        self._shared = shared
        self._missing: dict[str, str] = {}

    def value(self, route: Route, name: str, whose: Whose, party: Party) -> str:
        """Return what stands in an address for a parameter.

        Raises:
            KeyError: nobody has said what could.
        """
        known = (party if whose is Whose.OWN else self.owner).ids
        found = _value(route, name, known)
        if found is None:
            return self._shared[name]
        return self.missing(found) if whose is Whose.MISSING else found

    def missing(self, like: str) -> str:
        """Return an id that leads nowhere, the same each time."""
        if like not in self._missing:
            self._missing[like] = missing(like)
        return self._missing[like]

    def forget_missing(self) -> None:
        """Have other ids lead nowhere from now on."""
        self._missing.clear()

    def owns(self, route: Route, name: str) -> bool:
        """Return whether a parameter leads to something that belongs to somebody."""
        return _value(route, name, self.owner.ids) is not None

    def knows_name(self, route: Route, name: str) -> bool:
        """Return whether a parameter has a value."""
        return self.owns(route, name) or name in self._shared

    def knows(self, route: Route) -> bool:
        """Return whether an address can be made."""
        return all(self.knows_name(route, name) for name in route.parameters)

    def write(self, one: Try) -> Request:
        """Return the request of a try."""
        route, party = one.route, one.party
        values = {
            name: self.value(route, name, one.whose.get(name, Whose.OWN), party)
            for name in route.parameters
        }
        claims = Claims(
            self._claimed(one.claims.query),
            self._claimed(one.claims.headers),
            self._claimed(one.claims.fields),
        )
        options: dict[str, Any] = {}
        if claims.query:
            options["params"] = claims.query
        headers = dict(claims.headers)
        if not route.is_safe:
            known = {**self._shared, **party.ids}
            options |= _body(route.intake, known, one.claims, claims.fields)
            if route.intake.media_type:
                headers["content-type"] = route.intake.media_type
        if headers:
            options["headers"] = headers
        url = filled(route.path, values)
        said = [url, *values.values(), str(options)]
        mine = [values[name] for name in route.parameters if self.owns(route, name)]
        claimed = [*claims.query.values(), *claims.fields.values()]
        volatile = dict.fromkeys(filter(None, (*mine, *claimed)), "{id}")
        if party.headers.get("x-csrf-token"):
            volatile[party.headers["x-csrf-token"]] = "{token}"
        return Request(url, options, " ".join(said), volatile)

    def _claimed(self, claims: Mapping[str, str]) -> dict[str, str]:
        return {name: self._resolved(value) for name, value in claims.items()}

    def _resolved(self, value: str) -> str:
        absent = value.startswith(_ABSENT)
        value = value.removeprefix(_ABSENT)
        if not value.startswith(OWNER):
            return value
        name = value.removeprefix(OWNER)
        if name == _MARKER:
            real = self.owner.marker
        else:
            real = self.owner.ids[name] if name else self.owner.id
        return self.missing(real) if absent else real


_ABSENT = "\0absent"
_MARKER = "\0marker"


def _value(route: Route, name: str, ids: Mapping[str, str]) -> str | None:
    """Return the id for a parameter; one for a template goes before one for a name."""
    for key, value in ids.items():
        if key.startswith("/") and f"{{{name}" in key and route.path.startswith(key):
            return value
    return ids.get(name)


def _body(
    intake: Intake, known: Mapping[str, str], claims: Claims, fields: Mapping[str, str]
) -> dict[str, Any]:
    if not intake.sends:
        return {"json": dict(fields)} if fields else {}
    body = {} if claims.is_empty else intake.body(known)
    for path, value in fields.items():
        body = intake.placed(body, path, value)
    return {intake.sends: body}


class Script:
    """Says what is tried on a route.

    Args:
        another: who tries.
        nobody: who tries as well, without an account.
        writer: knows what belongs to the owner.
    """

    def __init__(self, another: Party, nobody: Party, writer: Writer) -> None:
        self._another = another
        self._nobody = nobody
        self._writer = writer

    def honest(self, route: Route, party: Party) -> Try:
        """Return what its route is for: with the party's own objects."""
        return Try(route, party, {})

    def all(self, route: Route) -> Iterator[Try]:
        """Yield everything that is tried by those who are not the owner."""
        yield from self.aimed(route)
        yield from self.claiming(route)

    def aimed(self, route: Route) -> Iterator[Try]:
        """Yield requests for the owner's objects, by their ids in the address."""
        for whose, says in self._aims(route):
            yield self._pair(route, self._another, whose, NO_CLAIMS, says)
            if not route.is_safe and route.intake.sends in {"json", "data"}:
                empty = Claims(is_empty=True)
                says_empty = f"{says}, an empty body".removeprefix(", ")
                yield self._pair(route, self._another, whose, empty, says_empty)
            claiming = f"{says}, {_HEADERS_SAY}".removeprefix(", ")
            for party in (self._another, self._nobody):
                yield Try(route, party, whose, _HEADERS, claiming)

    def claiming(self, route: Route) -> Iterator[Try]:
        """Yield requests that say in their query, headers or body whose they are."""
        parts = [
            self._pair(route, self._another, {}, claims, says)
            for claims, says in self._guesses(route)
        ]
        together = _joined([part.claims for part in parts])
        whole = self._pair(route, self._another, {}, together, _ALL_SAY)
        yield replace(whole, parts=tuple(parts))
        yield from self._claims(route)
        if not route.parameters:
            yield Try(route, self._nobody, {}, _HEADERS, _HEADERS_SAY)

    def _aims(self, route: Route) -> Iterator[tuple[dict[str, Whose], str]]:
        owned = [name for name in route.parameters if self._writer.owns(route, name)]
        if not owned:
            return
        yield dict.fromkeys(owned, Whose.OWNERS), ""
        if len(owned) > 1:
            for name in owned:
                yield {name: Whose.OWNERS}, f"only {name} the owner's"

    def _guesses(self, route: Route) -> Iterator[tuple[Claims, str]]:
        """Yield what applications have been seen to believe, declared or not."""
        guessed = dict.fromkeys(_GUESSED, OWNER)
        yield _HEADERS, _HEADERS_SAY
        switches = dict.fromkeys(_GUESSED_SWITCHES, "true")
        query = _left(guessed | switches, route.intake.queries)
        yield Claims(query=query), "a query that names the owner, and asks for all"
        if not route.is_safe and route.intake.sends != "content":
            unknown = _left(guessed, route.intake.fields())
            yield Claims(fields=unknown), "fields in the body that name the owner"

    def _claims(self, route: Route) -> Iterator[Try]:
        """Yield what the route says that it takes, as the owner's."""
        for name in route.intake.headers:
            for value, says, _ in self._meanings(name, {}):
                yield self._own(route, Claims(headers={name: value}), f"{name} {says}")
        for name, schema in route.intake.queries.items():
            yield from self._declared(name, schema, route)
        if route.is_safe:
            return
        for path, schema in route.intake.leaves():
            name = next((one for one in path.split(".")[::-1] if one != "*"), "id")
            for value, says, is_sure in self._meanings(name, schema):
                claims = Claims(fields={path: value})
                sent = f"{path} in the body {says}"
                yield self._own(route, claims, sent, compared=is_sure)

    def _declared(self, name: str, schema: Schema, route: Route) -> Iterator[Try]:
        samples = Samples(route.intake.document, {})
        schema = samples.resolved(schema)
        meanings = list(self._meanings(name, samples.item(schema)))
        for value, says, is_sure in meanings:
            claims = Claims(query={name: value})
            yield self._own(route, claims, f"?{name}= {says}", compared=is_sure)
        if any(is_sure for _, _, is_sure in meanings):
            return
        switch = ["true", "false"] if schema.get("type") == "boolean" else []
        choices = list(schema.get("enum", switch))
        for choice in choices[:_MOST_CHOICES]:
            query = {name: str(choice)}
            yield self._own(route, Claims(query=query), f"?{name}={choice}")
        if not choices and schema.get("type") == "string":
            claims = Claims(query={name: OWNER + _MARKER})
            says = f"?{name}= searches for what the owner wrote"
            yield self._own(route, claims, says)

    def _meanings(self, name: str, schema: Schema) -> Iterator[tuple[str, str, bool]]:
        """Yield what of the owner's a field or parameter may be given: what stands for
        it, what that is, and whether the field is known to mean it. Where it is not,
        somebody else's public object may have that id as well, or it is a number of
        another sort."""
        ids = {
            key: value
            for key, value in self._writer.owner.ids.items()
            # The marker must not get into what another owns, where it would be found.
            if self._writer.owner.marker not in value
        }
        found = list(meant(name, ids, holds_ids=holds_ids(schema)))[:_MOST_CHOICES]
        for key in found:
            is_sure = says_id(name) or same(name, key)
            yield OWNER + key, "names what is the owner's", is_sure
        if found or name in self._writer.owner.ids:
            return
        if is_ownerlike(name):
            yield OWNER, "names the owner", True
        elif is_any_id(name):
            for key in list(ids)[:_MOST_CHOICES]:
                yield OWNER + key, f"is the owner's {key}", False

    def _own(
        self, route: Route, claims: Claims, says: str, *, compared: bool = True
    ) -> Try:
        if compared:
            return self._pair(route, self._another, {}, claims, says)
        return Try(route, self._another, {}, claims, says)

    def _pair(
        self,
        route: Route,
        party: Party,
        whose: Mapping[str, Whose],
        claims: Claims,
        says: str,
    ) -> Try:
        absent = {
            name: Whose.MISSING if one is Whose.OWNERS else one
            for name, one in whose.items()
        }
        one = Try(route, party, whose, claims, says)
        compared = claims if whose else _absent(claims)
        if not whose and compared == claims:
            return one  # there is nothing to compare it with
        return replace(one, twin=Try(route, party, absent, compared, says))


def _absent(claims: Claims) -> Claims:
    def turned(values: Mapping[str, str]) -> dict[str, str]:
        return {
            name: _ABSENT + value if value.startswith(OWNER) else value
            for name, value in values.items()
        }

    return replace(
        claims,
        query=turned(claims.query),
        headers=turned(claims.headers),
        fields=turned(claims.fields),
    )


def _joined(parts: Sequence[Claims]) -> Claims:
    joined = NO_CLAIMS
    for part in parts:
        joined = Claims(
            {**joined.query, **part.query},
            {**joined.headers, **part.headers},
            {**joined.fields, **part.fields},
        )
    return joined


def _left(guessed: Mapping[str, str], declared: Mapping[str, object]) -> dict[str, str]:
    return {name: value for name, value in guessed.items() if name not in declared}
