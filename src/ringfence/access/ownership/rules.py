"""Rules about rows: policies that depend on the row as well as on who asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ringfence.access.policy import AllOf, AnyOf, Decision, Hierarchy, Policy
from ringfence.clock import Clock, system_clock
from ringfence.errors import DeclarationError

MARK = "__ringfence_rows__"

Model = TypeVar("Model", bound=type)
Constant = str | int | bool | None


class RowRule(Policy):
    """A rule that no route can ask, since it needs a row. Combine with ``&`` and ``|``,
    with others and with policies."""

    __slots__ = ()

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        message = (
            f"{self} is about rows, and no policy of a route: put it on the model, in "
            "@access.rows(...); for an id in the path of a route there is "
            'access.own("user_id")'
        )
        raise DeclarationError(message)


@dataclass(frozen=True, slots=True)
class Owner(RowRule):
    """Rows in which this attribute holds the id of the principal.

    Args:
        path: a column, or one at the end of relationships: ``order.owner_id``,
            ``members.account_id``.
    """

    path: str

    def __str__(self) -> str:
        return f"owner({self.path})"


@dataclass(frozen=True, slots=True)
class Tenant(RowRule):
    """Rows in which this attribute holds the tenant of the principal.

    Args:
        path: likewise.
    """

    path: str

    def __str__(self) -> str:
        return f"tenant({self.path})"


@dataclass(frozen=True, slots=True)
class Through(RowRule):
    """Rows that lead, by this relationship, to a row that the rule of its own model
    allows: order lines through their order.

    Args:
        path: one relationship, or several with dots between them.
    """

    path: str

    def __str__(self) -> str:
        return f"through({self.path})"


@dataclass(frozen=True, slots=True)
class Matching(RowRule):
    """Rows in which these attributes have these values: what is published, say.

    Args:
        values: attributes, of the model itself, each with its value.
    """

    values: tuple[tuple[str, Constant], ...]

    def __str__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.values)
        return f"matching({said})"


@dataclass(frozen=True, slots=True)
class Rows:
    """What is said of the rows of one model.

    Args:
        read: who sees which rows.
        write: who may add, change and remove which rows: those that it allows before
            *and* after the change.
    """

    read: Policy
    write: Policy


Declared = Policy | Rows | Callable[[type], type]
"""A rule, where whoever reads writes as well; else ``access.rows(read, write=...)``."""


def rows(read: Policy, *, write: Policy | None = None) -> Callable[[Model], Model]:
    """Say, on a mapped class, whose its rows are.

    From then on nobody has to remember to write ``WHERE owner_id = :me``: it stands in
    every statement that a session of the guard's database sends::

        @access.rows(access.owner("owner_id"))
        class Order(Base): ...

        @access.rows(access.through("order"))
        class OrderLine(Base): ...

        @access.rows(
            access.owner("owner_id")
            | access.role("operator") & access.tenant("tenant_id")
        )
        class Invoice(Base): ...

        @access.rows(access.public, write=access.owner("author_id"))
        class Review(Base): ...

    Args:
        read: who sees which rows. A policy without a rule about rows
            (``access.public``, ``access.role("staff")``) shows all of them to whom it
            allows.
        write: who may add, change and remove which rows; ``None``: whoever sees them.

    Raises:
        TypeError: no policy, or no class.
        DeclarationError: everybody would write what everybody reads; or a policy that
            depends on the time, as ``access.fresh`` does.

    Source: ASVS 5.0 V8.2.2, V8.3.1; OWASP API1:2023; CWE-639.

    Not covered: which *fields* somebody may see or set: ``access.fields``.
    """
    declared = _rows(read, write)

    def mark(model: Model) -> Model:
        if not isinstance(model, type):
            raise TypeError(
                f"access.rows stands on a mapped class, not on {model!r}; what is said "
                "of a table without one goes into Database(..., tables={...})"
            )
        if MARK in vars(model):  # the upper one would quietly win
            raise DeclarationError(
                f"{model.__module__}.{model.__qualname__} has @access.rows twice; "
                "write one, combined with & and |"
            )
        setattr(model, MARK, declared)
        return model

    return mark


def declared_rows(read: Policy, write: Policy | None = None) -> Rows:
    """Return what ``rows`` would put on a model, for tables that have none.

    Raises:
        TypeError: no policy.
        DeclarationError: as in ``rows``.
    """
    return _rows(read, write)


def said_of(named: str, declared: Declared) -> Rows:
    """Return what is said of rows that have no class.

    Args:
        named: what they are called in messages: ``the table exports``.
        declared: whose they are.

    Raises:
        TypeError: it does not say whose they are.
    """
    if isinstance(declared, Rows):
        return declared
    if isinstance(declared, Policy):
        return _rows(declared, None)
    is_mark = callable(declared) and not isinstance(declared, type)
    said = rows_of(declared(type("Unmapped", (), {}))) if is_mark else None
    if said is None:
        raise TypeError(
            f"{named}: {declared!r} does not say whose its rows are; write "
            'access.owner("owner_id"), or access.rows(access.public, '
            'write=access.owner("owner_id"))'
        )
    return said


def rows_of(model: type) -> Rows | None:
    """Return what is said of a model's rows, by itself or by a class that it extends;
    ``None`` for nothing."""
    found: Rows | None = getattr(model, MARK, None)
    return found


def is_about_rows(policy: Policy) -> bool:
    """Return whether a policy needs a row to decide."""
    if isinstance(policy, (AllOf, AnyOf)):
        return any(map(is_about_rows, policy.parts))
    return isinstance(policy, RowRule)


def _rows(read: Policy, write: Policy | None) -> Rows:
    for policy in (read,) if write is None else (read, write):
        if not isinstance(policy, Policy):
            raise TypeError(
                f"{policy!r} is no rule about rows; write access.owner(...), "
                "access.tenant(...), access.through(...), access.matching(...) or a "
                "policy, combined with & and |"
            )
        if policy.ages():
            raise DeclarationError(
                f"{policy} depends on the time; ask for freshness on the route, and "
                "not on a model"
            )
        if policy.parameters():
            raise DeclarationError(
                f"{policy} looks at the path of a route, which a row does not have; "
                'write access.owner("...") or access.tenant("...")'
            )
    if write is None and not is_about_rows(read):
        raise DeclarationError(
            f"all rows are read by {read}: say who writes them, with "
            'write=access.owner("..."), write=access.role("...") or write=access.nobody'
        )
    return Rows(read, read if write is None else write)
