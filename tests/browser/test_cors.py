"""Scripts of other origins in a real browser: preflights as it really sends them, and
what it hands to the page."""

from __future__ import annotations

import pytest
from tests.attacks.sharing import ALICE, SECRET, guarded, unguarded
from tests.browser.sites import other_site

_FETCH = """async ([url, options]) => {
    try {
        const answer = await fetch(url, options);
        return {status: answer.status, text: await answer.text(),
                id: answer.headers.get("x-request-id")};
    } catch (error) { return null; }
}"""
_LISTEN = """(url) => new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onmessage = (event) => resolve(event.data);
    socket.onclose = () => resolve(null);
})"""
_JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def app():
    """The origin that is let in: another port, so another origin of the same site."""
    with other_site() as server:
        yield server


@pytest.fixture(scope="module")
def evil():
    """An origin that is not: of the same site too, so that cookies go along."""
    with other_site() as server:
        yield server


@pytest.fixture(scope="module", params=["off", "on"])
def api(request, app, tmp_path_factory):
    """The backend on each side, and whether it is guarded."""
    if request.param == "off":
        with unguarded() as server:
            yield server, False
    else:
        data = tmp_path_factory.mktemp("api")
        with guarded(data, app.url, app.other_site) as server:
            yield server, True


@pytest.fixture
def alice(api, visit):
    """Alice's browser, signed in by a page of the backend's own."""
    server, is_guarded = api
    witness = visit(server.url)
    witness.goto("/page")
    if is_guarded:
        witness.send("/auth/register", **ALICE)
    path = "/auth/login" if is_guarded else "/sign-in"
    assert witness.send(path, **ALICE) == 200
    return witness


def written(alice, server):
    return alice.context.request.get(f"{server.url}/written").json()


def fetch(alice, page, url, **options):
    """Have a script of ``page`` fetch something with cookies; ``None`` if the browser
    gives the page nothing."""
    if not alice.page.url.startswith(page):
        alice.page.goto(page)
    options = {"credentials": "include", **options}
    return alice.page.evaluate(_FETCH, [url, options])


def test_another_origin_reads_nothing(api, evil, alice):
    """A page of another origin fetches what is Alice's, cookie and all."""
    server, is_guarded = api
    answer = fetch(alice, evil.url, f"{server.url}/mine")
    assert (answer is None) is is_guarded
    assert is_guarded or answer["text"] == SECRET


@pytest.mark.parametrize(
    "options",
    [
        {"method": "POST", "body": "x"},
        {"method": "POST", "body": "x", "mode": "no-cors"},
        {"method": "POST", "body": "{}", "headers": _JSON},
        {"method": "PUT", "body": "x"},
        {"method": "POST", "body": "x", "headers": {"x-csrf-token": "guessed"}},
    ],
    ids=["simple", "no-cors", "json", "put", "own header"],
)
def test_another_origin_writes_nothing(api, evil, alice, options):
    """With and without a preflight before it."""
    server, is_guarded = api
    before = written(alice, server)
    fetch(alice, evil.url, f"{server.url}/mine", **options)
    assert (written(alice, server) == before) is is_guarded


def test_an_opaque_origin_reads_nothing(api, evil, alice):
    """A sandboxed frame's origin is ``null``, and no list may hold that."""
    server, is_guarded = api
    alice.page.goto(evil.url)
    alice.page.evaluate(
        """() => new Promise((resolve) => {
            const frame = document.createElement("iframe");
            frame.sandbox = "allow-scripts";
            frame.srcdoc = "<!doctype html>";
            frame.onload = resolve;
            document.body.append(frame);
        })"""
    )
    frame = alice.page.frames[1]
    for url in ("/mine", "/prices"):
        asked = [f"{server.url}{url}", {"credentials": "include"}]
        answer = frame.evaluate(_FETCH, asked)
        assert (answer is None) is is_guarded


def test_another_origin_hears_nothing(api, evil, alice):
    """A WebSocket has no preflight and brings its cookies (CSWSH)."""
    server, is_guarded = api
    alice.page.goto(evil.url)
    heard = alice.page.evaluate(_LISTEN, f"ws://127.0.0.1:{server.port}/live")
    assert heard == (None if is_guarded else SECRET)


def test_another_origin_signs_nobody_in(api, evil, alice):
    server, is_guarded = api
    alice.context.clear_cookies()
    path = "/auth/login" if is_guarded else "/sign-in"
    options = {"method": "POST", "body": "email=m@example.com&password=long+phrase"}
    fetch(alice, evil.url, server.url + path, **options)
    assert bool(alice.context.cookies(server.url)) is not is_guarded


def test_the_allowed_origin_reads_writes_and_listens(api, app, alice):
    """Honest use: a front end of another origin works, preflights and all."""
    server, _ = api
    assert fetch(alice, app.url, f"{server.url}/mine")["text"] == SECRET
    for method in ("POST", "PUT"):
        options = {"method": method, "body": "{}", "headers": _JSON}
        assert fetch(alice, app.url, f"{server.url}/mine", **options)["status"] == 200
    heard = alice.page.evaluate(_LISTEN, f"ws://127.0.0.1:{server.port}/live")
    assert heard == SECRET


def test_the_allowed_origin_can_read_why_it_was_refused(api, app, alice):
    server, is_guarded = api
    answer = fetch(alice, app.url, f"{server.url}/nowhere")
    assert answer["status"] == 404
    assert ("guard.no_route" in answer["text"]) is is_guarded
    assert bool(answer["id"]) is is_guarded
    # Another site that is allowed: SameSite keeps the cookie back, and it is told so.
    answer = fetch(alice, app.other_site, f"{server.url}/mine")
    assert answer["status"] == (401 if is_guarded else 200)
    assert SECRET not in answer["text"]


def test_what_is_open_to_all_is(api, evil, alice):
    """Honest use: ``cors("*")`` gives every page what is public, without cookies."""
    server, is_guarded = api
    for page in (evil.url, evil.other_site):
        answer = fetch(alice, page, f"{server.url}/prices", credentials="omit")
        assert answer["text"] == "42"
        options = {"method": "POST", "body": "{}", "headers": _JSON}
        answer = fetch(
            alice, page, f"{server.url}/prices", credentials="omit", **options
        )
        assert answer["status"] == 200
    if is_guarded:
        assert fetch(alice, evil.url, f"{server.url}/prices") is None
