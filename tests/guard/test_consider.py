"""Deciding about a request that nobody sends."""

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

import ringfence
from ringfence import Guard, Principal, access
from ringfence.errors import SettingsError
from ringfence.guard.consider import imagined
from ringfence.guard.questions import QUESTIONS, REMEDIES
from ringfence.guard.trace import name_of

PROJECT = Path(__file__).parents[2]


async def reached(request):
    raise AssertionError


def shop(settings):
    routes = [
        *access.routes([Route("/orders/{number:int}", reached)], access.signed_in),
        *access.routes(
            [Route("/admin", reached, methods=["GET", "POST"])], access.role("admin")
        ),
        *access.routes([WebSocketRoute("/chat", reached)], access.signed_in),
    ]
    return Guard(Starlette(routes=routes), settings)


ANN = Principal("ann", frozenset())
ADMIN = Principal("root", frozenset({"admin"}))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "address", "principal", "code"),
    [
        ("GET", "/orders/7", ANN, None),
        ("GET", "/orders/7", None, "access.not_signed_in"),
        ("GET", "/orders/x", ANN, "guard.no_route"),
        ("GET", "/admin?page=2", ANN, "access.not_allowed"),
        ("POST", "/admin", ADMIN, None),
        ("GET", "/orders/../admin", ADMIN, "traffic.path_dots"),
        ("GET", "/%2e%2e/admin", ADMIN, "traffic.path_encoding"),
        ("GET", "http://evil.example/admin", ADMIN, "traffic.host_not_local"),
        ("GET", "http://127.0.0.1:8000/admin", ADMIN, None),
        ("GET", "//127.0.0.1:8000/admin", ADMIN, "traffic.path_slashes"),
        ("GET", "//evil.example/admin", ADMIN, "traffic.path_slashes"),
        ("GET", "/admin#top", ADMIN, "traffic.path_grammar"),
        ("TRACE", "/admin", ADMIN, "traffic.unknown_method"),
        ("WEBSOCKET", "/chat", ANN, None),
        ("WEBSOCKET", "/chat", None, "access.not_signed_in"),
    ],
)
async def test_the_stages_decide_as_they_would(
    settings, method, address, principal, code
):
    said = await shop(settings).consider(method, address, principal)
    assert (said.denial.code if said.denial else None) == code


@pytest.mark.anyio
async def test_what_is_no_url_is_said_to_be_none(settings):
    with pytest.raises(SettingsError, match="no URL"):
        await shop(settings).consider("GET", "http://[::1/admin", ANN)


@pytest.mark.anyio
async def test_what_cannot_be_known_is_not_asked(settings):
    said = await shop(settings).consider("POST", "/admin", ADMIN)
    decided = {one.stage for one in said.stages if one.decided}
    assert "identity.sessions" not in decided
    assert "traffic.rate_limit" not in decided
    assert "access.stage" in decided


@pytest.mark.anyio
async def test_nothing_is_used_up(settings):
    """A thousand questions draw from no budget."""
    guard = shop(settings)
    for _ in range(1_000):
        assert (await guard.consider("GET", "/orders/7", ANN)).denial is None


def test_every_stage_has_its_question(settings):
    guard = shop(settings)
    steps = [*guard._street, *(step for plan in guard.plan for step in plan.steps)]
    assert {name_of(step) for step in steps} <= set(QUESTIONS)


def test_remedies_are_for_codes_that_there_are():
    """A code that nobody returns any more has no remedy."""
    source = "".join(
        file.read_text()
        for file in Path(ringfence.__file__).parent.rglob("*.py")
        if file.name != "questions.py"
    )
    for code in REMEDIES:
        assert f'"{code}"' in source or f'"{code.partition(".")[2]}"' in source, code


def test_every_interpreter_has_its_remedy():
    """Whoever is refused where text becomes code learns how to write it instead."""
    page = (PROJECT / "docs" / "reference" / "refusals.md").read_text("utf-8")
    codes = set(re.findall(r"^\| `(interpreters\.\w+)`", page, re.MULTILINE))
    assert codes - REMEDIES.keys() == set()


@pytest.mark.anyio
async def test_what_nobody_sends_has_no_body(settings):
    """Whatever stage may come to read it is not left waiting."""
    message = await imagined("POST", "/admin", settings).receive()
    assert (message["body"], message["more_body"]) == (b"", False)
