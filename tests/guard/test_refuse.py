import base64
import hashlib
import json
import re

import pytest

from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.guard.refuse import respond, wants_page

pytestmark = pytest.mark.anyio

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SIGNED_OUT = Denial(
    401,
    "access.not_signed_in",
    "Sign in to use this address.",
    private="the inside",
    headers=((b"www-authenticate", b"Session"),),
)
FORBIDDEN = Denial(403, "access.not_allowed", "Not <b>yours</b>.", private="the inside")
HEADERS = {
    "document_headers": ((b"content-security-policy", b"app"), (b"x-frame", b"1")),
    "data_headers": ((b"content-security-policy", b"data"), (b"x-sniff", b"1")),
}


class Sent:
    """What a server would have sent."""

    def __init__(self, messages):
        self.messages = messages
        start = messages[0]
        self.kind = start["type"]
        self.status = start.get("status")
        self.lines = start.get("headers", [])
        self.headers = dict(self.lines)
        self.body = b"".join(message.get("body", b"") for message in messages[1:])


async def refused(denial=FORBIDDEN, *, accept="", sign_in="", errors=(), **scope):
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/orders",
        "raw_path": b"/orders",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"accept", accept.encode())],
        **scope,
    }
    exchange = Exchange(scope, None)
    exchange.request_id = "abc-1"
    exchange.response_headers.append((b"access-control-allow-origin", b"https://a"))
    messages = []

    async def send(message):
        messages.append(message)

    await respond(denial, exchange, send, sign_in=sign_in, errors=errors, **HEADERS)
    return Sent(messages)


@pytest.mark.parametrize("accept", ["", "*/*", "application/json"])
async def test_programs_get_a_problem_document(accept):
    sent = await refused(accept=accept)
    assert sent.status == 403
    assert sent.headers[b"content-type"] == b"application/problem+json"
    assert json.loads(sent.body) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "Not <b>yours</b>.",
        "code": "access.not_allowed",
        "request_id": "abc-1",
    }


@pytest.mark.parametrize("accept", ["*/*", BROWSER])
@pytest.mark.parametrize("denial", [SIGNED_OUT, FORBIDDEN])
async def test_every_refusal_stays_out_of_caches_and_says_its_id(accept, denial):
    """Trap 15: a stored refusal would be served to somebody who may."""
    sent = await refused(denial, accept=accept)
    assert sent.headers[b"cache-control"] == b"no-store"
    assert {b"accept", b"cookie", b"origin", b"sec-fetch-site"} <= set(
        sent.headers[b"vary"].split(b", ")
    )
    assert sent.headers[b"x-request-id"] == b"abc-1"
    assert sent.headers[b"content-length"] == str(len(sent.body)).encode()
    assert len(sent.headers) == len(sent.lines)


async def test_headers_of_stages_and_of_the_denial_go_along():
    """A script of an allowed origin can read why it was refused."""
    sent = await refused(SIGNED_OUT)
    assert sent.headers[b"www-authenticate"] == b"Session"
    assert sent.headers[b"access-control-allow-origin"] == b"https://a"
    assert sent.headers[b"content-security-policy"] == b"data"
    assert sent.headers[b"x-sniff"] == b"1"


async def test_nothing_private_leaves():
    for accept in ("*/*", BROWSER):
        assert b"the inside" not in (await refused(accept=accept)).body


async def test_browsers_get_a_page():
    sent = await refused(accept=BROWSER)
    page = sent.body.decode()
    assert sent.headers[b"content-type"] == b"text/html; charset=utf-8"
    assert sent.headers[b"x-frame"] == b"1"
    assert "Not &lt;b&gt;yours&lt;/b&gt;." in page
    assert "access.not_allowed" in page
    assert "abc-1" in page
    assert '<html lang="en">' in page
    assert "width=device-width" in page
    assert "prefers-color-scheme: dark" in page


async def test_the_page_s_policy_allows_its_one_style_and_nothing_else():
    sent = await refused(accept=BROWSER)
    style = re.search(r"<style>(.*?)</style>", sent.body.decode(), re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = sent.headers[b"content-security-policy"].decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "script" not in sent.body.decode()
    assert "style=" not in sent.body.decode()


async def test_a_head_gets_no_body():
    sent = await refused(method="HEAD")
    assert sent.body == b""
    assert sent.headers[b"content-length"] != b"0"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_browser_that_is_not_signed_in_is_shown_the_way(method):
    sent = await refused(
        SIGNED_OUT,
        accept=BROWSER,
        sign_in="/auth/login",
        method=method,
        root_path="/shop",
        path="/shop/orders",
        raw_path=b"/shop/or%C3%A9",
        query_string=b"page=2&x=%26",
    )
    assert sent.status == 303
    assert sent.body == b""
    assert sent.headers[b"location"] == (
        b"/shop/auth/login?next=%2Fshop%2For%25C3%25A9%3Fpage%3D2%26x%3D%2526"
    )
    assert sent.headers[b"cache-control"] == b"no-store"


@pytest.mark.parametrize(
    ("denial", "scope"),
    [
        (SIGNED_OUT, {"accept": "*/*"}),
        (SIGNED_OUT, {"accept": BROWSER, "method": "POST"}),
        (SIGNED_OUT, {"accept": BROWSER, "path": "/auth/login"}),
        (SIGNED_OUT, {"accept": BROWSER, "sign_in": ""}),
        (FORBIDDEN, {"accept": BROWSER}),
    ],
)
async def test_others_are_told_instead(denial, scope):
    sent = await refused(denial, **{"sign_in": "/auth/login", **scope})
    assert sent.status == denial.status
    assert b"location" not in sent.headers


@pytest.mark.parametrize(
    ("raw", "location"),
    [
        (b"//evil.example", b"/in"),
        (b"/\\evil.example", b"/in"),
        (b"https://evil.example", b"/in"),
        (b"/" + b"a" * 3000, b"/in"),
        (b"/a\r\nx: y", b"/in?next=%2Fa%0D%0Ax%3A%20y"),
    ],
)
async def test_the_way_back_stays_here(raw, location):
    """Open redirects begin with odd slashes (CVE-2021-32618, CVE-2023-49438)."""
    sent = await refused(SIGNED_OUT, accept=BROWSER, sign_in="/in", raw_path=raw)
    assert sent.headers[b"location"] == location


async def test_a_page_for_a_form_leads_to_the_sign_in():
    sent = await refused(SIGNED_OUT, accept=BROWSER, sign_in="/in", method="POST")
    assert b'<a href="/in">Sign in</a>' in sent.body


NOT_FRESH = Denial(401, "access.not_fresh", "Confirm that it is you.", remedy="confirm")


async def test_a_browser_whose_proof_is_old_is_led_to_the_confirmation():
    """Not to the sign-in, which would send it straight back: a circle without end."""
    sent = await refused(
        NOT_FRESH,
        accept=BROWSER,
        sign_in="/auth/login",
        root_path="/shop",
        path="/shop/transfers",
        raw_path=b"/shop/transfers",
        query_string=b"to=7",
    )
    assert sent.status == 303
    assert sent.headers[b"location"] == (
        b"/shop/auth/confirm?next=%2Fshop%2Ftransfers%3Fto%3D7"
    )


async def test_a_program_whose_proof_is_old_is_told_where_to_confirm():
    sent = await refused(NOT_FRESH, sign_in="/auth/login", root_path="/shop")
    assert sent.status == 401
    assert json.loads(sent.body)["confirm"] == "/shop/auth/confirm"
    sent = await refused(NOT_FRESH)  # no identity, no address
    assert "confirm" not in json.loads(sent.body)
    sent = await refused(SIGNED_OUT, sign_in="/auth/login")
    assert "confirm" not in json.loads(sent.body)


async def test_a_page_for_a_form_leads_to_the_confirmation():
    sent = await refused(NOT_FRESH, accept=BROWSER, sign_in="/in", method="POST")
    assert b'<a href="/auth/confirm">Confirm that it is you</a>' in sent.body


@pytest.mark.parametrize(
    ("referer", "query"),
    [
        ("https://shop.example/transfers?to=7#form", "?next=%2Ftransfers%3Fto%3D7"),
        ("http://shop.example/a", "?next=%2Fa"),
        ("https://shop.example", ""),
        ("https://shop.example//evil.example", ""),
        ("https://shop.example/\\evil.example", ""),
        ("https://shop.example.evil.example/", ""),
        ("https://evil.example/?://shop.example/x", ""),
        ("https://shop.example/" + "x" * 2_048, ""),
        ("/transfers", ""),
        ("", ""),
    ],
)
async def test_a_form_is_led_back_to_its_page(referer, query):
    """After the sign-in or the password, and to a page of ours only."""
    lines = [(b"accept", BROWSER.encode()), (b"host", b"shop.example")]
    lines += [(b"referer", referer.encode())]
    for denial, way in ((NOT_FRESH, "/auth/confirm"), (SIGNED_OUT, "/auth/login")):
        sent = await refused(
            denial, sign_in="/auth/login", method="POST", headers=lines
        )
        assert f'<a href="{way}{query}">'.encode() in sent.body
    sent = await refused(FORBIDDEN, method="POST", headers=lines)
    assert b'<a href="/">' in sent.body


async def test_a_web_socket_is_closed_before_it_opens():
    sent = await refused(type="websocket")
    assert sent.messages == [{"type": "websocket.close", "code": 1008}]


async def test_a_web_socket_is_answered_where_the_server_can():
    sent = await refused(type="websocket", extensions={"websocket.http.response": {}})
    assert sent.kind == "websocket.http.response.start"
    assert sent.messages[1]["type"] == "websocket.http.response.body"
    assert sent.status == 403
    assert json.loads(sent.body)["code"] == "access.not_allowed"


async def test_faults_in_fields_are_members_of_the_problem():
    errors = [{"field": "body.email", "type": "missing", "message": "Is required."}]
    assert json.loads((await refused(errors=errors)).body)["errors"] == errors


async def test_faults_in_fields_are_listed_on_the_page():
    errors = [{"field": "body.<i>", "type": "missing", "message": "Is required."}]
    page = (await refused(errors=errors, accept=BROWSER)).body
    assert b"<li><code>body.&lt;i&gt;</code> Is required.</li>" in page


async def test_an_unregistered_status_has_a_title():
    sent = await refused(Denial(499, "a.b", "c"))
    assert json.loads(sent.body)["title"] == "Refused"


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML", False),  # no browser writes it so; JSON is the safe answer
        ("text/html;q=0", False),
        ("text/html;q=0.5, application/json", False),
        ("application/json, text/html", False),
        ("application/json;q=0.5, text/html", True),
        ("application/problem+json, text/html;q=0.9", False),
        ("text/html;q=nonsense", False),
        ("text/html;q=nan", False),
        ("text/html;level=1;q=0.4", True),
        ("text/htmlx", False),
        ("*/*", False),
        ("", False),
        ("," * 100_000 + "text/html", False),
    ],
)
def test_who_gets_a_page(accept, page):
    assert wants_page(accept.encode()) is page


MORE = Denial(401, "access.factor_needed", "More.", remedy="factor passkey,totp")


async def test_a_browser_that_owes_a_factor_is_led_to_where_it_shows_it():
    sent = await refused(
        MORE,
        accept=BROWSER,
        sign_in="/auth/login",
        path="/shop/transfers",
        raw_path=b"/shop/transfers",
        root_path="/shop",
    )
    assert sent.status == 303
    assert sent.headers[b"location"] == (
        b"/shop/auth/confirm?factor=passkey,totp&next=%2Fshop%2Ftransfers"
    )


async def test_a_program_that_owes_a_factor_is_told_which_would_do():
    sent = await refused(MORE, sign_in="/auth/login", root_path="/shop")
    body = json.loads(sent.body)
    assert body["factors"] == ["passkey", "totp"]
    assert body["confirm"] == "/shop/auth/confirm?factor=passkey,totp"


async def test_a_form_that_owes_a_factor_gets_a_page_with_the_way():
    headers = [
        (b"accept", BROWSER.encode()),
        (b"host", b"shop.example"),
        (b"referer", b"https://shop.example/transfers"),
    ]
    sent = await refused(MORE, sign_in="/auth/login", method="POST", headers=headers)
    assert sent.status == 401
    way = b"/auth/confirm?factor=passkey,totp&amp;next=%2Ftransfers"
    assert b'<a href="%s">Confirm that it is you</a>' % way in sent.body


async def test_the_page_that_asks_for_a_factor_leads_to_no_other():
    sent = await refused(
        MORE, accept=BROWSER, sign_in="/auth/login", path="/auth/confirm"
    )
    assert sent.status == 401
