"""Whose text it is: the application's own, or what a request has left in a module."""

import re

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.guard.conftest import Started, running

from ringfence import Guard, Settings, access
from ringfence.interpreters.callers import is_constant

OF_THE_MODULE = "THIS ONE IS"
written = "a text that this module says"
kept = ""
kept_apart = ("",)


def of_a_request():
    """Return what no code says."""
    return "".join(reversed("tegdag"))


def test_literals_and_constants_are_the_codes_own():
    assert is_constant("this very literal")
    assert is_constant(OF_THE_MODULE.lower().upper())
    assert is_constant(written.upper().lower())


def test_other_text_is_not():
    assert not is_constant(of_a_request())


def test_what_is_kept_in_a_module_is_no_constant(monkeypatch):
    """Handlers keep the last search, the current user; under a name of their module."""
    monkeypatch.setitem(globals(), "kept", of_a_request())
    assert not is_constant(of_a_request())
    monkeypatch.setitem(globals(), "kept_apart", (of_a_request(),))
    assert not is_constant(of_a_request())


async def calculate(request):
    globals()["kept"] = request.query_params["q"]
    return PlainTextResponse(str(eval(kept)))


async def find(request):
    globals()["kept"] = request.query_params["q"]
    return PlainTextResponse(re.compile(kept).pattern)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "sent"),
    [  # put together here, since what a test says whole is the application's own text
        ("/calculate", "__import__('os').{}()".format("getpid")),
        ("/find", "(q{0}){0}$".format("+")),
    ],
)
async def test_what_a_handler_keeps_first_is_refused(tmp_path, path, sent):
    """Code that goes through a global on its way to ``eval`` is still the sender's."""
    routes = [Route("/calculate", calculate), Route("/find", find)]
    app = Starlette(routes=access.routes(routes, access.public))
    guard = Guard(app, Settings.load(environ={}, env="development", data=tmp_path))
    async with running(guard), Started(guard).client() as client:
        answer = await client.get(path, params={"q": sent})
    assert answer.status_code == 403
