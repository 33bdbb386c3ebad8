"""Whether an answer gives something away."""

from __future__ import annotations

from ringfence.testing.trespass.answers import Answer, marks_in
from ringfence.testing.trespass.findings import Finding, Kind
from ringfence.testing.trespass.parties import Party
from ringfence.testing.trespass.routes import Route
from ringfence.testing.trespass.tries import Request, Try

_FORBIDDEN, _NOT_FOUND = 403, 404


def judge(
    one: Try,
    request: Request,
    answer: Answer,
    twin: Answer | None,
    *,
    owner: Party,
) -> Finding | None:
    """Return what is wrong with an answer to somebody who is not the owner.

    Args:
        one: what was tried.
        request: as it was sent.
        answer: to it.
        twin: the answer to the same with what does not exist, where the two can be told
            apart.
        owner: whose objects must stay out of it.
    """
    route = one.route
    if route.is_public:
        return None

    def found(kind: Kind, seen: str) -> Finding:
        says = one.party.says
        return Finding(kind, route.method, route.path, says, one.sent, seen)

    if answer.succeeded and is_function(route):
        return found(Kind.FUNCTION, str(answer))
    leaked = marks_in(answer, owner.marks(), request.said)
    if leaked:
        return found(Kind.LEAKED, f"{answer.status}, and in it {_named(leaked, owner)}")
    # OPTIONS is about the route, and frameworks answer it for any id.
    if one.aims_at_owner and answer.succeeded and route.method != "OPTIONS":
        return found(Kind.REACHED, str(answer))
    if twin is not None:
        return found(*_compared(answer, twin))
    return None


def _compared(answer: Answer, twin: Answer) -> tuple[Kind, str]:
    if answer.status == _FORBIDDEN and twin.status == _NOT_FOUND:
        return Kind.FORBIDDEN, "403, and 404 for what does not exist"
    if answer.succeeded and not twin.was_heard:
        return Kind.REACHED, f"{answer}; {twin} for what does not exist"
    return Kind.ORACLE, f"{answer}; for what does not exist {twin}"


def is_function(route: Route) -> bool:
    """Return whether a route is not for those who have no role, by its policy or by
    its address."""
    return not route.admits or (route.is_for_admins and not route.names_role)


def _named(leaked: list[str], owner: Party) -> str:
    names = {owner.marker: "the marker", owner.id: "the account", owner.email: "email"}
    names |= {value: name for name, value in owner.ids.items()}
    return ", ".join(f"{names[mark]} ({mark})" for mark in leaked)
