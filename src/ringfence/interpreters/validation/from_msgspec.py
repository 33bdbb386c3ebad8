"""The shape of what msgspec decodes: structs, dataclasses, TypedDict, attrs, and plain
annotations such as ``dict[str, int]``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import inspect

from ringfence.interpreters.validation import shape
from ringfence.interpreters.validation.shape import Bounds, Check

Foreign = Callable[[type], Check]
"""Returns the check of a class that msgspec does not know."""

_TYPES: dict[type, Check] = {
    inspect.IntType: shape.integer,
    inspect.FloatType: shape.number,
    inspect.BoolType: shape.truth,
    inspect.NoneType: shape.nothing,
    inspect.AnyType: shape.anything,
    inspect.RawType: shape.anything,
}


def shape_of(
    annotation: object,
    *,
    bounds: Bounds | None = None,
    lenient: bool = False,
    foreign: Foreign = lambda _: shape.anything,
) -> Check:
    """Return the check of an annotation: fields that are not in it are refused, at any
    depth, whatever the classes themselves say (msgspec ignores them).

    Args:
        annotation: what msgspec would decode into.
        bounds: how much may be in what has no ``msgspec.Meta``; ``None`` for any.
        lenient: fields that are not in it are let through.
        foreign: what to do about other classes.

    Raises:
        TypeError: msgspec does not know the annotation.
    """
    return _Maker(bounds, foreign, lenient=lenient).make(inspect.type_info(annotation))


class _Maker:
    """Makes the check of one annotation; a class that holds itself is made once."""

    def __init__(
        self, bounds: Bounds | None, foreign: Foreign, *, lenient: bool
    ) -> None:
        self._bounds = bounds
        self._foreign = foreign
        self._unknown: Check | None = shape.anything if lenient else None
        if lenient and bounds is not None:
            self._unknown = shape.anything_within(bounds)
        self._made: dict[int, Check] = {}
        self._kept: list[object] = []  # so that no other object gets an id of theirs

    def make(self, info: inspect.Type) -> Check:
        """Return the check of one type."""
        known = self._made.get(id(info))
        if known is not None:
            return known

        def later(value: object) -> shape.Faults:
            return made(value)

        self._made[id(info)] = later
        self._kept.append(info)
        made = self._make(info)
        self._made[id(info)] = made
        return made

    def _make(self, info: inspect.Type) -> Check:
        if isinstance(info, inspect.Metadata):
            return self.make(info.type)
        if isinstance(info, inspect.StrType):
            return self._text(info)
        if isinstance(info, inspect.UnionType):
            return self._union(info.types)
        if isinstance(info, inspect.CustomType):
            return self._foreign(info.cls)
        return self._structure(info) or self._scalar(info)

    def _structure(self, info: inspect.Type) -> Check | None:
        if isinstance(
            info, (inspect.StructType, inspect.DataclassType, inspect.TypedDictType)
        ):
            if hasattr(info.cls, "__pydantic_core_schema__"):  # its aliases count
                return self._foreign(info.cls)
            return self._fields(info)
        if isinstance(info, inspect.DictType):
            return self._mapping(info)
        if isinstance(info, (inspect.TupleType, inspect.NamedTupleType)):
            return shape.positions(self._positions(info))
        if isinstance(info, inspect.CollectionType):
            return shape.items(
                self.make(info.item_type), most=self._most(info.max_length)
            )
        return None

    def _mapping(self, info: inspect.DictType) -> Check:
        inner = self.make(info.value_type)
        if self._bounds is None:
            return inner if inner is shape.anything else shape.mapping(inner)
        return shape.mapping(
            inner,
            most=self._most(info.max_length),
            key=shape.short_text(self._bounds.text),
        )

    def _scalar(self, info: inspect.Type) -> Check:
        bounds = self._bounds
        check = _TYPES.get(type(info), shape.scalar)
        if bounds is None or check not in {shape.anything, shape.scalar}:
            return check
        if check is shape.anything:
            return shape.anything_within(bounds)
        return _scalar_within(bounds.text)

    def _text(self, info: inspect.StrType) -> Check:
        if self._bounds is None or info.max_length is not None:
            return shape.text
        return _text_within(self._bounds.text)

    def _fields(
        self,
        info: inspect.StructType | inspect.DataclassType | inspect.TypedDictType,
    ) -> Check:
        known = {one.encode_name: self.make(one.type) for one in info.fields}
        if not isinstance(info, inspect.StructType):
            return shape.fields(known, unknown=self._unknown)
        if info.array_like:
            first = [shape.anything] if info.tag_field is not None else []
            return shape.positions([*first, *known.values()])
        return shape.fields(known, unknown=self._unknown, tag=info.tag_field or "")

    def _positions(
        self, info: inspect.TupleType | inspect.NamedTupleType
    ) -> list[Check]:
        if isinstance(info, inspect.TupleType):
            return [self.make(one) for one in info.item_types]
        return [self.make(one.type) for one in info.fields]

    def _union(self, types: Sequence[inspect.Type]) -> Check:
        structs = [
            one
            for one in types
            if isinstance(one, inspect.StructType)
            and one.tag_field is not None
            and not one.array_like
        ]
        choices = [self.make(one) for one in types if one not in structs]
        if len(structs) == 1:
            choices.append(self.make(structs[0]))
        elif structs:
            tags: dict[object, Check] = {one.tag: self.make(one) for one in structs}
            choices.append(shape.tagged(str(structs[0].tag_field), tags))
        if shape.nothing in choices:
            choices.remove(shape.nothing)
            return shape.optional(shape.any_of(choices)) if choices else shape.nothing
        return shape.any_of(choices)

    def _most(self, declared: int | None) -> int:
        return 0 if self._bounds is None or declared is not None else self._bounds.items


def _scalar_within(longest: int) -> Check:
    short = shape.short_text(longest)

    def check(value: object) -> shape.Faults:
        return shape.scalar(value) or short(value)

    return check


def _text_within(longest: int) -> Check:
    """Text of so many characters, and no other value, so that it can be a choice."""
    short = shape.short_text(longest)

    def check(value: object) -> shape.Faults:
        return shape.text(value) or short(value)

    return check
