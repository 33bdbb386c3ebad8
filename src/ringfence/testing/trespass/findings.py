"""What got through, and what could not be proven."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How a route gives something away: why that is wrong, and what mends it."""

    REACHED = "reached"
    LEAKED = "leaked"
    CHANGED = "changed"
    ORACLE = "oracle"
    FORBIDDEN = "forbidden"
    FUNCTION = "function"
    INTERFERES = "interferes"


_OWNED = (
    "say on the model whose its rows are (@access.rows) and read it through the "
    "guard's session"
)
WRONG = {
    Kind.REACHED: "an object answers to somebody whom it does not belong to (BOLA)",
    Kind.LEAKED: "the answer holds what belongs to somebody else",
    Kind.CHANGED: "somebody else's objects are not what they were",
    Kind.ORACLE: "the answer tells that another's object exists",
    Kind.FORBIDDEN: "403 tells that another's object exists",
    Kind.FUNCTION: "a function answers to somebody who does not have its role (BFLA)",
    Kind.INTERFERES: "the answer depends on objects of somebody else: counts, sums",
}
MEND = {
    Kind.REACHED: f"{_OWNED}; if everybody may, name the route in public",
    Kind.LEAKED: f"{_OWNED}; if everybody may see it, name the route in public",
    Kind.CHANGED: f"{_OWNED}; take owners from the session, never from the request",
    Kind.ORACLE: "look for the object among the caller's own before all else: 404",
    Kind.FORBIDDEN: "answer 404, as for an object that does not exist",
    Kind.FUNCTION: "name the role in the route's policy: access.role(...)",
    Kind.INTERFERES: f"{_OWNED}; count and sort the caller's own only",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which something got through.

    Args:
        kind: how.
        method: of the request.
        path: the route's template.
        who: as whom it was sent: ``another``, ``nobody``, or ``the owner`` where the
            owner has been shown something of another's.
        sent: what was special about the request, for people.
        seen: what came back, or what had changed afterwards.
    """

    kind: Kind
    method: str
    path: str
    who: str
    sent: str
    seen: str

    def __str__(self) -> str:
        sent = f", {self.sent}" if self.sent else ""
        return (
            f"{self.method} {self.path} as {self.who}{sent}: {self.seen}\n"
            f"      wrong: {WRONG[self.kind]}\n"
            f"      mend:  {MEND[self.kind]}"
        )


@dataclass(frozen=True, slots=True)
class Unproven:
    """A route of which nothing could be found out.

    Args:
        method: of the route.
        path: its template.
        why: what came back to an honest request, and what helps.
    """

    method: str
    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.why}"


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of trying every route.

    Args:
        findings: what got through, one for each way and route.
        unproven: routes of which nothing could be found out.
        routes: how many were tried.
        requests: how many requests were sent.
    """

    findings: tuple[Finding, ...]
    unproven: tuple[Unproven, ...]
    routes: int
    requests: int

    @property
    def holds(self) -> bool:
        """Whether nothing got through, and nothing was left out."""
        return not self.findings and not self.unproven

    def __str__(self) -> str:
        tried = f"{self.routes} routes, {self.requests} requests"
        if self.holds:
            return f"nothing got through ({tried})"
        parts = []
        if self.findings:
            parts.append(f"what is another's got through ({tried}):")
            parts += _numbered(self.findings)
        if self.unproven:
            parts.append("of these routes nothing could be found out:")
            parts += _numbered(self.unproven)
        return "\n".join(parts)


def _numbered(things: Iterable[object]) -> list[str]:
    return [f"  {number:2}. {thing}" for number, thing in enumerate(things, 1)]
