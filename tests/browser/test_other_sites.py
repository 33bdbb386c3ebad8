"""What a page of another site can do to ours in a real browser, with the guard off and
on (CWE-1021, CWE-346; XS-Leaks wiki)."""

from __future__ import annotations

import struct
import zlib

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from tests.attacks.serving import served
from tests.browser.sites import other_site

from ringfence import Guard, Settings, access

LOADED = """async ([tag, source]) => {
    const element = document.createElement(tag);
    const settled = new Promise((resolve) => {
        element.onload = () => resolve(true);
        element.onerror = () => resolve(false);
    });
    element.src = source;
    document.body.append(element);
    return settled;
}"""

COUNT_FRAMES = """async (target) => {
    const theirs = window.open(target);
    for (let tries = 0; tries < 100; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        if (theirs.closed) return "cut off";
        if (theirs.length > 1) return theirs.length;
    }
    return theirs.length;
}"""


def chunk(kind, data):
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


PIXEL = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"\0\0"))
    + chunk(b"IEND", b"")
)


async def delete(request):
    return HTMLResponse("<title>account</title><button>Delete account</button>")


async def results(request):
    """Show a frame for each hit, as search pages of mail services once did."""
    return HTMLResponse("<title>2 hits</title><iframe></iframe><iframe></iframe>")


async def picture(request):
    return Response(PIXEL, media_type="image/png")


async def upload(request):
    """Answer with the text that somebody has uploaded."""
    return PlainTextResponse("window.ran = true")


ROUTES = [
    Route("/delete", delete),
    Route("/results", results),
    Route("/picture", picture),
    Route("/upload", upload),
]


@pytest.fixture(scope="module", params=["off", "on"])
def target(request, tmp_path_factory):
    """The same application bare and behind the guard; the second says which."""
    guarded = request.param == "on"
    app = Starlette(routes=access.routes(ROUTES, access.public))
    if guarded:
        data = tmp_path_factory.mktemp("guarded")
        app = Guard(app, Settings.load(environ={}, env="development", data=data))
    with served(lambda _: app) as running:
        yield running.url, guarded


@pytest.fixture(scope="module")
def evil():
    with other_site() as server:
        yield server.other_site


@pytest.fixture
def page(evil, visit):
    """A page of the attacker's, in the victim's browser."""
    visitor = visit(evil)
    visitor.goto("/")
    return visitor.page


def test_a_click_is_not_stolen(target, page):
    """Clickjacking: the button is there in the attacker's frame, or it is not."""
    url, guarded = target
    page.evaluate(LOADED, ["iframe", f"{url}/delete"])
    (frame,) = page.frames[1:]
    assert ("Delete account" in frame.content()) is not guarded


def test_a_window_is_not_measured(target, page):
    """The number of frames tells what the victim's search has found."""
    url, guarded = target
    found = page.evaluate(COUNT_FRAMES, f"{url}/results")
    assert found == ("cut off" if guarded else 2)


def test_a_picture_is_not_embedded(target, page):
    """What is embedded enters the attacker's process (Spectre), and its size tells."""
    url, guarded = target
    assert page.evaluate(LOADED, ["img", f"{url}/picture"]) is not guarded


def test_an_upload_is_not_run_as_a_script(target, page):
    """Text that is guessed to be a script."""
    url, guarded = target
    page.evaluate(LOADED, ["script", f"{url}/upload"])
    assert (page.evaluate("window.ran") is True) is not guarded
