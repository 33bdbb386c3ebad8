"""The shape of what pydantic validates, read from its core schema, which is plain data:
pydantic itself is not needed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ringfence.interpreters.validation import shape
from ringfence.interpreters.validation.shape import Check

Schema = Mapping[str, Any]

# What pydantic reads from text, too: "1", "true", "yes", 1.
_STRICT: Mapping[str, Check] = {
    "int": shape.integer,
    "float": shape.number,
    "bool": shape.truth,
}
_SCALARS: Mapping[str, Check] = {
    "none": shape.nothing,
    "str": shape.text,
    **dict.fromkeys(
        (
            "bytes",
            "date",
            "datetime",
            "decimal",
            "enum",
            "literal",
            "multi-host-url",
            "time",
            "timedelta",
            "url",
            "uuid",
        ),
        shape.scalar,
    ),
}
_AROUND = frozenset(
    {"custom-error", "default", "function-after", "json-or-python", "lax-or-strict"}
)
_LISTS = frozenset({"deque", "frozenset", "generator", "list", "set"})


def shape_of(schema: Schema) -> Check:
    """Return the check of a core schema: fields that its models do not have are
    refused, at any depth, and so are texts where a number or a truth value belongs.

    Models that allow further fields (``extra="allow"``) and fields with
    ``strict=False`` keep their word. What a validator of the application's sees before
    pydantic does (``mode="before"``, ``"wrap"``, ``"plain"``) is left to it: it may
    rename fields and read types of its own.

    Args:
        schema: of a ``TypeAdapter``.

    Not covered: dates from numbers, and whatever else pydantic coerces.
    """
    return _Maker().make(schema)


def names_of(schema: Schema) -> frozenset[str] | None:
    """Return the names under which a model takes fields; ``None`` where it takes any,
    or where that cannot be known."""
    fields, config = _down_to_fields(schema)
    if fields is None or _extra(fields, config) == "allow":
        return None
    found = _fields_of(fields) or ()
    return frozenset(name for key, one in found for name in _names(key, one, config))


def has_fields(schema: Schema) -> bool:
    """Return whether a schema is that of a model with fields."""
    return _down_to_fields(schema)[0] is not None


def _down_to_fields(schema: Schema) -> tuple[Schema | None, Schema]:
    """Return the fields of a model, and what was configured for it."""
    maker = _Maker()
    config: Schema = {}
    inner = maker.inside(schema)
    while inner["type"] in {"model", "dataclass", "nullable", *_AROUND}:
        config = inner.get("config") or config
        inner = maker.inside(_inner(inner))
    return (None if _fields_of(inner) is None else inner), config


class _Maker:
    """Makes the check of one schema."""

    def __init__(self) -> None:
        self._definitions: dict[str, Schema] = {}
        self._made: dict[str, Check] = {}

    def inside(self, schema: Schema) -> Schema:
        """Return the schema that is meant, definitions learned and references
        followed."""
        while schema["type"] in {"definitions", "definition-ref"}:
            for one in schema.get("definitions", ()):
                self._definitions[one["ref"]] = one
            if schema["type"] == "definitions":
                schema = schema["schema"]
            else:
                schema = self._definitions[schema["schema_ref"]]
        return schema

    def make(self, schema: Schema, config: Schema | None = None) -> Check:
        """Return the check of one schema.

        Args:
            schema: a core schema.
            config: of the model that it stands in.
        """
        schema = self.inside(schema)
        ref = schema.get("ref", "")
        if not ref:
            return self._make(schema, config or {})
        if ref in self._made:
            return self._made[ref]

        def later(value: object) -> shape.Faults:
            return made(value)

        self._made[ref] = later
        made = self._made[ref] = self._make(schema, config or {})
        return made

    def _make(self, schema: Schema, config: Schema) -> Check:
        kind = schema["type"]
        if kind in _STRICT:
            lax = schema.get("strict", config.get("strict")) is False
            return shape.scalar if lax else _STRICT[kind]
        if kind == "str" and _coerces(schema, config):
            return shape.scalar
        if kind in _SCALARS:
            return _SCALARS[kind]
        if kind in _AROUND:
            return self.make(_inner(schema), config)
        maker = _STRUCTURES.get(kind)
        return shape.anything if maker is None else maker(self, schema, config)

    def nullable(self, schema: Schema, config: Schema) -> Check:
        return shape.optional(self.make(schema["schema"], config))

    def model(self, schema: Schema, _: Schema) -> Check:
        if schema.get("custom_init"):
            return shape.anything
        config: Schema = schema.get("config") or {}
        return self.make(schema["schema"], config)

    def fields(self, schema: Schema, config: Schema) -> Check:
        config = {**config, **(schema.get("config") or {})}
        fields = _fields_of(schema) or ()
        known = {
            name: self.make(field["schema"], config)
            for key, field in fields
            for name in _names(key, field, config)
        }
        for name in _paths(fields):
            known.setdefault(name, shape.anything)
        if _extra(schema, config) != "allow":
            return shape.fields(known)
        extras = schema.get("extras_schema")
        further = shape.anything if extras is None else self.make(extras, config)
        return shape.fields(known, unknown=further)

    def items(self, schema: Schema, config: Schema) -> Check:
        inner = schema.get("items_schema")
        return shape.items(
            shape.anything if inner is None else self.make(inner, config)
        )

    def positions(self, schema: Schema, config: Schema) -> Check:
        checks = [self.make(one, config) for one in schema["items_schema"]]
        rest = schema.get("variadic_item_index")
        if rest is None:
            return shape.positions(checks)
        return shape.items(checks[0]) if len(checks) == 1 else shape.anything

    def mapping(self, schema: Schema, config: Schema) -> Check:
        inner = schema.get("values_schema")
        check = shape.anything if inner is None else self.make(inner, config)
        return check if check is shape.anything else shape.mapping(check)

    def union(self, schema: Schema, config: Schema) -> Check:
        choices = [
            self.make(one[0] if isinstance(one, tuple) else one, config)
            for one in schema["choices"]
        ]
        return shape.any_of(choices)

    def tagged(self, schema: Schema, config: Schema) -> Check:
        choices: dict[object, Check] = {
            tag: self.make(one, config) for tag, one in schema["choices"].items()
        }
        field = schema["discriminator"]
        if isinstance(field, str):
            return shape.tagged(field, choices)
        return shape.any_of(list(choices.values()))


_STRUCTURES: Mapping[str, Callable[[_Maker, Schema, Schema], Check]] = {
    "nullable": _Maker.nullable,
    "model": _Maker.model,
    "dataclass": _Maker.model,
    "model-fields": _Maker.fields,
    "typed-dict": _Maker.fields,
    "dataclass-args": _Maker.fields,
    **dict.fromkeys(_LISTS, _Maker.items),
    "tuple": _Maker.positions,
    "dict": _Maker.mapping,
    "union": _Maker.union,
    "tagged-union": _Maker.tagged,
}


def _inner(schema: Schema) -> Schema:
    """Return what stands in a schema that only puts something around another."""
    if schema["type"] == "json-or-python":
        inner: Schema = schema["json_schema"]
    elif schema["type"] == "lax-or-strict":
        inner = schema["lax_schema"]
    else:
        inner = schema["schema"]
    return inner


def _fields_of(schema: Schema) -> Sequence[tuple[str, Schema]] | None:
    if schema["type"] not in {"model-fields", "typed-dict", "dataclass-args"}:
        return None
    fields = schema["fields"]
    if isinstance(fields, Mapping):
        return list(fields.items())
    return [(field["name"], field) for field in fields]


def _names(key: str, field: Schema, config: Schema) -> Iterator[str]:
    """Yield the names under which a field may be sent."""
    alias = field.get("validation_alias")
    if alias is None:
        yield key
        return
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    if by_name or config.get("validate_by_alias") is False:
        yield key
    if isinstance(alias, str):
        yield alias
        return
    paths = alias if alias and isinstance(alias[0], list) else [alias]
    for path in paths:
        if len(path) == 1 and isinstance(path[0], str):
            yield path[0]


def _paths(fields: Sequence[tuple[str, Schema]]) -> Iterator[str]:
    """Yield the names of objects in which fields stand deeper down."""
    for _, field in fields:
        alias = field.get("validation_alias")
        if alias is None or isinstance(alias, str):
            continue
        for path in alias if alias and isinstance(alias[0], list) else [alias]:
            if len(path) > 1 and isinstance(path[0], str):
                yield path[0]


def _extra(schema: Schema, config: Schema | None = None) -> str:
    own = schema.get("extra_behavior")
    of_config = (schema.get("config") or config or {}).get("extra_fields_behavior")
    return str(own or of_config or "ignore")


def _coerces(schema: Schema, config: Schema) -> bool:
    key = "coerce_numbers_to_str"
    return bool(schema.get(key, config.get(key, False)))
