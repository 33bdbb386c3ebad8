"""Twins of what frameworks let in beside their models (CWE-915, OWASP API3:2023).

Each attack works on the application alone and fails behind the guard; honest use stays
what it was. Nothing is said beside the routes: this is the default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from litestar import Litestar, patch
from litestar import Request as LitestarRequest
from litestar.dto import DataclassDTO, DTOConfig
from litestar.params import JSONBody
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.guard.conftest import running

from ringfence import Guard, Settings, accepts, access
from ringfence.testing import assert_refused

pytestmark = pytest.mark.anyio

BASE = "http://127.0.0.1:8000"


class Profile(BaseModel):
    name: str = ""
    age: int = 0


@dataclass
class User:
    name: str = ""
    age: int = 0
    role: str = "user"


class Changes(DataclassDTO[User]):
    config = DTOConfig(exclude={"role"})


@dataclass
class Wanted:
    name: str = ""
    age: int = 0


def fastapi_app(*, guarded):
    """The model was checked, so the whole body is stored."""
    policy = [access.depends(access.public)] if guarded else []
    app = FastAPI(dependencies=policy)

    @app.patch("/profile")
    async def change(profile: Profile, request: Request) -> dict[str, Any]:
        return {"role": "user", "age": profile.age, **await request.json()}

    return app


def litestar_app(*, guarded):
    @patch("/profile", dto=Changes, return_dto=None)
    async def change(data: JSONBody[User], request: LitestarRequest) -> dict[str, Any]:
        return {"role": "user", "age": data.age, **await request.json()}

    policy = [access.guard(access.public)] if guarded else []
    return Litestar([change], guards=policy, openapi_config=None, logging_config=None)


def starlette_app(*, guarded):
    async def change(request):
        return JSONResponse({"role": "user", **await request.json()})

    routes = [Route("/profile", change, methods=["PATCH"])]
    marked = access.routes(routes, access.public, accepts(Wanted))
    return Starlette(routes=marked if guarded else routes)


@pytest.fixture(params=[fastapi_app, litestar_app, starlette_app])
def build(request):
    return request.param


@pytest.fixture
def settings(tmp_path):
    return Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path,
        identity={"enabled": False},
    )


async def ask(app, body):
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 5000))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        return await client.patch("/profile", json=body)


async def ask_guarded(app, settings, body):
    guard = Guard(app, settings)
    async with running(guard):
        return await ask(guard, body)


@pytest.mark.parametrize(
    "body", [{"role": "admin"}, {"name": "Ann", "role": "admin", "age": 3}]
)
async def test_a_field_that_no_model_has_reaches_no_handler(build, settings, body):
    answer = await ask(build(guarded=False), body)
    assert answer.json()["role"] == "admin"
    answer = await ask_guarded(build(guarded=True), settings, body)
    assert_refused(answer, "interpreters.invalid_input", 422)
    (error,) = answer.json()["errors"]
    assert (error["field"], error["type"]) == ("body.role", "extra_forbidden")
    assert "admin" not in answer.text


async def test_text_is_no_number(build, settings):
    """What compares and adds otherwise than a number would."""
    answer = await ask(build(guarded=False), {"age": "3"})
    assert answer.status_code == 200
    answer = await ask_guarded(build(guarded=True), settings, {"age": "3"})
    assert_refused(answer, "interpreters.invalid_input", 422)


async def test_what_the_model_has_is_taken(build, settings):
    body = {"name": "Zoë O'Brien; DROP TABLE <b>", "age": 41}
    alone = await ask(build(guarded=False), body)
    guarded = await ask_guarded(build(guarded=True), settings, body)
    assert guarded.status_code == alone.status_code == 200
    assert guarded.json() == alone.json()


async def test_a_route_that_says_lenient_takes_more(settings):
    app = FastAPI(dependencies=[access.depends(access.public, accepts.lenient)])

    @app.patch("/profile")
    async def change(profile: Profile) -> Profile:
        return profile

    guard = Guard(app, settings)
    async with running(guard):
        answer = await ask(guard, {"name": "Ann", "from_an_older_client": 1})
    assert answer.json()["name"] == "Ann"
    inputs = [plan.input for plan in guard.plan if plan.path == "/profile"]
    assert inputs == ["Profile (lenient)"]
