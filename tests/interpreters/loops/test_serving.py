"""The server runs on a loop whose doings are seen."""

import asyncio

import pytest

from ringfence.cli.uvicorn_server import UvicornServer
from ringfence.interpreters.loops import is_seen
from ringfence.interpreters.loops.guarded import GuardedLoop


def loop_of(name):
    """Return the loop that uvicorn makes for what was asked."""
    server = UvicornServer(loop=name, connections=1)
    loop = server._config("tests.nowhere:app").get_loop_factory()()
    loop.close()
    return loop


@pytest.mark.parametrize("name", ["auto", "uvloop"])
def test_uvloop_is_the_guarded_one(name):
    assert isinstance(loop_of(name), GuardedLoop)


def test_asyncio_stays_what_it_is():
    assert isinstance(loop_of("asyncio"), asyncio.SelectorEventLoop)
    assert is_seen(loop_of("asyncio"))


def test_without_uvloop(monkeypatch):
    monkeypatch.setattr("ringfence.cli.uvicorn_server.find_spec", lambda _: None)
    assert UvicornServer(loop="auto", connections=1)._loop == "auto"
