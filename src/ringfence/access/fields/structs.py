"""Structs of msgspec that are tied to the rules about fields.

msgspec asks a struct nothing when it writes it, so what is closed is taken out when the
struct is made, and it is frozen from then on.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from msgspec import NODEFAULT, UNSET, Struct
from msgspec.structs import FieldInfo, fields, force_setattr

from ringfence.access.fields.tie import TIE, Hidden, Sent, Tie, Way
from ringfence.access.fields.verdict import Gate
from ringfence.errors import DeclarationError

Shape = TypeVar("Shape", bound=type[Struct])
Made = Callable[[Any], None]

_AFTER = "__post_init__"
_JUDGE = "__ringfence_judge__"


def tie_struct(shape: Shape, tie: Tie) -> Shape:
    """Tie a struct to the rules about fields; return what stands in its place.

    Args:
        shape: the struct.
        tie: what was said of it.

    Raises:
        DeclarationError: it cannot be enforced.
    """
    names = {
        TIE: tie,
        _JUDGE: _judge_of(shape, tie),
        _AFTER: _after(tie, getattr(shape, _AFTER, None)),
        "__init_subclass__": classmethod(_must_be_asked),
        "__module__": shape.__module__,
        "__qualname__": shape.__qualname__,
        "__doc__": shape.__doc__,
    }
    # msgspec looks for __post_init__ when a class is made, so another one is made.
    parameters: tuple[Any, ...] = getattr(shape, "__parameters__", ())
    bases: tuple[Any, ...] = (shape,)
    if parameters:
        bases = (cast("Any", shape)[parameters], cast("Any", Generic)[parameters])
    made = types.new_class(shape.__name__, bases, exec_body=lambda ns: ns.update(names))
    return cast("Shape", made)


def _after(tie: Tie, theirs: Made | None) -> Made:
    """Return what msgspec calls once a struct is made.

    Args:
        tie: what was said of it.
        theirs: what the developer wants to have called.
    """

    def after(self: Any) -> None:
        if tie.way is Way.REQUEST:
            _judge(self)
        if theirs is not None:
            theirs(self)
        if tie.way is Way.RESPONSE:
            _judge(self)

    return after


def _judge(self: Any) -> None:
    kind = type(self)
    judge = vars(kind).get(_JUDGE)
    if judge is None:  # it extends a tied struct
        judge = _judge_of(kind, getattr(kind, TIE))
        setattr(kind, _JUDGE, judge)
    judge(self)


def _must_be_asked(cls: type) -> None:
    if _AFTER in vars(cls):
        raise DeclarationError(
            f"{cls.__name__} extends a struct whose fields have rules, and its "
            f"{_AFTER} would stand before them; put it on the struct that is tied"
        )


def _judge_of(shape: type[Struct], tie: Tie) -> Made:
    """Return what looks at a struct that was made.

    Raises:
        DeclarationError: it cannot be enforced.
    """
    infos = fields(shape)
    answers = tie.way is Way.RESPONSE
    gate = tie.gate(
        shape, {one.name: {one.encode_name} if answers else () for one in infos}
    )
    if answers:
        return _take_out(shape, gate, infos, tie) if gate.rules else _nothing
    if not shape.__struct_config__.forbid_unknown_fields:
        raise DeclarationError(
            f"{shape.__name__} lets fields through that it does not know; write "
            f"class {shape.__name__}(Struct, forbid_unknown_fields=True)"
        )
    return _look(shape, gate, infos)


def _nothing(_: Any) -> None:
    """Have nothing to look at."""


def _look(shape: type[Struct], gate: Gate, infos: tuple[FieldInfo, ...]) -> Made:
    for one in infos:
        if one.name in gate.rules and not (one.required or one.default is UNSET):
            raise DeclarationError(
                f"{shape.__name__}.{one.name} has a default, so that nobody knows "
                "whether it was sent; write it as "
                f"{one.name}: ... | UnsetType = UNSET"
            )
    sent = Sent(shape, gate, {one.name: one.encode_name for one in infos})
    names = tuple(gate.rules)

    def look(self: Any) -> None:
        sent.judge([name for name in names if getattr(self, name) is not UNSET])

    return look


def _take_out(
    shape: type[Struct], gate: Gate, infos: tuple[FieldInfo, ...], tie: Tie
) -> Made:
    if not shape.__struct_config__.frozen:
        raise DeclarationError(
            f"{shape.__name__} has fields that not everybody may read, so they are "
            "taken out when it is made, and must not change afterwards; write class "
            f"{shape.__name__}(Struct, frozen=True)"
        )
    kept = [
        (
            one,
            Hidden(shape, one.name, gate, may_lack=tie.leave_out and not one.required),
        )
        for one in infos
        if one.name in gate.rules
    ]

    def take_out(self: Any) -> None:
        # Asked of all before any is taken out: rules look at other fields.
        for one in [one for one, hidden in kept if hidden.is_kept_from(self)]:
            force_setattr(self, one.name, _default_of(one))

    return take_out


def _default_of(info: FieldInfo) -> Any:
    if info.default_factory is not NODEFAULT:
        return info.default_factory()
    return info.default
