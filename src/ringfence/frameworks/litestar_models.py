"""Which model a Litestar handler reads its body into.

Litestar takes a body for JSON whatever its Content-Type says, ignores fields that the
model does not have, and reads ``"1"`` as a number.
"""

from __future__ import annotations

from typing import Any

from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler

from ringfence.errors import PlanError
from ringfence.interpreters.validation import from_msgspec, from_pydantic, shape
from ringfence.interpreters.validation.intake import Takes
from ringfence.interpreters.validation.names import fields_of, name_of
from ringfence.interpreters.validation.shape import Check

_READERS = frozenset({"body", "request", "scope"})
_FORMS = frozenset({RequestEncodingType.URL_ENCODED, RequestEncodingType.MULTI_PART})


def takes_of(handler: BaseRouteHandler) -> Takes:
    """Return what a handler reads into a model.

    Args:
        handler: of HTTP, registered.

    Not covered: what a dependency of the handler's reads; MessagePack.
    """
    field = handler.parsed_data_field
    if field is None:
        asked = _READERS.isdisjoint(handler.parsed_fn_signature.parameters)
        alone = asked and not handler.resolve_dependencies()
        return Takes(reads_by_itself=not alone)
    annotation = _sent(handler, field.annotation)
    kind = getattr(field.kwarg_definition, "media_type", None)
    if kind in _FORMS:
        names = _names(annotation)
        return Takes(
            name=name_of(field.annotation),
            form=names,
            has_files=kind == RequestEncodingType.MULTI_PART,
        )
    if kind not in {None, RequestEncodingType.JSON}:
        return Takes()
    check = _check(annotation)
    is_open = check is shape.anything
    return Takes(name="" if is_open else name_of(field.annotation), body=check)


def _sent(handler: BaseRouteHandler, annotation: Any) -> Any:
    """Return the model of what is sent: a DTO leaves fields out and renames others."""
    dto = handler.resolve_data_dto()
    if dto is None:
        return annotation
    try:
        return dto._dto_backends[handler.handler_id]["data_backend"].annotation  # noqa: SLF001 - what is missing is told
    except (AttributeError, LookupError) as error:
        message = (
            f"{handler} takes data by {dto.__qualname__} in a way that this version of "
            f"ringfence does not understand ({error!r}); install the newest ringfence, "
            "or a Litestar that it was tested with (2.25)"
        )
        raise PlanError(message) from error


def _check(annotation: Any) -> Check:
    """Return the check of a model; one that msgspec does not know is Litestar's."""
    try:
        return from_msgspec.shape_of(annotation, foreign=_foreign)
    except TypeError:
        return shape.anything


def _foreign(model: type) -> Check:
    schema = getattr(model, "__pydantic_core_schema__", None)
    return shape.anything if schema is None else from_pydantic.shape_of(schema)


def _names(annotation: Any) -> frozenset[str] | None:
    schema = getattr(annotation, "__pydantic_core_schema__", None)
    if schema is not None:
        return from_pydantic.names_of(schema)
    try:
        fields = fields_of(annotation)
    except TypeError:
        return None
    return None if fields is None else frozenset(fields)
