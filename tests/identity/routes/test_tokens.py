"""The addresses of tokens."""

import json
import shutil

import pytest
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD, gatehouse, visit
from tests.identity.tokens.programs import Key

from ringfence.errors import StoreError
from ringfence.identity.factors.refusals import CODE_WRONG
from ringfence.identity.factors.verify import SecondFactors
from ringfence.identity.tokens.settings import TokenSettings
from ringfence.stores.contracts import AccountRecord, Factor

pytestmark = pytest.mark.anyio

BASE = "http://127.0.0.1:8000"
ANN = {"email": EMAIL, "password": PASSWORD}
BOB = {"email": "bob@example.com", "password": "another long pass phrase"}
ON = TokenSettings(enabled=True)


@pytest.fixture
async def house(prepared, tmp_path, anyio_backend):
    """A gatehouse with tokens, and Ann's account."""
    shutil.copy(prepared, tmp_path)
    async with gatehouse(tmp_path, tokens=ON) as opened:
        yield opened


@pytest.fixture
async def program(house):
    """A program, at a place of its own."""
    async with house.client("203.0.113.7") as client:
        yield client


async def sign_in(client, who=ANN, **more):
    answer = await client.post("/auth/token", json=who | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(tokens):
    return {"authorization": f"Bearer {tokens['access_token']}"}


async def test_a_sign_in_answers_with_tokens(program):
    answer = await program.post("/auth/token", json=ANN)
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert set(told) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 600)


async def test_a_form_does_as_well(program):
    form = ANN | {"grant_type": "password"}
    assert (await program.post("/auth/token", data=form)).status_code == 200


async def test_off_they_are_not_there(prepared, tmp_path):
    shutil.copy(prepared, tmp_path)
    async with gatehouse(tmp_path) as house, house.client() as client:
        for path in ("token", "token/refresh", "token/revoke"):
            assert (await client.post(f"/auth/{path}", json=ANN)).status_code == 404
        answer = await client.get("/auth/login", headers={"authorization": "Bearer x"})
        assert answer.text == "identity.bearer_unsupported"


async def test_a_wrong_password_gets_what_it_gets_at_the_sign_in(program):
    wrong = ANN | {"password": "another long pass phrase"}
    for path in ("/auth/token", "/auth/login"):
        answer = await program.post(path, json=wrong)
        assert answer.status_code == 401
        assert answer.json()["code"] == "identity.sign_in_failed"


async def test_the_budgets_are_those_of_the_sign_in(program):
    """Trap 4: else a thief guesses here what cannot be guessed there."""
    wrong = ANN | {"password": "another long pass phrase"}
    for _ in range(5):
        await program.post("/auth/login", json=wrong)
        await program.post("/auth/token", json=wrong)
    for path in ("/auth/token", "/auth/login"):
        answer = await program.post(path, json=ANN)
        assert answer.json()["code"] == "identity.too_many_attempts"
        assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 401, "identity.sign_in_failed"),
        (ANN | {"extra": "x"}, 422, "identity.invalid_input"),
        (ANN | {"transport": "query"}, 422, "identity.invalid_input"),
        (ANN | {"grant_type": "client_credentials"}, 422, "identity.invalid_input"),
        (ANN | {"code": "123456"}, 422, "identity.invalid_input"),
        ({"code": "123456"}, 401, "identity.sign_in_failed"),
        ({"code": "123456", "pending": "x"}, 401, "identity.sign_in_failed"),
        ({"email": 7, "password": []}, 422, "identity.invalid_input"),
    ],
)
async def test_bad_input_is_told_so(program, body, status, code):
    answer = await program.post("/auth/token", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("path", ["token", "token/refresh", "token/revoke"])
@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"a=1&a=2", "application/x-www-form-urlencoded", 400),
        (b"{}", "text/plain", 415),
        (b"x" * 20_000, "application/json", 413),
        (b"\xff\xfe", "application/json", 400),
    ],
)
async def test_bodies_that_are_none_are_refused(program, path, content, kind, status):
    headers = {"content-type": kind}
    answer = await program.post(f"/auth/{path}", content=content, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"refresh_token": ""}, 400),
        ({"refresh_token": "rfr_x"}, 400),
        ({"refresh_token": "é" * 100}, 400),
        ({"refresh_token": "\ud800"}, 400),
        ({"refresh_token": 7}, 422),
        ({"refresh_token": "x", "grant_type": "password"}, 422),
        ({"refresh_token": "x", "transport": "cookie"}, 422),
        ({"transport": "cookie"}, 400),
    ],
)
async def test_a_refresh_token_that_is_none_is_refused(program, body, status):
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    answer = await program.post("/auth/token/refresh", content=content, headers=headers)
    assert answer.status_code == status
    if body.get("refresh_token", "x") and status == 400:
        assert answer.json()["code"] in {
            "identity.refresh_invalid",
            "identity.bad_json",
        }


async def test_a_refresh_answers_with_the_next_tokens(house, program):
    first = await sign_in(program)
    house.clock.now += 100
    body = {"refresh_token": first["refresh_token"], "grant_type": "refresh_token"}
    answer = await program.post("/auth/token/refresh", json=body)
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second["expires_in"] == 600
    assert second["refresh_token"] != first["refresh_token"]
    again = (await program.post("/auth/token/refresh", json=body)).json()
    assert again == second
    third = await program.post("/auth/token/refresh", json=body)
    assert (third.status_code, third.json()["error"]) == (409, "invalid_grant")


async def test_a_repeated_answer_says_how_long_it_lasts_now(house, program):
    first = await sign_in(program)
    body = {"refresh_token": first["refresh_token"]}
    await program.post("/auth/token/refresh", json=body)
    house.clock.now += 4
    again = (await program.post("/auth/token/refresh", json=body)).json()
    assert again["expires_in"] == 596


async def test_tokens_are_bound_at_the_counter(house, program):
    key = Key()
    address = f"{BASE}/auth/token"
    proof = key.proof("POST", address, house.clock())
    answer = await program.post("/auth/token", json=ANN, headers={"dpop": proof})
    tokens = answer.json()
    assert tokens["token_type"] == "DPoP"
    replayed = await program.post("/auth/token", json=ANN, headers={"dpop": proof})
    assert replayed.status_code == 400
    assert replayed.json()["error"] == "invalid_dpop_proof"
    body = {"refresh_token": tokens["refresh_token"]}
    answer = await program.post("/auth/token/refresh", json=body)
    assert answer.json()["error"] == "invalid_dpop_proof"
    proof = key.proof("POST", f"{address}/refresh", house.clock())
    answer = await program.post(
        "/auth/token/refresh", json=body, headers={"dpop": proof}
    )
    assert answer.json()["token_type"] == "DPoP"


async def test_a_client_is_told_the_nonce(house, program):
    key = Key()
    address = f"{BASE}/auth/token"
    proof = key.proof("POST", address, 5)
    answer = await program.post("/auth/token", json=ANN, headers={"dpop": proof})
    assert (answer.status_code, answer.json()["error"]) == (400, "use_dpop_nonce")
    proof = key.proof("POST", address, 5, nonce=answer.headers["dpop-nonce"])
    answer = await program.post("/auth/token", json=ANN, headers={"dpop": proof})
    assert answer.status_code == 200


async def test_a_wrong_password_keeps_no_proof(house, program):
    """CWE-770: else strangers fill the store."""
    key = Key()
    proof = key.proof("POST", f"{BASE}/auth/token", house.clock())
    wrong = ANN | {"password": "another long pass phrase"}
    for body, status in ((wrong, 401), (ANN, 200)):
        answer = await program.post("/auth/token", json=body, headers={"dpop": proof})
        assert answer.status_code == status
    noise = {"refresh_token": "rfr_" + "A" * 91}
    proof = key.proof("POST", f"{BASE}/auth/token/refresh", house.clock())
    for _ in range(2):
        answer = await program.post(
            "/auth/token/refresh", json=noise, headers={"dpop": proof}
        )
        assert answer.json()["code"] == "identity.refresh_invalid"


async def test_bound_tokens_go_into_no_cookie(house, program):
    proof = Key().proof("POST", f"{BASE}/auth/token", house.clock())
    body = ANN | {"transport": "cookie"}
    answer = await program.post("/auth/token", json=body, headers={"dpop": proof})
    assert answer.status_code == 422


async def test_cookies_are_out_of_reach_of_scripts(house, program):
    answer = await program.post("/auth/token", json=ANN | {"transport": "cookie"})
    assert set(answer.json()) == {"token_type", "expires_in", "csrf_token"}
    said = {
        line.partition("=")[0]: line.lower()
        for line in answer.headers.get_list("set-cookie")
    }
    for name in ("access-8000", "refresh-8000"):
        assert "; httponly" in said[name]
    assert "; path=/auth/token;" in said["refresh-8000"]
    assert "; samesite=strict" in said["refresh-8000"]
    refreshed = await program.post("/auth/token/refresh", json={"transport": "cookie"})
    assert set(refreshed.json()) == {"token_type", "expires_in", "csrf_token"}
    assert (await program.get("/auth/me")).status_code == 200


async def test_in_production_their_names_bind_them(prepared, tmp_path):
    shutil.copy(prepared, tmp_path)
    async with (
        gatehouse(tmp_path, development=False, tokens=ON) as house,
        house.client(base_url="https://shop.example") as client,
    ):
        answer = await client.post("/auth/token", json=ANN | {"transport": "cookie"})
        lines = answer.headers.get_list("set-cookie")
        access, refresh = (
            next(line for line in lines if line.startswith(name))
            for name in ("__Host-access=", "__Secure-refresh=")
        )
        assert "; Path=/;" in access
        assert "; Secure" in access
        assert "; Secure" in refresh
        assert (await client.get("/auth/me")).status_code == 200


async def test_a_browser_gives_its_session_up_for_tokens(house, program):
    await program.post("/auth/login", json=ANN)
    await program.post("/auth/token", json=ANN | {"transport": "cookie"})
    assert "session-8000" not in program.cookies
    assert await house.sessions.of(house.guard.exchanges[0].principal.id) == []
    assert (await program.get("/auth/me")).status_code == 200


async def test_and_its_tokens_for_a_session(house, program):
    await program.post("/auth/token", json=ANN | {"transport": "cookie"})
    await program.post("/auth/login", json=ANN)
    assert "access-8000" not in program.cookies
    assert (await program.get("/auth/tokens")).json() == []


async def test_signing_out_ends_the_tokens(house, program):
    await program.post("/auth/token", json=ANN | {"transport": "cookie"})
    cookies = dict(program.cookies)
    house.clock.now += 700  # expired meanwhile
    assert (await program.post("/auth/logout")).status_code == 204
    assert "access-8000" not in program.cookies
    async with house.client("203.0.113.7", cookies=cookies) as thief:
        answer = await thief.post("/auth/token/refresh", json={"transport": "cookie"})
        assert answer.status_code == 400
        assert "refresh-8000=; " in str(answer.headers)


async def test_a_confirmation_renews_tokens_in_cookies(house, program):
    await program.post("/auth/token", json=ANN | {"transport": "cookie"})
    stolen = dict(program.cookies)
    house.clock.now += 500
    answer = await program.post("/auth/confirm", json={"password": PASSWORD})
    assert answer.status_code == 200
    await program.get("/auth/me")
    assert house.guard.exchanges[-1].principal.signed_in_at == house.clock()
    async with house.client("203.0.113.7", cookies=stolen) as thief:
        assert (await thief.get("/auth/me")).status_code == 401


async def test_a_program_confirms_nothing(house, program):
    tokens = await sign_in(program)
    program.cookies.clear()
    body = {"password": PASSWORD}
    answer = await program.post("/auth/confirm", json=body, headers=bearer(tokens))
    assert answer.json()["code"] == "identity.session_required"


async def test_a_program_changes_the_password_and_gets_no_session(house, program):
    tokens = await sign_in(program)
    program.cookies.clear()
    body = {"current_password": PASSWORD, "new_password": "another long pass phrase"}
    answer = await program.post(
        "/auth/password/change", json=body, headers=bearer(tokens)
    )
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    answer = await program.get("/auth/me", headers=bearer(tokens))
    assert answer.text == "identity.token_revoked"


async def test_who_has_a_token_may_take_it_back(house, program):
    for kind in ("access_token", "refresh_token"):
        tokens = await sign_in(program)
        program.cookies.clear()
        body = {"token": tokens[kind], "token_type_hint": kind}
        answer = await program.post("/auth/token/revoke", json=body)
        assert (answer.status_code, answer.json()) == (200, {})
        answer = await program.get("/auth/me", headers=bearer(tokens))
        assert answer.text == "identity.token_revoked"
        body = {"refresh_token": tokens["refresh_token"]}
        answer = await program.post("/auth/token/refresh", json=body)
        assert answer.status_code == 400
    assert house.ledger.named(type(house.ledger.events[-1]))


@pytest.mark.parametrize("token", ["", "nonsense", "rfr_" + "A" * 91, "a.b.c"])
async def test_what_is_nobodys_is_as_good_as_taken_back(program, token):
    answer = await program.post("/auth/token/revoke", json={"token": token})
    assert answer.status_code == 200


async def test_an_expired_one_ends_nothing(house, program):
    """It lies in old logs, and opens nothing any more."""
    tokens = await sign_in(program)
    program.cookies.clear()
    house.clock.now += 600
    body = {"token": tokens["access_token"]}
    answer = await program.post("/auth/token/revoke", json=body)
    assert (answer.status_code, answer.json()) == (200, {})
    body = {"refresh_token": tokens["refresh_token"]}
    answer = await program.post("/auth/token/refresh", json=body)
    assert answer.status_code == 200


async def test_another_s_token_is_not_taken_back(house, program):
    await house.accounts.register(BOB["email"], BOB["password"], visit())
    tokens, bobs = await sign_in(program), await sign_in(program, BOB)
    program.cookies.clear()
    body = {"token": tokens["refresh_token"]}
    answer = await program.post("/auth/token/revoke", json=body, headers=bearer(bobs))
    assert answer.json()["code"] == "identity.not_your_token"
    answer = await program.get("/auth/me", headers=bearer(tokens))
    assert answer.status_code == 200


async def test_a_browser_takes_its_cookies_back(house, program):
    await program.post("/auth/token", json=ANN | {"transport": "cookie"})
    answer = await program.post("/auth/token/revoke", json={"transport": "cookie"})
    assert answer.status_code == 200
    assert {"access-8000", "refresh-8000"}.isdisjoint(program.cookies)


async def test_everything_from_before_now_is_taken_back(house, program):
    tokens = await sign_in(program)
    program.cookies.clear()
    async with house.client() as browser:
        await browser.post("/auth/login", json=ANN)
        assert (await browser.post("/auth/token/revoke-all")).status_code == 204
        assert (await browser.get("/auth/me")).status_code == 401
    answer = await program.get("/auth/me", headers=bearer(tokens))
    assert answer.text == "identity.token_revoked"


async def test_an_owner_sees_and_ends_what_is_signed_in(house, program):
    here, other = await sign_in(program), await sign_in(program)
    program.cookies.clear()
    listed = (await program.get("/auth/tokens", headers=bearer(here))).json()
    assert [one["current"] for one in listed].count(True) == 1
    assert listed[0]["device"] == "Python"
    shown = str(listed)
    assert "rfr_" not in shown
    assert other["access_token"] not in shown
    (foreign,) = (one["id"] for one in listed if not one["current"])
    path = f"/auth/tokens/{foreign}"
    assert (await program.delete(path, headers=bearer(here))).status_code == 204
    assert (await program.delete(path, headers=bearer(here))).status_code == 404
    assert (await program.get("/auth/me", headers=bearer(other))).status_code == 401
    assert (await program.get("/auth/me", headers=bearer(here))).status_code == 200
    answer = await program.delete("/auth/tokens", headers=bearer(here))
    assert answer.json() == {"ended": 1}
    assert (await program.get("/auth/me", headers=bearer(here))).status_code == 401


async def test_nobody_ends_what_is_another_s(house, program):
    """CWE-639: every access token names its family."""
    await house.accounts.register(BOB["email"], BOB["password"], visit())
    tokens, bobs = await sign_in(program), await sign_in(program, BOB)
    program.cookies.clear()
    (mine,) = (await program.get("/auth/tokens", headers=bearer(tokens))).json()
    path = f"/auth/tokens/{mine['id']}"
    assert (await program.delete(path, headers=bearer(bobs))).status_code == 404
    assert (await program.get("/auth/me", headers=bearer(tokens))).status_code == 200


async def test_the_page_of_the_account_shows_them(house, program):
    async with house.client() as browser:
        await sign_in(program)
        await browser.post("/auth/login", json=ANN)
        page = (await browser.get("/auth/account", headers=HTML)).text
        assert "Programs that are signed in" in page
        answer = await browser.get("/auth/tokens", headers=HTML)
        assert answer.headers["location"] == "/auth/account#tokens"
        (one,) = (await browser.get("/auth/tokens")).json()
        path = f"/auth/tokens/{one['id']}/end"
        answer = await browser.post(path, data={}, headers=HTML)
        assert answer.headers["location"] == "/auth/account?note=ended"
        assert (await browser.post(path, json={})).status_code == 404
        page = (await browser.get("/auth/account", headers=HTML)).text
        assert "Programs that are signed in" not in page


async def test_no_get_answers_with_a_token(house, program):
    """CVE-2021-21241."""
    await program.post("/auth/token", json=ANN | {"transport": "cookie"})
    for route in house.identity.routes:
        if "GET" in (route.methods or ()) and "{" not in route.path:
            text = (await program.get(route.path)).text
            assert "rfr_" not in text
            assert program.cookies["access-8000"] not in text


async def test_a_second_factor_is_asked_for(house, program, monkeypatch):
    """RFC 6238 beside the password; the right code gives tokens once."""
    owed = await owing(house, monkeypatch)
    answer = await program.post("/auth/token", json=ANN)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (
        401,
        "identity.second_factor_required",
    )
    assert told["factors"] == ["totp"]
    body = {"pending": told["pending"], "code": "000000"}
    answer = await program.post("/auth/token", json=body)
    assert answer.status_code in {401, 403}
    body["code"] = owed
    answer = await program.post("/auth/token", json=body)
    assert answer.status_code == 200, answer.text
    program.cookies.clear()
    tokens = answer.json()
    me = (await program.get("/auth/me", headers=bearer(tokens))).json()
    assert me["factors"] == ["password", "totp"]
    answer = await program.post("/auth/token", json=body)
    assert answer.status_code == 401


async def owing(house, monkeypatch):
    """Have Ann owe a code; return the right one."""
    ann: AccountRecord = await house.accounts.by_email(EMAIL)
    factor = Factor("totp", b"t" * 16, ann.id, b"sealed", 0, "Telephone", 1.0)
    assert await house.identity._stores.factors.add(factor, epoch=ann.epoch)

    async def prove(self, account, code, exchange, **_):
        return "totp" if code == "123456" else CODE_WRONG

    monkeypatch.setattr(SecondFactors, "prove", prove)
    return "123456"


async def test_a_browser_that_owes_one_keeps_the_first_half(
    house, program, monkeypatch
):
    code = await owing(house, monkeypatch)
    answer = await program.post("/auth/token", json=ANN | {"transport": "cookie"})
    assert answer.status_code == 401
    assert "pending-8000" in program.cookies
    body = {"code": code, "transport": "cookie"}
    assert (await program.post("/auth/token", json=body)).status_code == 200
    assert "pending-8000" not in program.cookies
    assert (await program.get("/auth/me")).status_code == 200


@pytest.mark.parametrize("broken", ["grants.rotate", "grants.find", "replays.first"])
async def test_a_store_that_is_down_is_a_503(house, program, monkeypatch, broken):
    key = Key()
    proof = key.proof("POST", f"{BASE}/auth/token", house.clock())
    answer = await program.post("/auth/token", json=ANN, headers={"dpop": proof})
    tokens = answer.json()

    async def fails(*_, **__):
        raise StoreError("down")

    shelf, _, name = broken.partition(".")
    monkeypatch.setattr(getattr(house.identity._stores, shelf), name, fails)
    proof = key.proof("POST", f"{BASE}/auth/token/refresh", house.clock())
    body = {"refresh_token": tokens["refresh_token"]}
    answer = await program.post(
        "/auth/token/refresh", json=body, headers={"dpop": proof}
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "identity.unavailable")
    monkeypatch.undo()
    proof = key.proof("POST", f"{BASE}/auth/token/refresh", house.clock())
    answer = await program.post(
        "/auth/token/refresh", json=body, headers={"dpop": proof}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["token/revoke-all", "tokens/x/end"])
async def test_bodies_of_those_signed_in_are_read_strictly(program, path):
    tokens = await sign_in(program)
    program.cookies.clear()
    body = {"extra": "x"}
    answer = await program.post(f"/auth/{path}", json=body, headers=bearer(tokens))
    assert answer.status_code == 422


async def test_a_browser_ends_its_own_tokens(house, program):
    for path in ("/auth/tokens", "/auth/tokens/{}"):
        await program.post("/auth/token", json=ANN | {"transport": "cookie"})
        (one,) = (await program.get("/auth/tokens")).json()
        assert (await program.delete(path.format(one["id"]))).status_code < 300
        assert "access-8000" not in program.cookies


async def test_of_two_refresh_cookies_neither_is_taken(program):
    headers = {"cookie": "refresh-8000=a; refresh-8000=b"}
    for path in ("token/refresh", "token/revoke"):
        answer = await program.post(
            f"/auth/{path}", json={"transport": "cookie"}, headers=headers
        )
        assert answer.json()["code"] == "identity.ambiguous_cookie"


async def test_a_refresh_cookie_that_was_planted_signs_nobody_in(house, program):
    """Its name does not keep sibling domains from setting it; the other's does."""
    await house.accounts.register(BOB["email"], BOB["password"], visit())
    bobs = await sign_in(program, BOB)
    planted = f"refresh-8000={bobs['refresh_token']}"
    body = {"transport": "cookie"}
    own = (await sign_in(program))["access_token"]
    for cookie in (planted, f"{planted}; access-8000={own}"):
        program.cookies.clear()
        answer = await program.post(
            "/auth/token/refresh", json=body, headers={"cookie": cookie}
        )
        assert answer.json()["code"] == "identity.refresh_invalid"
    gone = f"{planted}; access-8000=of.another.key"
    program.cookies.clear()
    answer = await program.post(
        "/auth/token/refresh", json=body, headers={"cookie": gone}
    )
    assert answer.status_code == 200


async def test_programs_end_a_family_as_a_form_does(house, program):
    tokens = await sign_in(program)
    program.cookies.clear()
    (one,) = (await program.get("/auth/tokens", headers=bearer(tokens))).json()
    path = f"/auth/tokens/{one['id']}/end"
    answer = await program.post(path, json={}, headers=bearer(tokens))
    assert answer.status_code == 204
