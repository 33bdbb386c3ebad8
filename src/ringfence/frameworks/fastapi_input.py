"""Which models a FastAPI route reads its input into.

Pydantic ignores fields that a model does not have, and reads ``"1"`` as a number. Both
are refused before the handler, by what its core schemas say; nothing is validated
twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import UploadFile, params
from fastapi.dependencies.models import Dependant

from ringfence.interpreters.validation import from_pydantic, shape
from ringfence.interpreters.validation.intake import Takes
from ringfence.interpreters.validation.names import name_of
from ringfence.interpreters.validation.shape import Check

Field = Any
"""A ``ModelField``, whose class FastAPI keeps to itself."""


def takes_of(route: Any) -> Takes:
    """Return what a route reads into models.

    Args:
        route: an ``APIRoute``, or the context of an included one, which has the same
            attributes.
    """
    dependants = list(_all(route.dependant))
    body = [field for one in dependants for field in one.body_params]
    query = [field for one in dependants for field in one.query_params]
    by_itself = any(
        one.request_param_name or one.http_connection_param_name for one in dependants
    )
    query_names = _names_of_query(query)
    is_form = any(isinstance(field.field_info, params.Form) for field in body)
    return Takes(
        name=_name(body, is_form=is_form),
        body=_body(route, body) if body and not is_form else None,
        form=_form(body) if is_form else None,
        has_files=is_form and any(map(_may_hold_files, body)),
        query_name=name_of(query[0].field_info.annotation) if query_names else "",
        query=query_names,
        reads_by_itself=by_itself,
    )


def _all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for below in dependant.dependencies:
        yield from _all(below)


def _name(body: Sequence[Field], *, is_form: bool) -> str:
    """Return the models by name; nothing where any JSON is taken."""
    if is_form and not any(_has_model(field) for field in body):
        return "form"
    if all(_check(field) is shape.anything for field in body):
        return ""
    names = (name_of(field.field_info.annotation) for field in body)
    return ", ".join(dict.fromkeys(names))


def _body(route: Any, body: Sequence[Field]) -> Check:
    if not route._embed_body_fields:  # noqa: SLF001 - see the self-test of fastapi.py
        return _check(body[0])
    return shape.fields(
        {name: _check(field) for field in body for name in _sent(field)}
    )


def _check(field: Field) -> Check:
    return from_pydantic.shape_of(_schema(field))


def _schema(field: Field) -> from_pydantic.Schema:
    """Return the core schema; of a type whose names lead nowhere, one that says
    nothing: FastAPI fails at such a parameter by itself."""
    schema = field._type_adapter.core_schema  # noqa: SLF001 - see the self-test of fastapi.py
    try:
        schema["type"]  # built when it is first looked at
    except RuntimeError:
        return {"type": "any"}
    return schema  # type: ignore[no-any-return]  # FastAPI's class says nothing


def _sent(field: Field) -> Iterator[str]:
    """Yield the names under which a parameter may be sent."""
    info = field.field_info
    alias = info.validation_alias
    choices = getattr(alias, "choices", (alias,))  # of pydantic's AliasChoices
    yield from (choice for choice in choices if isinstance(choice, str))
    yield info.alias or field.name


def _form(body: Sequence[Field]) -> frozenset[str] | None:
    """Return the names of a form's fields; ``None`` where it may have any."""
    names: set[str] = set()
    for field in body:
        if _has_model(field):
            below = _names_of_model(field)
            if below is None:
                return None
            names |= below
        else:
            names.update(_sent(field))
    return frozenset(names)


def _has_model(field: Field) -> bool:
    return from_pydantic.has_fields(_schema(field))


def _names_of_model(field: Field) -> frozenset[str] | None:
    return from_pydantic.names_of(_schema(field))


def _names_of_query(query: Sequence[Field]) -> frozenset[str] | None:
    """Return the names of a query that is one model. Single parameters say nothing of
    others: links carry names that only their sender's statistics know."""
    if len(query) != 1 or not _has_model(query[0]):
        return None
    return _names_of_model(query[0])


def _may_hold_files(field: Field) -> bool:
    annotation = field.field_info.annotation
    if isinstance(field.field_info, params.File):
        return True
    below = getattr(annotation, "model_fields", None)
    if below is None:
        return _has_model(field) or UploadFile.__name__ in str(annotation)
    return any(UploadFile.__name__ in str(one.annotation) for one in below.values())
