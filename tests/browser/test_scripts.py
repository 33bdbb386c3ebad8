"""The guide's payload in a real browser: it runs with the guard off, never with it on
(guide: "Cross-Site Scripting"; CWE-79)."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from tests.attacks.ranges import running_range
from tests.browser.ranges import signed_in
from tests.browser.witness import STEAL

DOM_PAYLOAD = "<img src=x onerror='window.ran = document.cookie'>"


@pytest.fixture(scope="module", params=["off", "on"])
def target(request):
    """The range on each side; ``target.guarded`` says which."""
    with running_range(request.param) as running:
        yield running, request.param == "on"


@pytest.fixture
def alice(target, visit):
    """Alice's browser, signed in."""
    running, guarded = target
    return signed_in(visit, running, guarded=guarded)


def test_reflected(target, alice):
    """A script in the address of a page steals no cookie: the page does not leave."""
    _, guarded = target
    answer = alice.goto("/greet?name=" + quote(STEAL), until="networkidle")
    if guarded:
        assert answer.status == 403
        assert alice.stolen == []
        assert "evil.com" not in alice.page.content()
    else:
        assert len(alice.stolen) == 1
        assert "session_id=" in alice.stolen[0]


# The places where a value may stand, and what runs there without a click.
RUN = "window.ran=document.cookie"
PLACES = [
    ("/field?value=", f'" onfocus="{RUN}" autofocus x="'),
    ("/script?name=", f"';{RUN}//"),
    ("/badge.svg?label=", f"</text><script>{RUN}</script><text>"),
    ("/packed?name=", f"<script>{RUN}</script>"),
    ("/report?name=", f"<img src=x onerror={RUN}>"),
]


@pytest.mark.parametrize(("address", "payload"), PLACES)
def test_reflected_in_other_places(target, alice, address, payload):
    """In an attribute, a script, a picture, packed, as JSON."""
    _, guarded = target
    answer = alice.goto(address + quote(payload))
    if guarded:
        assert answer.status == 403
        assert alice.page.evaluate("window.ran") is None
    else:
        alice.page.wait_for_function("window.ran")
        assert "session_id=" in alice.page.evaluate("window.ran")


def test_reflected_in_pieces(target, alice):
    """The page is cut off before its script is whole."""
    _, guarded = target
    address = "/stream?name=" + quote(f"<script>{RUN}</script><p>and more</p>")
    if guarded:
        with alice.page.expect_event("requestfailed"):
            alice.goto(address, until="commit")
        assert "Hello" in alice.page.inner_text("h1")
        assert alice.page.evaluate("window.ran") is None
    else:
        alice.goto(address)
        assert "session_id=" in alice.page.evaluate("window.ran")


def test_reflected_as_an_address(target, alice):
    """A link of which the address is code: nobody gets to click it."""
    _, guarded = target
    answer = alice.goto("/link?to=" + quote(f"javascript:void({RUN})"))
    if guarded:
        assert answer.status == 403
        assert alice.page.query_selector("#back") is None
    else:
        alice.page.click("#back")
        alice.page.wait_for_function("window.ran")
        assert "session_id=" in alice.page.evaluate("window.ran")


def test_stored(target, alice):
    """A script in the database steals no cookie of those who read it."""
    running, guarded = target
    with running.client() as mallory:
        mallory.post("/comments", json={"text": STEAL})
    alice.goto("/comments", until="networkidle")
    if guarded:
        assert alice.stolen == []
        assert "script-src-elem inline" in alice.violations()
    else:
        assert "session_id=" in alice.stolen[-1]


def test_in_the_page_itself(target, alice):
    """Markup in the fragment, made by the page's own script, does not run."""
    _, guarded = target
    alice.goto("/dom#" + quote(DOM_PAYLOAD))
    ran = alice.page.evaluate("window.ran")
    if guarded:
        assert ran is None
        assert alice.violations()
    else:
        assert "session_id=" in ran


def test_the_session_cookie_is_out_of_reach(target, alice):
    """Even a script that runs reads no session id (CWE-1004)."""
    _, guarded = target
    alice.goto("/comments")
    readable = alice.page.evaluate("document.cookie")
    assert ("session" in readable) is not guarded


@pytest.mark.parametrize("name", ["O'Brien", "I <3 you", "<b>Ann</b>", "a < b"])
def test_honest_names_are_greeted(target, alice, name):
    """Text that only looks a little like code is left alone."""
    for path in ("/greet", "/packed", "/stream"):
        answer = alice.goto(f"{path}?name=" + quote(name))
        assert answer.status == 200
        assert name in answer.text()


def test_an_honest_comment_is_shown(target, alice):
    """Text that only looks a little like code is left alone."""
    running, _ = target
    with running.client() as bob:
        assert bob.post("/comments", json={"text": "Tom & Jerry, 1 < 2"}).is_redirect
    alice.goto("/comments")
    assert "Tom & Jerry, 1 < 2" in alice.page.inner_text("body")
