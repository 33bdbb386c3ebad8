"""The exported rules, carried out by the real nginx."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from ringfence import Guard, Settings, access, limit
from ringfence.cli.export import nginx as exported
from ringfence.cli.export.rules import rules_of


async def answer(request):
    return PlainTextResponse("hello")


def guard_of(tmp_path, **traffic):
    routes = [
        Route("/", answer),
        Route("/orders/{number:int}", answer, methods=["GET", "DELETE"]),
        Route("/orders", answer, methods=["POST"]),
        Route("/files/{rest:path}", answer),
        Mount("/static", StaticFiles(directory=tmp_path)),
        WebSocketRoute("/chat", answer),
        Route("/items/{name}", answer),
        Route("/items/special", answer, methods=["POST"]),
        Route("/shared", answer, methods=["POST"]),
    ]
    limited = access.routes(
        [
            Route("/slow", answer),
            Route("/slow", answer, methods=["POST"]),
            Route("/shared", answer),
        ],
        access.public,
        limit("2/minute"),
    )
    settings = Settings.load(
        toml=None,
        environ={},
        env="production",
        data=tmp_path,
        public_origins=("https://shop.example",),
        proxies=("127.0.0.1/32",),
        identity={"enabled": False},
        traffic={"max_body": 2_000, **traffic},
    )
    app = Starlette(routes=[*access.routes(routes, access.public), *limited])
    return Guard(app, settings)


@pytest.fixture
def shop(gateway, upstream, free_port, tmp_path):
    """Return a function that starts nginx with the rules of a shop."""

    def start(**traffic):
        text = exported.render(
            rules_of(guard_of(tmp_path, **traffic)),
            listen=f"127.0.0.1:{free_port}",
            upstream=upstream,
        )
        return gateway(text, free_port)

    return start


def test_what_the_plan_serves_gets_through(shop):
    asked = shop().ask
    for method, path in [
        ("GET", "/"),
        ("GET", "/orders/7"),
        ("DELETE", "/orders/7"),
        ("POST", "/orders"),
        ("GET", "/orders/7/"),
        ("GET", "/files/a/b/c.txt"),
        ("GET", "/static/site.css"),
        ("GET", "/orders/7?next=/a%2Fb"),
    ]:
        status, told = asked(method, path)
        assert status == 200, (method, path)
        assert told["path"] == path  # as it was sent, nothing mended or decoded


def test_what_the_plan_does_not_serve_is_refused(shop):
    asked = shop().ask
    for method, path, status in [
        ("GET", "/admin", 404),
        ("GET", "/orders/7/lines", 404),
        ("GET", "/ordersx", 404),
        ("POST", "/orders/7", 405),
        ("PUT", "/", 405),
        ("GET", "//orders/7", 404),
    ]:
        assert asked(method, path)[0] == status, (method, path)
    assert asked("GET", "/", host="evil.example")[0] == 421


def test_what_clients_say_about_themselves_is_dropped(shop):
    """A forged address, host or scheme does not reach the backend; nginx's own does."""
    asked = shop().ask
    for path in ("/", "/chat"):
        status, told = asked(
            "GET",
            path,
            X_Forwarded_For="6.6.6.6",
            X_Forwarded_Proto="ftp",
            X_Forwarded_Host="evil.example",
            X_Real_IP="6.6.6.6",
            CF_Connecting_IP="6.6.6.6",
            Forwarded="for=6.6.6.6",
        )
        assert status == 200
        headers = told["headers"]
        assert headers["x-forwarded-for"] == "127.0.0.1"
        assert headers["x-forwarded-proto"] == "http"
        assert headers["host"] == "shop.example"
        assert "6.6.6.6" not in str(headers)
        assert "evil" not in str(headers)


def test_bodies_have_their_size(shop):
    asked = shop().ask
    assert asked("POST", "/orders", body=b"x" * 2_000)[0] == 200
    assert asked("POST", "/orders", body=b"x" * 2_001)[0] == 413


def test_limits_by_address_hold(shop):
    asked = shop().ask
    statuses = [asked("GET", "/slow")[0] for _ in range(5)]
    assert statuses == [200, 200, 429, 429, 429]
    assert asked("GET", "/")[0] == 200


def test_each_method_draws_from_the_limit_of_its_own_plan(shop):
    """Whoever keeps to the guard's limits is not refused before it."""
    asked = shop().ask
    assert [asked("GET", "/slow")[0] for _ in range(3)] == [200, 200, 429]
    assert [asked("POST", "/slow")[0] for _ in range(3)] == [200, 200, 429]
    assert [asked("POST", "/shared")[0] for _ in range(4)] == [200] * 4
    assert [asked("GET", "/shared")[0] for _ in range(3)] == [200, 200, 429]


def test_a_path_that_two_routes_share_is_served_by_the_methods_of_both(shop):
    """The framework goes on to the second one where the first lacks the method."""
    asked = shop().ask
    assert asked("GET", "/items/lamp")[0] == 200
    assert asked("POST", "/items/special")[0] == 200
    assert asked("PUT", "/items/special")[0] == 405


def test_hosts_may_be_addresses(shop):
    asked = shop(allowed_hosts=("[::1]:8443", "api.example:8443")).ask
    assert asked("GET", "/", host="[::1]:8443")[0] == 200
    assert asked("GET", "/", host="api.example:8443")[0] == 200
    assert asked("GET", "/", host="[::2]:8443")[0] == 421


def test_the_wide_limit_holds_everywhere(shop):
    asked = shop(limits_address="3/minute").ask
    assert [asked("GET", "/")[0] for _ in range(4)] == [200, 200, 200, 429]
    assert asked("GET", "/orders/7")[0] == 429


def test_blocked_networks_are_refused(shop):
    assert shop(blocked=("198.51.100.0/24",)).ask("GET", "/")[0] == 200


def test_handshakes_are_passed_on(shop):
    _, told = shop().ask("GET", "/chat", Upgrade="websocket", Connection="Upgrade")
    assert told["headers"]["upgrade"] == "websocket"
    assert told["headers"]["connection"] == "upgrade"


def test_no_tunnel_is_opened_to_another_protocol(shop):
    """Through one, h2c would bring requests that no rule here has seen (CWE-444)."""
    asked = shop().ask
    for protocol in ("h2c", "websocket, h2c", "h2c, websocket"):
        _, told = asked(
            "GET", "/chat", Upgrade=protocol, Connection="Upgrade, HTTP2-Settings"
        )
        assert "upgrade" not in told["headers"]
        assert "upgrade" not in told["headers"].get("connection", "").lower()


def test_other_routes_upgrade_nothing(shop):
    _, told = shop().ask("GET", "/", Upgrade="websocket", Connection="Upgrade")
    assert "upgrade" not in told["headers"]
