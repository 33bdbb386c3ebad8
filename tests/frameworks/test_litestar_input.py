"""Litestar's word about input goes out without what was sent."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import pytest
from litestar import Litestar, Response, get, post
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import FromQuery, JSONBody
from litestar.testing import TestClient
from pydantic import BaseModel, field_validator

from ringfence import Guard, Settings, access
from ringfence.frameworks.litestar_input import details_of
from ringfence.testing import local

SECRET = "hunter2"


@dataclass
class Person:
    name: str
    age: int


class Choice(msgspec.Struct):
    kind: Literal["a", "b"]
    code: Annotated[str, msgspec.Meta(min_length=3, pattern="^[a-z]+$")] = "abc"
    count: Annotated[int, msgspec.Meta(ge=3)] = 3


class Talkative(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def refuse(cls, number):
        raise ValueError(f"it was {number}")


@post("/person")
async def person(data: JSONBody[Person]) -> None: ...


@post("/choice")
async def choice(data: JSONBody[Choice]) -> None: ...


@post("/talkative")
async def talkative(data: JSONBody[Talkative]) -> None: ...


@get("/query")
async def query(
    number: FromQuery[int], kind: FromQuery[Literal["z"]] = "z"
) -> None: ...


@pytest.fixture
def client(tmp_path):
    """Return a function: a client of a guarded application with these options."""
    settings = Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path,
        identity={"enabled": False},
    )
    opened = []

    def make(**options):
        app = Litestar(
            [person, choice, talkative, query],
            guards=[access.guard(access.public)],
            openapi_config=None,
            logging_config=None,
            **options,
        )
        guard = local(Guard(app, settings))
        opened.append(TestClient(guard, base_url="http://127.0.0.1:8000"))
        return opened[-1].__enter__()

    yield make
    for one in opened:
        one.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("path", "body", "field", "kind"),
    [
        ("/person", {"name": SECRET, "age": SECRET}, "body.age", "int_type"),
        ("/person", {"name": SECRET}, "body.data.age", "missing"),
        ("/choice", {"kind": SECRET}, "body.kind", "enum"),
        ("/choice", {"kind": "a", "code": "x"}, "body.code", "string_too_short"),
        ("/choice", {"kind": "a", "count": 1}, "body.count", "greater_than_equal"),
        ("/talkative", {"number": 4711}, "number", "invalid"),
    ],
)
def test_fields_are_told_without_their_values(client, path, body, field, kind):
    answer = client().post(path, json=body)
    assert answer.status_code == 422
    by_stage = kind == "int_type"  # which Litestar would read from text
    room = "interpreters" if by_stage else "guard"
    assert answer.json()["code"] == f"{room}.invalid_input"
    (error,) = answer.json()["errors"]
    assert (error["field"], error["type"]) == (field, kind)
    assert SECRET not in answer.text
    assert "4711" not in answer.text


def test_the_query_is_not_repeated(client):
    answer = client().get(f"/query?number={SECRET}&kind={SECRET}")
    assert answer.status_code == 422
    assert SECRET not in answer.text
    assert {error["field"] for error in answer.json()["errors"]} == {
        "query.number",
        "query.kind",
    }


def test_a_missing_parameter_is_named(client):
    answer = client().get("/query")
    (error,) = answer.json()["errors"]
    assert (error["field"], error["type"]) == ("query.number", "missing")


@pytest.mark.parametrize("kind", [ValidationException, HTTPException, 400, ValueError])
def test_the_developers_own_handler_comes_first(client, kind):
    def own(request, error):
        return Response({"mine": True}, status_code=409)

    answer = client(exception_handlers={kind: own}).get("/query?number=x")
    assert (answer.status_code, answer.json()) == (409, {"mine": True})


@pytest.mark.parametrize("extra", [None, {}, [], [7], {"a": 1}])
def test_what_has_another_shape_tells_nothing(extra):
    assert details_of(ValidationException("no", extra=extra)) == []
