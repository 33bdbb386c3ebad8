"""Where input is checked: behind policy and CSRF, within caps, and once."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import Annotated, Any

import httpx2
import msgspec
import pytest
from fastapi import Body, Depends, FastAPI, File, Form, Query, Request, UploadFile
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from tests.guard.conftest import running

from ringfence import Guard, Rule, Settings, accepts, access, current
from ringfence.errors import OutsideRequestError
from ringfence.guard.describe import describe, describe_json
from ringfence.testing import assert_refused, signed_in

pytestmark = pytest.mark.anyio

JSON = [(b"content-type", b"application/json")]
HOST = (b"host", b"127.0.0.1:8000")


class Order(msgspec.Struct):
    name: str
    amount: int = 1


class Profile(BaseModel):
    name: str
    age: int = 0


class Page(BaseModel):
    number: int = 1


async def create(request):
    order = current.accepted(Order)
    return JSONResponse({"name": order.name, "amount": order.amount})


def application(*marks, policy=access.public, endpoint=create):
    routes = [Route("/orders", endpoint, methods=["POST", "GET"])]
    return Starlette(routes=access.routes(routes, policy, *marks))


def request(body=b"", *more, headers=(), method="POST", path="/orders", version="1.1"):
    """A scope, and the messages of a body in pieces."""
    pieces = [body, *more]
    messages = [
        {"type": "http.request", "body": one, "more_body": at < len(pieces)}
        for at, one in enumerate(pieces, 1)
    ]
    scope = {
        "path": path,
        "method": method,
        "http_version": version,
        "headers": [HOST, *headers],
    }
    return (scope, *messages)


def told(sent):
    body = b"".join(one.get("body", b"") for one in sent)
    return sent[0]["status"], json.loads(body)


# The order of things


@pytest.mark.parametrize("body", [b'{"role":1}', b"{", b'{"a":1,"a":1}', b"[" * 99])
async def test_strangers_are_told_who_they_are_not_first(guarded, body):
    """A 422 or 400 before the 401 would tell which fields a closed route has."""
    app = application(accepts(Order), policy=access.signed_in)
    async with guarded(app) as started, started.client() as client:
        headers = {"content-type": "application/json"}
        answer = await client.post("/orders", content=body, headers=headers)
        assert_refused(answer, "access.not_signed_in", 401)


async def test_nobody_reads_the_body_of_a_stranger(guarded):
    """A flood of megabytes costs no parsing: not one piece is asked for."""
    app = application(accepts(Order), policy=access.signed_in)
    scope, *_ = request(headers=[*JSON, (b"content-length", b"1000000")])
    async with guarded(app) as started:
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            raise AssertionError("the body was read")

        full = {**SCOPE, **scope, "raw_path": b"/orders"}
        await started.guard(full, receive, send)
    assert sent[0]["status"] == 401


SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "scheme": "http",
    "query_string": b"",
    "root_path": "",
    "client": ("127.0.0.1", 5000),
    "server": ("127.0.0.1", 8000),
}


def test_a_token_is_asked_for_before_the_body(settings):
    """What another site may make a browser send is not even looked at."""
    app = Guard(application(accepts(Order), policy=access.signed_in), settings)
    here = ("127.0.0.1", 50_000)
    with (
        TestClient(app, base_url="http://localhost", client=here) as client,
        signed_in(client, app),
    ):
        token = {"x-csrf-token": client.headers["x-csrf-token"]}
        without = {"x-csrf-token": ""}
        answer = client.post("/orders", json={"role": 1}, headers=without)
        assert_refused(answer, "browser.csrf_missing", 403)
        answer = client.post("/orders", json={"role": 1}, headers=token)
        assert_refused(answer, "interpreters.invalid_input", 422)
        answer = client.post("/orders", json={"name": "x"}, headers=token)
        assert answer.json() == {"name": "x", "amount": 1}
        form = {"name": "x", "csrf_token": token["x-csrf-token"]}
        del client.headers["x-csrf-token"]
        assert client.post("/orders", data=form).json()["name"] == "x"
        client.headers.update(token)


async def test_a_body_that_is_too_large_is_that(guarded, settings):
    app = application(accepts(Order))
    pieces = [b'{"name": "', *[b"x" * 60_000] * 20, b'"}']
    async with guarded(app) as started:
        chunked = [*JSON, (b"transfer-encoding", b"chunked")]
        sent = await started.call(*request(*pieces, headers=chunked))
    assert told(sent)[1]["code"] == "traffic.body_too_large"


async def test_pieces_without_a_length_are_read_too(guarded):
    """Chunked, and HTTP/2, which need not say how long a body is."""
    app = application(accepts(Order))
    async with guarded(app) as started:
        for version, more in (
            ("2", ()),
            ("1.1", ((b"transfer-encoding", b"chunked"),)),
        ):
            asked = request(
                b'{"na', b'me": "x", ', b'"role": 1}', headers=[*JSON, *more],
                version=version,
            )  # fmt: skip
            status, problem = told(await started.call(*asked))
            assert (status, problem["code"]) == (422, "interpreters.invalid_input")
            asked = request(
                b'{"na', b'me": "x"}', headers=[*JSON, *more], version=version
            )
            assert told(await started.call(*asked)) == (200, {"name": "x", "amount": 1})


async def test_who_hangs_up_is_no_failure(guarded, caplog):
    app = application(endpoint=read_all)
    scope, first, _ = request(b'{"na', b'me"', headers=JSON)
    async with guarded(app) as started:
        sent = await started.call(scope, first)
    assert [one["type"] for one in sent] in (
        [],
        ["http.response.start", "http.response.body"],
    )
    assert "malformed" not in str(sent)


async def read_all(request):
    return JSONResponse({"got": (await request.body()).decode()})


async def test_a_handler_that_streams_gets_the_bytes(guarded):
    async def stream(request):
        pieces = [piece async for piece in request.stream() if piece]
        return JSONResponse([piece.decode() for piece in pieces])

    async with guarded(application(endpoint=stream)) as started:
        asked = request(b'{"a":', b" 1}", headers=JSON)
        assert told(await started.call(*asked)) == (200, ['{"a": 1}'])


async def test_packed_bodies_are_left_to_what_unpacks_them(guarded):
    """A middleware may unpack; and what it unpacks is read strictly all the same."""

    async def unpack(request):
        request._body = gzip.decompress(await request.body())  # as a middleware would
        return JSONResponse(await request.json())

    packed = [*JSON, (b"content-encoding", b"gzip")]
    async with guarded(application(endpoint=unpack)) as started:
        body = gzip.compress(b'{"a": 1}')
        asked = request(body, headers=packed)
        assert told(await started.call(*asked)) == (200, {"a": 1})
        body = gzip.compress(b'{"a": 1, "a": 2}')
        status, problem = told(await started.call(*request(body, headers=packed)))
        assert (status, problem["code"]) == (400, "interpreters.json_duplicate_key")
    async with guarded(application(accepts(Order))) as started:
        status, problem = told(await started.call(*request(body, headers=packed)))
        assert (status, problem["code"]) == (415, "interpreters.input_type")


async def test_sinks_know_what_was_read_ahead(guarded):
    seen = []

    async def look(request):
        seen.append(list(request.scope["ringfence"].received))
        await request.body()
        seen.append(list(request.scope["ringfence"].received))
        return JSONResponse({})

    async with guarded(application(endpoint=look)) as started:
        await started.call(*request(b'{"a": 1}', headers=JSON))
    assert seen == [[b'{"a": 1}']] * 2


# What a handler gets


async def test_a_read_of_the_same_route_needs_no_body(guarded):
    async def both(request):
        if request.method == "POST":
            return await create(request)
        with pytest.raises(OutsideRequestError, match=r"accepts\(Order\)"):
            current.accepted(Order)
        return JSONResponse("read")

    app = application(accepts(Order), endpoint=both)
    async with guarded(app) as started, started.client() as client:
        assert (await client.get("/orders")).json() == "read"
        assert (await client.post("/orders", json={"name": "x"})).status_code == 200


async def test_body_and_query_have_models_of_their_own(guarded):
    @dataclass
    class Options:
        draft: bool = False

    async def handle(request):
        order, options = current.accepted(Order), current.accepted(Options)
        return JSONResponse([order.name, options.draft])

    app = application(accepts(Order, query=Options), endpoint=handle)
    async with guarded(app) as started, started.client() as client:
        answer = await client.post("/orders?draft=true", json={"name": "x"})
        assert answer.json() == ["x", True]
        answer = await client.post("/orders?draft=maybe", json={"name": "x"})
        assert answer.json()["errors"][0]["field"] == "query.draft"


async def test_anything_is_said_of_bodies_only(guarded):
    async def handle(request):
        number = current.accepted(Room).number
        return JSONResponse([number, (await request.json())["a"]])

    app = application(accepts.anything, accepts(query=Room), endpoint=handle)
    async with guarded(app) as started, started.client() as client:
        for kind in ("application/json", "text/plain"):
            answer = await client.post(
                "/orders?number=3",
                content=b'{"a": 1, "a": 2}',
                headers={"content-type": kind},
            )
            assert answer.json() == [3, 2]
        answer = await client.post("/orders?number=x", content=b"{}")
        assert_refused(answer, "interpreters.invalid_input", 422)
        (plan,) = [one for one in started.guard.plan if one.path == "/orders"]
        assert plan.input == "anything; query Room (strict)"


async def test_the_innermost_mark_counts(guarded):
    class Other(msgspec.Struct):
        x: int

    app = application(accepts(Other), endpoint=accepts(Order)(create))
    async with guarded(app) as started, started.client() as client:
        assert (await client.post("/orders", json={"name": "x"})).status_code == 200


def test_outside_a_request_nothing_was_accepted():
    with pytest.raises(OutsideRequestError):
        current.accepted(Order)


class Where(msgspec.Struct):
    shop: str
    number: Annotated[int, msgspec.Meta(ge=1)]
    rest: str


async def test_names_in_the_path_are_read_into_a_model(guarded):
    async def handle(request):
        return JSONResponse(msgspec.to_builtins(current.accepted(Where)))

    route = Route("/{shop}/orders/{number}/{rest:path}", handle)
    inner = access.routes([route], access.public, accepts(path=Where))
    app = Starlette(routes=[Mount("/api", routes=inner)])
    async with guarded(app) as started, started.client() as client:
        answer = await client.get("/api/O'Brien/orders/7/a/b")
        assert answer.json() == {"shop": "O'Brien", "number": 7, "rest": "a/b"}
        for number, kind in (("0", "greater_than_equal"), ("x", "int_type")):
            answer = await client.get(f"/api/x/orders/{number}/a")
            assert_refused(answer, "interpreters.invalid_input", 422)
            (error,) = answer.json()["errors"]
            assert (error["field"], error["type"]) == ("path.number", kind)
        (plan,) = [one for one in started.guard.plan if one.path.startswith("/api")]
        assert plan.input == "path Where (strict)"


def test_a_model_of_another_path_stops_the_start_up(settings):
    app = application(accepts(path=Where))
    with pytest.raises(TypeError, match="make them the same"):
        Guard(app, settings)


# WebSockets


async def speak(started, *texts):
    messages = [{"type": "websocket.connect"}]
    for text in texts:
        key = "bytes" if isinstance(text, bytes) else "text"
        messages.append({"type": "websocket.receive", key: text})
    scope = {"type": "websocket", "path": "/socket", "subprotocols": []}
    return await started.call({**scope, "scheme": "ws"}, *messages)


async def test_each_message_of_a_socket_is_checked(guarded):
    got = []

    async def socket(websocket):
        await websocket.accept()
        async for _ in websocket.iter_text():
            got.append(current.accepted(Order))  # noqa: PERF401 - one a message

    route = WebSocketRoute("/socket", socket)
    app = Starlette(routes=access.routes([route], access.public, accepts(Order)))
    async with guarded(app) as started:
        sent = await speak(started, '{"name": "a"}', '{"name": "b", "amount": 2}')
        assert got == [Order("a"), Order("b", 2)]
        for bad in (
            '{"name": "a", "name": "b"}',
            '{"name": "a", "role": 1}',
            "x",
            "\ud800",
        ):
            got.clear()
            sent = await speak(started, '{"name": "a"}', bad, '{"name": "c"}')
            assert got == [Order("a")], bad
            assert sent[-1]["type"] == "websocket.close"
        (plan,) = [plan for plan in started.guard.plan if plan.path == "/socket"]
        assert plan.input == "Order (strict)"


async def test_a_handshakes_query_is_checked(guarded):
    got = []

    async def socket(websocket):
        await websocket.accept()
        got.append(current.accepted(Room).number)

    route = WebSocketRoute("/socket", socket)
    app = Starlette(routes=access.routes([route], access.public, accepts(query=Room)))
    async with guarded(app) as started:
        scope = {"type": "websocket", "path": "/socket", "subprotocols": []}
        for query in (b"number=7", b"number=x", b"number=7&role=admin"):
            asked = {**scope, "scheme": "ws", "query_string": query}
            await started.call(asked, {"type": "websocket.connect"})
    assert got == [7]


@dataclass
class Room:
    number: int = 1


# Marks


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (accepts, "needs a model"),
        (lambda: accepts(object()), "cannot be checked"),
        (lambda: accepts(Profile), "pydantic"),
        (lambda: accepts(query=int), "with fields"),
        (lambda: accepts(Order, query=Order), "of its own each"),
        (lambda: accepts(dict[str, Profile]), "Profile is none of"),
    ],
)
def test_marks_that_cannot_work_stop_the_import(make, why):
    with pytest.raises(TypeError, match=why):
        make()


# The plan


def test_the_plan_says_what_is_checked(settings):  # noqa: C901 - one handler a case
    app = FastAPI(dependencies=[access.depends(access.public)], openapi_url=None)

    def page(page: Annotated[Page, Query()]): ...

    def needs(page: Profile): ...

    async def nothing(): ...

    async def one(body: Profile): ...

    async def two(a: Profile, b: list[Profile]): ...

    async def open_(body: dict[str, Any]): ...

    async def raw(request: Request): ...

    async def form(a: Annotated[str, Form()]): ...

    async def forms(a: Annotated[Profile, Form()]): ...

    async def file(a: UploadFile, b: Annotated[bytes, File()]): ...

    async def through(_=Depends(needs)): ...  # noqa: B008 - a local name

    expected = {
        nothing: "-",
        one: "Profile (strict)",
        two: "Profile, list[Profile] (strict)",
        open_: "json",
        raw: "unvalidated",
        form: "form (strict)",
        forms: "Profile (strict)",
        file: "form (lenient)",
        through: "Profile (strict)",
        page: "query Page (strict)",
    }
    for handler in expected:
        app.post(f"/{handler.__name__}")(handler)
    app.mount("/below", access.routes([Mount("/", app=nothing)], access.public)[0])
    rules = [Rule("*", "/below", access.public)]
    guard = Guard(app, settings, rules=rules)
    inputs = {plan.place.name.rpartition(".")[2]: plan.input for plan in guard.plan}
    assert {one: inputs[one.__name__] for one in expected} == expected
    assert inputs["collect_reports"] == "own"
    assert inputs["login"] == "own"
    assert inputs["login_page"] == "-"
    assert "INPUT" in describe(guard.plan).splitlines()[0]
    listed = describe_json(guard.plan)["routes"]
    assert {one["input"] for one in listed} >= {"json", "-", "unvalidated"}


@pytest.fixture
def settings(tmp_path):
    return Settings.load(toml=None, environ={}, env="development", data=tmp_path)


# FastAPI's own models


@pytest.fixture
async def fastapi(settings):
    app = FastAPI(dependencies=[access.depends(access.public)], openapi_url=None)

    @app.post("/embedded")
    async def embedded(a: Annotated[Profile, Body(embed=True)]) -> str:
        return a.name

    @app.post("/two")
    async def two(a: Profile, b: Annotated[Profile, Body(alias="other")]) -> str:
        return a.name + b.name

    @app.post("/form")
    async def form(a: Annotated[Profile, Form()]) -> Any:
        return [a.name, a.age]

    @app.post("/file")
    async def file(a: UploadFile, b: Annotated[str, Form()]) -> Any:
        return [a.filename, b]

    @app.get("/page")
    async def page(page: Annotated[Page, Query()]) -> int:
        return page.number

    @app.get("/find")
    async def find(q: str = "") -> str:
        return q

    guard = Guard(app, settings)
    async with running(guard):
        transport = httpx2.ASGITransport(app=guard, client=("127.0.0.1", 5000))
        async with httpx2.AsyncClient(
            transport=transport,
            base_url="http://127.0.0.1:8000",
            headers={"sec-fetch-site": "same-origin"},
        ) as client:
            yield client


async def test_parameters_that_share_a_body_are_checked_each(fastapi):
    ann = {"name": "Ann"}
    said = await fastapi.post("/embedded", json={"a": ann})
    assert said.json() == "Ann"
    said = await fastapi.post("/two", json={"a": ann, "other": ann})
    assert said.json() == "AnnAnn"
    for path, body, field in (
        ("/embedded", {"a": ann, "role": 1}, "body.role"),
        ("/embedded", {"a": {**ann, "role": 1}}, "body.a.role"),
        ("/two", {"a": ann, "other": {**ann, "role": 1}}, "body.other.role"),
    ):
        said = await fastapi.post(path, json=body)
        assert_refused(said, "interpreters.invalid_input", 422)
        assert said.json()["errors"][0]["field"] == field


async def test_forms_of_fastapi_have_no_further_fields(fastapi):
    said = await fastapi.post(
        "/form", data={"name": "x", "age": "3", "csrf_token": "t"}
    )
    assert said.json() == ["x", 3]
    for kind in ("data", "files"):
        sent = {"name": "x", "role": "admin"}
        if kind == "files":
            sent = {name: (None, value) for name, value in sent.items()}
        said = await fastapi.post("/form", **{kind: sent})
        assert_refused(said, "interpreters.invalid_input", 422)
    said = await fastapi.post("/file", files={"a": ("a.txt", b"x")}, data={"b": "y"})
    assert said.json() == ["a.txt", "y"]


async def test_queries_that_are_models_are_closed_and_others_open(fastapi):
    """Links carry names that only statistics know: utm_source."""
    assert (await fastapi.get("/page?number=2")).json() == 2
    assert (await fastapi.get("/page?number=2&debug=1")).status_code == 422
    assert (await fastapi.get("/find?q=x&utm_source=y")).json() == "x"


@pytest.mark.parametrize("mark", ["accepts", "Query"])
async def test_what_networks_add_to_a_link_is_not_refused(guarded, mark):
    """A link from a mailing or a social network must open, and nothing else comes in
    with it."""
    if mark == "accepts":

        async def read(request):
            return JSONResponse({"number": current.accepted(Order).name})

        app = application(accepts(query=Order), endpoint=read)
        query = "name=7"
    else:
        app = FastAPI(dependencies=[access.depends(access.public)])
        app.get("/orders")(page_of)
        query = "number=7"
    async with guarded(app) as started, started.client() as client:
        added = "&utm_source=mail&fbclid=x&gclid=y"
        assert (await client.get(f"/orders?{query}{added}")).status_code == 200
        assert (await client.get(f"/orders?{query}&role=admin")).status_code == 422


def page_of(page: Annotated[Page, Query()]) -> int:
    return page.number


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("coding", [b"gzip", b"x", b""])
async def test_what_is_only_called_packed_is_checked(guarded, coding, encoding):
    """FastAPI unpacks nothing: the header would switch off what is checked."""
    app = FastAPI(dependencies=[access.depends(access.public)])

    async def raw(profile: Profile, request: Request) -> str:
        return json.loads(await request.body()).get("role", "")

    app.post("/orders")(raw)
    headers = [*JSON, (b"content-encoding", coding)]
    body = json.dumps({"name": "Ann", "role": "admin"}).encode(encoding)
    twice = b'{"name": "Ann", "name": "Bob"}'
    async with guarded(app) as started:
        status, _ = told(await started.call(*request(body, headers=headers)))
        assert status in {400, 422}
        status, _ = told(await started.call(*request(twice, headers=headers)))
        assert status == 400
