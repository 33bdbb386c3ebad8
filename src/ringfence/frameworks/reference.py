"""The API reference page, in place of those that frameworks bring.

Those need an inline script and scripts from a foreign host, so that under a strict
Content-Security-Policy they stay blank, and people take the policy away. This page is
made on the server from the application's OpenAPI schema, with one style under the
response's nonce and no script at all.

Every text comes from ``_tag``, which escapes whatever is not markup already: a
description or an example may hold anything (CWE-79).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ringfence import current
from ringfence.exchange import ASGIApp, Receive, Scope, Send


class Markup(str):
    """Text that is HTML already; any other text is escaped before it is put in."""

    __slots__ = ()


Schema = Mapping[str, Any]

_STYLE = (Path(__file__).with_name("pages") / "reference.css").read_text("utf-8")
_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
_UNTAGGED = "Operations"
_DEEPEST = 6  # nested inline schemas; what is deeper is left out

_LIMITS = {
    "default": "default",
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
    "minLength": "shortest",
    "maxLength": "longest",
    "minItems": "fewest",
    "maxItems": "most",
    "pattern": "pattern",
}


def reference_page(schema: Callable[[], Schema], source: str) -> ASGIApp:
    """Return the application that answers with the reference of an API.

    Args:
        schema: returns the OpenAPI schema, the same object as long as it has not
            changed.
        source: the path under which programs find the schema.
    """
    return _ReferencePage(schema, source)


class _ReferencePage:
    """Renders the schema once and completes it with a nonce for each response."""

    __slots__ = ("_body", "_current", "_schema", "_source")

    def __init__(self, schema: Callable[[], Schema], source: str) -> None:
        self._current = schema
        self._source = source
        self._schema: Schema | None = None
        self._body = Markup("")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the page."""
        schema = self._current()
        if schema is not self._schema:
            self._body, self._schema = _body(schema), schema
        root_path = scope.get("root_path", "").rstrip("/")
        page = _page(
            str(schema.get("info", {}).get("title", "API")),
            self._body,
            source=f"{root_path}{self._source}",
            nonce=current.nonce(),
        ).encode()
        headers = [
            (b"content-length", str(len(page)).encode()),
            (b"content-type", b"text/html; charset=utf-8"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": page})


def _page(title: str, body: Markup, *, source: str, nonce: str) -> str:
    link = _tag("a", "The same as OpenAPI, for programs", href=source)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{_tag('title', f'{title}: API reference')}"
        f'<style nonce="{escape(nonce)}">{_STYLE}</style></head><body>'
        f'<a class="skip" href="#reference">Skip to the reference</a>'
        f'<div class="page">{body}{_tag("footer", _tag("p", link))}</div></body></html>'
    )


def _body(schema: Schema) -> Markup:
    groups = _groups(schema)
    main = [_group(schema, name, found) for name, found in groups.items()]
    main.append(_schemas(schema))
    return _join(
        _introduction(schema),
        _contents(groups),
        _tag("main", *main, id="reference"),
    )


Operation = tuple[str, str, Schema]
"""Method, path, and what OpenAPI says about them."""


def _operations(schema: Schema) -> Iterator[Operation]:
    for path, item in schema.get("paths", {}).items():
        for method in _METHODS:
            if method in item:
                shared = item.get("parameters", [])
                own = item[method]
                parameters = [*shared, *own.get("parameters", [])]
                yield method, path, {**own, "parameters": parameters}


def _groups(schema: Schema) -> dict[str, list[Operation]]:
    """Return the operations by their first tag, in the order the tags were declared."""
    groups: dict[str, list[Operation]] = {
        str(tag["name"]): [] for tag in schema.get("tags", [])
    }
    for operation in _operations(schema):
        tags = operation[2].get("tags") or [_UNTAGGED]
        groups.setdefault(str(tags[0]), []).append(operation)
    return {name: found for name, found in groups.items() if found}


def _introduction(schema: Schema) -> Markup:
    info = schema.get("info", {})
    return _tag(
        "header",
        _tag("h1", info.get("title", "API")),
        _tag("p", f"Version {info.get('version', '?')}", class_="version"),
        _text(info.get("summary")),
        _text(info.get("description")),
        _schemes(schema.get("components", {}).get("securitySchemes", {})),
    )


def _schemes(schemes: Mapping[str, Schema]) -> Markup:
    rows = [
        (_tag("code", name), one.get("type", ""), _scheme(one))
        for name, one in schemes.items()
    ]
    return _titled("How to sign in", _table(("Name", "Kind", "How"), rows))


def _scheme(scheme: Schema) -> Markup:
    where = {
        "apiKey": f"{scheme.get('name')} in {scheme.get('in')}",
        "http": f"Authorization: {str(scheme.get('scheme', '')).capitalize()}",
    }.get(str(scheme.get("type")), "")
    return _join(where, " ", _text(scheme.get("description")))


def _contents(groups: Mapping[str, Sequence[Operation]]) -> Markup:
    parts: list[str] = []
    for name, operations in groups.items():
        entries = [
            _tag(
                "li",
                _tag(
                    "a",
                    _tag("span", method.upper(), class_=f"method {method}"),
                    _tag("span", _breakable(path)),
                    href=f"#{_anchor(method, path)}",
                ),
            )
            for method, path, _ in operations
        ]
        title = _tag("h2", _tag("a", name, href=f"#{_group_anchor(name)}"))
        parts += [title, _tag("ul", *entries)]
    return _tag("nav", *parts, class_="contents", aria_label="Contents")


def _group(schema: Schema, name: str, operations: Sequence[Operation]) -> Markup:
    described = {tag["name"]: tag.get("description") for tag in schema.get("tags", [])}
    return _tag(
        "section",
        _tag("h2", name),
        _text(described.get(name)),
        *(_operation(schema, *operation) for operation in operations),
        id=_group_anchor(name),
    )


def _operation(schema: Schema, method: str, path: str, operation: Schema) -> Markup:
    old = bool(operation.get("deprecated"))
    secured = operation.get("security", schema.get("security"))
    return _tag(
        "details",
        _tag(
            "summary",
            _tag("span", method.upper(), class_=f"method {method}"),
            _tag("code", _breakable(path), class_="old" if old else ""),
            _tag("span", operation.get("summary", ""), class_="what"),
            *(_tag("span", "deprecated", class_="badge"),) * old,
            *(_tag("span", "sign-in needed", class_="badge"),) * bool(secured),
        ),
        _tag(
            "div",
            _text(operation.get("description")),
            _parameters(operation.get("parameters", [])),
            _request(operation.get("requestBody")),
            _responses(operation.get("responses", {})),
            class_="inside",
        ),
        id=_anchor(method, path),
    )


def _parameters(parameters: Sequence[Schema]) -> Markup:
    rows = [
        (
            _join(_tag("code", one.get("name", "")), _required(one)),
            one.get("in", ""),
            _kind(one.get("schema", {})),
            _text(one.get("description")),
        )
        for one in parameters
    ]
    return _titled("Parameters", _table(("Name", "In", "Type", "Meaning"), rows))


def _request(body: Schema | None) -> Markup:
    if not body:
        return Markup("")
    needed = "Body" if body.get("required") else "Body (optional)"
    return _titled(needed, _text(body.get("description")), *_media(body))


def _responses(responses: Mapping[str, Schema]) -> Markup:
    rows = [
        (
            _tag("code", status),
            one.get("description", ""),
            _join(*_media(one)),
        )
        for status, one in responses.items()
    ]
    return _titled("Responses", _table(("Status", "Meaning", "Content"), rows))


def _media(holder: Schema) -> Iterator[Markup]:
    for media, one in holder.get("content", {}).items():
        schema = one.get("schema", {})
        yield _tag("div", _tag("code", media), " ", _kind(schema))
        if schema.get("properties"):
            yield _properties(schema)


def _schemas(schema: Schema) -> Markup:
    schemas = schema.get("components", {}).get("schemas", {})
    if not schemas:
        return Markup("")
    return _tag(
        "section",
        _tag("h2", "Schemas"),
        *(
            _tag(
                "details",
                _tag("summary", _tag("code", name)),
                _tag(
                    "div",
                    _text(one.get("description")),
                    _properties(one) if one.get("properties") else _kind(one),
                    class_="inside",
                ),
                id=f"schema-{name}",
            )
            for name, one in schemas.items()
        ),
    )


def _properties(schema: Schema) -> Markup:
    required = set(schema.get("required", ()))
    rows = [
        (
            _join(_tag("code", name), _required({"required": name in required})),
            _kind(one),
            _text(one.get("description")),
        )
        for name, one in schema.get("properties", {}).items()
    ]
    return _table(("Name", "Type", "Meaning"), rows)


def _required(one: Schema) -> Markup:
    if one.get("required"):
        return _tag("span", "required", class_="limits")
    return Markup("")


def _kind(schema: Schema, depth: int = 0) -> Markup:
    """Say in words what a schema allows, with links to the named ones."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return Markup("&hellip;")
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        return _tag("a", name, href=f"#schema-{name}")
    for key, word in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        if schema.get(key):
            parts = [_kind(one, depth + 1) for one in schema[key]]
            return _join(Markup(word.join(parts)), _limits(schema))
    if "enum" in schema:
        values = [_tag("code", str(value)) for value in schema["enum"]]
        return _join("one of ", Markup(", ".join(values)), _limits(schema))
    if "const" in schema:
        return _tag("code", str(schema["const"]))
    return _join(_named_type(schema, depth), _limits(schema))


def _named_type(schema: Schema, depth: int) -> Markup:
    kind = schema.get("type", "anything")
    if kind == "array":
        return _join("array of ", _kind(schema.get("items", {}), depth + 1))
    text = " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    if schema.get("format"):
        text += f" ({schema['format']})"
    return _join(text)


def _limits(schema: Schema) -> Markup:
    found = [
        f"{word} {_value(schema[key])}"
        for key, word in _LIMITS.items()
        if key in schema
    ]
    return _tag("span", ", ".join(found), class_="limits") if found else Markup("")


def _value(value: object) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return f"{value:.0f}" if whole else json.dumps(value, default=str)


def _titled(title: str, *content: str) -> Markup:
    return _join(_tag("h3", title), *content) if any(content) else Markup("")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    if not rows:
        return Markup("")
    return _tag(
        "div",
        _tag(
            "table",
            _tag("thead", _tag("tr", *(_tag("th", one, scope="col") for one in head))),
            _tag("tbody", *map(_row, rows)),
        ),
        class_="wide",
    )


def _row(cells: Sequence[str]) -> Markup:
    first, *others = cells
    return _tag(
        "tr", _tag("th", first, scope="row"), *(_tag("td", one) for one in others)
    )


def _text(text: object) -> Markup:
    """Return a paragraph, or nothing. Markdown is shown as it is written."""
    return _tag("p", str(text).strip()) if text else Markup("")


def _anchor(method: str, path: str) -> str:
    return f"{method}-{path}"


def _group_anchor(name: str) -> str:
    return f"group-{quote(name, safe='')}"  # no spaces may stand in an id


def _breakable(path: str) -> Markup:
    """Return a path that a narrow column breaks before a slash, and nowhere else."""
    return Markup(escape(path).replace("/", "<wbr>/").removeprefix("<wbr>"))


def _tag(name: str, *children: object, **attributes: str) -> Markup:
    """Return an element; children that are no markup are escaped, and attributes
    without a value left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value
    )
    return Markup(f"<{name}{written}>{_join(*children)}</{name}>")


def _join(*children: object) -> Markup:
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(str(child))
            for child in children
        )
    )
