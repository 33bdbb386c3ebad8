"""Answers when the shop itself says no: problem+json to programs, a page to people.

The guard answers for what it refuses before the shop is asked, and rewrites FastAPI's
422, which would repeat what was sent.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from examples.shop.problems import ShopError
from examples.shop.shapes import Problem
from examples.shop.web.pages import page
from ringfence import current


def install_refusals(shop: FastAPI) -> None:
    shop.add_exception_handler(ShopError, _shop_error)
    shop.add_exception_handler(HTTPException, _http_exception)


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
