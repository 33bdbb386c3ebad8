"""The proof by two identities: what it says, and when it fails of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import msgspec
import pytest
from fastapi import FastAPI, Form, Header, HTTPException, Query, Request
from litestar import Litestar, get, patch, post
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.params import FromPath, JSONBody
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.testing.inline import inline

from ringfence import Guard, Settings, accepts, access, current, limit
from ringfence.testing import find_trespass, prove_no_trespass
from ringfence.testing.trespass.addresses import filled, missing
from ringfence.testing.trespass.findings import Finding, Kind
from ringfence.testing.trespass.forms import forms_on
from ringfence.testing.trespass.names import is_any_id, is_ownerlike, meant
from ringfence.testing.trespass.parties import ThrottledError
from ringfence.testing.trespass.samples import Samples

SIGNED_IN = access.depends(access.signed_in)


def settings_for(folder, **further):
    return Settings(env="development", data=folder, **further)


class Note(BaseModel):
    text: str


def notebook(*, careless=(), settings):
    """Notes in a dictionary. ``careless`` handlers do not ask whose a note is."""
    app, notes = FastAPI(), {}

    def owned(note_id, way):
        note = notes.get(note_id)
        if note is None or (way not in careless and note[0] != current.principal().id):
            raise HTTPException(404)
        return note

    @app.post("/notes", status_code=201, dependencies=[SIGNED_IN])
    async def write(note: Note):
        notes[len(notes) + 1] = [current.principal().id, note.text]
        return {"id": len(notes)}

    @app.get("/notes/{note_id}", dependencies=[SIGNED_IN])
    async def read(note_id: int):
        return {"text": owned(note_id, "read")[1]}

    @app.patch("/notes/{note_id}", dependencies=[SIGNED_IN])
    async def change(note_id: int, to: Note):
        owned(note_id, "change")[1] = to.text

    app.state.notes = notes
    return app, Guard(app, settings)


def create(client, party):
    note = client.post("/notes", json={"text": party.marker}).json()
    return {"note_id": note["id"]}


def prove(guard, **terms):
    with inline(guard) as client:
        return find_trespass(guard, client, **{"create": create, **terms})


def found(proof):
    return {(one.kind, one.method, one.path, one.who) for one in proof.findings}


def test_nothing_is_found_where_nothing_is(tmp_path):
    app, guard = notebook(settings=settings_for(tmp_path))
    with inline(guard) as client:
        proof = prove_no_trespass(guard, client, create=create)
        assert client.headers == {}
    assert proof.holds
    assert str(proof).startswith("nothing got through (")
    assert app.state.notes


def test_what_got_through_is_listed(tmp_path):
    """With what was sent, what was seen, why that is wrong, and what mends it."""
    _, guard = notebook(careless=("read",), settings=settings_for(tmp_path))
    with (
        inline(guard) as client,
        pytest.raises(AssertionError, match="what is another's got through") as told,
    ):
        prove_no_trespass(guard, client, create=create)
    text = str(told.value)
    assert "GET /notes/{note_id} as another: 200, and in it the marker (mark" in text
    assert "wrong: the answer holds what belongs to somebody else" in text
    assert "mend:  say on the model whose its rows are" in text


class Ids(BaseModel):
    ids: list[int]


class Chosen(BaseModel):
    note_ids: list[int]


class Strict(BaseModel):
    note_id: Annotated[int, Field(strict=True)]


class Camel(BaseModel):
    note_id: int | None = Field(None, alias="noteId")


class Basket(BaseModel):
    of: list[Strict]


def by_bodies(app, texts):
    """Routes that take ids of notes in their bodies, here and there."""

    @app.post("/by/list", dependencies=[SIGNED_IN])
    async def by_list(chosen: Chosen):
        return texts(*chosen.note_ids)

    @app.post("/by/kind", dependencies=[SIGNED_IN])
    async def by_kind(chosen: Strict):
        return texts(chosen.note_id)

    @app.post("/by/other/spelling", dependencies=[SIGNED_IN])
    async def by_spelling(chosen: Camel):
        return texts(chosen.note_id)

    @app.post("/by/depth", dependencies=[SIGNED_IN])
    async def by_depth(chosen: Basket):
        return texts(*(one.note_id for one in chosen.of))

    @app.post("/by/nothing/else", dependencies=[SIGNED_IN])
    async def by_nothing_else(chosen: list[int]):
        return texts(*chosen)

    @app.post("/by/form", dependencies=[SIGNED_IN])
    async def by_form(note: Annotated[int, Form()] = 0):
        return texts(note)

    @app.post("/by/emptying", dependencies=[SIGNED_IN])
    async def by_emptying(chosen: Ids):
        for one in chosen.ids:
            if texts(one):
                app.state.notes[one][1] = ""


def by_heads(app, texts):
    """Routes that take them in queries and headers, or tell of them in headers."""

    @app.get("/by/header", dependencies=[SIGNED_IN])
    async def by_header(note_id: Annotated[int, Header()] = 0):
        return texts(note_id)

    @app.get("/by/query", dependencies=[SIGNED_IN])
    async def by_query(noteIds: Annotated[list[int], Query()] = ()):  # noqa: N803 - as scripts write it
        return texts(*noteIds)

    @app.get("/by/any/name", dependencies=[SIGNED_IN])
    async def by_any_name(id: int = 0):  # noqa: A002 - a query has names
        return texts(id)

    @app.get("/by/path/{note_id}", dependencies=[SIGNED_IN])
    async def in_a_header(note_id: int):
        text, *_ = [*texts(note_id), "none"]
        mine = app.state.notes.get(note_id, [""])[0] == current.principal().id
        return Response(status_code=200 if mine else 404, headers={"x-text": text})


def by_ids(*, careful, settings):
    """Routes that take ids of notes elsewhere than in their paths."""
    app, guard = notebook(settings=settings)

    def texts(*ids):
        notes, me = app.state.notes, current.principal().id
        found = [notes[one] for one in ids if one in notes]
        return [text for owner, text in found if not careful or owner == me]

    by_bodies(app, texts)
    by_heads(app, texts)
    return guard


def test_ids_are_tried_wherever_they_are_taken(tmp_path):
    """In lists, deep in a body, in their own type, by every way to write their name."""
    guard = by_ids(careful=False, settings=settings_for(tmp_path))
    proof = prove(guard)
    told = {(kind, path) for kind, _, path, _ in found(proof)}
    paths = {plan.path for plan in guard.plan if plan.path.startswith("/by/")}
    assert {path for _, path in told} == paths
    assert (Kind.CHANGED, "/by/emptying") in told


class Place(BaseModel):
    note: Annotated[int, Field(le=1000)]


def test_whose_ids_are_looked_at_is_left_in_peace(tmp_path):
    """And so is what takes a number of another sort by a name like that, or the id of
    what everybody may see."""
    guard = by_ids(careful=True, settings=settings_for(tmp_path))
    app = guard.app

    @app.post("/place", dependencies=[SIGNED_IN])
    async def place(to: Place):
        return to.note

    @app.post("/picked", dependencies=[SIGNED_IN])
    async def pick(id: int = 1):  # noqa: A002 - a query has names
        if id > 1000:
            raise HTTPException(404)
        return "picked"

    assert not prove(guard).findings


@pytest.mark.parametrize(
    ("name", "keys", "holds_ids", "found"),
    [
        ("order_id", ["order_id", "note_id"], False, ["order_id"]),
        ("orderIds", ["order_id"], False, ["order_id"]),
        ("source-order-id", ["order_id"], False, ["order_id"]),
        ("order_uuid", ["order_id"], False, ["order_id"]),
        (
            "order_id",
            ["/shops/{shop}/orders/{id}"],
            False,
            ["/shops/{shop}/orders/{id}"],
        ),
        ("orders", ["order_id"], True, ["order_id"]),
        ("orders", ["order_id"], False, []),
        ("name", ["name"], False, ["name"]),
        ("reorder_id", ["order_id"], False, []),
        ("product_id", ["order_id", "id"], True, []),
    ],
)
def test_names_say_what_they_are_of(name, keys, holds_ids, found):
    assert list(meant(name, keys, holds_ids=holds_ids)) == found


def test_some_names_say_no_more_than_that_it_is_an_id():
    assert all(map(is_any_id, ("id", "ids", "ID", "uuid")))
    assert not any(map(is_any_id, ("order_id", "paid", "name", "idea")))


def test_a_state_shows_what_no_route_does(tmp_path):
    """A change that is answered with 200 is found anyhow; one that nothing shows is
    not, unless the test looks."""
    app, guard = notebook(settings=settings_for(tmp_path))
    hidden = []

    @app.post("/notes/{note_id}/archive", dependencies=[SIGNED_IN])
    async def archive(note_id: int):
        note = app.state.notes.get(note_id)
        if note is None:
            raise HTTPException(404)
        hidden.append(note[0])
        if note[0] != current.principal().id:
            raise HTTPException(404)

    assert not prove(guard).findings
    proof = prove(guard, state=lambda party: hidden.count(party.id))
    where = ("POST", "/notes/{note_id}/archive", "another")
    assert (Kind.CHANGED, *where) in found(proof)


def test_a_limit_is_never_taken_for_a_refusal(tmp_path):
    """A wall of 429 would hide every hole behind it."""
    app, _ = notebook(settings=settings_for(tmp_path))

    @app.get("/rare", dependencies=[SIGNED_IN])
    @limit("2/minute", by="account")
    async def rare():
        return "rare"

    guard = Guard(app, settings_for(tmp_path))
    with pytest.raises(ThrottledError, match="GET /rare as another was answered 429"):
        prove(guard)
    ends = (datetime.now(UTC).date() + timedelta(days=2)).isoformat()
    watching = replace(guard.settings, dry_run=("limits",), dry_run_until=ends)
    assert prove(Guard(app, watching)).holds


def test_a_route_that_refuses_everybody_proves_nothing(tmp_path):
    app, guard = notebook(settings=settings_for(tmp_path))

    @app.post("/notes/{note_id}/tags", dependencies=[SIGNED_IN])
    async def tag(note_id: int, request: Request):
        if await request.body() != b"<tag/>":
            raise HTTPException(415)

    @app.get("/books/{book}", dependencies=[SIGNED_IN])
    async def book(book: str):
        return {}

    proof = prove(guard)
    told = {f"{one.method} {one.path}": one.why for one in proof.unproven}
    assert set(told) == {"POST /notes/{note_id}/tags", "GET /books/{book}"}
    assert "honest use is answered with 415" in told["POST /notes/{note_id}/tags"]
    assert "no value for {book}" in told["GET /books/{book}"]
    assert "of these routes nothing could be found out" in str(proof)
    xml = {"content": "<tag/>", "headers": {"content-type": "text/xml"}}
    terms = {"shared": {"book": "kale"}, "bodies": {"/notes/{note_id}/tags": xml}}
    assert "POST /notes/{note_id}/tags as another" in str(prove(guard, **terms))
    skip = {"POST /notes/{note_id}/tags": "said elsewhere"}
    assert prove(guard, shared={"book": "kale"}, skip=skip).holds


def test_a_misspelled_route_is_told(tmp_path):
    _, guard = notebook(settings=settings_for(tmp_path))
    for terms in ({"public": ["/note"]}, {"skip": {"PUT /notes": "no"}}):
        with pytest.raises(ValueError, match="names no route of the plan"):
            prove(guard, **terms)
    with pytest.raises(ValueError, match="needs one of json, data, content"):
        prove(guard, bodies={"/notes": {}})


def test_an_owner_who_finds_nothing_has_nothing_to_lose(tmp_path):
    _, guard = notebook(settings=settings_for(tmp_path))
    with pytest.raises(AssertionError, match="create made nothing that its owner"):
        prove(guard, create=lambda client, party: {"note_id": "7"})


def test_a_session_that_ends_on_the_way_is_told(tmp_path):
    """Whatever came after it was refused for another reason."""
    app, guard = notebook(settings=settings_for(tmp_path))

    @app.post("/leave", dependencies=[SIGNED_IN])
    async def leave():
        await guard.accounts.remove(current.principal().id)

    with pytest.raises(AssertionError, match="the session of another ended"):
        prove(guard)


def test_tenants_are_told_apart(tmp_path):
    app, guard = notebook(settings=settings_for(tmp_path))

    @app.get("/tenant", dependencies=[SIGNED_IN])
    async def tenant():
        return {"notes": [text for _, text in app.state.notes.values()]}

    seen = set()

    @app.get("/me", dependencies=[SIGNED_IN])
    async def me():
        seen.add(current.principal().tenant)

    proof = prove(guard, tenants=("acme", "globex"))
    assert seen == {"acme", "globex"}
    assert (Kind.LEAKED, "GET", "/tenant", "another") in found(proof)


class Change(msgspec.Struct):
    text: str


def starlette_app(*, careless):
    notes = {}

    async def write(request):
        note = await request.json()
        notes[str(len(notes))] = [current.principal().id, note["text"]]
        return JSONResponse({"id": str(len(notes) - 1)})

    async def one(request):
        note = notes.get(request.path_params["note_id"])
        if note is None or (not careless and note[0] != current.principal().id):
            return Response(status_code=404)
        if request.method == "PATCH":
            note[1] = current.accepted(Change).text
        return JSONResponse({"text": note[1]})

    routes = [
        Route("/notes", accepts(Change)(write), methods=["POST"]),
        Route("/notes/{note_id}", accepts(Change)(one), methods=["GET", "PATCH"]),
    ]
    return Starlette(routes=access.routes(routes, access.signed_in))


def litestar_app(*, careless, silent=False):
    notes = {}

    def owned(note_id):
        note = notes.get(note_id)
        if note is None or (not careless and note[0] != current.principal().id):
            raise NotFoundException
        return note

    @post("/notes")
    async def write(data: JSONBody[Change]) -> dict[str, int]:
        notes[len(notes)] = [current.principal().id, data.text]
        return {"id": len(notes) - 1}

    @get("/notes/{note_id:int}")
    async def read(note_id: FromPath[int]) -> dict[str, str]:
        return {"text": owned(note_id)[1]}

    @patch("/notes/{note_id:int}")
    async def change(note_id: FromPath[int], data: JSONBody[Change]) -> dict[str, str]:
        owned(note_id)[1] = data.text
        return {"text": data.text}

    guards = [access.guard(access.signed_in)]
    described = None if silent else OpenAPIConfig("notes", "1")
    return Litestar(
        [write, read, change],
        guards=guards,
        openapi_config=described,
        logging_config=None,
    )


@pytest.mark.parametrize(
    "make", [starlette_app, litestar_app, partial(litestar_app, silent=True)]
)
def test_other_frameworks_are_tried_as_well(tmp_path, make):
    terms = {}
    if isinstance(make, partial):  # without OpenAPI it says nothing of its bodies
        terms["bodies"] = {
            path: {"json": {"text": "new"}}
            for path in ("POST /notes", "PATCH /notes/{note_id:int}")
        }
    elif make is litestar_app:
        terms["skip"] = {"/schema/{path:str}": "the framework's own pages"}
    whole = prove(Guard(make(careless=False), settings_for(tmp_path)), **terms)
    assert whole.holds, str(whole)
    proof = prove(Guard(make(careless=True), settings_for(tmp_path)), **terms)
    methods = {(one.kind, one.method) for one in proof.findings}
    assert {(Kind.LEAKED, "GET"), (Kind.REACHED, "PATCH")} <= methods


def test_every_finding_says_all_that_is_known():
    for kind in Kind:
        text = str(Finding(kind, "GET", "/x", "another", "sent", "200"))
        assert text.startswith("GET /x as another, sent: 200")
        assert text.count("\n") == 2


SCHEMAS = [
    ({"type": "string"}, "sample"),
    ({"type": "string", "minLength": 9, "maxLength": 9}, "samplexxx"),
    ({"type": "string", "maxLength": 3}, "sam"),
    ({"type": "string", "format": "email"}, "sample@example.test"),
    ({"type": "string", "pattern": "^[A-Z]{3}$"}, "ABC"),
    ({"type": "string", "pattern": r"^\p{L}+$"}, "sample"),
    ({"enum": ["kale", "leek"]}, "kale"),
    ({"const": 4}, 4),
    ({"type": "integer", "minimum": 5}, 5),
    ({"type": "integer", "exclusiveMinimum": 1}, 2),
    ({"type": "integer", "maximum": 0, "minimum": -3}, -3),
    ({"type": "number"}, 1.0),
    ({"type": "boolean"}, True),
    ({"type": "null"}, None),
    ({"type": ["null", "integer"]}, 1),
    ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
    ({"type": "string", "default": "given"}, "given"),
    ({"type": "string", "examples": ["shown"]}, "shown"),
    ({"$ref": "#/defs/a~1b"}, {"self": {}}),
    (
        {"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}]},
        {"a": 1},
    ),
    (
        {"properties": {"order_id": {"type": "integer"}}, "required": ["order_id"]},
        {"order_id": 7},
    ),
]


@pytest.mark.parametrize(("schema", "expected"), SCHEMAS, ids=str)
def test_the_smallest_value_of_a_schema(schema, expected):
    document = {"defs": {"a/b": {"type": "object", "required": ["self"]}}}
    value = Samples(document, {"order_id": "7"}).of(schema)
    if "$ref" in schema:
        value = {"self": {}} if set(value) == {"self"} else value
    assert value == expected


def test_forms_are_read_as_browsers_send_them():
    page = """
    <form action="/search"><input name="q"></form>
    <form method="POST" action="/send">
      <input type="hidden" name="csrf_token" value="sealed">
      <input name="to" type="email"><input name="amount" inputmode="decimal">
      <input name="count" type="number" min="3"><input name="kept" value="old">
      <input name="gift" type="checkbox"><input name="news" type="checkbox" checked>
      <select name="size"><option value="s"><option value="m" selected></select>
      <textarea name="words"></textarea><input type="submit" name="go">
    </form>"""
    (form,) = forms_on(page)
    assert form.action == "/send"
    assert form.fields == {
        "to": "sample@example.test",
        "amount": "1",
        "count": "3",
        "kept": "old",
        "news": "sample",
        "size": "m",
        "words": "sample",
    }


IDS = [
    "7",
    "1b4e28ba-2fa1-41d2-883f-0016d3cca427",
    "aZ9-_k",
    "c0ffee",
    "mark12ab.csv.gz",
]


@pytest.mark.parametrize("one", IDS)
def test_a_missing_id_is_of_the_same_form(one):
    other = missing(one)
    assert other != one
    if not one.isdigit():
        assert [c for c in other if not c.isalnum()] == [
            c for c in one if not c.isalnum()
        ]
        assert len(other) == len(one)
    assert set(other) <= set("0123456789abcdef") or one != "c0ffee"


def test_an_address_is_filled_so_that_an_id_stays_one_segment():
    assert filled("/a/{x:path}/{y}", {"x": "1/2", "y": "ü"}) == "/a/1%2F2/%C3%BC"


def test_names_that_say_whose_something_is():
    for name in (
        "owner_id",
        "userId",
        "account",
        "created_by",
        "X-Customer-Id",
        "from_id",
    ):
        assert is_ownerlike(name), name
    for name in ("order_id", "username", "discount", "product_id", "authority"):
        assert not is_ownerlike(name), name
