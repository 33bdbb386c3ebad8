"""Template source from a request (server-side template injection, CWE-1336)."""

import mako.template
import pytest
from examples.range.targets import code
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.attacks.targets import routes_of
from tests.attacks.twins import twins

from ringfence import templates

SECRET = "the key of the shop"


class Shop:
    """What a template is given; its module holds more than it should."""

    name = "shop"

    def __init__(self):
        self.open = True


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    async def mako_card(request):
        page = mako.template.Template("Dear " + request.query_params["name"])
        return PlainTextResponse(page.render())

    async def formatted(request):
        text = request.query_params["text"]
        return PlainTextResponse(text.format(shop=Shop(), name="Ann"))

    async def filled(request):
        text = request.query_params["text"]
        return PlainTextResponse(templates.fill(text, shop="shop", name="Ann"))

    def make():
        return [
            *routes_of(code.TARGETS, tmp_path_factory.mktemp("world"))(),
            Route("/mako", mako_card),
            Route("/format", formatted),
            Route("/fill", filled),
        ]

    with twins(make, tmp_path_factory.mktemp("data")) as served:
        yield served


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("{{ 7 * 191 }}", "1337"),
        ("{{ cycler.__init__.__globals__.__builtins__.len('abcdefg') * 191 }}", "1337"),
        ("{% for n in [1337] %}{{ n }}{% endfor %}", "1337"),
    ],
)
def test_code_in_a_name(both, name, shown):
    assert shown in both.off.post("/card", json={"name": name}).text
    answer = both.on.post("/card", json={"name": name})
    assert (answer.status_code, answer.json()["code"]) == (403, "interpreters.template")
    assert shown not in answer.text


@pytest.mark.parametrize(
    "name", ["${7 * 191}", "<% x = 1337 %>${x}", "\n% if 1:\n1337\n% endif\n"]
)
def test_code_in_a_name_for_mako(both, name):
    assert "1337" in both.off.get("/mako", params={"name": name}).text
    answer = both.on.get("/mako", params={"name": name})
    assert (answer.status_code, answer.json()["code"]) == (403, "interpreters.template")


@pytest.mark.parametrize(
    "name", ["Ann", "O'Brien", "50 % & more", "a } b {", "{name}", "日本語 🙂", "#4"]
)
def test_honest_names(both, name):
    for client in (both.off, both.on):
        assert name in client.post("/card", json={"name": name}).text
        assert name in client.get("/mako", params={"name": name}).text


def test_format_of_a_request(both):
    """Nothing announces ``str.format``: the guard does not see it, ``fill`` does."""
    text = "{shop.__init__.__globals__[SECRET]}"
    for client in (both.off, both.on):
        assert SECRET in client.get("/format", params={"text": text}).text
    answer = both.on.get("/fill", params={"text": text})
    assert (answer.status_code, answer.json()["code"]) == (400, "interpreters.template")
    told = both.on.get("/fill", params={"text": "Dear {name}, your {shop}"}).text
    assert told == "Dear Ann, your shop"
