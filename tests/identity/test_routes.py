"""The addresses under /auth, as programs use them."""

import asyncio
import threading
from contextlib import asynccontextmanager

import httpx2
import pytest
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD, gatehouse, visit

from ringfence.audit.events import SessionsEnded, SignedIn, SignedOut
from ringfence.errors import OutsideRequestError
from ringfence.identity.passwords.pool import HashingPool

pytestmark = pytest.mark.anyio

BODY = {"email": EMAIL, "password": PASSWORD}
NEW = "another long one"
COOKIE = "session-8000"


@asynccontextmanager
async def signed_in(house, **options):
    """Another browser of Ann's."""
    async with house.client(**options) as client:
        answer = await client.post("/auth/login", json=BODY)
        assert answer.status_code == 200
        yield client


def set_cookies(answer):
    """Return the cookies of sessions; the one of the device stands beside them."""
    cookies = answer.headers.get_list("set-cookie")
    return [cookie for cookie in cookies if "session" in cookie.partition("=")[0]]


async def test_every_route_says_who_may_use_it(house):
    access = {
        (method, route.path): route.identity_access
        for route in house.identity.routes
        for method in route.methods - {"HEAD"}
    }
    assert access == {
        ("GET", "/auth/register"): "public",
        ("POST", "/auth/register"): "public",
        ("GET", "/auth/login"): "public",
        ("POST", "/auth/login"): "public",
        ("POST", "/auth/logout"): "public",
        ("GET", "/auth/confirm"): "signed_in",
        ("POST", "/auth/confirm"): "signed_in",
        ("GET", "/auth/me"): "any_scope",
        ("GET", "/auth/account"): "signed_in",
        ("POST", "/auth/password/change"): "signed_in",
        ("GET", "/auth/password/forgot"): "public",
        ("POST", "/auth/password/forgot"): "public",
        ("GET", "/auth/password/reset"): "public",
        ("POST", "/auth/password/reset"): "public",
        ("GET", "/auth/passkeys"): "signed_in",
        ("POST", "/auth/passkeys/register/options"): "fresh",
        ("POST", "/auth/passkeys/register"): "fresh",
        ("POST", "/auth/passkeys/login/options"): "public",
        ("POST", "/auth/passkeys/login"): "public",
        ("POST", "/auth/passkeys/verify/options"): "public",
        ("POST", "/auth/passkeys/verify"): "public",
        ("POST", "/auth/passkeys/{id}/rename"): "signed_in",
        ("POST", "/auth/passkeys/{id}/remove"): "fresh",
        ("GET", "/auth/assets/passkeys.js"): "public",
        ("GET", "/auth/sessions"): "signed_in",
        ("DELETE", "/auth/sessions"): "signed_in",
        ("DELETE", "/auth/sessions/{id}"): "signed_in",
        ("POST", "/auth/sessions/end"): "signed_in",
        ("POST", "/auth/sessions/{id}/end"): "signed_in",
        ("GET", "/auth/assets/ringfence.css"): "public",
        ("GET", "/auth/assets/password.js"): "public",
        ("GET", "/auth/assets/letter_code.js"): "public",
        ("GET", "/auth/assets/ringfence.js"): "public",
        ("GET", "/auth/assets/step-up.css"): "public",
        ("GET", "/auth/assets/print.js"): "public",
        ("GET", "/auth/recovery-codes"): "fresh",
        ("POST", "/auth/recovery-codes"): "fresh",
        ("POST", "/auth/recovery-codes/file"): "signed_in",
        ("GET", "/auth/second-factor"): "public",
        ("POST", "/auth/totp/confirm"): "fresh",
        ("GET", "/auth/totp/enrol"): "fresh",
        ("POST", "/auth/totp/enrol"): "fresh",
        ("GET", "/auth/totp/remove"): "fresh",
        ("POST", "/auth/totp/remove"): "fresh",
        ("POST", "/auth/totp/verify"): "public",
        ("GET", "/auth/two-step"): "signed_in",
    }


async def test_signing_in_answers_who_one_is(house, browser):
    answer = await browser.post("/auth/login", json=BODY)
    assert answer.status_code == 200
    said = answer.json()
    assert set(said) == {"id", "email", "roles", "tenant", "factors", "csrf_token"}
    assert (said["email"], said["roles"], said["factors"]) == (EMAIL, [], ["password"])
    (cookie,) = set_cookies(answer)
    assert cookie.startswith(f"{COOKIE}=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")
    (event,) = house.ledger.named(SignedIn)
    assert (event.account, event.client) == (said["id"], "127.0.0.1")


async def test_me_answers_the_same(ann):
    said = (await ann.get("/auth/me")).json()
    assert (said["email"], said["roles"], said["factors"]) == (EMAIL, [], ["password"])
    assert said["csrf_token"]


async def test_signing_in_and_me_say_the_tenant(house, ann, browser):
    """Of now; who asked with the sign-in is in it from the first request on."""
    said = (await ann.get("/auth/me")).json()
    assert said["tenant"] == ""
    await house.accounts.set_tenant(said["id"], "acme")
    assert (await ann.get("/auth/me")).json()["tenant"] == "acme"
    again = await browser.post("/auth/login", json=BODY)
    assert again.json()["tenant"] == "acme"
    assert house.guard.exchanges[-1].principal.tenant == "acme"


async def test_the_token_for_forms_belongs_to_the_new_session(house, browser):
    """The answer to a sign-in carries the token of the session that it opened, not of
    the one that the browser came with."""
    for _ in range(2):
        answer = await browser.post("/auth/login", json=BODY)
        (session,) = (await browser.get("/auth/sessions")).json()
        assert answer.json()["csrf_token"] == session["id"][:8]
    answer = await browser.post(
        "/auth/password/change",
        json={"current_password": PASSWORD, "new_password": NEW},
    )
    (session,) = (await browser.get("/auth/sessions")).json()
    assert answer.json()["csrf_token"] == session["id"][:8]


async def test_no_get_ever_answers_a_session_token(house, ann):
    """CVE-2021-21241: an authentication token in the answer to a plain GET."""
    token = ann.cookies[COOKIE]
    for path in ("me", "sessions", "account", "login", "register"):
        answer = await ann.get(f"/auth/{path}")
        assert token not in answer.text
        assert set_cookies(answer) == []


@pytest.mark.parametrize(
    "sent",
    [
        {"email": EMAIL, "password": "wrong password"},
        {"email": "nobody@example.com", "password": PASSWORD},
        {"email": "no address", "password": ""},
    ],
)
async def test_failed_sign_ins_are_all_alike(house, browser, sent):
    answer = await browser.post("/auth/login", json=sent)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"]
    said = answer.json()
    assert set(said) == {"type", "title", "status", "detail", "code", "request_id"}
    assert said["code"] == "identity.sign_in_failed"
    assert said["status"] == 401
    assert said["request_id"] == "r-0"
    assert (
        said["detail"] == "The e-mail address and the password do not fit each other."
    )
    assert set_cookies(answer) == []


async def test_a_disabled_account_answers_as_a_wrong_password(house, browser):
    (account,) = await house.accounts.page()
    await house.accounts._store.set_disabled(account.id, disabled=True)
    right = await browser.post("/auth/login", json=BODY)
    wrong = await browser.post("/auth/login", json=BODY | {"password": "wrong one"})
    assert right.status_code == wrong.status_code == 401
    ids = {answer.json().pop("request_id") for answer in (right, wrong)}
    assert len(ids) == 2
    strip = [{**a.json(), "request_id": ""} for a in (right, wrong)]
    assert strip[0] == strip[1]
    assert right.headers == wrong.headers


async def test_a_failed_sign_in_leaves_the_session_alone(house, ann):
    answer = await ann.post("/auth/login", json=BODY | {"password": "wrong one"})
    assert answer.status_code == 401
    assert (await ann.get("/auth/me")).status_code == 200


async def test_registration_answers_alike_for_known_addresses(browser):
    answers = [
        await browser.post("/auth/register", json={"email": email, "password": NEW})
        for email in ("fresh@example.com", EMAIL)
    ]
    fresh, known = answers
    assert fresh.status_code == known.status_code == 202
    assert fresh.content == known.content
    assert fresh.headers == known.headers
    assert (await browser.get("/auth/me")).status_code == 401  # and signs nobody in


async def test_fifty_parallel_registrations_over_http(house):
    sent = {"email": "new@example.com", "password": NEW}
    places = [f"203.0.113.{number}" for number in range(50)]
    answers = await asyncio.gather(
        *(house.client(place).post("/auth/register", json=sent) for place in places)
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len(await house.accounts.page()) == 2


@pytest.mark.parametrize("field", [{"roles": ["admin"]}, {"tenant": "acme"}])
async def test_registration_takes_no_role_and_no_tenant(house, browser, field):
    """Mass assignment (CWE-915): a field too many is refused, not ignored."""
    sent = {"email": "x@example.com", "password": NEW} | field
    answer = await browser.post("/auth/register", json=sent)
    (name,) = field
    assert answer.status_code == 422
    assert answer.json()["detail"] == f"{name}: This field is not known here."
    assert answer.json()["errors"] == [
        {"field": name, "message": "This field is not known here."}
    ]
    assert len(await house.accounts.page()) == 1


async def test_registration_can_be_switched_off(tmp_path):
    async with (
        gatehouse(tmp_path, registration=False) as house,
        house.client() as client,
    ):
        assert (await client.post("/auth/register", json=BODY)).status_code == 404
        html = {"accept": "text/html"}
        assert (await client.get("/auth/register", headers=html)).status_code == 404
        page = await client.get("/auth/login", headers=html)
        assert "register" not in page.text


async def test_signing_out_ends_the_session_on_the_server(house, ann):
    token = ann.cookies[COOKIE]
    answer = await ann.post("/auth/logout")
    assert answer.status_code == 204
    (cookie,) = set_cookies(answer)
    assert cookie == f"{COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    # Not "cookies": the one that makes a device known must stay (trap 16).
    assert answer.headers["clear-site-data"] == '"cache"'
    assert len(house.ledger.named(SignedOut)) == 1
    async with house.client(cookies={COOKIE: token}) as thief:
        assert (await thief.get("/auth/me")).status_code == 401


async def test_signing_out_twice_is_no_error(house, ann):
    assert (await ann.post("/auth/logout", json={})).status_code == 204
    assert (await ann.post("/auth/logout")).status_code == 204
    assert len(house.ledger.named(SignedOut)) == 1


async def test_a_browser_finds_its_sessions_on_the_account_page(ann):
    answer = await ann.get("/auth/sessions", headers=HTML)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/auth/account#sessions"


async def test_sessions_are_listed_without_tokens(house, ann):
    agent = {"user-agent": "Mozilla/5.0 (iPhone) Safari/604.1"}
    house.clock.now += 60
    async with signed_in(house, headers=agent):
        listed = (await ann.get("/auth/sessions")).json()
    assert [set(entry) for entry in listed] == [
        {"id", "created", "last_seen", "address", "device", "current", "moved"}
    ] * 2
    assert [entry["current"] for entry in listed] == [False, True]
    assert listed[0]["device"] == "Safari on iPhone"
    assert listed[0]["address"] == "127.0.0.1"
    assert listed[0]["created"] == "1970-01-12T13:47:40Z"


async def test_expired_sessions_are_not_listed(house):
    async with signed_in(house):
        house.clock.now += 3600
        async with signed_in(house) as ann:
            assert len((await ann.get("/auth/sessions")).json()) == 1


async def test_ending_one_session(house, ann):
    async with signed_in(house) as other:
        listed = (await ann.get("/auth/sessions")).json()
        (there,) = [entry for entry in listed if not entry["current"]]
        answer = await ann.delete(f"/auth/sessions/{there['id']}")
        assert answer.status_code == 204
        assert set_cookies(answer) == []
        assert "clear-site-data" not in answer.headers
        assert (await other.get("/auth/me")).status_code == 401
        assert (await ann.get("/auth/me")).status_code == 200
    again = await ann.delete(f"/auth/sessions/{there['id']}")
    assert (again.status_code, again.json()["code"]) == (
        404,
        "identity.no_such_session",
    )
    (event,) = house.ledger.named(SessionsEnded)
    assert event.count == 1


async def test_ending_the_session_at_hand_ends_its_cookie(house, ann):
    (here,) = (await ann.get("/auth/sessions")).json()
    answer = await ann.delete(f"/auth/sessions/{here['id']}")
    assert answer.status_code == 204
    assert "Max-Age=0" in set_cookies(answer)[0]
    assert answer.headers["clear-site-data"] == '"cache"'


async def test_another_persons_session_cannot_be_ended(house, ann):
    """404, as for one that is not there (CWE-639)."""
    await house.accounts.register("bob@example.com", NEW, visit())
    async with house.client() as bob:
        sent = {"email": "bob@example.com", "password": NEW}
        await bob.post("/auth/login", json=sent)
        (bobs,) = (await bob.get("/auth/sessions")).json()
        answer = await ann.delete(f"/auth/sessions/{bobs['id']}")
        assert answer.status_code == 404
        assert (await bob.get("/auth/me")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/auth/sessions"), ("POST", "/auth/sessions/end")],
)
async def test_ending_all_others_and_all(house, ann, method, path):
    def keeping(keep):
        if method == "DELETE":
            return {"params": {"keep": keep} if keep else {}}
        return {"json": {"keep": keep} if keep else {}}

    async with signed_in(house) as one, signed_in(house) as two:
        answer = await ann.request(method, path, **keeping("current"))
        assert (answer.status_code, answer.json()) == (200, {"ended": 2})
        for other in (one, two):
            assert (await other.get("/auth/me")).status_code == 401
    assert (await ann.get("/auth/me")).status_code == 200
    odd = await ann.request(method, path, **keeping("none"))
    assert odd.status_code == 422
    answer = await ann.request(method, path, **keeping(""))
    assert (answer.status_code, answer.json()) == (200, {"ended": 1})
    assert "Max-Age=0" in set_cookies(answer)[0]
    assert answer.headers["clear-site-data"] == '"cache"'
    assert (await ann.get("/auth/me")).status_code == 401


async def test_a_change_of_password_ends_every_other_session(house, ann):
    """ASVS 5.0 V7.4.3; the session at hand goes on under a new token."""
    before = ann.cookies[COOKIE]
    async with signed_in(house) as other:
        answer = await ann.post(
            "/auth/password/change",
            json={"current_password": PASSWORD, "new_password": NEW},
        )
        assert answer.status_code == 200
        assert ann.cookies[COOKIE] != before
        assert (await ann.get("/auth/me")).status_code == 200
        assert (await other.get("/auth/me")).status_code == 401
    async with house.client(cookies={COOKIE: before}) as thief:
        assert (await thief.get("/auth/me")).status_code == 401
    assert len((await ann.get("/auth/sessions")).json()) == 1


async def test_a_refused_change_of_password_changes_nothing(house, ann):
    async with signed_in(house) as other:
        answer = await ann.post(
            "/auth/password/change",
            json={"current_password": "wrong one", "new_password": NEW},
        )
        assert (answer.status_code, answer.json()["code"]) == (
            403,
            "identity.password_wrong",
        )
        assert (await other.get("/auth/me")).status_code == 200
        assert (await ann.get("/auth/me")).status_code == 200


async def test_a_change_of_password_needs_a_session(browser):
    answer = await browser.post(
        "/auth/password/change",
        json={"current_password": PASSWORD, "new_password": NEW},
    )
    assert answer.status_code == 401


async def test_an_expired_cookie_does_not_end_the_new_session(house, ann):
    """The answer to a sign-in with a stale cookie sets one cookie, the fresh one."""
    house.clock.now += 3600
    answer = await ann.post("/auth/login", json=BODY)
    (cookie,) = set_cookies(answer)
    assert "Max-Age" not in cookie
    assert (await ann.get("/auth/me")).status_code == 200


async def test_nothing_of_identity_is_cached(house, ann):
    for path in ("me", "sessions", "account", "login", "register"):
        answer = await ann.get(f"/auth/{path}")
        assert answer.headers["cache-control"] == "no-store", path
    for answer in (
        await ann.post("/auth/login", json=BODY),
        await ann.post("/auth/login", json={}),
        await ann.delete("/auth/sessions/none"),
        await ann.post("/auth/logout"),
    ):
        assert answer.headers["cache-control"] == "no-store"


async def test_a_body_that_is_too_large_is_refused(browser):
    answer = await browser.post("/auth/login", json=BODY | {"password": "x" * 20_000})
    assert (answer.status_code, answer.json()["code"]) == (
        413,
        "identity.body_too_large",
    )


async def test_a_stream_is_cut_while_it_arrives(browser):
    """Without a length, and without reading to its end."""
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 4096

    headers = {"content-type": "application/json"}
    answer = await browser.post("/auth/login", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert sent < 20


async def test_bad_types_and_bad_json_are_told_apart(browser):
    text = await browser.post(
        "/auth/login", content=b"{}", headers={"content-type": "text/plain"}
    )
    assert (text.status_code, text.json()["code"]) == (
        415,
        "identity.wrong_content_type",
    )
    bad = await browser.post(
        "/auth/login", content=b"{", headers={"content-type": "application/json"}
    )
    assert (bad.status_code, bad.json()["code"]) == (400, "identity.bad_json")


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login"])
async def test_a_full_queue_answers_503_with_retry_after(tmp_path, path, monkeypatch):
    begin, run = threading.Event(), HashingPool.run

    def held(pool, work, **options):
        return run(pool, lambda: (begin.wait(30), work())[1], **options)

    monkeypatch.setattr(HashingPool, "run", held)
    async with (
        gatehouse(tmp_path, hash_threads=1, hash_queue=1) as house,
        house.client() as client,
    ):
        bodies = [{**BODY, "email": f"ann-{n}@example.com"} for n in range(8)]
        asked = [asyncio.create_task(client.post(path, json=body)) for body in bodies]
        coming = asyncio.as_completed(asked)
        busy = [await next(coming) for _ in range(6)]
        begin.set()
        served = await asyncio.gather(*asked)
    assert [answer.status_code for answer in busy] == [503] * 6
    assert sum(answer.status_code == 503 for answer in served) == 6
    assert {answer.json()["code"] for answer in busy} == {"identity.unavailable"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in busy)


async def test_a_lost_database_answers_503_and_tells_nothing(house, browser):
    await house.identity._stores.stop()
    for path in ("/auth/register", "/auth/login"):
        answer = await browser.post(path, json=BODY)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert str(house.database) not in answer.text


async def test_the_routes_refuse_to_run_without_a_guard(house):
    transport = httpx2.ASGITransport(house.identity.app, raise_app_exceptions=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as bare:
        with pytest.raises(OutsideRequestError):
            await bare.post("/auth/login", json=BODY)


async def test_production_sets_the_host_cookie(tmp_path):
    async with gatehouse(tmp_path, development=False) as house:
        await house.accounts.register(EMAIL, PASSWORD, visit())
        async with house.client(base_url="https://shop.example") as client:
            answer = await client.post("/auth/login", json=BODY)
            (cookie,) = set_cookies(answer)
            assert cookie.startswith("__Host-session=")
            assert cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax")
            assert (await client.get("/auth/me")).status_code == 200


async def test_a_signed_in_account_that_is_removed_is_out(house, ann):
    await house.accounts.remove(EMAIL)
    assert (await ann.get("/auth/me")).status_code == 401


async def test_an_account_that_goes_while_it_is_asked_about(house, ann, monkeypatch):
    """Removed between the session stage and the handler."""

    async def gone(account_id):
        return None

    monkeypatch.setattr(house.accounts, "by_id", gone)
    for path in ("/auth/me", "/auth/account"):
        assert (await ann.get(path)).status_code == 401


@pytest.mark.parametrize("path", ["/auth/login", "/auth/password/change"])
async def test_an_overtaken_sign_in_is_refused(house, ann, monkeypatch, path):
    """Another change of password wins while this request is on its way."""

    async def overtaken(session, *, epoch, replaces):
        return False

    monkeypatch.setattr(house.sessions._store, "add", overtaken)
    change = {"current_password": PASSWORD, "new_password": NEW}
    answer = await ann.post(path, json=BODY if path == "/auth/login" else change)
    assert answer.status_code == 401
    assert set_cookies(answer) == []


@pytest.mark.parametrize(
    "path",
    [
        "/auth/logout",
        "/auth/password/change",
        "/auth/sessions/end",
        "/auth/sessions/none/end",
    ],
)
async def test_every_form_refuses_what_it_does_not_know(ann, path):
    answer = await ann.post(path, json={"unknown": "1"})
    assert answer.status_code == 422
    assert (await ann.get("/auth/me")).status_code == 200


async def test_the_form_twin_answers_programs_too(house, ann):
    async with signed_in(house) as other:
        listed = (await ann.get("/auth/sessions")).json()
        (there,) = [entry["id"] for entry in listed if not entry["current"]]
        answer = await ann.post(f"/auth/sessions/{there}/end")
        assert answer.status_code == 204
        assert (await other.get("/auth/me")).status_code == 401


@pytest.mark.parametrize(
    ("path", "kind"),
    [("ringfence.css", "text/css"), ("password.js", "text/javascript")],
)
async def test_what_pages_load_is_kept_by_browsers(browser, path, kind):
    """And is what it says it is: under nosniff another type would not run."""
    answer = await browser.get(f"/auth/assets/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert "immutable" in answer.headers["cache-control"]
