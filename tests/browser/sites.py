"""The other site: pages of an attacker, on loopback under another name."""

from __future__ import annotations

from contextlib import contextmanager
from html import escape

from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from tests.attacks.serving import served

_FORM = """<!doctype html><title>You have won</title>
<form method="{method}" action="{target}" enctype="{kind}">{fields}</form>
<script>document.forms[0].submit()</script>"""


async def form(request):
    """Answer with a form that submits itself to ``target`` with the other fields."""
    query = dict(request.query_params)
    target, method = query.pop("target"), query.pop("method", "post")
    kind = query.pop("kind", "application/x-www-form-urlencoded")
    fields = "".join(
        f'<input name="{escape(name)}" value="{escape(value)}">'
        for name, value in query.items()
    )
    page = _FORM.format(method=method, target=escape(target), kind=kind, fields=fields)
    return HTMLResponse(page)


async def blank(request):
    return HTMLResponse("<!doctype html><title>evil</title><div id=stage></div>")


@contextmanager
def other_site():
    """Serve the attacker's pages; visit them by their ``other_site`` address."""
    app = Starlette(routes=[Route("/form", form), Route("/", blank)])
    with served(lambda port: app) as server:
        yield server
