"""What Litestar says about input that it does not accept, without what was sent.

Its answer repeats the whole URL, values that stand in no enum, and whatever a validator
of the application's has put into its message: a password among them (CWE-209). It is
told in the shape that the guard reads for FastAPI too, so that all answer alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from litestar import Litestar, Request, Response
from litestar.exceptions import ValidationException
from litestar.status_codes import HTTP_400_BAD_REQUEST, HTTP_422_UNPROCESSABLE_ENTITY
from litestar.types import ExceptionHandler

from ringfence.interpreters.validation.faults import fault_of

AnyRequest = Request[Any, Any, Any]
Detail = dict[str, Any]

_MISSING = re.compile(r"Missing required (\w+) parameter '([^']+)'")


def tell_by_guard(app: Litestar) -> None:
    """Let the guard answer for input that is not valid, where the developer does not.

    Args:
        app: gets a handler for what Litestar raises about input.
    """
    app.exception_handlers.setdefault(ValidationException, _tell)


def _tell(request: AnyRequest, error: ValidationException) -> Response[Any]:
    own = _developers(request)
    if own is not None:
        return own(request, error)
    return Response(
        {"detail": details_of(error)},
        status_code=HTTP_422_UNPROCESSABLE_ENTITY,
        media_type="application/json",
    )


def _developers(request: AnyRequest) -> ExceptionHandler[Any] | None:
    """Return the handler of the developer's that ours, being the narrowest, hides."""
    handlers = request.scope["route_handler"].resolve_exception_handlers()
    kinds = (HTTP_400_BAD_REQUEST, *ValidationException.__mro__)
    found = (handlers.get(kind) for kind in kinds)  # type: ignore[call-overload]  # a class or a status
    return next((one for one in found if one not in {None, _tell}), None)


def details_of(error: ValidationException) -> list[Detail]:
    """Return what Litestar tells about faults as pydantic would list it."""
    faults = error.extra if isinstance(error.extra, list) else []
    if not faults:
        found = _MISSING.match(error.detail)
        return (
            [] if found is None else [{"loc": list(found.groups()), "type": "missing"}]
        )
    return [_detail(fault) for fault in faults if isinstance(fault, Mapping)]


def _detail(fault: Mapping[str, Any]) -> Detail:
    place = [_text(fault[name]) for name in ("source", "key") if name in fault]
    found = fault_of(_text(fault.get("message", "")))
    loc = [*place, *found.place]
    return {"loc": loc, "type": found.kind, "ctx": dict(found.limits)}


def _text(value: object) -> str:
    """Litestar's enums are text that prints otherwise."""
    return str(getattr(value, "value", value))
