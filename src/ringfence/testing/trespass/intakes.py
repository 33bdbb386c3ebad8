"""What routes take, as far as their framework, their marks or a page's form say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ringfence.guard.plan import RoutePlan
from ringfence.interpreters.validation.marks import Accepts
from ringfence.testing.trespass.samples import Samples, Schema, schema_of

_CONVERTOR = re.compile(r":[a-zA-Z_][a-zA-Z0-9_]*}")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_DEEPEST = 6  # applications in one another

Key = tuple[str, str]
"""A method and a path template without types."""


@dataclass(slots=True)
class Intake:
    """What one route takes.

    Args:
        sends: ``json``, ``data`` (a form) or ``content``; empty for no body.
        schema: of the body.
        document: in which the schema's references lead.
        fixed: the body itself, where somebody has given it.
        media_type: of such a body, if it is not what ``sends`` says.
        queries: the declared parameters of the query, each with its schema.
        headers: names of declared headers.
    """

    sends: str = ""
    schema: Schema = field(default_factory=dict)
    document: Schema = field(default_factory=dict)
    fixed: Any = None
    media_type: str = ""
    queries: dict[str, Schema] = field(default_factory=dict)
    headers: tuple[str, ...] = ()

    def body(self, known: Mapping[str, str]) -> Any:
        """Return a body that the route should take.

        Args:
            known: values for fields that are named as path parameters are.
        """
        if self.fixed is not None:
            return self.fixed
        return Samples(self.document, known).of(self.schema)

    def fields(self) -> dict[str, Schema]:
        """Return the declared fields of the body."""
        return Samples(self.document, {}).properties(self._schema)

    def leaves(self) -> Iterator[tuple[str, Schema]]:
        """Yield the fields of the body that hold no others, by their paths."""
        return Samples(self.document, {}).leaves(self._schema)

    def placed(self, body: Any, path: str, value: str) -> Any:
        """Return a body with a value in one field, in the field's own type.

        Args:
            body: as it was made.
            path: of the field: ``items.*.order_id``.
            value: as text.
        """
        return Samples(self.document, {}).placed(body, self._schema, path, value)

    @property
    def _schema(self) -> Schema:
        return self.schema if self.fixed is None else schema_of(self.fixed)


def key_of(method: str, path: str) -> Key:
    """Return under what an intake is found."""
    return method, _CONVERTOR.sub("}", path)


def marked(plan: RoutePlan) -> Intake | None:
    """Return what ``accepts(...)`` beside a route says."""
    found = next((mark for mark in plan.marks if isinstance(mark, Accepts)), None)
    if found is None:
        return None
    queries: dict[str, Schema] = {}
    if found.query is not None:
        document = msgspec.json.schema(found.query)
        queries = Samples(document, {}).properties(document)
    if found.body is None:
        return Intake(queries=queries)
    document = msgspec.json.schema(found.body)
    return Intake("json", document, document, queries=queries)


def described(app: object) -> dict[Key, Intake]:
    """Return what FastAPI and Litestar say of their routes in OpenAPI.

    Args:
        app: the application, perhaps with others mounted in it.
    """
    found: dict[Key, Intake] = {}
    for prefix, document in _documents(app, "", 0):
        for path, item in document.get("paths", {}).items():
            for method, operation in item.items():
                if isinstance(operation, Mapping):
                    key = key_of(method.upper(), prefix + path)
                    found.setdefault(key, _intake(operation, document))
    return found


def _documents(app: Any, prefix: str, depth: int) -> Iterator[tuple[str, Schema]]:
    if depth > _DEEPEST or app is None:
        return
    if callable(getattr(app, "openapi", None)):
        yield prefix, app.openapi()
    elif hasattr(app, "openapi_config"):  # Litestar
        if app.openapi_config is not None:
            yield prefix, app.openapi_schema.to_schema()
        return
    elif not hasattr(app, "routes"):
        yield from _documents(getattr(app, "app", None), prefix, depth + 1)
    routes: Sequence[Any] = getattr(app, "routes", ())
    for route in routes:
        below = getattr(route, "app", None)
        if hasattr(below, "routes"):
            path = prefix + getattr(route, "path", "")
            yield from _documents(below, path, depth + 1)


def _intake(operation: Schema, document: Schema) -> Intake:
    intake = Intake(document=document)
    headers = []
    for parameter in operation.get("parameters", ()):
        where, name = parameter.get("in"), parameter.get("name", "")
        if where == "query":
            intake.queries[name] = parameter.get("schema", {})
        elif where == "header":
            headers.append(name)
    intake.headers = tuple(headers)
    content = operation.get("requestBody", {}).get("content", {})
    for media_type, media in content.items():
        if media_type.partition(";")[0].endswith("json"):
            intake.sends = "json"
        elif media_type in _FORMS:
            intake.sends = "data"
        else:
            continue
        intake.schema = media.get("schema", {})
        break
    return intake
