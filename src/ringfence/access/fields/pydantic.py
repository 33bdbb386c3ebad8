"""Models of pydantic that are tied to the rules about fields.

Everything is written into the model's core schema, so that it holds whoever validates
or writes: FastAPI, Litestar, a ``TypeAdapter``, a model around it. What was sent is
looked at before validators of the application's see it; what is closed is left out by
pydantic-core itself. A model without a rule stays as it was.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from ringfence.access.fields.rules import attributes_asked
from ringfence.access.fields.tie import TIE, Hidden, Sent, Tie, Way
from ringfence.access.fields.verdict import Gate
from ringfence.errors import DeclarationError

Shape = TypeVar("Shape", bound=type[BaseModel])
Schema = Any  # one of the many TypedDicts of core_schema

_HOOK = "__get_pydantic_core_schema__"
_EXTENDED = "__pydantic_init_subclass__"
_LEAVES_OUT = "serialization_exclude_if"

_row: ContextVar[object] = ContextVar("ringfence_row", default=None)
"""The object that is being written, for rules that look at it."""


def tie_pydantic(shape: Shape, tie: Tie) -> Shape:
    """Tie a model of pydantic to the rules about fields.

    Args:
        shape: the model.
        tie: what was said of it.

    Raises:
        DeclarationError: it cannot be enforced.
    """
    _must_know_how()
    if issubclass(shape, RootModel):
        raise DeclarationError(f"{shape.__name__} has no fields; tie the model inside")
    _must_be_asked(shape, {_tied, getattr(BaseModel, _HOOK).__func__})
    setattr(shape, TIE, tie)
    setattr(shape, _HOOK, classmethod(_tied))
    setattr(shape, _EXTENDED, classmethod(_extended(getattr(shape, _EXTENDED))))
    _gate(shape, tie)  # now: the schema may have to wait for a class further down
    shape.model_rebuild(force=True, raise_errors=False)
    return shape


def _must_be_asked(shape: type[BaseModel], hooks: Collection[Any]) -> None:
    if getattr(shape, _HOOK).__func__ not in hooks:
        raise DeclarationError(
            f"{shape.__name__} makes its schema by {_HOOK}, so that nothing can be "
            "tied to it; tie a model without one"
        )


def _extended(theirs: Any) -> Callable[..., None]:
    """Return what pydantic calls for each class that extends a tied one: a schema of
    its own, or of a class beside it, would stand before the rules."""

    def extended(cls: type[BaseModel], **further: Any) -> None:
        _must_be_asked(cls, {_tied})
        theirs.__func__(cls, **further)

    return extended


def _tied(cls: type[BaseModel], source: Any, handler: Any) -> Schema:
    """Return the schema of a tied model, or of one that extends it."""
    schema = handler(source)
    tie: Tie = getattr(cls, TIE)
    gate = _gate(cls, tie)
    model = _down_to("model", schema)
    if tie.way is Way.REQUEST:
        _look_at_what_is_sent(cls, model, gate)
    else:
        _leave_out_what_is_closed(cls, model, gate, tie, schema)
    return schema


def _gate(shape: type[BaseModel], tie: Tie) -> Gate:
    extra = shape.model_config.get("extra")
    if tie.way is Way.REQUEST and extra != "forbid":
        raise DeclarationError(
            f"{shape.__name__} lets fields through that it does not know; add "
            'model_config = ConfigDict(extra="forbid")'
        )
    if tie.way is Way.RESPONSE and extra == "allow":
        raise DeclarationError(
            f"{shape.__name__} shows fields that nobody has declared; take "
            'extra="allow" out of its model_config'
        )
    answers = tie.way is Way.RESPONSE
    fields = {
        name: set(_read_from(info)) if answers else set()
        for name, info in shape.__pydantic_fields__.items()
    }
    if answers:
        fields |= {name: set() for name in shape.__pydantic_computed_fields__}
    return tie.gate(shape, fields)


def _read_from(info: FieldInfo) -> Iterator[str]:
    """Yield the attributes that a field is read from: by ``from_attributes`` an alias
    is one."""
    alias = info.validation_alias
    for one in alias.choices if isinstance(alias, AliasChoices) else [alias]:
        first = one.path[0] if isinstance(one, AliasPath) else one
        if isinstance(first, str):
            yield first


def _down_to(kind: str, schema: Schema) -> Schema:
    """Return the first schema of a kind inside another."""
    while schema["type"] != kind:
        schema = schema["schema"]
    return schema


class _Look:
    """Looks at which fields were sent, whatever their values are."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent

    def __call__(self, found: tuple[Any, Any, set[str]]) -> tuple[Any, Any, set[str]]:
        """Refuse, or hand on what a model is made of."""
        self._sent.judge(found[2])
        return found


def _look_at_what_is_sent(shape: type[BaseModel], model: Schema, gate: Gate) -> None:
    inner = model["schema"]
    if inner["type"] == "function-after" and isinstance(
        inner["function"]["function"], _Look
    ):
        return  # a schema that was made before
    shown = {
        name: info.validation_alias
        for name, info in shape.__pydantic_fields__.items()
        if isinstance(info.validation_alias, str)
    }
    look = _Look(Sent(shape, gate, shown))
    model["schema"] = core_schema.no_info_after_validator_function(look, inner)


class _LeaveOut:
    """Has pydantic-core leave a field out."""

    def __init__(
        self, hidden: Hidden, wanted: Callable[[Any], bool] | None = None
    ) -> None:
        self._hidden = hidden
        self._wanted = wanted  # what the developer leaves out besides

    def __call__(self, value: Any) -> bool:
        """Return whether the field is left out."""
        if self._hidden.is_kept_from(_row.get()):
            return True
        return self._wanted is not None and self._wanted(value)


def _leave_out_what_is_closed(
    shape: type[BaseModel], model: Schema, gate: Gate, tie: Tie, whole: Schema
) -> None:
    if not gate.rules:
        return
    fields = _down_to("model-fields", model["schema"])
    for name, field in fields["fields"].items():
        has_default = field["schema"]["type"] == "default"
        _leave_out(shape, name, field, gate, may_lack=tie.leave_out and has_default)
    for field in fields.get("computed_fields", ()):
        name = field["property_name"]
        _leave_out(shape, name, field, gate, may_lack=tie.leave_out)
    _remember_the_row(shape, model, gate, whole)


def _leave_out(
    shape: type[BaseModel], name: str, field: Schema, gate: Gate, *, may_lack: bool
) -> None:
    wanted = field.get(_LEAVES_OUT)
    if name in gate.rules and not isinstance(wanted, _LeaveOut):
        hidden = Hidden(shape, name, gate, may_lack=may_lack)
        field[_LEAVES_OUT] = _LeaveOut(hidden, wanted)


def _remember_the_row(
    shape: type[BaseModel], model: Schema, gate: Gate, whole: Schema
) -> None:
    """Let rules that look at the object know which one is being written."""
    own = whole.get("serialization") or model.get("serialization")
    if own is not None and own.get("function") is _write:
        return
    if own is not None and own["type"] == "function-plain":
        raise DeclarationError(
            f"{shape.__name__} writes itself by a model_serializer, past what is said "
            'of its fields; make it mode="wrap"'
        )
    if not any(map(attributes_asked, gate.rules.values())):
        return
    if own is not None:
        raise DeclarationError(
            f"{shape.__name__} has a rule that looks at the object, and a "
            "model_serializer; it can have one of them"
        )
    model["serialization"] = core_schema.wrap_serializer_function_ser_schema(_write)


def _write(row: object, write: Callable[[object], Any]) -> Any:
    token = _row.set(row)
    try:
        return write(row)
    finally:
        _row.reset(token)


def _must_know_how() -> None:
    """A version that does not know this would ignore it, and show everything.

    Raises:
        DeclarationError: with what to install.
    """
    for made in (core_schema.model_field, core_schema.computed_field):
        if _LEAVES_OUT not in inspect.signature(made).parameters:
            raise DeclarationError(
                "this version of pydantic cannot leave fields out of an answer; "
                "install the newest pydantic"
            )
