"""What holds for the fields of one request or response model, once it is tied."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from ringfence.access.fields.rules import (
    Fields,
    attributes_asked,
    attributes_of,
    fields_of,
    is_closed,
    must_know,
)
from ringfence.access.fields.verdict import Gate, passes
from ringfence.access.ownership.refusals import FIELD_LEAKED, FIELD_NOT_ALLOWED, refuse
from ringfence.access.policy import AllOf, Closed, Policy, Public
from ringfence.denial import Fault
from ringfence.errors import DeclarationError

TIE = "__ringfence_tie__"

_PUBLIC = Public()


class Way(Enum):
    """Which way a model goes."""

    REQUEST = "access.request_of"
    RESPONSE = "access.response_of"


@dataclass(frozen=True, slots=True)
class Tie:
    """What was said of a request or response model.

    Args:
        model: whose fields it has.
        way: which way it goes.
        own: the names of fields that are not of the model.
        renamed: fields that are called otherwise there, by their name here.
        leave_out: what may not be read is left out where it can be.
    """

    model: type
    way: Way
    own: frozenset[str]
    renamed: Mapping[str, str]
    leave_out: bool = True

    def gate(self, shape: type, fields: Mapping[str, Iterable[str]]) -> Gate:
        """Return what stands before the fields of a shape.

        Args:
            shape: the request or response model.
            fields: its fields, each with further attributes of the model that it is
                read from.

        Raises:
            DeclarationError: a field is not of the model, nobody may set it or read it,
                or a rule looks at an attribute that the response does not have.
        """
        said = f"@{self.way.value}({self.model.__name__}) on {shape.__name__}"
        known = attributes_of(self.model)
        for name in (*self.own, *self.renamed):
            if name not in fields:
                raise DeclarationError(f"{said}: it has no field {name}")
        for name in sorted(self.own & self._declared().keys()):
            raise DeclarationError(
                f"{said}: {self.model.__name__}.{name} has a rule, which "
                f'own=("{name}",) would switch off; call the field otherwise'
            )
        rules: dict[str, Policy] = {}
        for name, others in fields.items():
            names = [other for other in others if other in known]
            if name not in self.own:
                column = self.renamed.get(name, name)
                _must_be_known(column, known, self.model, said)
                names.insert(0, column)
            policy = self._policy(names, said)
            if policy != _PUBLIC:
                rules[name] = policy
                _must_have_what_is_asked(policy, fields, said)
        return Gate(rules)

    def _declared(self) -> Mapping[str, Policy]:
        declared = fields_of(self.model) or Fields()
        return declared.write if self.way is Way.REQUEST else declared.read

    def _policy(self, names: Iterable[str], said: str) -> Policy:
        """Return who may let a field pass that stands for these of the model."""
        sets = self.way is Way.REQUEST
        rules = self._declared()
        found: list[Policy] = []
        for name in dict.fromkeys(names):
            policy = rules.get(name, Closed() if sets else _PUBLIC)
            if is_closed(policy):
                raise _nobody(self.model, name, said, sets=sets)
            if policy != _PUBLIC:
                found.append(policy)
        if not found:
            return _PUBLIC
        return found[0] if len(found) == 1 else AllOf(tuple(found))


def _must_be_known(name: str, known: Collection[str], model: type, said: str) -> None:
    try:
        must_know(name, known, model, said)
    except DeclarationError as error:
        raise DeclarationError(
            f'{error}; a field that is none of its own is named in own=("{name}",)'
        ) from None


def _nobody(model: type, name: str, said: str, *, sets: bool) -> DeclarationError:
    what = "set" if sets else "read"
    kept = "write" if sets else "read"
    return DeclarationError(
        f"{said}: nobody may {what} {model.__name__}.{name}; say who may in "
        f"@access.fields({kept}={{...}}) on {model.__name__}, or take the field out"
    )


def _must_have_what_is_asked(
    policy: Policy, fields: Collection[str], said: str
) -> None:
    for name in attributes_asked(policy):
        if name not in fields:
            raise DeclarationError(
                f"{said}: {policy} is decided by {name}, which it does not have; add "
                "it, and keep it out of the answer (in pydantic by Field(exclude=True))"
            )


class Sent:
    """Refuses what somebody has sent that they may not set.

    Args:
        shape: the request model.
        gate: stands before its fields.
        shown: by field, how the sender calls it.
    """

    __slots__ = ("_gate", "_shape", "_shown")

    def __init__(self, shape: type, gate: Gate, shown: Mapping[str, str]) -> None:
        self._shape = shape.__name__
        self._gate = gate
        self._shown = shown

    def judge(self, sent: Collection[str]) -> None:
        """Refuse, if some of these may not be sent.

        Raises:
            OwnershipRefusedError: with the names of those in its denial.
        """
        closed = self._gate.closed()
        if not closed:
            return
        refused = [name for name in closed if name in sent]
        if not refused:
            return
        faults = tuple(
            Fault((self._shown.get(name, name),), "field_not_allowed")
            for name in refused
        )
        rules = self._gate.rules
        said = ", ".join(f"{name} is set by {rules[name]}" for name in refused)
        refuse(replace(FIELD_NOT_ALLOWED, faults=faults), f"{self._shape}: {said}")


class Hidden:
    """Says whether one field is kept from whoever the answer is for.

    Args:
        shape: the response model.
        name: of the field.
        gate: stands before its fields.
        may_lack: the field may be left out.
    """

    __slots__ = ("_gate", "_may_lack", "_name", "_shape")

    def __init__(self, shape: type, name: str, gate: Gate, *, may_lack: bool) -> None:
        self._shape = shape.__name__
        self._name = name
        self._gate = gate
        self._may_lack = may_lack

    def is_kept_from(self, row: object) -> bool:
        """Return whether the field is to be left out.

        Args:
            row: the object that is answered with; ``None`` where no rule asks.

        Raises:
            OwnershipRefusedError: it may not be read, and cannot be left out.
        """
        closed = self._gate.closed()
        if self._name not in closed or passes(closed[self._name], row):
            return False
        if not self._may_lack:
            refuse(
                FIELD_LEAKED,
                f"{self._shape}.{self._name} is read by "
                f"{self._gate.rules[self._name]}; give the field a default, so that "
                "it can be left out, or answer others with another model",
            )
        return True
