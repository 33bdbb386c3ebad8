"""Rules about fields, on the model whose fields they are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import SimpleNamespace
from typing import TypeVar

from ringfence.access.fields.verdict import Gate, passes
from ringfence.access.ownership.rules import (
    Matching,
    Owner,
    RowRule,
    Tenant,
    is_about_rows,
)
from ringfence.access.policy import AllOf, AnyOf, Closed, Policy
from ringfence.errors import DeclarationError

MARK = "__ringfence_fields__"

Model = TypeVar("Model", bound=type)
Rules = Mapping[str, Policy]

_DECLARATIVE = frozenset({"metadata", "registry"})  # on every base of SQLAlchemy's


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """What is said of the fields of one model.

    Args:
        read: by field, who may read it; whoever sees the row reads all others.
        write: by field, who may set it; nobody sets any other.
    """

    read: Rules = field(default_factory=dict)
    write: Rules = field(default_factory=dict)
    reading: Gate = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reading", Gate(self.read))


def fields(
    *, read: Rules | None = None, write: Rules | None = None
) -> Callable[[Model], Model]:
    """Say, on a model, who may read and who may set which of its fields.

    Stops what is written into an object beside what a form asks for (mass assignment),
    and what is sent beside what a page shows: the models of requests and responses are
    tied to these rules by ``request_of`` and ``response_of``::

        @access.rows(access.owner("owner_id"))
        @access.fields(
            read={"unit_cost": access.role("staff"), "notes": access.nobody},
            write={"quantity": access.signed_in, "status": access.role("staff")},
        )
        class Order(Base): ...

    A class that extends such a model keeps its rules, and may say otherwise field by
    field. ``dict(order)`` is what may be read of an order, so that FastAPI sends no
    more where a handler returns it as it is.

    Args:
        read: by field, who may read it. Whoever sees the row reads the fields that are
            not named. ``access.owner("owner_id")``, ``access.tenant(...)`` and
            ``access.matching(...)`` look at the object that is answered with.
        write: by field, who may set it. Nobody sets those that are not named: they are
            the server's.

    Raises:
        TypeError: no class, or no policies by field.
        DeclarationError: the model has no such field, or a rule cannot be kept: one
            that depends on the time, or on other rows.

    Source: ASVS 5.0 V8.2.3, V15.3.1, V15.3.3; OWASP API3:2023; CWE-213, CWE-915.

    Not covered: what leaves by other ways than a tied model: a dictionary, a page, a
    dataclass that a handler returns as it is.
    """
    reads, writes = dict(read or {}), dict(write or {})
    for policy in (*reads.values(), *writes.values()):
        _must_be_policy(policy)

    def mark(model: Model) -> Model:
        if not isinstance(model, type):
            raise TypeError(f"access.fields stands on a class, not on {model!r}")
        known = attributes_of(model)
        for name, policy in (*reads.items(), *writes.items()):
            must_know(name, known, model, "access.fields")
            _must_be_kept(model, name, policy)
        for name, policy in writes.items():
            if is_about_rows(policy):
                raise DeclarationError(
                    f"{model.__name__}.{name}: {policy} is about rows; say whose they "
                    "are in @access.rows(..., write=...), and in write={...} which "
                    "roles may set the field"
                )
        above = fields_of(model) or Fields()
        declared = Fields({**above.read, **reads}, {**above.write, **writes})
        if declared.read and "keys" in known:
            raise DeclarationError(
                f"{model.__name__}.keys: dict() would take it for the names of a "
                "mapping and fail, and FastAPI then shows all that an object holds, "
                "whoever may read it; call the attribute otherwise (a column may stay "
                '"keys": api_keys = mapped_column("keys"))'
            )
        setattr(model, MARK, declared)
        if declared.read and not hasattr(model, "__iter__"):
            setattr(model, "__iter__", _pairs)  # noqa: B010 - as on any class
        return model

    return mark


def _pairs(row: object) -> Iterator[tuple[str, object]]:
    """Yield what of an object may be read, by field: what ``dict(order)`` takes.

    FastAPI makes a dictionary of what a handler returns as it is, and would look into
    the object itself if that failed: so nothing is loaded here that is not there.
    """
    held = {name: one for name, one in vars(row).items() if not name.startswith("_")}
    declared = fields_of(type(row)) or Fields()
    closed = declared.reading.closed()
    known = SimpleNamespace(**held)
    for name, value in held.items():
        if name not in closed or passes(closed[name], known):
            yield name, value


def fields_of(model: type) -> Fields | None:
    """Return what is said of a model's fields, by itself or by a class that it extends;
    ``None`` for nothing."""
    found: Fields | None = getattr(model, MARK, None)
    return found


def attributes_of(model: type) -> frozenset[str]:
    """Return the names of what objects of a class hold: columns, relationships,
    properties, the fields of dataclasses and the like."""
    found: set[str] = set()
    for one in model.__mro__[:-1]:
        found.update(name for name, value in vars(one).items() if not _is_method(value))
        found.update(vars(one).get("__annotations__", ()))
        for listed in ("__dataclass_fields__", "__struct_fields__"):
            found.update(vars(one).get(listed, ()))
    return frozenset(
        name for name in found if not name.startswith("_") and name not in _DECLARATIVE
    )


def must_know(name: str, known: Iterable[str], model: type, who: str) -> None:
    """Refuse a name that is no field of a model.

    Raises:
        DeclarationError: with the name that was probably meant.
    """
    if name in known:
        return
    near = get_close_matches(name, known, n=1)
    guess = f"did you mean {near[0]}?" if near else "no field is like it"
    raise DeclarationError(f"{who}: {model.__name__} has no field {name}; {guess}")


def is_closed(policy: Policy) -> bool:
    """Return whether a policy allows nobody, whoever they are."""
    if isinstance(policy, AllOf):
        return any(map(is_closed, policy.parts))
    if isinstance(policy, AnyOf):
        return all(map(is_closed, policy.parts))
    return isinstance(policy, Closed)


def attributes_asked(policy: Policy) -> frozenset[str]:
    """Return the attributes of an object that a policy looks at."""
    match policy:
        case AllOf(parts) | AnyOf(parts):
            return frozenset().union(*map(attributes_asked, parts))
        case Owner(path) | Tenant(path):
            return frozenset({path})
        case Matching(values):
            return frozenset(name for name, _ in values)
        case _:
            return frozenset()


def _is_method(value: object) -> bool:
    return inspect.isroutine(value) or isinstance(
        value, (classmethod, staticmethod, type)
    )


def _must_be_policy(policy: object) -> None:
    if not isinstance(policy, Policy):
        raise TypeError(
            f"{policy!r} is no policy; access.fields takes policies by field, as in "
            'access.fields(read={"notes": access.role("staff")})'
        )


def _must_be_kept(model: type, name: str, policy: Policy) -> None:
    """Refuse what cannot be decided by who asks and the object alone."""
    where = f"{model.__name__}.{name}"
    if policy.ages():
        raise DeclarationError(
            f"{where}: {policy} depends on the time; ask for freshness on the route"
        )
    if policy.parameters():
        raise DeclarationError(
            f"{where}: {policy} looks at the path of a route, which no field has; "
            'write access.owner("...") or access.tenant("...")'
        )
    if not _is_near(policy):
        raise DeclarationError(
            f"{where}: {policy} leads to other rows; fields take access.owner(...), "
            "access.tenant(...) and access.matching(...) of the object itself"
        )
    known = attributes_of(model)
    for asked in attributes_asked(policy):
        must_know(asked, known, model, f"access.fields, in the rule of {name}")


def _is_near(policy: Policy) -> bool:
    """Return whether a policy looks at nothing but the object."""
    match policy:
        case AllOf(parts) | AnyOf(parts):
            return all(map(_is_near, parts))
        case Owner(path) | Tenant(path):
            return "." not in path
        case Matching():
            return True
        case _:
            return not isinstance(policy, RowRule)
