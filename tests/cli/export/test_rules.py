"""From the plan to rules, and from rules to what Envoy and Cloudflare read."""

import json
import re

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from ringfence import Guard, Settings, access, limit
from ringfence.cli.export import cloudflare, envoy, nginx
from ringfence.cli.export.rules import rules_of
from ringfence.cli.main import main


async def answer(request):
    return PlainTextResponse("hello")


@pytest.fixture
def rules(tmp_path):
    routes = [
        Route("/a.b/{number:int}", answer, methods=["GET"]),
        Route("/a.b/{number:int}", answer, methods=["DELETE"]),
        Route('/quote"$x/{rest:path}', answer, methods=["POST"]),
        Route("/caf\N{LATIN SMALL LETTER E WITH ACUTE} 1", answer),
    ]
    limited = access.routes(
        [Route("/slow", answer)],
        access.public,
        limit("9/hour"),
        limit("20/second"),
        limit("30/day"),
    )
    settings = Settings.load(
        toml=None,
        environ={},
        env="production",
        data=tmp_path,
        public_origins=("https://shop.example",),
        proxies=("none",),
        traffic={
            "allowed_hosts": (".shop.example",),
            "blocked": ("198.51.100.0/24", "2001:db8::7"),
        },
        identity={"enabled": False},
    )
    app = Starlette(routes=[*access.routes(routes, access.public), *limited])
    return rules_of(Guard(app, settings))


def route(rules, template):
    (found,) = (one for one in rules.routes if one.template == template)
    return found


def test_plans_of_one_path_are_one_route(rules):
    first = route(rules, "/a.b/{number:int}")
    assert first.methods == ("DELETE", "GET", "HEAD")
    assert re.match(first.pattern, "/a.b/7")
    assert not re.match(first.pattern, "/aXb/7")
    assert not re.match(first.pattern, "/a.b/7/8")


def test_what_a_path_spells_cannot_leave_its_pattern(rules):
    pattern = route(rules, '/quote"$x/{rest:path}').pattern
    assert re.match(pattern, '/quote"$x/a/b')
    assert not re.match(pattern, "/quote")


def test_what_is_closed_to_everybody_does_not_get_through(tmp_path):
    """Documentation pages of a framework, in production."""
    settings = Settings.load(
        toml=None,
        environ={},
        env="production",
        data=tmp_path,
        public_origins=("https://shop.example",),
        proxies=("none",),
        identity={"enabled": False},
    )
    templates = {one.template for one in rules_of(Guard(FastAPI(), settings)).routes}
    assert "/docs" not in templates
    assert "/openapi.json" not in templates


def test_a_blocked_address_is_a_network_as_it_is_behind(rules):
    assert rules.blocked == ("198.51.100.0/24", "2001:db8::/64")


def test_parameters_of_an_unknown_kind_may_hold_slashes(tmp_path, monkeypatch):
    """What a convertor of the application's own matches is not known here."""

    class Slug(Convertor):
        regex = ".+"
        convert = to_string = str

    monkeypatch.setitem(CONVERTOR_TYPES, "slug", Slug())
    settings = Settings(env="development", data=tmp_path)
    routes = [Route("/wiki/{page:slug}", answer), Route("/users/{name:str}", answer)]
    app = Starlette(routes=access.routes(routes, access.public))
    rules = rules_of(Guard(app, settings))
    assert re.match(route(rules, "/wiki/{page:slug}").pattern, "/wiki/a/b")
    assert not re.match(route(rules, "/users/{name:str}").pattern, "/users/a/b")


def test_envoy_gets_every_route_and_refuses_the_rest(rules):
    text = envoy.render(rules, listen="0.0.0.0:8080", upstream="127.0.0.1:8000")
    manager = json.loads(text)["static_resources"]["listeners"][0]["filter_chains"][0][
        "filters"
    ][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    assert host["domains"] == ["shop.example", "*.shop.example"]
    assert host["routes"][-1] == {
        "match": {"prefix": "/"},
        "direct_response": {"status": 404},
    }
    assert len(host["routes"]) == 2 * len(rules.routes) + 1
    assert manager["merge_slashes"] is False


def test_cloudflare_gets_limits_that_are_never_narrower(rules):
    """Who keeps to the guard's limits is not shut out at the gateway."""
    refusing, limiting = json.loads(cloudflare.render(rules))
    assert refusing["phase"] == "http_request_firewall_custom"
    assert '"shop.example"' in refusing["rules"][0]["expression"]
    limits = [
        (one["ratelimit"]["requests_per_period"], one["ratelimit"]["period"])
        for one in limiting["rules"]
    ]
    assert limits == [(9, 3_600), (200, 10), (30, 3_600), (3_000, 60)]


def test_paths_match_as_they_are_sent_where_nobody_decodes_them(rules):
    (found,) = (one for one in rules.routes if one.template.startswith("/caf"))
    assert re.match(found.pattern, "/caf\N{LATIN SMALL LETTER E WITH ACUTE} 1")
    for sent in ("/caf%C3%A9%201", "/caf%c3%a9%201"):
        assert re.match(found.raw_pattern, sent)
    assert found.raw_pattern.isascii()  # RE2 takes no other character escaped
    said = envoy.render(rules, listen="0.0.0.0:80", upstream="127.0.0.1:8000")
    assert json.dumps(found.raw_pattern) in said
    assert (
        found.raw_pattern
        in json.loads(cloudflare.render(rules))[0]["rules"][-1]["expression"]
    )


def test_envoy_knows_hosts_on_other_ports(rules):
    said = envoy.render(rules, listen="0.0.0.0:8443", upstream="127.0.0.1:8000")
    assert '"ignore_port_in_host_matching": true' in said


def test_envoy_drops_what_clients_say_about_themselves(rules):
    """An application behind the guard may read X-Real-IP."""
    said = json.loads(envoy.render(rules, listen="80", upstream="127.0.0.1:8000"))
    (listener,) = said["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    removed = manager["route_config"]["request_headers_to_remove"]
    assert {"x-real-ip", "forwarded", "cf-connecting-ip"} <= set(removed)
    assert not {"x-forwarded-for", "x-forwarded-proto"} & set(removed)


def test_clients_behind_a_translator_are_told_apart(rules):
    """What nginx takes for one network there is all of IPv4."""
    said = nginx.render(rules, listen="80", upstream="127.0.0.1:8000")
    patterns = re.findall(r'"~(\^[^"]+)" +(\$\w+);', said)
    first = next(to for one, to in patterns if re.match(one, "64:ff9b::c633:6407"))
    assert first == "$remote_addr"
    first = next(to for one, to in patterns if re.match(one, "2001:db8:1:2:3:4:5:6"))
    assert first == "$ringfence_four"


APPLICATION = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from ringfence import Guard, access

@access.require(access.public)
async def hello(request):
    return PlainTextResponse("hello")

app = Guard(Starlette(routes=[Route("/hello", hello)]))
"""


@pytest.mark.parametrize("gateway", ["nginx", "envoy", "cloudflare"])
def test_the_command_prints_the_rules(gateway, tmp_path, monkeypatch, capsys):
    (tmp_path / "backend_for_export.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    assert main(["export", gateway, "backend_for_export:app"]) == 0
    said = capsys.readouterr()
    assert "/hello" in said.out
    assert "RINGFENCE_PUBLIC_ORIGINS" in said.err


def test_an_address_that_is_none_is_refused(tmp_path, monkeypatch, capsys):
    """It would stand in the gateway's file as it is."""
    asked = ["export", "nginx", "app:app", "--upstream", "127.0.0.1:1; evil"]
    assert main(asked) == 2
    assert "no address" in capsys.readouterr().err


def test_an_upstream_without_a_host_is_refused(capsys):
    """By nginx 8000 would be read as the address 0.0.31.64."""
    assert main(["export", "nginx", "app:app", "--upstream", "8000"]) == 2
    assert "127.0.0.1:8000" in capsys.readouterr().err


def test_without_an_address_limit_there_is_none_to_write(tmp_path):
    """What the guard does not ask for, the gateway does not refuse."""
    settings = Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path,
        traffic={"limits_address": "none"},
        identity={"enabled": False},
    )
    app = Starlette(routes=access.routes([Route("/", answer)], access.public))
    rules = rules_of(Guard(app, settings))
    assert rules.address is None
    assert "limit_req zone=" not in nginx.render(
        rules, listen="127.0.0.1:80", upstream="127.0.0.1:8000"
    )
    for render in (
        cloudflare.render(rules),
        envoy.render(rules, listen="127.0.0.1:80", upstream="127.0.0.1:8000"),
    ):
        assert "by address" not in render


def test_sockets_pass_every_gateway(tmp_path):
    settings = Settings.load(toml=None, environ={}, env="development", data=tmp_path)
    sockets = access.routes([WebSocketRoute("/feed", answer)], access.public)
    rules = rules_of(Guard(Starlette(routes=sockets), settings))
    assert route(rules, "/feed").websocket
    text = envoy.render(rules, listen="127.0.0.1:80", upstream="127.0.0.1:8000")
    assert "upgrade_configs" in text
