"""The guard as a whole, around real applications."""

import contextlib
import logging

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from ringfence import Guard, Rule, Settings, accepts, access, current
from ringfence.errors import PlanError, SettingsError, StoreError
from ringfence.secrets.keys_file import create_keys_file


@access.require(access.public)
async def hello(request):
    return PlainTextResponse("hello")


@access.require(access.signed_in)
async def private(request):
    return JSONResponse({"id": current.principal().id})


@access.require(access.role("admin"))
async def admin(request):
    return PlainTextResponse("secret")


async def unmarked(request):
    return PlainTextResponse("open to all")


def shop():
    return Starlette(
        routes=[
            Route("/", hello),
            Route("/private", private, methods=["GET", "POST"]),
            Route("/admin", admin, methods=["GET", "DELETE"]),
        ]
    )


async def sign_up(client, email="ann@example.com", password="correct horse battery"):
    body = {"email": email, "password": password}
    assert (await client.post("/auth/register", json=body)).status_code == 202
    signed_in = await client.post("/auth/login", json=body)
    assert signed_in.status_code == 200
    return signed_in.json()


@pytest.mark.anyio
async def test_a_public_page_answers_everybody(guarded):
    async with guarded(shop()) as started, started.client() as client:
        response = await client.get("/")
        assert response.text == "hello"


@pytest.mark.anyio
async def test_a_signed_in_page_answers_only_who_signed_in(guarded):
    async with guarded(shop()) as started, started.client() as client:
        refused = await client.get("/private")
        assert refused.status_code == 401
        assert refused.json()["code"] == "access.not_signed_in"
        await sign_up(client)
        answer = await client.get("/private")
        assert answer.status_code == 200
        me = (await client.get("/auth/me")).json()
        assert answer.json()["id"] == me["id"]


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
async def test_an_admin_page_refuses_somebody_else(guarded, method):
    async with guarded(shop()) as started, started.client() as client:
        assert (await client.request(method, "/admin")).status_code == 401
        token = (await sign_up(client))["csrf_token"]
        headers = {"X-CSRF-Token": token}
        refused = await client.request(method, "/admin", headers=headers)
        assert refused.status_code == 403


@pytest.mark.anyio
async def test_an_unknown_address_is_refused_before_the_application(guarded):
    calls = []

    async def application(scope, receive, send):
        calls.append(scope["path"])

    app = shop()
    app.add_middleware(lambda inner: application)
    async with guarded(app) as started, started.client() as client:
        response = await client.get("/nothing")
    assert response.status_code == 404
    assert response.json()["code"] == "guard.no_route"
    assert calls == []


@pytest.mark.anyio
async def test_what_the_framework_answers_by_itself_stays(guarded):
    async with guarded(shop()) as started, started.client() as client:
        wrong_method = await client.post("/", json={})
        assert wrong_method.status_code == 405
        assert "GET" in wrong_method.headers["allow"]
        assert (await client.get("/private/")).status_code == 307


@pytest.mark.anyio
async def test_a_body_on_its_way_to_a_405_is_capped_too(guarded):
    """Middleware may read it before the framework answers."""

    class ReadsAll(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            await request.body()
            return await call_next(request)

    app = shop()
    app.add_middleware(ReadsAll)
    chunk = {"type": "http.request", "body": b"x" * 600_000, "more_body": True}
    headers = [(b"host", b"127.0.0.1:8000"), (b"transfer-encoding", b"chunked")]
    async with guarded(app) as started:
        sent = await started.call(
            {"path": "/", "method": "POST", "headers": headers}, *([chunk] * 5)
        )
    assert sent[0]["status"] == 413


@pytest.mark.anyio
async def test_request_ids_tell_nothing_about_others(guarded):
    async with guarded(shop()) as started, started.client() as client:
        first, second = [
            (await client.get("/nothing")).json()["request_id"] for _ in range(2)
        ]
    assert len(first) == len(second) == 16
    assert first[:8] != second[:8]


def test_a_route_without_a_policy_stops_the_start_up_and_is_named(settings):
    app = Starlette(routes=[Route("/open", unmarked), Route("/", hello)])
    with pytest.raises(PlanError) as refusal:
        Guard(app, settings)
    message = str(refusal.value)
    assert "GET,HEAD /open" in message
    assert "test_asgi.py:" in message
    assert "access.require" in message


@pytest.mark.anyio
async def test_a_route_added_in_lifespan_needs_a_policy_too(settings, guarded):
    app = shop()
    app.router.lifespan_context = adding(app, Route("/late", unmarked))
    with pytest.raises(RuntimeError, match="/late"):
        async with guarded(app):
            pytest.fail("started")


def adding(app, route):
    @contextlib.asynccontextmanager
    async def lifespan(_app):
        app.router.routes.append(route)
        yield

    return lifespan


@pytest.mark.anyio
async def test_a_route_added_in_lifespan_is_guarded(guarded):
    app = shop()
    app.router.lifespan_context = adding(app, Route("/late", private))
    async with guarded(app) as started, started.client() as client:
        assert (await client.get("/late")).status_code == 401


@pytest.mark.anyio
async def test_a_route_added_after_the_start_up_raises(guarded):
    app = shop()
    async with guarded(app):
        with pytest.raises(PlanError, match="start-up"):
            app.router.routes.append(Route("/late", unmarked))
        with pytest.raises(PlanError, match="start-up"):
            app.add_route("/late", unmarked)


@pytest.mark.anyio
async def test_replacing_the_whole_route_list_is_refused_per_request(guarded):
    app = shop()
    async with guarded(app) as started, started.client() as client:
        app.router.routes = [Route("/", unmarked)]
        response = await client.get("/")
        assert response.status_code == 500
        assert response.json()["code"] == "guard.routes_replaced"


@pytest.mark.anyio
async def test_without_a_lifespan_the_first_request_starts_the_guard(settings):
    guard = Guard(shop(), settings)
    transport = httpx2.ASGITransport(app=guard)
    base = "http://127.0.0.1:8000"
    async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
        assert (await client.get("/")).text == "hello"
        assert (await client.get("/private")).status_code == 401
    await guard._close()


@pytest.mark.anyio
async def test_a_stopped_guard_does_not_open_again(guarded):
    async with guarded(shop()) as started:
        pass
    async with started.client() as client:
        with pytest.raises(StoreError, match="stopped"):
            await client.get("/")


@pytest.mark.anyio
async def test_a_guard_can_be_started_again(settings, restarting):
    guard = Guard(shop(), settings)
    for _ in range(2):
        async with restarting(guard) as started, started.client() as client:
            assert (await client.get("/")).text == "hello"
            assert (await client.get("/private")).status_code == 401


@pytest.mark.anyio
async def test_a_rule_gives_a_policy_to_a_mount(guarded):
    async def foreign(scope, receive, send):
        await PlainTextResponse("foreign")(scope, receive, send)

    app = Starlette(routes=[Mount("/files", app=foreign)])
    rules = [Rule("*", "/files", access.signed_in)]
    async with guarded(app, rules=rules) as started, started.client() as client:
        assert (await client.get("/files/a.txt")).status_code == 401


@pytest.mark.parametrize("method", ["*", "GET"])
def test_a_mount_without_a_policy_is_told_the_rule_that_helps(settings, method):
    """Whoever has written the wrong rule is told about both."""
    app = Starlette(routes=[Mount("/static", app=StaticFiles(directory="."))])
    rules = [] if method == "*" else [Rule(method, "/static", access.public)]
    with pytest.raises(PlanError) as refusal:
        Guard(app, settings, rules=rules)
    message = str(refusal.value)
    assert 'Rule("*", "/static", access.public)' in message
    assert "site-packages" not in message
    assert ("GET /static" in message) is bool(rules)


def test_a_route_declared_after_the_guard_is_in_the_plan(settings):
    """A review of the plan must not miss it."""
    app = shop()
    guard = Guard(app, settings)
    app.router.routes.append(Route("/after", hello))
    compiled = guard._guarded, guard._own
    assert "/after" in {plan.path for plan in guard.plan}
    # Looking changes nothing: a start-up may be binding what is there.
    assert (guard._guarded, guard._own) == compiled


@pytest.mark.anyio
async def test_the_printed_plans_are_the_bound_ones(guarded):
    async with guarded(shop()) as started:
        before = started.guard.plan
        assert all(a is b for a, b in zip(before, started.guard.plan, strict=True))
        entries = {route.app.plan for route in started.guard.app.router.routes}
        assert entries <= set(before)


def test_a_refused_start_is_raised_to_a_test_client(settings):
    """It would wait for ever for a start-up that never was."""
    unsafe = Guard(shop(), Settings.load(toml=None, environ={}, data=settings.data))
    client = TestClient(unsafe, base_url="http://localhost")
    with pytest.raises(SettingsError, match="not safe for production"), client:
        pytest.fail("started")


@pytest.mark.anyio
async def test_a_closed_page_cannot_be_told_from_none(tmp_path):
    answers = []
    keys = tmp_path / "keys.json"
    create_keys_file(keys)
    production = Settings.load(
        toml=None,
        environ={},
        data=tmp_path,
        keys_file=keys,
        public_origins=("https://shop.example",),
        proxies=("none",),
    )
    transport = httpx2.ASGITransport(app=(guard := Guard(public_api(), production)))
    base = "https://shop.example"
    async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
        for path in ("/docs", "/nothing"):
            response = await client.get(path)
            problem = response.json()
            del problem["request_id"]
            answers.append((response.status_code, problem, sorted(response.headers)))
    await guard._close()
    assert answers[0] == answers[1]


def public_api():
    api = FastAPI()

    @api.get("/")
    @access.require(access.public)
    async def index():
        return {}

    return api


def test_a_rule_for_no_route_is_refused_with_a_guess(settings):
    with pytest.raises(PlanError, match=r"did you mean /private\?"):
        Guard(shop(), settings, rules=[Rule("GET", "/privat", access.public)])


def test_own_routes_under_auth_are_refused(settings):
    app = Starlette(routes=[Route("/auth/login", hello)])
    with pytest.raises(PlanError, match="/auth"):
        Guard(app, settings)


@pytest.mark.anyio
async def test_whatever_the_application_raises_nothing_of_the_inside_leaves(
    guarded, caplog
):
    @access.require(access.public)
    async def broken(request):
        raise RuntimeError("SELECT * FROM users WHERE password='hunter2'")

    app = Starlette(debug=True, routes=[Route("/broken", broken)])
    async with guarded(app) as started, started.client() as client:
        response = await client.get("/broken", headers={"accept": "text/html"})
    assert response.status_code == 500
    assert "SELECT" not in response.text
    assert "Traceback" not in response.text
    assert "hunter2" not in caplog.text
    assert any(record.levelno == logging.ERROR for record in caplog.records)


@pytest.mark.anyio
async def test_a_failure_is_recorded_once(guarded, settings):
    @access.require(access.public)
    async def broken(request):
        raise ZeroDivisionError

    app = Starlette(routes=[Route("/broken", broken)])
    async with guarded(app) as started, started.client() as client:
        request_id = (await client.get("/broken")).json()["request_id"]
    ledger = (settings.data / "audit.jsonl").read_text()
    crashes = [line for line in ledger.splitlines() if request_id in line]
    assert len(crashes) == 1
    assert "sys_crash" in crashes[0]
    assert "ZeroDivisionError" in crashes[0]


@pytest.mark.anyio
async def test_an_answer_of_500_is_rewritten_too(guarded):
    @access.require(access.public)
    async def leaky(request):
        return PlainTextResponse("postgresql://app:hunter2@db/", status_code=503)

    app = Starlette(routes=[Route("/leaky", leaky)])
    async with guarded(app) as started, started.client() as client:
        response = await client.get("/leaky")
    assert response.status_code == 503
    assert response.json()["code"] == "guard.application_error"


class Registration(BaseModel):
    email: str
    password: int


@pytest.mark.anyio
async def test_a_422_does_not_echo_the_input(guarded):
    api = FastAPI()

    @api.post("/people")
    @access.require(access.public)
    async def create(body: Registration):
        return {}

    async with guarded(api) as started, started.client() as client:
        body = {"email": "a@example.com", "password": "hunter2"}
        response = await client.post("/people", json=body)
    assert response.status_code == 422
    assert "hunter2" not in response.text
    assert response.json()["errors"][0]["field"] == "body.password"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [b'{"email": "a", "password": NaN}', b'{"email": "a", "password": "\\ud800"}'],
)
async def test_input_that_cannot_be_repeated_is_the_client_s_mistake(
    guarded, body, caplog
):
    """FastAPI fails at writing it back; that is a 422, not a 500."""
    api = FastAPI()

    @api.post("/people")
    @accepts.anything
    @access.require(access.public)
    async def create(body: Registration):
        return {}

    async with guarded(api) as started, started.client() as client:
        headers = {"content-type": "application/json"}
        response = await client.post("/people", content=body, headers=headers)
    assert response.status_code == 422
    problem = response.json()
    assert problem["code"] == "guard.invalid_input"
    assert problem["errors"][0]["field"] == "body.password"
    assert caplog.records == []


@pytest.mark.anyio
async def test_bad_input_hides_no_other_failure(guarded, settings, caplog):
    api = FastAPI()

    @api.exception_handler(RequestValidationError)
    async def tell(request, error):
        raise ConnectionError("rollback failed")

    @api.post("/people")
    @access.require(access.public)
    async def create(body: Registration):
        return {}

    async with guarded(api) as started, started.client() as client:
        response = await client.post("/people", json={})
    assert response.status_code == 500
    assert "rollback failed" in caplog.text
    assert "ConnectionError" in (settings.data / "audit.jsonl").read_text()


@pytest.mark.anyio
async def test_a_start_that_fails_late_is_not_tried_by_every_request(settings):
    """Each try would open the stores anew and leave them open."""
    guard = Guard(shop(), settings)
    guard.app.router.routes.append(Route("/late", unmarked))
    transport = httpx2.ASGITransport(app=guard)
    base = "http://127.0.0.1:8000"
    async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
        with pytest.raises(PlanError):
            await client.get("/")
        with pytest.raises(StoreError, match="stopped"):
            await client.get("/")


@pytest.mark.anyio
async def test_a_failure_after_good_input_is_the_server_s(guarded):
    api = FastAPI()

    @api.post("/people")
    @access.require(access.public)
    async def create():
        return {"value": float("nan")}

    async with guarded(api) as started, started.client() as client:
        assert (await client.post("/people")).status_code == 500


@pytest.mark.anyio
async def test_the_handshake_s_name_is_no_method(guarded):
    async with guarded(shop()) as started:
        (start, _) = await started.call({"path": "/", "method": "WEBSOCKET"})
    assert start["status"] == 501


@pytest.mark.anyio
async def test_a_router_policy_holds_for_every_route_in_it(guarded):
    api = FastAPI()
    router = APIRouter(dependencies=[access.depends(access.role("admin"))])

    @router.get("/a")
    async def first():
        return 1

    nested = APIRouter()

    @nested.get("/b")
    @access.require(access.public)
    async def second():
        return 2

    router.include_router(nested, prefix="/nested")
    api.include_router(router, prefix="/admin")
    async with guarded(api) as started, started.client() as client:
        assert (await client.get("/admin/a")).status_code == 401
        assert (await client.get("/admin/nested/b")).status_code == 401


@pytest.mark.anyio
async def test_dependencies_do_not_act_before_the_policy(guarded):
    acted = []

    def dependency():
        acted.append(1)

    api = FastAPI()

    @api.get("/x", dependencies=[Depends(dependency)])
    @access.require(access.signed_in)
    async def read():
        return 1

    async with guarded(api) as started, started.client() as client:
        assert (await client.get("/x")).status_code == 401
    assert acted == []


@pytest.mark.anyio
async def test_a_websocket_is_refused_before_it_is_accepted(guarded):
    acted = []

    @access.require(access.signed_in)
    async def socket(websocket):
        acted.append(1)
        await websocket.accept()

    app = Starlette(routes=[WebSocketRoute("/ws", socket)])
    async with guarded(app) as started:
        sent = await started.call(
            {"type": "websocket", "path": "/ws", "subprotocols": []},
            {"type": "websocket.connect"},
        )
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert acted == []


@pytest.mark.anyio
async def test_a_public_websocket_talks(guarded):
    @access.require(access.public)
    async def echo(websocket):
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    app = Starlette(routes=[WebSocketRoute("/ws", echo)])
    async with guarded(app) as started:
        sent = await started.call(
            {"type": "websocket", "path": "/ws", "subprotocols": []},
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "hi"},
        )
    assert [message["type"] for message in sent] == [
        "websocket.accept",
        "websocket.send",
        "websocket.close",
    ]


@pytest.mark.anyio
async def test_an_exception_in_a_stage_refuses(guarded, monkeypatch):
    async def broken(exchange):
        raise ZeroDivisionError

    async with guarded(shop()) as started, started.client() as client:
        started.guard._street = (*started.guard._street, broken)
        response = await client.get("/")
    assert response.status_code == 500
    assert response.json()["code"] == "guard.stage_failed"


@pytest.mark.anyio
async def test_documentation_is_public_in_development(guarded):
    api = FastAPI()
    async with guarded(api) as started, started.client() as client:
        assert (await client.get("/docs")).status_code == 200
        assert (await client.get("/openapi.json")).status_code == 200


@pytest.mark.anyio
async def test_one_rule_may_cover_several_routes_of_a_path(guarded):
    """It is not unused because another route has used it already."""
    routes = [
        Route("/private", unmarked, methods=["GET"]),
        Route("/private", unmarked, methods=["POST"]),
    ]
    rules = [Rule("*", "/private", access.signed_in)]
    async with guarded(Starlette(routes=routes), rules=rules) as started:
        plans = [plan for plan in started.guard.plan if plan.path == "/private"]
    assert [str(plan.policy) for plan in plans] == ["signed_in", "signed_in"]
