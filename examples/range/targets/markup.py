"""Text becomes markup: XSS reflected, stored, and in the page's own script (guide:
"Cross-Site Scripting")."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

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


async def dom(request: Request) -> Response:
    return HTMLResponse(
        _PAGE.format('<div id=out></div><script src="/dom.js"></script>')
    )


async def dom_script(request: Request) -> Response:
    return Response(_DOM_SCRIPT, media_type="text/javascript")


TARGETS = (
    Target("GET", "/greet", greet, "reflected XSS", query=("name",)),
    Target("GET", "/comments", list_comments, "stored XSS"),
    Target("POST", "/comments", add_comment, "stored XSS", body=("text",)),
    Target("GET", "/dom", dom, "DOM XSS: the fragment becomes markup"),
    Target("GET", "/dom.js", dom_script, "the script of /dom"),
)
