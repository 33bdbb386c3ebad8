"""Structs of msgspec that are tied to the rules about fields.

msgspec asks a struct nothing when it writes it, so what is closed is taken out when the
struct is made, and it is frozen from then on.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, cast

from msgspec import NODEFAULT, UNSET, Struct, defstruct, field
from msgspec.structs import force_setattr

from ringfence.access.fields.tie import TIE, Hidden, Sent, Tie, Way
from ringfence.access.fields.verdict import Gate
from ringfence.errors import DeclarationError

Shape = TypeVar("Shape", bound=type[Struct])
Made = Callable[[Any], None]

# What stands in the place of a default that is made anew each time.
_MAKER: type = type(
    defstruct("_", [("_", list, field(default_factory=list))]).__struct_defaults__[0]
)
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
    # By a class beside the tied one as well, if that comes first.
    found = getattr(cls, _AFTER)
    if not any(TIE in vars(one) and vars(one)[_AFTER] is found for one in cls.__mro__):
        raise DeclarationError(
            f"{cls.__name__} extends a struct whose fields have rules, and its "
            f"{_AFTER} would stand before them; put it on the struct that is tied"
        )


def _judge_of(shape: type[Struct], tie: Tie) -> Made:
    """Return what looks at a struct that was made.

    Raises:
        DeclarationError: it cannot be enforced.
    """
    found = _fields_of(shape)
    answers = tie.way is Way.RESPONSE
    gate = tie.gate(shape, {one.name: {one.sent} if answers else () for one in found})
    if answers:
        return _take_out(shape, gate, found, tie) if gate.rules else _nothing
    if not shape.__struct_config__.forbid_unknown_fields:
        raise DeclarationError(
            f"{shape.__name__} lets fields through that it does not know; write "
            f"class {shape.__name__}(Struct, forbid_unknown_fields=True)"
        )
    return _look(shape, gate, found)


class _Field(NamedTuple):
    """One field of a struct; its type may stand further down and is not asked for.

    Args:
        name: of the attribute.
        sent: as it is written.
        default: a value, what makes one, or ``NODEFAULT``.
    """

    name: str
    sent: str
    default: Any

    def made(self) -> Any:
        """Return the default."""
        default = self.default
        is_maker = type(default) is _MAKER
        return default.factory() if is_maker else default


def _fields_of(shape: type[Struct]) -> list[_Field]:
    names, defaults = shape.__struct_fields__, cast("Any", shape).__struct_defaults__
    without = (NODEFAULT,) * (len(names) - len(defaults))
    found = zip(
        names, shape.__struct_encode_fields__, (*without, *defaults), strict=True
    )
    return [_Field(*one) for one in found]


def _nothing(_: Any) -> None:
    """Have nothing to look at."""


def _look(shape: type[Struct], gate: Gate, found: list[_Field]) -> Made:
    for one in found:
        if one.name in gate.rules and not (
            one.default is NODEFAULT or one.default is UNSET
        ):
            raise DeclarationError(
                f"{shape.__name__}.{one.name} has a default, so that nobody knows "
                "whether it was sent; write it as "
                f"{one.name}: ... | UnsetType = UNSET"
            )
    sent = Sent(shape, gate, {one.name: one.sent for one in found})
    names = tuple(gate.rules)

    def look(self: Any) -> None:
        sent.judge([name for name in names if getattr(self, name) is not UNSET])

    return look


def _take_out(shape: type[Struct], gate: Gate, found: list[_Field], tie: Tie) -> Made:
    if not shape.__struct_config__.frozen:
        raise DeclarationError(
            f"{shape.__name__} has fields that not everybody may read, so they are "
            "taken out when it is made, and must not change afterwards; write class "
            f"{shape.__name__}(Struct, frozen=True)"
        )
    kept = [
        (
            one,
            Hidden(
                shape,
                one.name,
                gate,
                may_lack=tie.leave_out and one.default is not NODEFAULT,
            ),
        )
        for one in found
        if one.name in gate.rules
    ]

    def take_out(self: Any) -> None:
        if not gate.closed():
            return
        # Asked of all before any is taken out: rules look at other fields.
        for one in [one for one, hidden in kept if hidden.is_kept_from(self)]:
            force_setattr(self, one.name, one.made())

    return take_out
