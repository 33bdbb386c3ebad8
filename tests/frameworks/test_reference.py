"""The reference page: nothing in a schema becomes markup, nothing needs a script."""

import re
from typing import Annotated, Literal

import pytest
from fastapi import FastAPI, Query
from httpx2 import ASGITransport, AsyncClient
from pydantic import BaseModel, Field

from ringfence import access
from ringfence.exchange import Exchange, active
from ringfence.frameworks.fastapi import read
from ringfence.frameworks.reference import reference_page

pytestmark = pytest.mark.anyio

HOSTILE = "<script>alert(1)</script><img src=x onerror='alert(2)'>\"'&"


class Part(BaseModel):
    name: Annotated[str, Field(max_length=8, description=HOSTILE)]
    parent: "Part | None" = None
    kind: Literal["a", "b"] = "a"


def api(**options):
    app = FastAPI(title=HOSTILE, description=HOSTILE, version="7", **options)

    @app.post("/parts/{part}", tags=[HOSTILE], summary=HOSTILE, deprecated=True)
    def add(part: str, body: Part, q: Annotated[int, Query(ge=1)] = 1) -> list[Part]:
        """Add."""

    return app


async def fetch(app, path="/docs", root_path=""):
    """Ask the page as the guard would: with the exchange at hand."""
    page = reference_page(app.openapi, app.openapi_url)

    async def guarded(scope, receive, send):
        token = active.set(Exchange(scope, receive))
        try:
            await page(scope, receive, send)
        finally:
            active.reset(token)

    transport = ASGITransport(app=guarded, root_path=root_path)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


async def test_text_of_a_schema_never_becomes_markup():
    page = (await fetch(api())).text
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"<[^>]*\son\w+=", page)


async def test_the_only_style_stands_under_the_nonce_of_its_response():
    app = api()
    first, second = await fetch(app), await fetch(app)
    nonces = [re.findall(r'nonce="([^"]+)"', one.text) for one in (first, second)]
    assert [len(found) for found in nonces] == [1, 1]
    assert nonces[0] != nonces[1]
    assert first.text.count("<style") == 1
    assert "style=" not in first.text


async def test_nothing_is_fetched_from_elsewhere():
    page = (await fetch(api())).text
    assert "http://" not in page
    assert "https://" not in page
    assert "<link" not in page


async def test_operations_parameters_bodies_and_schemas_are_told():
    page = (await fetch(api())).text
    for expected in (
        "/parts/{part}",
        "POST",
        "deprecated",
        "at least 1",
        "longest 8",
        'id="schema-Part-Input"',
        'href="#schema-Part-Output"',
        "array of",
        "422",
    ):
        assert expected in page, expected


async def test_the_link_to_the_schema_keeps_the_root_path():
    page = (await fetch(api(), root_path="/behind")).text
    assert 'href="/behind/openapi.json"' in page


async def test_a_schema_that_contains_itself_ends():
    app = api()
    schema = app.openapi()
    endless = {"type": "array"}
    endless["items"] = endless
    schema["components"]["schemas"]["Endless"] = endless
    assert "&hellip;" in (await fetch(app)).text


async def test_the_pages_of_fastapi_are_replaced_and_marked():
    app = api()
    application = read(app)
    docs = {leaf.path for leaf in application.leaves() if leaf.is_docs}
    assert docs == {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
    wrapped = []

    def wrap(inner):
        wrapped.append(inner)
        return inner

    for leaf in application.leaves():
        if leaf.path in {"/docs", "/redoc"}:
            leaf.bind(wrap)
    assert [type(one).__name__ for one in wrapped] == ["_ReferencePage"] * 2


async def test_a_handler_of_the_developer_at_docs_is_left_alone():
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.get("/docs")
    @access.require(access.public)
    def own():
        return "mine"

    (leaf,) = (leaf for leaf in read(app).leaves() if leaf.path == "/docs")
    assert not leaf.is_docs


async def test_the_title_stands_before_the_contents():
    """On a narrow screen a long list of routes would hide what the page is."""
    page = (await fetch(api())).text
    places = [page.index(tag) for tag in ("<h1", "<nav", "<main", "<footer")]
    assert places == sorted(places)
    group = re.search(r'<nav.*?href="#(group-[^"]+)"', page)[1]
    assert f'<section id="{group}"' in page


async def test_paths_break_before_slashes_only():
    page = (await fetch(api())).text
    assert page.count("/parts<wbr>/{part}<") == 2
    assert "<wbr>/parts" not in page


async def test_ways_to_sign_in_enumerations_and_formats_are_told():
    """Also of an application whose schema changes while it runs."""
    app = api()
    schema = {
        "info": {"title": "x"},
        "paths": {},
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "name": "X-Key", "in": "header"},
                "token": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {
                "Kind": {"enum": ["<a>", "b"]},
                "One": {"const": "only"},
                "Day": {"type": ["string", "null"], "format": "date"},
            },
        },
    }
    app.openapi = lambda: schema
    page = (await fetch(app)).text
    for expected in ("X-Key in header", "Authorization: Bearer", "one of", "&lt;a&gt;"):
        assert expected in page
    assert "string or null (date)" in page
    assert "only" in page
