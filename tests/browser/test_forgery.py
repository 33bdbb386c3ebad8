"""Another site writes in the user's name: it works with the guard off, never with it on
(guide: "CSRF"; CWE-352, CWE-1385)."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from tests.attacks.ranges import running_range
from tests.browser.ranges import bob, sign_in_path, signed_in
from tests.browser.sites import other_site


@pytest.fixture(scope="module")
def evil():
    with other_site() as server:
        yield server


@pytest.fixture(scope="module", params=["off", "on"])
def target(request, evil):
    """The range on each side, and whether it is guarded. Its own fence lets the
    attacker's pages through, so that only the guard is left to refuse them."""
    origins = (evil.url, evil.other_site, "null")
    options = (f"--origin={origin}" for origin in origins)
    with running_range(request.param, *options) as running:
        yield running, request.param == "on"


@pytest.fixture
def alice(target, visit):
    """Alice's browser, signed in."""
    running, guarded = target
    return signed_in(visit, running, guarded=guarded)


def transfers(alice):
    return alice.context.request.get("/transfers").json()


def submit(alice, evil, target, **fields):
    """Let Alice visit a page of the attacker's whose form submits itself."""
    query = urlencode({"target": target, **fields})
    alice.page.goto(f"{evil.other_site}/form?{query}", wait_until="commit")
    alice.page.wait_for_url(target, wait_until="load")


def test_a_form_of_another_site_moves_no_money(target, evil, alice):
    """POST /transfer amount=1000 from another site is refused, though Alice's browser
    would send her cookie."""
    running, guarded = target
    before = transfers(alice)
    submit(alice, evil, f"{running.url}/transfer", amount="1000")
    stolen = {"recipient": "mallory@example.com", "amount": 1000}
    assert transfers(alice) == (before if guarded else [*before, stolen])


def test_json_dressed_up_as_plain_text_moves_no_money(target, evil, alice):
    """A form can write JSON as text/plain without asking first (CVE-2021-32677)."""
    running, guarded = target
    before = transfers(alice)
    json = {'{"amount": 1001, "x": "': '"}'}
    submit(alice, evil, f"{running.url}/transfer", kind="text/plain", **json)
    assert (transfers(alice) == before) is guarded


def test_an_opaque_origin_moves_no_money(target, evil, alice):
    """A sandboxed frame sends ``Origin: null``; that is nobody's origin."""
    running, guarded = target
    before = transfers(alice)
    alice.page.goto(evil.other_site)
    with alice.page.expect_response(f"{running.url}/transfer"):
        alice.page.evaluate(
            """([target]) => {
            const frame = document.createElement("iframe");
            frame.sandbox = "allow-scripts allow-forms allow-top-navigation";
            frame.srcdoc = `<form method=post target=_top action="${target}">
                <input name=amount value=1002></form>
                <script>document.forms[0].submit()</script>`;
            document.body.append(frame);
            }""",
            [f"{running.url}/transfer"],
        )
    assert (transfers(alice) == before) is guarded


def test_nobody_is_signed_in_as_somebody_else(target, evil, alice):
    """A form that signs the visitor in to the attacker's account is refused: what they
    would write next would be the attacker's to read."""
    running, guarded = target
    alice.context.clear_cookies()
    submit(alice, evil, running.url + sign_in_path(guarded), **bob(guarded))
    names = " ".join(cookie["name"] for cookie in alice.context.cookies(running.url))
    assert ("session" in names) is not guarded


def test_a_websocket_of_another_site_reads_nothing(target, evil, alice):
    """A page of another site opens a WebSocket; the browser sends the cookie with it
    and applies no same-origin policy (cross-site WebSocket hijacking). Here both pages
    are of one *site*, so that SameSite does not help."""
    running, guarded = target
    alice.page.goto(evil.url)
    heard = alice.page.evaluate(
        """(url) => new Promise((resolve) => {
            const socket = new WebSocket(url);
            socket.onmessage = (event) => resolve(event.data);
            socket.onclose = () => resolve(null);
        })""",
        f"ws://127.0.0.1:{running.port}/live",
    )
    assert (heard is None) is guarded


def test_a_page_of_another_site_frames_nothing(target, evil, alice):
    """A page laid invisibly over the attacker's own takes the visitor's clicks
    (clickjacking; guide: X-Frame-Options; CWE-1021)."""
    running, guarded = target
    alice.page.goto(evil.other_site)
    alice.page.evaluate(
        """(url) => new Promise((resolve) => {
            const frame = document.createElement("iframe");
            frame.onload = resolve;
            frame.src = url;
            document.body.append(frame);
        })""",
        f"{running.url}/greet?name=Alice",
    )
    framed = alice.page.frames[1].content()
    assert ("Hello Alice" in framed) is not guarded


def test_the_page_of_the_site_itself_may_write(target, alice):
    """A form of the range's own origin works as it did."""
    running, guarded = target
    before = len(transfers(alice))
    alice.goto("/comments")
    fields = {"amount": "5", "to": "bob@example.com"}
    if guarded:
        me = alice.context.request.get("/auth/me").json()
        fields["csrf_token"] = me["csrf_token"]
    alice.page.evaluate(
        """async (fields) => fetch("/transfer", {
            method: "POST", body: new URLSearchParams(fields)})""",
        fields,
    )
    assert len(transfers(alice)) == before + 1
    assert running.url in alice.page.url
