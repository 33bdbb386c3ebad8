"""The smallest values that a JSON schema allows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ringfence.testing.trespass.names import same

_DEEPEST = 8  # levels of a schema that refers to itself
_FEW = 5  # levels of a body at which ids are tried
_BY_FORMAT = {
    "email": "sample@example.test",
    "uri": "https://example.test/",
    "url": "https://example.test/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
_TEXTS = (
    "sample",
    "sample@example.test",
    "1",
    "12.50",
    "AB",
    "ABC",
    "2026-01-31",
    "https://example.test/",
    "+4930123456",
    "00000000-0000-4000-8000-000000000000",
)

Schema = Mapping[str, Any]


class Samples:
    """Makes values for schemas.

    Args:
        document: in which ``$ref`` leads; a JSON pointer's way.
        known: values to be used for properties of these names.
    """

    def __init__(self, document: Schema, known: Mapping[str, str]) -> None:
        self._document = document
        self._known = known

    def of(self, schema: Schema, name: str = "", depth: int = 0) -> Any:
        """Return a value that the schema allows, as far as schemas can say."""
        schema = self.resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        kind = _kind(schema)
        known = next((one for one in self._known if same(one, name)), "")
        if known and kind in {"string", "integer", ""}:
            return _typed(self._known[known], kind)
        for given in ("default", "example"):
            if schema.get(given) is not None:
                return schema[given]
        examples = schema.get("examples")
        if isinstance(examples, list) and examples:
            return examples[0]
        return self._made(schema, kind, depth)

    def resolved(self, schema: Schema) -> Schema:
        """Return what a schema refers to, or the first that it offers."""
        for _ in range(_DEEPEST):
            if "$ref" in schema:
                schema = self._at(schema["$ref"])
            elif "allOf" in schema:
                schema = self._merged(schema)
            elif "anyOf" in schema or "oneOf" in schema:
                offers = schema.get("anyOf") or schema["oneOf"]
                real = [one for one in offers if one.get("type") != "null"]
                rest = {k: v for k, v in schema.items() if k not in {"anyOf", "oneOf"}}
                schema = {**rest, **(real or offers)[0]}
            else:
                break
        return schema

    def properties(self, schema: Schema) -> dict[str, Schema]:
        """Return the properties of an object, by name."""
        return dict(self.resolved(schema).get("properties", {}))

    def item(self, schema: Schema) -> Schema:
        """Return what an array holds; of anything else itself."""
        schema = self.resolved(schema)
        is_array = _kind(schema) == "array"
        return self.item(schema.get("items", {})) if is_array else schema

    def leaves(
        self, schema: Schema, path: tuple[str, ...] = ()
    ) -> Iterator[tuple[str, Schema]]:
        """Yield what holds nothing else, by its path: ``items.*.order_id``."""
        schema = self.resolved(schema)
        below = {} if len(path) > _FEW else schema.get("properties", {})
        for name, inner in below.items():
            yield from self.leaves(inner, (*path, name))
        if _kind(schema) == "array" and len(path) <= _FEW:
            yield from self.leaves(schema.get("items", {}), (*path, "*"))
        elif path and not below:
            yield ".".join(path), schema

    def placed(self, body: Any, schema: Schema, path: str, value: str) -> Any:
        """Return a body with a value in one field, in the field's own type.

        Args:
            body: what there is so far.
            schema: of it.
            path: of the field, or empty for the body itself.
            value: as text.
        """
        schema = self.resolved(schema)
        if not path:
            return _typed(value, _kind(schema))
        name, _, rest = path.partition(".")
        if name == "*":
            items = schema.get("items", {})
            inner = self.of(items) if rest else None
            return [self.placed(inner, items, rest, value)]
        if body is None:
            body = self.of(schema)
        if not isinstance(body, Mapping):
            return body
        below = schema.get("properties", {}).get(name, {})
        return {**body, name: self.placed(body.get(name), below, rest, value)}

    def _merged(self, schema: Schema) -> Schema:
        merged: dict[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
        for part in schema["allOf"]:
            below = self.resolved(part)
            both = {**merged.get("properties", {}), **below.get("properties", {})}
            needed = [*merged.get("required", []), *below.get("required", [])]
            merged = {**merged, **below}
            if both:
                merged |= {"properties": both, "required": needed}
        return merged

    def _at(self, pointer: str) -> Schema:
        found: Any = self._document
        for part in pointer.removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        return found  # type: ignore[no-any-return]  # JSON has no types

    def _made(self, schema: Schema, kind: str, depth: int) -> Any:
        if kind == "object" or "properties" in schema:
            return self._object(schema, depth)
        if kind == "array":
            items = schema.get("items", {})
            least = min(schema.get("minItems", 0), _DEEPEST)
            return [self.of(items, depth=depth + 1) for _ in range(least)]
        if kind in {"integer", "number"}:
            return _number(schema, kind)
        return {"boolean": True, "null": None}.get(kind, _text(schema))

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        if depth > _DEEPEST:
            return {}
        below = schema.get("properties", {})
        return {
            name: self.of(below.get(name, {}), name, depth + 1)
            for name in schema.get("required", [])
        }


def holds_ids(schema: Schema) -> bool:
    """Return whether the values of a schema are numbers or UUIDs, and no text that
    somebody writes."""
    return _kind(schema) == "integer" or schema.get("format") == "uuid"


def schema_of(value: object) -> Schema:
    """Return a schema for values like this one."""
    if isinstance(value, Mapping):
        below = {str(name): schema_of(one) for name, one in value.items()}
        return {"type": "object", "properties": below, "required": list(below)}
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0]) if value else {}}
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return {"type": "integer" if is_number else "string"}


def _kind(schema: Schema) -> str:
    kind = schema.get("type", "")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    return str(kind)


def _typed(text: str, kind: str) -> str | int:
    return int(text) if kind == "integer" and text.isdigit() else text


def _number(schema: Schema, kind: str) -> int | float:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 1))
    step = schema.get("multipleOf", 1)
    value = max(least, 1) if schema.get("maximum", 1) >= 1 else least
    if value == schema.get("exclusiveMinimum"):
        value += step
    return int(value) if kind == "integer" else float(value)


def _text(schema: Schema) -> str:
    by_format = _BY_FORMAT.get(schema.get("format", ""))
    if by_format is not None:
        return by_format
    least, most = schema.get("minLength", 0), schema.get("maxLength", 10_000)
    pattern = schema.get("pattern", "")
    for text in _TEXTS:
        fitting = text.ljust(least, "x")[:most]
        if not pattern or _matches(pattern, fitting):
            return fitting
    return _TEXTS[0].ljust(least, "x")[:most]


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:  # ECMAScript's, not Python's
        return False
