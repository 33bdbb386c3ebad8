"""Answers when the shop itself says no: problem+json to programs, a page to people.

The guard answers for what it refuses before the shop is asked.
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


async def _wrong_shape(request: Request, error: Exception) -> Response:
    """Name the fields that are wrong. What was sent is not repeated: it may be a
    password in the wrong place."""
    if not isinstance(error, RequestValidationError):
        raise error
    fields = {".".join(str(part) for part in e["loc"][1:]) for e in error.errors()}
    named = ", ".join(sorted(field[:40] for field in fields if field)[:5])
    detail = f"Not accepted as sent: {named}." if named else "Not accepted as sent."
    return _refuse(request, 422, "shop.wrong_shape", detail)


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
