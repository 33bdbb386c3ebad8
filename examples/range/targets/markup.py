"""Text becomes markup: XSS reflected, stored, and in the page's own script (guide:
"Cross-Site Scripting")."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from examples.range.given import fields_of, world_of
from examples.range.target import Target

_PAGE = "<!doctype html><html lang=en><title>range</title><body>{}</body></html>"
_DOM_SCRIPT = """
document.getElementById("out").innerHTML = decodeURIComponent(location.hash.slice(1));
"""


async def greet(request: Request) -> Response:
    return HTMLResponse(_PAGE.format(f"<h1>Hello {request.query_params['name']}</h1>"))


async def list_comments(request: Request) -> Response:
    rows = world_of(request).rows("SELECT text FROM comments")
    return HTMLResponse(_PAGE.format("".join(f"<p>{row['text']}</p>" for row in rows)))


async def add_comment(request: Request) -> Response:
    fields = await fields_of(request)
    world_of(request).rows("INSERT INTO comments VALUES (?)", fields["text"])
    return RedirectResponse("/comments", 303)


async def field(request: Request) -> Response:
    """Escapes what opens a tag, and forgets the quotes."""
    value = request.query_params["value"].replace("<", "&lt;")
    return HTMLResponse(_PAGE.format(f'<input name=q value="{value}">'))


async def link(request: Request) -> Response:
    """Escapes, as a template does; an address needs more than that."""
    to = request.query_params["to"].replace("<", "&lt;").replace('"', "&quot;")
    return HTMLResponse(_PAGE.format(f'<a id=back href="{to}">back</a>'))


async def script(request: Request) -> Response:
    name = request.query_params["name"].replace("<", "")
    return HTMLResponse(_PAGE.format(f"<script>let name = '{name}';</script>"))


async def badge(request: Request) -> Response:
    text = f"<text y='20'>{request.query_params['label']}</text>"
    picture = f"<svg xmlns='http://www.w3.org/2000/svg'>{text}</svg>"
    return Response(picture, media_type="image/svg+xml")


async def stream(request: Request) -> Response:
    """Sends its page in pieces that cut through what was sent."""
    name = request.query_params["name"]

    async def pieces() -> AsyncIterator[str]:
        yield _PAGE.partition("{}")[0] + "<h1>Hello "
        for start in range(0, len(name), 5):
            yield name[start : start + 5]
        yield "</h1>"

    return StreamingResponse(pieces(), media_type="text/html")


async def packed(request: Request) -> Response:
    page = _PAGE.format(f"<h1>Hello {request.query_params['name']}</h1>")
    headers = {"content-encoding": "gzip"}
    return HTMLResponse(gzip.compress(page.encode()), headers=headers)


async def report(request: Request) -> Response:
    """Answers JSON under the name of a page."""
    return HTMLResponse(f'{{"name": "{request.query_params["name"]}"}}')


async def dom(request: Request) -> Response:
    return HTMLResponse(
        _PAGE.format('<div id=out></div><script src="/dom.js"></script>')
    )


async def dom_script(request: Request) -> Response:
    return Response(_DOM_SCRIPT, media_type="text/javascript")


TARGETS = (
    Target("GET", "/greet", greet, "reflected XSS", query=("name",)),
    Target("GET", "/field", field, "reflected in an attribute", query=("value",)),
    Target("GET", "/link", link, "reflected as an address", query=("to",)),
    Target("GET", "/script", script, "reflected in a script", query=("name",)),
    Target("GET", "/badge.svg", badge, "reflected in a picture", query=("label",)),
    Target("GET", "/stream", stream, "reflected in pieces", query=("name",)),
    Target("GET", "/packed", packed, "reflected and packed", query=("name",)),
    Target("GET", "/report", report, "JSON sent as a page", query=("name",)),
    Target("GET", "/comments", list_comments, "stored XSS"),
    Target("POST", "/comments", add_comment, "stored XSS", body=("text",)),
    Target("GET", "/dom", dom, "DOM XSS: the fragment becomes markup"),
    Target("GET", "/dom.js", dom_script, "the script of /dom"),
)
