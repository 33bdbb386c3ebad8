"""The server goes where a visitor says, sends others there, and writes it down."""

from __future__ import annotations

import logging
from urllib.request import urlopen

import httpx2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from examples.range.target import Target

_PATIENCE = 5.0  # seconds
_log = logging.getLogger("examples.range")


async def fetch(request: Request) -> Response:
    """Fetch an address, files of this machine among them."""

    def read() -> bytes:
        with urlopen(request.query_params["url"], timeout=_PATIENCE) as answer:
            found: bytes = answer.read()
            return found

    return PlainTextResponse(await run_in_threadpool(read))


async def preview(request: Request) -> Response:
    """Fetch an address after a look at it, and then wherever it redirects to."""
    url = request.query_params["url"]
    if "169.254.169.254" in url or "127.0.0.1" in url:  # "the known bad ones"
        return PlainTextResponse("not this one", 400)
    async with httpx2.AsyncClient(follow_redirects=True, verify=False) as client:
        return PlainTextResponse((await client.get(url)).text)


async def leave(request: Request) -> Response:
    """Send the visitor on, wherever that is."""
    return RedirectResponse(request.query_params["next"], 302)


async def note(request: Request) -> Response:
    """Write down what was said, as it was said."""
    _log.warning("somebody says: %s", request.query_params["text"])
    return PlainTextResponse("noted")


TARGETS = (
    Target("GET", "/fetch", fetch, "server-side request forgery", query=("url",)),
    Target("GET", "/preview", preview, "the same, behind a blocklist", query=("url",)),
    Target("GET", "/leave", leave, "open redirect", query=("next",)),
    Target("GET", "/note", note, "forged log lines", query=("text",)),
)
