"""Signing in with another provider, through a real guard and a real provider."""

import asyncio
import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.identity.gatehouse import visit
from tests.identity.openid.guarded import (
    BASE,
    HTML,
    agree,
    begin,
    come_back,
    guarded,
    me,
    running_provider,
    sign_in,
)
from tests.servers.openid_provider import ANN, CLIENT_SECRET

from ringfence.audit.events import (
    IdentityLinked,
    IdentityUnlinked,
    SignedIn,
    SignInFailed,
)
from ringfence.identity.openid.attempt import Attempts

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"
BODY = {"email": ANN["email"], "password": PASSWORD}


async def with_password(browser, body=BODY):
    """Make an account with a password, and sign in with it."""
    await browser.post("/auth/register", json=body)
    answer = await browser.post("/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return await account_of(browser)


async def account_of(browser):
    account = await me(browser)
    browser.headers["x-csrf-token"] = account["csrf_token"]
    return account


async def begin_link(browser, name="honest", what="link", **form):
    answer = await browser.post(f"/auth/openid/{name}/{what}", data=form)
    assert answer.status_code == 200, answer.text
    return answer.json()["location"]


async def link(browser, provider):
    return await come_back(browser, agree(await begin_link(browser), provider))


def events(shop, kind):
    return [event for event in shop.recorded if isinstance(event, kind)]


async def test_somebody_new_gets_an_account(browser, provider, shop):
    answer = await sign_in(browser, provider, wanted="/orders?page=2")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/orders?page=2"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    account = await me(browser)
    assert account["email"] == ANN["email"]
    assert account["factors"] == ["openid"]
    (linked,) = events(shop, IdentityLinked)
    assert (linked.account, linked.issuer) == (account["id"], provider.issuer)
    assert len(events(shop, SignedIn)) == 1


async def test_the_same_person_gets_the_same_account(shop, provider):
    """Even under another address: who it is, is said by issuer and subject."""
    first, second = shop.browser(), shop.browser()
    await sign_in(first, provider)
    provider.person = {**ANN, "email": "new@example.com"}
    await sign_in(second, provider)
    assert (await me(first))["id"] == (await me(second))["id"]


async def test_the_question_is_as_the_standards_have_it(browser, provider):
    address = await begin(browser)
    assert address.startswith(f"{provider.issuer}/authorize?")
    query = {name: one for name, (one,) in parse_qs(urlsplit(address).query).items()}
    assert query["response_type"] == "code"
    assert query["scope"] == "openid email"
    assert query["code_challenge_method"] == "S256"
    assert query["redirect_uri"] == f"{BASE}/auth/openid/honest/callback"
    for secret in ("state", "nonce", "code_challenge"):
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", query[secret])
    again = parse_qs(urlsplit(await begin(browser)).query)
    assert again["state"] != [query["state"]]
    assert again["nonce"] != [query["nonce"]]


async def test_the_cookie_is_for_this_browser_and_shows_no_secret(browser, provider):
    answer = await browser.get("/auth/openid/honest/start")
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith("openid-8000=")
    assert cookie.endswith("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax")
    await come_back(browser, agree(answer.headers["location"], provider))
    verifier = provider.bodies[0]["code_verifier"]
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    for secret in (verifier, query["state"][0], query["nonce"][0]):
        assert secret not in cookie


async def test_production_has_a_cookie_that_no_sibling_can_set():
    made = Attempts(lambda: [b"k" * 32], None, development=False, clock=time.time)
    exchange = visit()
    made.expire(exchange)
    ((_, sent),) = exchange.response_headers
    assert sent == b"__Host-openid=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    ("authentication", "secret"),
    [("basic", CLIENT_SECRET), ("post", CLIENT_SECRET), ("none", None)],
)
async def test_each_way_to_say_who_the_client_is(
    tmp_path, provider, authentication, secret
):
    provider.authentication = authentication
    settings = provider.settings(authentication=authentication, client_secret=secret)
    async with guarded(tmp_path, settings) as shop:
        assert (await sign_in(shop.browser(), provider)).status_code == 303


@pytest.mark.parametrize("kind", ["RS256", "PS256", "Ed25519", "EdDSA"])
async def test_each_algorithm_of_the_settings(tmp_path, keys, kind):
    with running_provider(key=keys[kind], algorithm=kind) as provider:
        provider.says["at_hash"] = None
        async with guarded(tmp_path, provider.settings()) as shop:
            assert (await sign_in(shop.browser(), provider)).status_code == 303


async def test_the_address_may_come_from_userinfo(tmp_path, provider):
    provider.says = {"email": None, "email_verified": None}
    async with guarded(tmp_path, provider.settings(userinfo=True)) as shop:
        browser = shop.browser()
        assert (await sign_in(browser, provider)).status_code == 303
        assert (await me(browser))["email"] == ANN["email"]


async def test_userinfo_about_somebody_else_is_refused(tmp_path, provider):
    """Token substitution: an access token of another person."""
    provider.userinfo = {"sub": "mallory"}
    async with guarded(tmp_path, provider.settings(userinfo=True)) as shop:
        answer = await sign_in(shop.browser(), provider)
        assert_refused(answer, 401, "could not be verified")


def assert_refused(answer, status, text):
    """It is a page of ours that says so, nothing of the request stands on it, and
    nobody is told its address."""
    assert answer.status_code == status, answer.text
    assert text in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.get_list("referrer-policy")[-1] == "no-referrer"
    assert "<form" not in answer.text
    assert not [
        cookie
        for cookie in answer.headers.get_list("set-cookie")
        if cookie.startswith("session-") and "Max-Age=0" not in cookie
    ]


async def refused(browser, provider):
    """Walk the way; return the code of the refusal, as programs are told it."""
    address = agree(await begin(browser), provider)
    answer = await browser.get(address, headers={"accept": "application/json"})
    assert await me(browser) is None
    assert answer.status_code >= 400
    return answer.status_code, answer.json()["code"].removeprefix("identity.openid_")


async def test_who_does_not_agree_is_not_signed_in(browser, provider):
    provider.error = "access_denied"
    assert await refused(browser, provider) == (403, "denied")
    answer = await sign_in(browser, provider)
    assert_refused(answer, 403, "was not allowed to tell")


@pytest.mark.parametrize("error", ["login_required", "<b>evil</b>"])
async def test_an_error_is_told_without_its_words(browser, provider, shop, error):
    provider.error = error
    answer = await sign_in(browser, provider)
    assert_refused(answer, 502, "could not sign you in")
    assert "evil" not in answer.text
    (failed,) = events(shop, SignInFailed)
    assert failed.reason.startswith("openid: identity.openid_provider_error: ")
    assert "evil" not in failed.reason


async def test_a_token_of_another_service_is_refused(browser, provider):
    provider.says = {"aud": "another-shop"}
    assert await refused(browser, provider) == (401, "token_invalid")


async def test_a_code_that_the_provider_does_not_take(browser, provider):
    address = agree(await begin(browser), provider)
    provider.grants.clear()
    answer = await come_back(browser, address)
    assert_refused(answer, 401, "did not confirm")


async def test_a_wrong_secret_of_ours_is_our_mistake(tmp_path, provider):
    settings = provider.settings(client_secret="wrong")
    async with guarded(tmp_path, settings) as shop:
        assert await refused(shop.browser(), provider) == (502, "provider_error")
        (failed,) = events(shop, SignInFailed)
        assert failed.reason.endswith("a code is answered with 401: invalid_client")


AWAY, NONSENSE = (503, "provider_away"), (502, "provider_error")
BAD_ANSWERS = [
    ((500, {}, b""), AWAY),
    ((200, {}, b"x" * 300_000), AWAY),
    ((302, {"location": "/token2"}, b""), AWAY),
    ((200, {}, b"{"), NONSENSE),
    ((200, {}, b"[" * 50_000), NONSENSE),
    ((400, {}, b"<html>"), NONSENSE),
    ((200, {}, b'{"id_token": 5}'), NONSENSE),
]


async def test_a_provider_that_is_down_or_talks_nonsense(browser, provider):
    for answer, expected in BAD_ANSWERS:
        provider.spoiled["/token"] = lambda answer=answer: answer
        assert await refused(browser, provider) == expected


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"location": "/keys"}, b""),
        (200, {}, b"x" * 300_000),
        (500, {}, b""),
        (200, {}, b"{}"),
    ],
)
async def test_keys_that_cannot_be_had(browser, provider, answer):
    provider.spoiled["/jwks"] = lambda: answer
    assert await refused(browser, provider) == AWAY
    assert await refused(browser, provider) == AWAY
    assert provider.asked["/jwks"] == 1
    assert "/keys" not in provider.asked


DISCOVERY = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"issuer": "https://accounts.example"}, 502),
        ({"issuer": None}, 502),
        ({"token_endpoint": "http://accounts.example/token"}, 502),
        ({"authorization_endpoint": "javascript:alert(1)"}, 502),
        ({"jwks_uri": "file:///etc/passwd"}, 502),
    ],
)
async def test_a_document_that_is_not_the_providers_own(
    browser, provider, document, status
):
    provider.document = document
    answer = await browser.get("/auth/openid/honest/start", headers=HTML)
    assert answer.status_code == status
    assert "could not sign you in" in answer.text
    cookies = answer.headers.get_list("set-cookie")
    assert all("Max-Age=0" in cookie for cookie in cookies)


async def test_a_provider_that_is_away_is_not_asked_again_at_once(browser, provider):
    provider.spoiled[DISCOVERY] = lambda: (503, {}, b"")
    for _ in range(5):
        answer = await browser.get("/auth/openid/honest/start")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "10"
    assert provider.asked[DISCOVERY] == 1


async def test_the_document_is_asked_for_once_by_many(shop, provider):
    browsers = [shop.browser() for _ in range(20)]
    await asyncio.gather(*map(begin, browsers))
    assert provider.asked[DISCOVERY] == 1


async def test_a_flood_of_unknown_keys_is_one_question(shop, provider):
    """CVE-2026-48524: each unknown ``kid`` led to a look at the keys."""
    await sign_in(shop.browser(), provider)
    assert provider.asked["/jwks"] == 1
    for number in range(10):
        provider.header = {"kid": f"unknown-{number}"}
        expected = (401, "token_invalid")
        assert await refused(shop.browser(), provider) == expected
    assert provider.asked["/jwks"] == 1


async def test_unknown_providers_and_answers_to_nothing(browser, provider):
    for path in ("start", "callback?state=x&code=y"):
        answer = await browser.get(f"/auth/openid/another/{path}")
        assert answer.status_code == 404
        assert answer.json()["code"] == "identity.openid_no_such_provider"
    for query in ("state=x", "code=x&error=y", "code=x&code=y", "state=a&state=b"):
        answer = await browser.get(f"/auth/openid/honest/callback?{query}")
        assert answer.status_code == 400
        assert answer.json()["code"] == "identity.openid_bad_answer"
    answer = await browser.get("/auth/openid/honest/callback?code=x&state=ö")
    assert answer.json()["code"] == "identity.openid_state"


async def test_fifty_answers_at_once_make_one_session(shop, browser, provider):
    address = agree(await begin(browser), provider)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    many = [shop.browser() for _ in range(50)]
    answers = await asyncio.gather(
        *(come_back(one, address, cookie=cookie) for one in many)
    )
    assert sorted(answer.status_code for answer in answers) == [303] + [400] * 49
    assert provider.asked["/token"] == 1


async def test_somebody_new_twice_at_once_gets_one_account(shop, provider):
    browsers = [shop.browser() for _ in range(8)]
    answers = await asyncio.gather(*(sign_in(one, provider) for one in browsers))
    signed_in = [
        await me(one)
        for one, answer in zip(browsers, answers, strict=True)
        if answer.status_code == 303
    ]
    assert signed_in
    assert len({account["id"] for account in signed_in}) == 1


async def test_no_more_answers_than_a_minute_may_have(tmp_path, provider):
    provider.spoiled["/token"] = lambda: (400, {}, b'{"error": "invalid_grant"}')
    async with guarded(tmp_path, provider.settings()) as shop:
        browser = shop.browser()
        codes = [(await refused(browser, provider))[0] for _ in range(61)]
    assert codes == [401] * 60 + [429]
    assert provider.asked["/token"] == 60


async def test_strangers_get_no_account_where_there_is_no_registration(
    tmp_path, provider
):
    identity = {"registration": False}
    async with guarded(tmp_path, provider.settings(), identity=identity) as shop:
        assert await refused(shop.browser(), provider) == (403, "no_account")


UNCONFIRMED = [
    {},
    {"email": "x@example.com"},
    {"email": "x@example.com", "email_verified": False},
    {"email": "x@example.com", "email_verified": "true"},
    {"email": "x@example.com", "email_verified": 1},
    {"email": "", "email_verified": True},
    {"email": "nobody", "email_verified": True},
    {"email": ["x@example.com"], "email_verified": True},
    {"email": "x" * 400 + "@example.com", "email_verified": True},
]


async def test_an_address_that_is_not_confirmed_makes_no_account(browser, provider):
    for said in UNCONFIRMED:
        provider.person = {"sub": "x", **said}
        assert await refused(browser, provider) == (403, "no_address"), said


async def test_an_account_is_connected_by_who_is_signed_in_to_it(shop, provider):
    ann, other = shop.browser(), shop.browser()
    account = await with_password(ann)
    assert await refused(other, provider) == (409, "address_taken")
    answer = await link(ann, provider)
    assert answer.headers["location"] == "/auth/openid?note=linked"
    await sign_in(other, provider)
    assert (await me(other))["id"] == account["id"]
    listed = (await ann.get("/auth/openid")).json()
    assert listed == [
        {
            "name": "honest",
            "label": "Honest",
            "connected": True,
            "email": ANN["email"],
        }
    ]


async def test_an_identity_belongs_to_one_account(shop, provider):
    ann, bob = shop.browser(), shop.browser()
    await sign_in(ann, provider)
    await with_password(bob, {**BODY, "email": "bob@example.com"})
    answer = await link(bob, provider)
    assert_refused(answer, 409, "connected already")


async def test_one_identity_of_a_provider_is_enough(browser, provider):
    await with_password(browser)
    await link(browser, provider)
    provider.person = {**ANN, "sub": "ann-8"}
    assert_refused(await link(browser, provider), 409, "connected already")


async def test_disconnecting_signs_out_what_it_has_signed_in(shop, provider):
    ann, other = shop.browser(), shop.browser()
    await with_password(ann)
    await link(ann, provider)
    await sign_in(other, provider)
    assert await me(other) is not None
    answer = await ann.post("/auth/openid/honest/unlink", headers=HTML)
    assert answer.headers["location"] == "/auth/openid?note=unlinked"
    assert await me(other) is None
    assert await me(ann) is not None
    assert await refused(other, provider) == (409, "address_taken")
    assert len(events(shop, IdentityUnlinked)) == 1
    answer = await ann.post("/auth/openid/honest/unlink")
    assert answer.json()["code"] == "identity.openid_not_linked"


async def test_the_only_way_in_stays(browser, provider):
    await sign_in(browser, provider)
    await account_of(browser)
    answer = await browser.post("/auth/openid/honest/unlink")
    assert answer.status_code == 409
    assert answer.json()["code"] == "identity.openid_last_way_in"
    assert (await browser.get("/auth/openid")).json()[0]["connected"]


async def test_one_of_two_providers_may_go(tmp_path, provider):
    with running_provider(person={**ANN, "sub": "other"}) as second:
        settings = (provider.settings(), second.settings("second"))
        async with guarded(tmp_path, *settings) as shop:
            browser = shop.browser()
            await sign_in(browser, provider)
            await account_of(browser)
            address = await begin_link(browser, "second")
            await come_back(browser, agree(address, second))
            answers = await asyncio.gather(
                browser.post("/auth/openid/honest/unlink"),
                browser.post("/auth/openid/second/unlink"),
            )
            assert {answer.status_code for answer in answers} <= {204, 409}
            listed = (await browser.get("/auth/openid")).json()
            assert any(each["connected"] for each in listed)


async def test_connecting_asks_for_a_token_of_ours(browser, provider):
    await with_password(browser)
    del browser.headers["x-csrf-token"]
    for what in ("link", "unlink", "confirm"):
        answer = await browser.post(f"/auth/openid/honest/{what}")
        assert answer.status_code == 403, what


async def test_connecting_asks_who_is_signed_in(browser):
    for what in ("link", "unlink", "confirm"):
        answer = await browser.post(f"/auth/openid/honest/{what}")
        assert answer.status_code == 401, what


async def test_connecting_ends_in_the_session_in_which_it_began(shop, provider):
    """Signed out and in again, or as somebody else: begin again."""
    ann = shop.browser()
    await with_password(ann)
    address = agree(await begin_link(ann), provider)
    await ann.post("/auth/logout")
    assert_refused(await come_back(ann, address), 403, "Begin again")
    await with_password(ann)
    address = agree(await begin_link(ann), provider)
    await with_password(ann, {**BODY, "email": "bob@example.com"})
    assert_refused(await come_back(ann, address), 403, "Begin again")
    assert not (await ann.get("/auth/openid")).json()[0]["connected"]


async def test_a_page_leads_a_browser_on(browser, provider):
    """``form-action 'self'`` holds for where a form is led on to as well."""
    account = await with_password(browser)
    answer = await browser.post(
        "/auth/openid/honest/link",
        data={"csrf_token": account["csrf_token"]},
        headers=HTML,
    )
    assert answer.status_code == 200
    seconds, _, address = answer.headers["refresh"].partition("; url=")
    assert seconds == "0"
    assert address.startswith(f"{provider.issuer}/authorize?")
    assert address.replace("&", "&amp;") in answer.text


async def test_the_provider_can_confirm_that_it_is_still_the_owner(browser, provider):
    await sign_in(browser, provider)
    before = browser.cookies["session-8000"]
    await account_of(browser)
    address = await begin_link(browser, what="confirm", next="/transfers")
    query = parse_qs(urlsplit(address).query)
    assert (query["prompt"], query["max_age"]) == (["login"], ["0"])
    answer = await come_back(browser, agree(address, provider))
    assert answer.headers["location"] == "/transfers"
    assert browser.cookies["session-8000"] != before


async def test_the_page_that_asks_for_a_proof_offers_who_can_give_it(shop, provider):
    ann, bob = shop.browser(), shop.browser()
    await sign_in(ann, provider)
    page = (await ann.get("/auth/confirm?next=/x", headers=HTML)).text
    assert "Confirm with Honest" in page
    assert 'type="password"' not in page
    page = (await ann.get("/auth/confirm?factor=totp", headers=HTML)).text
    assert "Confirm with Honest" not in page
    await with_password(bob, {**BODY, "email": "bob@example.com"})
    page = (await bob.get("/auth/confirm", headers=HTML)).text
    assert "Confirm with Honest" not in page


@pytest.mark.parametrize("moment", [None, 0, "old"])
async def test_a_confirmation_needs_a_new_sign_in_there(browser, provider, moment):
    await sign_in(browser, provider)
    await account_of(browser)
    provider.says["auth_time"] = int(time.time()) - 120 if moment == "old" else moment
    address = await begin_link(browser, what="confirm")
    answer = await come_back(browser, agree(address, provider))
    assert_refused(answer, 401, "did not confirm")


async def test_somebody_else_confirms_nothing(shop, browser, provider):
    await sign_in(browser, provider)
    await account_of(browser)
    provider.person = {**ANN, "sub": "mallory"}
    address = await begin_link(browser, what="confirm")
    answer = await come_back(browser, agree(address, provider))
    assert_refused(answer, 403, "somebody else")


async def test_where_nothing_is_configured_nothing_is_there(tmp_path):
    async with guarded(tmp_path) as shop:
        browser = shop.browser()
        assert (await browser.get("/auth/openid/x/start")).status_code == 404
        page = await browser.get("/auth/login", headers=HTML)
        assert "openid" not in page.text


async def test_the_pages_show_the_way(browser, provider):
    page = await browser.get("/auth/login?next=/a%26b", headers=HTML)
    assert 'href="/auth/openid/honest/start?next=/a%26b"' in page.text
    assert "Sign in with Honest" in page.text
    await sign_in(browser, provider)
    assert "/auth/openid" in (await browser.get("/auth/account", headers=HTML)).text
    page = await browser.get("/auth/openid?note=linked", headers=HTML)
    assert "Connected as ann@example.com" in page.text
