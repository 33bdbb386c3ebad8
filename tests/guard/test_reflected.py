"""Pages are looked at before they leave: held, let go, refused or cut."""

import logging

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Route
from tests.guard.test_dry_run import in_days

from ringfence import access
from ringfence.errors import InjectionRefusedError
from ringfence.exchange import active
from ringfence.interpreters.html import SafeHtml
from ringfence.interpreters.html.reflected import Reflection

pytestmark = pytest.mark.anyio

SCRIPT = b"<script>alert(1)</script>"
QUERY = b"q=%3Cscript%3Ealert(1)%3C/script%3E"
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/html")],
}


def piece(body, *, more=False):
    return {"type": "http.response.body", "body": body, "more_body": more}


class Plain:
    """An endpoint that sends messages as they are."""

    def __init__(self, *messages, stubborn=False):
        self.messages = messages
        self.stubborn = stubborn
        self.refused = 0

    async def __call__(self, scope, receive, send):
        for message in self.messages:
            try:
                await send(message)
            except InjectionRefusedError:
                self.refused += 1
                if not self.stubborn:
                    raise


def app_of(endpoint, methods=None):
    routes = [Route("/{rest:path}", endpoint, methods=methods)]
    return Starlette(routes=access.routes(routes, access.public))


def request(query=QUERY, path="/", **more):
    return {"path": path, "query_string": query, **more}


def bodies(sent):
    return b"".join(message.get("body", b"") for message in sent)


async def test_the_start_is_held_until_the_first_piece(guarded):
    """So that a whole refusal leaves, and not half a page."""
    app = Plain(START, piece(b"", more=True), piece(SCRIPT))
    async with guarded(app_of(app)) as started:
        sent = await started.call(request())
    assert sent[0]["status"] == 403
    assert b"interpreters.html" in bodies(sent)
    assert app.refused == 0


async def test_a_stream_that_is_refused_goes_on_for_nobody(guarded, caplog):
    app = Plain(START, piece(SCRIPT, more=True), piece(b"end"))
    async with guarded(app_of(app)) as started:
        sent = await started.call(request())
    assert sent[0]["status"] == 403
    assert app.refused == 1
    assert not [line for line in caplog.records if line.levelno >= logging.ERROR]


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_page_of_which_half_is_out_is_cut(guarded, stubborn):
    """The server is told by an exception, so that it drops the connection: also where
    the application has swallowed the one that it got."""
    app = Plain(
        START,
        piece(b"<p>one", more=True),
        piece(SCRIPT, more=True),
        piece(b"two"),
        stubborn=stubborn,
    )
    async with guarded(app_of(app)) as started:
        with pytest.raises(InjectionRefusedError):
            await started.call(request())
    assert app.refused == (2 if stubborn else 1)


async def test_what_carries_nothing_is_let_go_at_once(guarded):
    """The quick look was not sure; nothing that was sent could run."""
    async with guarded(app_of(Plain(START, piece(b"one", more=True), piece(b"")))) as g:
        sent = await g.call(request(b"", "/O'Brien"))
    assert sent[0]["status"] == 200
    assert bodies(sent) == b"one"


async def test_a_page_that_cannot_be_judged_does_not_leave(guarded, monkeypatch):
    monkeypatch.setattr(
        "ringfence.interpreters.html.reflected.Brought", lambda *_: 1 / 0
    )
    async with guarded(app_of(Plain(START, piece(b"<p>")))) as started:
        sent = await started.call(request())
    assert sent[0]["status"] == 403


async def test_a_page_that_is_never_sent_is_answered_for(guarded):
    async with guarded(app_of(Plain(START))) as started:
        sent = await started.call(request())
    assert sent[0]["status"] == 500


async def test_a_refusal_that_was_swallowed_replaces_the_page(guarded):
    """Found at another interpreter, while the start of the page was held."""

    async def swallow(scope, receive, send):
        await send(START)
        with pytest.raises(InjectionRefusedError):
            SafeHtml.trusted(SCRIPT.decode())
        await send(piece(b"<p>all is well", more=False))

    class Swallowing:
        __call__ = staticmethod(swallow)

    async with guarded(app_of(Swallowing())) as started:
        sent = await started.call(request())
    assert sent[0]["status"] == 403
    assert b"all is well" not in bodies(sent)


async def test_a_file_that_the_server_sends_is_let_go(guarded):
    """What a request has brought is not in it."""
    file = {"type": "http.response.pathsend", "path": "/srv/page.html"}
    async with guarded(app_of(Plain(START, file))) as started:
        sent = await started.call(request())
    assert [message["type"] for message in sent] == [
        "http.response.start",
        "http.response.pathsend",
    ]


async def test_a_page_that_is_let_go_leaves_as_it_was(guarded):
    app = Plain(START, piece(b"<p>one", more=True), piece(b"<p>two"))
    async with guarded(app_of(app)) as started:
        sent = await started.call(request())
    assert [message.get("body") for message in sent[1:]] == [b"<p>one", b"<p>two"]
    names = [name for name, _ in sent[0]["headers"]]
    assert b"content-security-policy" in names


@pytest.mark.parametrize(
    ("response", "more"),
    [
        (JSONResponse({"q": SCRIPT.decode()}), {}),
        (PlainTextResponse(SCRIPT), {}),
        (HTMLResponse(SCRIPT), {"method": "HEAD"}),
        (HTMLResponse(status_code=204), {}),
    ],
)
async def test_what_is_shown_as_no_page_is_not_looked_at(
    guarded, monkeypatch, response, more
):
    monkeypatch.setattr(Reflection, "concerns", lambda _: 1 / 0)

    async def answer(request):
        return response

    async with guarded(app_of(answer)) as started:
        for _ in range(2):  # the second one goes the short way
            sent = await started.call(request(**more))
            assert sent[0]["status"] == response.status_code


@pytest.mark.parametrize(
    "content_type",
    [b"text/plain, text/html", b"html", b"", b"text/xsl", b"application/rss+xml", None],
)
async def test_what_may_be_taken_for_a_page_is_looked_at(guarded, content_type):
    lines = [] if content_type is None else [(b"content-type", content_type)]
    app = Plain({**START, "headers": lines}, piece(SCRIPT))
    async with guarded(app_of(app)) as started:
        sent = await started.call(request())
    assert sent[0]["status"] == 403


async def test_several_types_are_one_too_many(guarded):
    """Browsers differ in which of them they take."""
    types = [(b"content-type", b"text/plain"), (b"content-type", b"text/html")]
    app = Plain({**START, "headers": types}, piece(SCRIPT))
    async with guarded(app_of(app)) as started:
        sent = await started.call(request())
    assert sent[0]["status"] == 403


async def test_the_short_way_looks_as_well(guarded):
    """An answer of a kind that was seen before."""

    async def page(request):
        return HTMLResponse(f"<p>{request.query_params.get('q')}</p>")

    async with guarded(app_of(page)) as started:
        assert (await started.call(request(b"q=Ann")))[0]["status"] == 200
        assert (await started.call(request(b"q=Ann")))[0]["status"] == 200
        assert (await started.call(request()))[0]["status"] == 403


async def test_a_page_of_refusal_that_names_the_address_is_none_of_these(guarded):
    """404 of the application, escaped: shown."""

    async def missing(request):
        return HTMLResponse("<p>&lt;script&gt;alert(1)&lt;/script&gt;", 404)

    async with guarded(app_of(missing)) as started:
        assert (await started.call(request()))[0]["status"] == 404


async def test_watched_it_leaves_and_is_written_down(settings_of, guarded):
    settings = settings_of(dry_run=("sinks",), dry_run_until=in_days(3))
    async with guarded(app_of(Plain(START, piece(SCRIPT))), settings) as started:
        sent = await started.call(request())
    assert bodies(sent) == SCRIPT


async def test_the_boundary_map_sees_every_page(settings_of, guarded):
    """Also of requests that bring nothing that could run."""
    told = []

    class Kept:
        def reached(self, given, interpreter, driver, way):
            told.append((given.text, interpreter, way))

    async def page(request):
        # What the guard was told to keep; a setting opens the real one.
        sinks = active.get().sinks
        object.__setattr__(sinks, "boundary_map", Kept())
        name = request.query_params["q"]
        return HTMLResponse(f"<p>{name}</p>")

    async with guarded(app_of(page)) as started:
        await started.call(request(b"q=Ann"))
        assert ("Ann", "html", "escaped") in told
        await started.call(request(b"q=%3Cb%3EAnn%3C/b%3E"))
        assert ("<b>Ann</b>", "html", "raw") in told
