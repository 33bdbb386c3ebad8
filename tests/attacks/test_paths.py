"""Addresses written so that a guard reads one thing and the framework another
(CVE-2026-48710, CVE-2026-22753; CWE-22, CWE-436).

The unguarded side is a guard as people write it: middleware that looks at the path.
"""

from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from tests.attacks import wire
from tests.attacks.serving import served

from ringfence import Guard, Settings, access

SECRET = "everybody's addresses"


async def users(request):
    return PlainTextResponse(SECRET)


async def welcome(request):
    return PlainTextResponse("welcome")


ADMIN, PUBLIC = access.role("admin"), access.public


def routes():
    inner = access.routes([Route("/list", users)], ADMIN)
    return [
        *access.routes([Route("/admin/users", users)], ADMIN),
        Mount("/private", routes=inner),
        *access.routes([Route("/", welcome), Route("/{name}", welcome)], PUBLIC),
    ]


class HandWritten:
    """What tutorials show: look at the path, and refuse what begins with /admin."""

    def __init__(self, app, *, path_of):
        self.app = app
        self.path_of = path_of

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            path = self.path_of(scope)
            if path.startswith(("/admin", "/private")):
                response = PlainTextResponse("forbidden", 403)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)


def as_sent(scope):
    return scope["raw_path"].decode("latin-1")


def from_the_host(scope):
    host = dict(scope["headers"])[b"host"].decode("latin-1")
    return urlsplit(f"http://{host}{as_sent(scope)}").path


def hand_written(path_of):
    guard = Middleware(HandWritten, path_of=path_of)
    return lambda port: Starlette(routes=routes(), middleware=[guard])


@pytest.fixture(scope="module")
def off():
    with served(hand_written(as_sent)) as server:
        yield server


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    def make(port):
        settings = Settings.load(
            environ={},
            env="development",
            data=tmp_path_factory.mktemp("data"),
            public_origins=(f"http://127.0.0.1:{port}",),
        )
        return Guard(Starlette(routes=routes()), settings)

    with served(make) as server:
        yield server


def ask(server, target, host=None, **headers):
    host = host or f"127.0.0.1:{server.port}"
    request = wire.request("GET", target, {"Host": host, **headers})
    return wire.send(server.port, request)


def test_the_front_door_is_shut_on_both_sides(off, on):
    assert ask(off, "/admin/users").status == 403
    assert ask(on, "/admin/users").status == 401
    assert ask(on, "/").body == b"welcome"


SPELLINGS = (
    "/%61dmin/users",
    "/%2561dmin/users",
    "//admin/users",
    "///admin/users",
    "/./admin/users",
    "/x/../admin/users",
    "/x/%2e%2e/admin/users",
    "/x/%2e%2e%2fadmin/users",
    "/x/..;/admin/users",
    "/admin//users",
    "/admin/./users",
    "/admin%2fusers",
    "/admin%2Fusers",
    "/admin%5cusers",
    "/admin\\users",
    "/\\admin/users",
    "/admin/users/",
    "/admin/users/.",
    "/admin/users%00",
    "/admin/users%00.css",
    "/admin/users;a=b",
    "/admin/users%20",
    "/admin/users%09",
    "/admin/users%3f",
    "/admin/users%23",
    "/admin/users#x",
    "/admin/users?/",
    "/ADMIN/users",
    "/%c0%ae%c0%ae/admin/users",
    "/%uff0fadmin/users",
    "/%ef%bc%8fadmin/users",
    "/%/admin/users",
    "/admin/users%0d%0ax:%20y",
    "/private/%6cist",
    "/private//list",
    "/private%2flist",
    "/private/./list",
    "/private/../private/list",
    "/%70rivate/list",
    "admin/users",
)


@pytest.mark.parametrize("target", SPELLINGS)
def test_no_spelling_opens_the_door(on, target):
    """However the path is spelled, the guard refuses what the framework would open."""
    answer = ask(on, target)
    assert SECRET.encode() not in answer.body
    assert answer.status in {307, 400, 401, 403, 404, 421}


def test_some_spelling_opens_the_hand_written_one(off):
    """The same doors stand open where middleware compares the path as it was sent."""
    opened = [s for s in SPELLINGS if SECRET.encode() in ask(off, s).body]
    assert "/%61dmin/users" in opened
    assert "/%70rivate/list" in opened


def test_an_absolute_target_is_no_way_round(on):
    """A request line with a whole URL is routed by its path, or refused."""
    answer = ask(on, f"http://127.0.0.1:{on.port}/admin/users")
    assert SECRET.encode() not in answer.body
    answer = ask(on, "http://evil.example/admin/users")
    assert SECRET.encode() not in answer.body


HOSTS = (
    "127.0.0.1:{port}/x?",
    "127.0.0.1:{port}?",
    "127.0.0.1:{port}#",
    "127.0.0.1/?:{port}",
    "x@127.0.0.1:{port}",
    "127.0.0.1:{port}\\x",
    "evil.example/?",
    "evil.example",
    "127.0.0.1:{port}, evil.example",
    "127.0.0.1:x",
    "[::1",
    "127.0.0.1:{port}%2f",
    "localhost.evil.example:{port}",
    "127.0.0.1.nip.io:{port}",
    "127.0.0.1.:{port}",
    "0.0.0.0:{port}",
    "2130706433:{port}",
    "[::]:{port}",
)


@pytest.mark.parametrize("host", HOSTS)
def test_no_host_moves_the_path(on, host):
    """``/``, ``?`` or ``#`` in Host must not shift the path that is judged: the guard
    judges the routed path, and refuses such a Host altogether (CVE-2026-48710)."""
    host = host.format(port=on.port)
    for path in ("/admin/users", "/"):
        answer = ask(on, path, host)
        assert answer.status in {400, 421}
        assert answer.body not in {b"welcome", SECRET.encode()}


def test_a_host_moves_the_path_of_the_hand_written_one():
    """The guard that builds the URL from Host and takes its path is walked round."""
    with served(hand_written(from_the_host)) as server:
        host = f"127.0.0.1:{server.port}"
        assert ask(server, "/admin/users", host).status == 403
        assert ask(server, "/admin/users", f"{host}/x?").body == SECRET.encode()


@pytest.mark.parametrize(
    "header", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"]
)
def test_no_header_names_another_path(on, header):
    """A path in a header decides nothing."""
    answer = ask(on, "/", **{header: "/admin/users"})
    assert SECRET.encode() not in answer.body


class Rewriting:
    """Middleware inside the guard that sends a request elsewhere than it was judged
    for, as method-override and rewrite packages do."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            scope["path"] = headers.get(b"x-rewrite", scope["path"].encode()).decode()
            method = headers.get(b"x-http-method-override", scope["method"].encode())
            scope["method"] = method.decode()
        await self.app(scope, receive, send)


@pytest.mark.parametrize("side", ["off", "on"])
def test_a_rewrite_behind_the_guard_opens_nothing(side, tmp_path):
    """When the application's own middleware turns a judged request into another one,
    the other endpoint is not entered."""
    entered = []

    async def delete(request):
        entered.append(request.method)
        return PlainTextResponse("deleted")

    def make(port):
        table = [
            *access.routes([Route("/item", welcome, methods=["POST"])], PUBLIC),
            *access.routes([Route("/item", delete, methods=["DELETE"])], ADMIN),
            *access.routes([Route("/other", delete, methods=["POST"])], ADMIN),
        ]
        app = Starlette(routes=table, middleware=[Middleware(Rewriting)])
        if side == "off":
            return app
        origins = (f"http://127.0.0.1:{port}",)
        settings = Settings.load(
            environ={}, env="development", data=tmp_path, public_origins=origins
        )
        return Guard(app, settings)

    with served(make) as server:
        host = f"127.0.0.1:{server.port}"
        tricks = ({"X-HTTP-Method-Override": "DELETE"}, {"X-Rewrite": "/other"})
        for trick in tricks:
            headers = {"Host": host, "Content-Length": "0", **trick}
            answer = wire.send(server.port, wire.request("POST", "/item", headers))
            assert (answer.body == b"deleted") is (side == "off")
        honest = {"Host": host, "Content-Length": "0"}
        answer = wire.send(server.port, wire.request("POST", "/item", honest))
        assert answer.body == b"welcome"
    assert entered == (["DELETE", "POST"] if side == "off" else [])
