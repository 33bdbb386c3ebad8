import os
import sys

import pytest

APPLICATION = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringfence import Guard, Settings, access


@access.require(access.public)
async def home(request):
    return PlainTextResponse("at home")


async def forgotten(request):
    return PlainTextResponse("open to all")


bare = Starlette(routes=[Route("/", home)])
app = Guard(Starlette(routes=[Route("/", home)]))
five = 5


def unfinished():
    return Guard(Starlette(routes=[Route("/forgotten", forgotten)]))
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A developer's directory with an application, and nothing of ours around it."""
    (tmp_path / "garden.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in os.environ:
        if name.startswith("RINGFENCE_"):
            monkeypatch.delenv(name)
    # Commands write these down; so they end with the test.
    monkeypatch.setenv("WEB_CONCURRENCY", "1")
    monkeypatch.setenv("RINGFENCE_ENV", "production")
    monkeypatch.delenv("RINGFENCE_ENV")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name in {"garden", "forgetful", "broken", "needy"}:
            del sys.modules[name]
