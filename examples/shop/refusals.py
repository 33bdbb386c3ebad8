"""Answers when the shop itself says no: problem+json to programs, a page to people.

The guard answers for what it refuses before the shop is asked, and puts its own words
to FastAPI's 422.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from examples.shop.problems import ShopError
from examples.shop.shapes import Problem
from examples.shop.web.pages import page
from ringfence import current


def install_refusals(shop: FastAPI) -> None:
    shop.add_exception_handler(ShopError, _shop_error)
    shop.add_exception_handler(HTTPException, _http_exception)
    shop.add_exception_handler(RequestValidationError, _wrong_shape)


async def _shop_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ShopError):
        raise error
    return _refuse(request, error.status, error.code, error.detail)


async def _http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    response = _refuse(
        request,
        status,
        f"shop.http_{status.value}",
        status.description or status.phrase,
    )
    response.headers.update(error.headers or {})
    return response


async def _wrong_shape(_: Request, error: Exception) -> Response:
    """Answer as FastAPI does, without the input. FastAPI repeats it, a password in the
    wrong field too, and fails with 500 where it cannot be written as JSON (NaN, half a
    surrogate pair)."""
    if not isinstance(error, RequestValidationError):
        raise error
    detail = [
        {"loc": _place(e["loc"]), "type": e["type"], "msg": "", "ctx": _limits(e)}
        for e in error.errors()
    ]
    return JSONResponse({"detail": detail}, 422)


def _place(parts: tuple[str | int, ...]) -> list[str | int]:
    """Return where the mistake is. Names of unexpected fields stand here, and they are
    input too: what no encoding can write becomes a question mark."""
    return [
        part if isinstance(part, int) else part.encode(errors="replace").decode()
        for part in parts
    ]


def _limits(error: dict[str, object]) -> dict[str, int]:
    """Return the numbers that an input has to keep to."""
    context = error.get("ctx")
    found = context.items() if isinstance(context, dict) else ()
    return {name: limit for name, limit in found if isinstance(limit, int)}


def _refuse(request: Request, status: int, code: str, detail: str) -> Response:
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=current.request_id(),
    )
    if request.url.path.startswith("/api/"):
        return JSONResponse(
            problem.model_dump(), status, media_type="application/problem+json"
        )
    return page(request, "problem.html", status=status, problem=problem)
