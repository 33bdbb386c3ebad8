"""Text of a request becomes code: pickles, YAML tags, eval, template source, patterns
(OWASP: insecure deserialization, SSTI, code injection, ReDoS)."""

from __future__ import annotations

import base64
import pickle
import re

import jinja2
import yaml
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from examples.range.given import fields_of
from examples.range.target import Target


async def basket(request: Request) -> Response:
    cookie = base64.urlsafe_b64decode(request.cookies["basket"])
    return PlainTextResponse(f"basket: {pickle.loads(cookie)}")


async def load_pickle(request: Request) -> Response:
    return PlainTextResponse(f"loaded: {pickle.loads(await request.body())}")


async def load_yaml(request: Request) -> Response:
    loaded = yaml.load(await request.body(), Loader=yaml.Loader)
    return PlainTextResponse(f"loaded: {loaded}")


async def calculate(request: Request) -> Response:
    return PlainTextResponse(str(eval(request.query_params["sum"])))


async def card(request: Request) -> Response:
    fields = await fields_of(request)
    source = f"<h1>Dear {fields['name']}</h1><p>{{{{ wish }}}}</p>"
    page = jinja2.Environment(autoescape=True).from_string(source)
    return HTMLResponse(page.render(wish="Happy birthday!"))


async def search(request: Request) -> Response:
    pattern = re.compile(request.query_params["pattern"])
    lines = (
        "the quick brown fox jumps over the lazy dog",
        "aaaaaaaaaaaaaaaaaaaaaaaaa!",
    )
    return PlainTextResponse("\n".join(line for line in lines if pattern.search(line)))


TARGETS = (
    Target("GET", "/basket", basket, "a pickle in a cookie"),
    Target("POST", "/pickle", load_pickle, "a pickle as the body"),
    Target("POST", "/yaml", load_yaml, "YAML with tags of Python"),
    Target("GET", "/calculate", calculate, "eval of a sum", query=("sum",)),
    Target("POST", "/card", card, "template source from a form", body=("name",)),
    Target("GET", "/search", search, "ReDoS", query=("pattern",)),
)
