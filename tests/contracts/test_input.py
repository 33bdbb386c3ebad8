"""One contract for all frameworks: what a route takes, and what never reaches it."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from typing import Annotated, TypedDict

import httpx2
import msgspec
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse as FastAPIAnswer
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import route as litestar_route
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.guard.conftest import running

from ringfence import Guard, Rule, Settings, accepts, access, current
from ringfence.testing import assert_refused

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


class Item(TypedDict):
    sku: str
    count: int


@dataclass
class Address:
    street: str


class Order(msgspec.Struct):
    name: str
    amount: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    items: list[Item] = []
    address: Address | None = None
    tags: list[str] = []
    note: Annotated[str, msgspec.Meta(max_length=20_000)] = ""


@dataclass
class Filter:
    page: int = 1
    sort: str = "name"
    tag: tuple[str, ...] = ()


MARKS = {
    "/json": (),
    "/order": (accepts(Order),),
    "/lenient": (accepts(Order), accepts.lenient),
    "/anything": (accepts.anything,),
    "/search": (accepts(query=Filter),),
    "/counts": (accepts(dict[str, int]),),
}
METHODS = ("GET", "POST", "PATCH")
told = []


def answer(path, body):
    """What every application does: it tells what it has got."""
    told.append(path)
    model = {"/order": Order, "/lenient": Order, "/search": Filter}.get(path)
    model = dict[str, int] if path == "/counts" else model
    if model is not None:
        got = current.accepted(model)
        return asdict(got) if model is Filter else msgspec.to_builtins(got)
    return {"got": body.decode("latin-1")}


def starlette_app():
    async def handle(request):
        path = request.url.path
        return JSONResponse(answer(path, await request.body()))

    routes = []
    for path, marks in MARKS.items():
        one = Route(path, handle, methods=list(METHODS))
        routes += access.routes([one], access.public, *marks)
    return Starlette(routes=routes), ()


def fastapi_app():
    app = FastAPI()
    for path, marks in MARKS.items():

        async def handle(request: Request):
            body = await request.body()
            return FastAPIAnswer(answer(request.url.path, body))

        app.add_api_route(
            path,
            handle,
            methods=list(METHODS),
            dependencies=[access.depends(access.public, *marks)],
        )
    return app, (Rule("GET", "/docs", access.public),)


def litestar_app():
    handlers = []
    for path, marks in MARKS.items():

        async def handle(request: LitestarRequest) -> dict:
            return answer(request.url.path, await request.body())

        handlers.append(
            litestar_route(
                path,
                http_method=list(METHODS),
                guards=[access.guard(access.public, *marks)],
                status_code=200,
            )(handle)
        )
    return Litestar(handlers, openapi_config=None, logging_config=None), ()


def plain_app():
    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        said = json.dumps(answer(scope["path"], body)).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": said})

    rules = [
        Rule(method, path, access.public, *marks)
        for path, marks in MARKS.items()
        for method in METHODS
    ]
    return app, rules


FRAMEWORKS = {
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "plain": plain_app,
}


@pytest.fixture(params=FRAMEWORKS)
async def client(request, tmp_path):
    told.clear()
    settings = Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path,
        identity={"enabled": False},
    )
    app, rules = FRAMEWORKS[request.param]()
    if request.param == "fastapi":
        rules = ()
    guard = Guard(app, settings, rules=rules)
    if request.param == "plain":  # no lifespan of its own
        transport = httpx2.ASGITransport(app=guard, client=("127.0.0.1", 5000))
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8000"
        ) as one:
            one.guard = guard
            yield one
        return
    async with running(guard):
        transport = httpx2.ASGITransport(app=guard, client=("127.0.0.1", 5000))
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8000"
        ) as one:
            one.guard = guard
            yield one


def fields(response):
    return {(one["field"], one["type"]) for one in response.json()["errors"]}


BROKEN = {
    b'{"a": 1, "a": 2}': "interpreters.json_duplicate_key",
    b'{"a": NaN}': "interpreters.json_number",
    b'{"a": 1e400}': "interpreters.json_number",
    b"[" * 40 + b"]" * 40: "interpreters.json_too_deep",
    b"\xef\xbb\xbf{}": "interpreters.json_encoding",
    b'"\\ud800"': "interpreters.json_encoding",
    b"{} ]": "interpreters.json_malformed",
}


@pytest.mark.parametrize("method", METHODS)
async def test_json_that_may_be_read_in_two_ways_reaches_no_handler(client, method):
    for body, code in BROKEN.items():
        for kind in ("application/json", "application/vnd.api+json; charset=utf-8"):
            for path in ("/json", "/order"):
                said = await client.request(
                    method, path, content=body, headers={"content-type": kind}
                )
                assert_refused(said, code, 400)
    assert told == []


async def test_honest_json_arrives_byte_by_byte(client):
    honest = [
        "{}",
        "[]",
        "null",
        " 7 ",
        '"text"',
        '{"name": "O\'Brien", "price": 12.50, "big": 18446744073709551615}',
        '{"emoji": "\\ud83d\\ude00", "text": "\\u0022 é 中文 العربية"}',
        '{"data": {"type": "articles", "attributes": {"title": "JSON:API"}}}',
        '[{"op": "test", "path": "/a~1b", "value": null}]',
        "",
    ]
    for text in honest:
        for kind in ("application/json", "application/merge-patch+json"):
            said = await client.patch(
                "/json", content=text.encode(), headers={"content-type": kind}
            )
            assert said.status_code == 200, text
            assert said.json()["got"] == text.encode().decode("latin-1")


async def test_other_bodies_are_nobodys_json(client):
    for kind in ("text/plain", "application/octet-stream", "application/x-ndjson"):
        said = await client.post(
            "/json", content=b'{"a":1,"a":2}\n{', headers={"content-type": kind}
        )
        assert said.json()["got"] == '{"a":1,"a":2}\n{'


async def test_a_stream_of_pieces_arrives_whole(client):
    async def pieces():
        for piece in (b'{"a"', b": [1,", b" 2]}"):
            yield piece

    said = await client.post("/json", content=pieces(), headers=JSON)
    assert said.json()["got"] == '{"a": [1, 2]}'


async def test_a_route_may_take_anything(client):
    body = b'{"a":1,"a":NaN}'
    said = await client.post("/anything", content=body, headers=JSON)
    assert said.json()["got"] == body.decode()


async def test_a_handler_gets_the_model(client):
    new = {
        "name": "O'Brien <b>",
        "amount": 3,
        "items": [{"sku": "a", "count": 2}],
        "address": {"street": "Main"},
        "note": "n" * 15_000,
    }
    said = await client.post("/order", json=new)
    assert said.status_code == 200, said.text
    assert said.json() == {**new, "tags": []}


@pytest.mark.parametrize(
    ("changed", "field", "kind"),
    [
        ({"role": "admin"}, "body.role", "extra_forbidden"),
        ({"items": [{"sku": "a", "count": 1, "price": 0}]}, "body.items.0.price",
         "extra_forbidden"),
        ({"address": {"street": "x", "id": 1}}, "body.address.id", "extra_forbidden"),
        ({"amount": "3"}, "body.amount", "int_type"),
        ({"amount": True}, "body.amount", "int_type"),
        ({"amount": 0}, "body.amount", "greater_than_equal"),
        ({"amount": None}, "body.amount", "int_type"),
        ({"name": 7}, "body.name", "string_type"),
        ({"name": "x" * 10_001}, "body.name", "string_too_long"),
        ({"tags": ["x"] * 1_001}, "body.tags", "too_long"),
        ({"tags": ["x" * 10_001]}, "body.tags.0", "string_too_long"),
        ({"address": []}, "body.address", "dict_type"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_the_model_reaches_no_handler(
    client, changed, field, kind
):
    said = await client.post("/order", json={"name": "x", "amount": 3, **changed})
    assert_refused(said, "interpreters.invalid_input", 422)
    assert fields(said) == {(field, kind)}
    assert told == []


async def test_a_refusal_repeats_no_value(client):
    secret = f"hunter2-{uuid.uuid4()}"
    new = {"name": [secret], "amount": secret, "password": secret}
    said = await client.post("/order", json=new)
    assert said.status_code == 422
    assert secret not in said.text


async def test_what_is_missing_is_named(client):
    said = await client.post("/order", json={"amount": 1})
    assert fields(said) == {("body.name", "missing")}
    assert fields(await client.post("/order")) == {("body", "missing")}
    said = await client.post("/order", headers=JSON)
    assert fields(said) == {("body", "missing")}


async def test_another_type_is_refused(client):
    headers = {"content-type": "text/plain"}
    body = b'{"name": "x", "amount": 1}'
    said = await client.post("/order", content=body, headers=headers)
    assert_refused(said, "interpreters.input_type", 415)
    said = await client.post("/counts", data={"a": "1"})
    assert_refused(said, "interpreters.input_type", 415)


async def test_forms_are_read_into_the_model(client):
    form = {"name": "x", "amount": "3", "csrf_token": "t", "tags": ["a", "b"]}
    for said in (
        await client.post("/order", data=form),
        await client.post("/order", files=[
            ("name", (None, "x")), ("amount", (None, "3")),
            ("tags", (None, "a")), ("tags", (None, "b")),
        ]),
    ):  # fmt: skip
        assert said.status_code == 200, said.text
        assert (said.json()["amount"], said.json()["tags"]) == (3, ["a", "b"])


@pytest.mark.parametrize(
    ("pairs", "field", "kind"),
    [
        ("name=x&amount=3&role=admin", "body.role", "extra_forbidden"),
        ("name=x&amount=3&amount=4", "body.amount", "repeated"),
        ("name=x&amount=three", "body.amount", "int_type"),
        ("name=x&amount=0", "body.amount", "greater_than_equal"),
        ("amount=3", "body.name", "missing"),
        ("amount=3&name=" + "x" * 10_001, "body.name", "string_too_long"),
    ],
)
async def test_forms_are_read_strictly(client, pairs, field, kind):
    headers = {"content-type": "application/x-www-form-urlencoded"}
    said = await client.post("/order", content=pairs.encode(), headers=headers)
    assert_refused(said, "interpreters.invalid_input", 422)
    assert fields(said) == {(field, kind)}
    assert told == []


async def test_a_file_is_no_field(client):
    files = {"name": ("evil.py", b"x"), "amount": (None, "3")}
    said = await client.post("/order", files=files)
    assert ("body.name", "extra_forbidden") in fields(said)


async def test_forms_that_cannot_be_read_are_refused(client):
    headers = {"content-type": "application/x-www-form-urlencoded"}
    said = await client.post("/order", content=b"name=%ff", headers=headers)
    assert_refused(said, "interpreters.form_malformed", 400)


async def test_queries_are_read_into_the_model(client):
    said = await client.get("/search?page=2&tag=a&tag=b&sort=name")
    assert said.json() == {"page": 2, "sort": "name", "tag": ["a", "b"]}
    said = await client.get("/search")
    assert said.json() == {"page": 1, "sort": "name", "tag": []}


@pytest.mark.parametrize(
    ("query", "field", "kind"),
    [
        ("page=2&debug=1", "query.debug", "extra_forbidden"),
        ("page=two", "query.page", "int_type"),
        ("page=" + "9" * 30, "query.page", "finite_number"),
        ("page=1&page=2", "query.page", "repeated"),
    ],
)
async def test_queries_are_read_strictly(client, query, field, kind):
    said = await client.get(f"/search?{query}")
    assert_refused(said, "interpreters.invalid_input", 422)
    assert fields(said) == {(field, kind)}
    assert told == []


async def test_annotations_are_models_too(client):
    said = await client.post("/counts", json={"a": 1, "b": 2})
    assert said.json() == {"a": 1, "b": 2}
    said = await client.post("/counts", json={"a": "1"})
    assert fields(said) == {("body.a", "int_type")}
    said = await client.post("/counts", json=dict.fromkeys(map(str, range(1_001)), 1))
    assert fields(said) == {("body", "too_long")}


async def test_a_route_may_be_lenient(client):
    new = {"name": "x", "amount": 3, "from_the_future": {"a": 1}}
    said = await client.post("/lenient", json=new)
    assert said.json()["name"] == "x"
    said = await client.post("/lenient", json={**new, "amount": "3"})
    assert fields(said) == {("body.amount", "int_type")}
    long = {**new, "from_the_future": "x" * 10_001}
    said = await client.post("/lenient", json=long)
    assert fields(said) == {("body.from_the_future", "string_too_long")}


async def test_the_plan_tells_what_is_checked(client):
    inputs = {plan.path: plan.input for plan in client.guard.plan if plan.methods}
    assert {path: inputs[path] for path in MARKS} == {
        "/json": "unvalidated",
        "/order": "Order (strict)",
        "/lenient": "Order (lenient)",
        "/anything": "anything",
        "/search": "query Filter (strict)",
        "/counts": "dict[str, int] (strict)",
    }
