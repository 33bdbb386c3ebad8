"""What a developer has declared at one place: a policy, marks, both, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.access import Policy
from ringfence.access.marks import policy_of
from ringfence.marks import Mark, marks_of


@dataclass(frozen=True, slots=True)
class Declared:
    """A policy and the marks beside it.

    Args:
        policy: who may come in; ``None`` if this place does not say.
        marks: what else holds, the outermost first.
    """

    policy: Policy | None = None
    marks: tuple[Mark, ...] = ()

    def around(self, inner: Declared) -> Declared:
        """Return what holds where both do: each policy must allow, and each mark
        counts once, however many ways lead to it."""
        if inner == NOTHING:
            return self
        return Declared(
            both(self.policy, inner.policy), _each_once(self.marks + inner.marks)
        )


NOTHING = Declared()


def declared_on(carrier: object) -> Declared:
    """Return what stands on a handler, a route object or an application."""
    return Declared(policy_of(carrier), marks_of(carrier))


def both(first: Policy | None, second: Policy | None) -> Policy | None:
    """Return the policy that asks both, either of which may be missing."""
    if first is None or first == second:
        return second
    return first if second is None else first & second


def _each_once(marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """By identity: two limits of the same numbers are two budgets."""
    return tuple({id(mark): mark for mark in marks}.values())
