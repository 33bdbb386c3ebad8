"""Routes whose path says whose they are."""

from contextlib import ExitStack
from uuid import UUID

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from litestar import Litestar, get, route, websocket
from litestar import WebSocket as LitestarSocket
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from ringfence import Guard, Rule, Settings, access
from ringfence.access.permit import Lock, Permit
from ringfence.access.policy import at_least_as_strict
from ringfence.access.roles import expand
from ringfence.errors import DeclarationError, OutsideRequestError, PlanError
from ringfence.exchange import Exchange, active
from ringfence.guard.matrix import matrix
from ringfence.principal import Principal
from ringfence.testing import assert_refused, signed_in

HERE = {"base_url": "http://127.0.0.1:8000", "client": ("127.0.0.1", 50_000)}
ORIGIN = {"origin": HERE["base_url"]}
HIERARCHY = expand({"admin": ["staff"]})
MINE = access.own("user_id")
POLICY = MINE | access.role("staff")
ANN = Principal("ann", tenant="red")
STAFF = Principal("sam", frozenset({"admin"}))


def said(policy, principal, **values):
    """Return the code by which a policy refuses, if it does."""
    denial = policy.compile_for_path(HIERARCHY)(values)(principal)
    return None if denial is None else denial.code


def test_ones_own_is_open_and_anothers_is_not_there():
    assert said(POLICY, ANN, user_id="ann") is None
    assert said(POLICY, ANN, user_id="bob") == "access.not_found"
    assert said(POLICY, STAFF, user_id="bob") is None
    assert said(POLICY, None, user_id="bob") == "access.not_signed_in"
    assert said(access.role("staff") | MINE, ANN, user_id="bob") == "access.not_found"
    assert said(MINE & access.role("staff"), ANN, user_id="ann") == "access.not_allowed"


def test_whoever_can_help_themselves_is_told_how():
    policy = MINE | access.role("staff") & access.fresh(5)
    assert said(policy, STAFF, user_id="bob") == "access.not_fresh"
    assert said(policy, ANN, user_id="bob") == "access.not_found"


def test_a_tenants_path_is_for_its_members():
    policy = access.own_tenant("tenant_id")
    assert said(policy, ANN, tenant_id="red") is None
    assert said(policy, ANN, tenant_id="blue") == "access.not_found"
    assert said(policy, STAFF, tenant_id="") == "access.not_found"
    assert said(policy, None, tenant_id="red") == "access.not_signed_in"


def test_an_id_is_compared_as_it_is_written():
    one = UUID("018f0000-0000-7000-8000-000000000001")
    assert said(MINE, Principal(str(one)), user_id=one) is None
    assert said(MINE, Principal(one.hex), user_id=one) is None
    assert said(MINE, Principal("7"), user_id=7) is None
    assert said(MINE, Principal("7"), user_id="007") == "access.not_found"
    assert said(MINE, Principal("None")) == "access.not_found"
    assert said(MINE, Principal(""), user_id="") == "access.not_found"


def test_without_a_path_it_is_nobodys():
    decide = MINE.compile(HIERARCHY)
    assert decide(ANN).code == "access.not_found"
    assert decide(None).code == "access.not_signed_in"


def test_it_is_readable():
    assert str(POLICY) == "own(user_id) | role(staff)"
    assert str(access.own_tenant("t") & MINE) == "own_tenant(t) & own(user_id)"


@pytest.mark.parametrize("name", ["", "user id", "{user_id}", 7])
def test_what_is_no_name_is_misuse(name):
    with pytest.raises(ValueError, match="name of a parameter"):
        access.own(name)
    with pytest.raises(ValueError, match="name of a parameter"):
        access.own_tenant(name)


def test_rows_and_fields_have_no_path():
    with pytest.raises(DeclarationError, match="path"):
        access.rows(MINE, write=access.nobody)
    with pytest.raises(DeclarationError, match="path"):
        access.fields(read={"name": MINE})(type("Model", (), {"name": ""}))


def test_own_is_stricter_than_signed_in_and_looser_than_nothing():
    def stricter(first, second):
        return at_least_as_strict(first, second, HIERARCHY)

    assert stricter(MINE, access.signed_in)
    assert not stricter(access.signed_in, MINE)
    assert stricter(MINE, POLICY)
    assert not stricter(POLICY, MINE)
    assert not stricter(MINE, access.own_tenant("user_id"))
    assert not stricter(MINE, access.own("other"))
    assert stricter(MINE & access.own("other"), access.own("other"))
    many = access.role(*map(str, range(12)))
    assert not stricter(MINE & many, many)  # too many names to try


async def show(request):
    return JSONResponse(dict(request.path_params))


async def listen(socket):
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


async def below(scope, receive, send):
    await JSONResponse({"path": scope["path"]})(scope, receive, send)


@get("/users/{user_id:str}/profile", sync_to_thread=False)
@access.require(POLICY)
def profile_below(user_id: FromPath[str]) -> dict[str, str]:
    return {"user_id": user_id}


def litestar_below():
    return Litestar([profile_below], openapi_config=None, logging_config=None)


def starlette_app():
    locked = access.require(POLICY)(show)
    routes = [
        Route("/users/{user_id}/profile", locked, methods=["GET", "POST"]),
        Route("/numbers/{user_id:int}", access.require(POLICY)(show)),
        Route("/lists/{user_id:path}", access.require(MINE)(show)),
        Route("/dashed/{group}-of-{user_id}", access.require(MINE)(show)),
        WebSocketRoute("/users/{user_id}/live", access.require(POLICY)(listen)),
        Mount("/mounted/{user_id}", routes=[Route("/inner/{id}", locked)]),
        *access.routes([Mount("/users/{user_id}/files", below)], POLICY),
        *access.routes([Mount("/other", litestar_below())], access.public),
        *access.routes([Mount("/twice/{user_id}", litestar_below())], POLICY),
    ]
    return Starlette(routes=routes)


def fastapi_app():
    router = APIRouter(prefix="/users/{user_id}", dependencies=[access.depends(POLICY)])

    @router.api_route("/profile", methods=["GET", "POST"])
    async def profile(user_id: str) -> dict[str, str]:
        return {"user_id": user_id}

    @router.websocket("/live")
    async def live(socket: WebSocket, user_id: str) -> None:
        await listen(socket)

    app = FastAPI(openapi_url=None)
    app.include_router(router)
    return app


def litestar_app():
    @route("/users/{user_id:str}/profile", http_method=["GET", "POST"])
    async def profile(user_id: FromPath[str]) -> dict[str, str]:
        return {"user_id": user_id}

    @websocket("/users/{user_id:str}/live")
    async def live(socket: LitestarSocket, user_id: FromPath[str]) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    return Litestar(
        [profile, live],
        guards=[access.guard(POLICY)],
        openapi_config=None,
        logging_config=None,
    )


async def plain_app(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        await send({"type": "websocket.close"})
        return
    user_id = scope["path"].split("/")[2]
    await JSONResponse({"user_id": user_id})(scope, receive, send)


PLAIN = [
    Rule("GET", "/users/{user_id}/profile", POLICY),
    Rule("POST", "/users/{user_id}/profile", POLICY),
    Rule("WEBSOCKET", "/users/{user_id}/live", POLICY),
]
APPS = {
    "starlette": (starlette_app, ()),
    "fastapi": (fastapi_app, ()),
    "litestar": (litestar_app, ()),
    "plain": (lambda: plain_app, PLAIN),
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path_factory.mktemp("own"),
        access={"hierarchy": {"admin": ["staff"]}},
    )


@pytest.fixture(scope="module")
def visitors(settings):
    """Ids and clients of two users and one of the staff, signed in once for all."""
    guard = Guard(Starlette(), settings)
    with ExitStack() as stack:
        stack.enter_context(TestClient(guard, **HERE))
        found = {}
        for name, roles in {"ann": (), "bob": (), "sam": ("admin",)}.items():
            client = TestClient(guard, **HERE)
            visitor = stack.enter_context(signed_in(client, guard, roles=roles))
            found[name] = visitor.id, client
        yield found


class People:
    """Clients of one guarded application."""

    def __init__(self, guard, visitors):
        self.ids = {name: found[0] for name, found in visitors.items()}
        self.guard = guard
        self.clients = {None: TestClient(guard, **HERE)}
        for name, (_, known) in visitors.items():
            client = TestClient(guard, raise_server_exceptions=False, **HERE)
            client.cookies, client.headers = known.cookies, known.headers
            self.clients[name] = client

    def ask(self, name, path, method="GET"):
        """Ask as somebody; ``{ann}`` in the path is Ann's id."""
        return self.clients[name].request(method, path.format_map(self.ids))


def guarded(app, settings, rules=()):
    guard = Guard(app, settings, rules=rules)
    return guard, TestClient(guard, **HERE)


@pytest.fixture(scope="module", params=APPS)
def people(request, settings, visitors):
    build, rules = APPS[request.param]
    guard, client = guarded(build(), settings, rules)
    with client:
        yield People(guard, visitors)


@pytest.fixture(scope="module")
def starlette(settings, visitors):
    guard, client = guarded(starlette_app(), settings)
    with client:
        yield People(guard, visitors)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_profile_is_for_whom_the_path_names(people, method):
    """Another's answers as one that there is not, whatever the method."""
    path = "/users/{ann}/profile"
    answer = people.ask("ann", path, method)
    assert answer.json() == {"user_id": people.ids["ann"]}
    assert people.ask("sam", path, method).status_code in {200, 201}
    another = people.ask("bob", path, method)
    missing = people.ask("bob", "/users/nobody/profile", method)
    for refused in (another, missing):
        assert_refused(refused, "access.not_found", 404)
    ids = [answer.json().pop("request_id") for answer in (another, missing)]
    assert another.text.replace(ids[0], "") == missing.text.replace(ids[1], "")
    if method == "GET":
        assert_refused(people.ask(None, path), "access.not_signed_in", 401)


def test_it_stands_in_the_plan(people):
    said = {plan.path: str(plan.policy) for plan in people.guard.plan}
    (path,) = [path for path in said if "profile" in path and "/{user_id" in path]
    assert said[path] == "own(user_id) | role(staff)"
    text = matrix(people.guard.plan, (), HIERARCHY)
    lines = [line for line in text.splitlines() if "/profile GET" in line]
    for line in lines:
        assert line.endswith("| 401 | own | yes | yes |")


def test_a_websocket_is_for_whom_the_path_names(people):
    path = "ws://127.0.0.1:8000/users/{ann}/live".format_map(people.ids)
    with people.clients["ann"].websocket_connect(path, headers=ORIGIN) as socket:
        assert socket.receive_text() == "hello"
    with (
        pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)),
        people.clients["bob"].websocket_connect(path, headers=ORIGIN),
    ):
        pass


@pytest.mark.anyio
async def test_it_can_be_asked_without_sending_anything(people):
    for name, expected in (("ann", None), ("bob", "access.not_found")):
        principal = Principal(people.ids[name])
        path = "/users/{ann}/profile".format_map(people.ids)
        found = await people.guard.consider("GET", path, principal)
        assert (found.denial and found.denial.code) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/mounted/{bob}/inner/{ann}", 404),
        ("/mounted/{ann}/inner/{bob}", 200),
        ("/users/{ann}/files/a/b", 200),
        ("/users/{bob}/files/{ann}", 404),
        ("/lists/{ann}", 200),
        ("/lists/{bob}/{ann}", 404),
        ("/lists/{ann}/x", 404),
        ("/dashed/a-of-{ann}", 200),
        ("/dashed/a-of-{ann}-of-{bob}", 404),
        ("/dashed/a-of-{bob}-of-{ann}", 200),
        ("/numbers/7", 404),
        ("/other/users/{ann}/profile", 200),
        ("/other/users/{bob}/profile", 404),
        ("/twice/{ann}/users/{ann}/profile", 200),
        ("/twice/{ann}/users/{bob}/profile", 404),
        ("/twice/{bob}/users/{ann}/profile", 404),
    ],
)
def test_it_is_the_name_of_the_route_that_counts(starlette, path, expected):
    """Below mounts, in other frameworks, and beside further names."""
    assert starlette.ask("ann", path).status_code == expected
    if not path.startswith(("/lists", "/dashed")):
        assert starlette.ask("sam", path).status_code == 200


def test_an_id_may_be_written_with_percents(starlette):
    ann = starlette.ids["ann"]
    written = "".join(f"%{ord(sign):02X}" for sign in ann)
    assert starlette.ask("ann", f"/users/{written}/profile").status_code == 200
    assert starlette.ask("bob", f"/users/{written}/profile").status_code == 404
    assert starlette.ask("ann", f"/users/{ann}%00/profile").status_code in {400, 404}
    assert starlette.ask("ann", f"/users/{ann}%0A/profile").status_code in {400, 404}


def test_a_path_that_is_changed_behind_the_guard_is_asked_again(settings, visitors):
    """What was compared is what the handler works with."""

    class Rewriting:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope.get("query_string"):
                changed = scope["query_string"].decode()
                scope["path"] = f"/users/{changed}/profile"
            await self.app(scope, receive, send)

    routes = access.routes([Route("/users/{user_id}/profile", show)], POLICY)
    app = Starlette(routes=routes, middleware=[Middleware(Rewriting)])
    guard, client = guarded(app, settings)
    with client:
        people = People(guard, visitors)
        assert people.ask("ann", "/users/{ann}/profile").status_code == 200
        changed = people.ask("ann", "/users/{ann}/profile?{bob}")
        assert_refused(changed, "access.not_found", 404)


@pytest.mark.parametrize(
    ("template", "guess"),
    [
        ("/users/{user}", r"did you mean user\?"),
        ("/users/{zz}/x", "its names are zz"),
        ("/users", "it has none"),
    ],
)
def test_a_path_without_the_name_stops_the_start(settings, template, guess):
    app = Starlette(routes=[Route(template, access.require(POLICY)(show))])
    with pytest.raises(PlanError, match=guess) as refused:
        Guard(app, settings)
    assert "own(user_id) | role(staff)" in str(refused.value)
    assert template in str(refused.value)


def test_a_rule_about_rows_stops_the_start_at_its_route(settings):
    """``owner`` on a route is a mistake for ``own``; the message tells both apart."""
    mistaken = access.require(access.owner("user_id") | access.role("staff"))(show)
    with pytest.raises(PlanError, match=r"access\.own") as refused:
        Guard(Starlette(routes=[Route("/users/{user_id}", mistaken)]), settings)
    assert "/users/{user_id} [show (" in str(refused.value)


def test_a_wider_route_before_ones_own_stops_the_start(settings):
    routes = [
        Route("/users/{id}", access.require(access.signed_in)(show)),
        Route("/users/{user_id}", access.require(POLICY)(show), methods=["PUT"]),
        Route("/{any}/{user_id}", access.require(MINE)(show)),
    ]
    Guard(Starlette(routes=routes), settings)
    looser = Route("/{any}/profile", access.require(access.signed_in)(show))
    stricter = Route("/users/{user_id}", access.require(MINE)(show))
    with pytest.raises(PlanError, match="stricter"):
        Guard(Starlette(routes=[looser, stricter]), settings)


def asked(scope, permit):
    exchange = Exchange({"type": "http", "method": "GET", "headers": [], **scope}, None)
    exchange.principal, exchange.permitted = ANN, permit
    return exchange


@pytest.mark.parametrize(
    ("scope", "plan", "passes"),
    [
        ({"path_params": {"user_id": "ann"}}, access.signed_in, True),
        ({"path_params": {"user_id": "bob"}}, access.signed_in, False),
        ({"path_params": {"user_id": "bob"}}, MINE, False),
        ({"path_params": {}}, MINE, False),
        ({}, access.signed_in, False),
        ({}, MINE, True),  # a middleware has copied the scope; the plan has compared
    ],
)
def test_the_lock_of_a_handler_asks_what_its_framework_has_read(scope, plan, passes):
    permit = Permit(frozenset({plan}), HIERARCHY)
    exchange = asked({"path": "/", **scope}, permit)
    token = active.set(exchange)
    try:
        if passes:
            Lock("show", MINE).check()
            return
        with pytest.raises(OutsideRequestError):
            Lock("show", MINE).check()
        assert exchange.denial.code == "access.not_found"
    finally:
        active.reset(token)
