"""``request_of(Order)`` and ``response_of(Order)``: the models of what comes and goes,
tied to what the model itself says of its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

from msgspec import Struct

from ringfence.access.fields.rules import Fields, attributes_of, fields_of
from ringfence.access.fields.structs import tie_struct
from ringfence.access.fields.tie import TIE, Tie, Way
from ringfence.access.fields.verdict import passes
from ringfence.errors import DeclarationError

Shape = TypeVar("Shape", bound=type)

_SAME_NAMES: Mapping[str, str] = MappingProxyType({})


def request_of(
    model: type,
    *,
    own: Iterable[str] = (),
    renamed: Mapping[str, str] = _SAME_NAMES,
) -> Callable[[Shape], Shape]:
    """Tie what a request may hold to the rules about the fields of a model::

        @access.request_of(Order)
        class OrderChange(BaseModel):
            model_config = ConfigDict(extra="forbid")

            quantity: int = 1
            status: str | None = None

    A field that was sent and that the sender may not set refuses the request with 403,
    ``access.field_not_allowed`` and the field's name; also where it was sent as null,
    or as what it is already.

    Args:
        model: whose fields these are; it says in ``access.fields(write=...)`` who may
            set them.
        own: the names of fields that are not of the model.
        renamed: fields that the model calls otherwise, by their name here.

    Raises:
        TypeError: what is tied is no model of pydantic or struct of msgspec.
        DeclarationError: nobody may set one of the fields, the model has no such field,
            or unknown ones are let through.

    Source: ASVS 5.0 V15.3.3; OWASP API3:2023; CWE-915.

    Not covered: ``model_construct``, which validates nothing; what a handler takes from
    the request past the model. In a union, a member that fits but for a field that may
    not be set refuses.
    """
    return _tied(Tie(model, Way.REQUEST, frozenset(own), renamed))


def response_of(
    model: type,
    *,
    own: Iterable[str] = (),
    renamed: Mapping[str, str] = _SAME_NAMES,
    leave_out: bool = True,
) -> Callable[[Shape], Shape]:
    """Tie what an answer may hold to the rules about the fields of a model::

        @access.response_of(Order)
        class OrderOut(BaseModel):
            model_config = ConfigDict(from_attributes=True)

            id: str
            quantity: int
            unit_cost: int | None = None  # left out for those who may not read it

    A field that the reader may not read, and that has a default, is left out. One that
    has none stops the answer: 500, ``access.field_leaked``, and the ledger names it.

    Args:
        model: whose fields these are; it says in ``access.fields(read=...)`` who may
            read them.
        own: the names of fields that are not of the model.
        renamed: fields that the model calls otherwise, by their name here.
        leave_out: ``False`` to stop the answer in any case.

    Raises:
        TypeError: what is tied is no model of pydantic or struct of msgspec.
        DeclarationError: nobody may read one of the fields, the model has no such
            field, or it shows fields that nobody has declared.

    Source: ASVS 5.0 V15.3.1; OWASP API3:2023; CWE-213.

    Not covered: what a handler does with the attributes of such an object by itself;
    models inside it that are not tied; DTOs of Litestar. A struct is decided about when
    it is made: do not keep it for somebody else.
    """
    return _tied(Tie(model, Way.RESPONSE, frozenset(own), renamed, leave_out))


def readable(row: object) -> dict[str, Any]:
    """Return what of an object the running request may read, by field.

    Args:
        row: of a mapped class, a dataclass or another class.

    Raises:
        OutsideRequestError: none; outside a request only what is public is read.
    """
    kind = type(row)
    mapper = getattr(kind, "__mapper__", None)
    names = attributes_of(kind) if mapper is None else mapper.column_attrs.keys()
    closed = (fields_of(kind) or Fields()).reading.closed()
    return {
        name: getattr(row, name)
        for name in names
        if name not in closed or passes(closed[name], row)
    }


def _tied(tie: Tie) -> Callable[[Shape], Shape]:
    if not isinstance(tie.model, type):
        raise TypeError(f"{tie.way.value} takes a class, as in {tie.way.value}(Order)")

    def tied(shape: Shape) -> Shape:
        if isinstance(shape, type) and TIE in vars(shape):
            raise DeclarationError(
                f"{shape.__name__} is tied twice; write a model for what comes and "
                "another for what goes"
            )
        if hasattr(shape, "model_rebuild"):
            return cast("Shape", open_pydantic()(shape, tie))
        if isinstance(shape, type) and issubclass(shape, Struct):
            return cast("Shape", tie_struct(shape, tie))
        raise TypeError(
            f"{tie.way.value} stands on a model of pydantic or a Struct of msgspec, "
            f"not on {shape!r}"
        )

    return tied


def open_pydantic() -> Callable[[Any, Tie], type]:
    """Return what ties models of pydantic; for whoever has one of those."""
    from ringfence.access.fields.pydantic import tie_pydantic  # noqa: PLC0415 - late: only those who have it need it

    return tie_pydantic
