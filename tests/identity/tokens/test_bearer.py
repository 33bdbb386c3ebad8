"""Who sends a request that carries a token."""

import asyncio
import shutil
from dataclasses import replace

import pytest
from tests.identity.gatehouse import EMAIL, PASSWORD, gatehouse
from tests.identity.tokens.programs import Key

from ringfence.errors import StoreError
from ringfence.identity.cause import Cause
from ringfence.identity.tokens.bearer import Shown
from ringfence.identity.tokens.refusals import TOKEN_EXPIRED
from ringfence.identity.tokens.settings import TokenSettings
from ringfence.principal import Principal
from ringfence.stores.contracts import Reply, Told, Verdict

pytestmark = pytest.mark.anyio

BASE = "http://127.0.0.1:8000"
ANN = {"email": EMAIL, "password": PASSWORD}


@pytest.fixture
async def house(prepared, tmp_path, anyio_backend):
    """A gatehouse with tokens, and Ann's account."""
    shutil.copy(prepared, tmp_path)
    async with gatehouse(tmp_path, tokens=TokenSettings(enabled=True)) as opened:
        yield opened


@pytest.fixture
async def program(house):
    """A client without a cookie jar's memory."""
    async with house.client() as client:
        yield client


async def tokens_of(client, key=None, **more):
    """Sign in for tokens, and keep no cookie of it."""
    headers = {}
    if key is not None:
        headers["dpop"] = key.proof("POST", f"{BASE}/auth/token", 1_000_000)
    answer = await client.post("/auth/token", json=ANN | more, headers=headers)
    assert answer.status_code == 200, answer.text
    client.cookies.clear()
    return answer.json()


def bearer(tokens, scheme="Bearer"):
    return {"authorization": f"{scheme} {tokens['access_token']}"}


def bound(house, tokens, key, path="/auth/me", method="GET", **changes):
    token = tokens["access_token"]
    proof = key.proof(method, f"{BASE}{path}", house.clock(), token, **changes)
    return {**bearer(tokens, "DPoP"), "dpop": proof}


def last(house):
    return house.guard.exchanges[-1]


async def test_a_token_says_who_is_there(house, program):
    tokens = await tokens_of(program)
    answer = await program.get("/auth/me", headers=bearer(tokens))
    assert answer.json()["email"] == EMAIL
    principal = last(house).principal
    assert principal.credential == "token"
    assert principal.factors == {"password"}
    assert principal.signed_in_at == house.clock()
    assert last(house).credential == "bearer"
    assert last(house).session is None
    assert answer.json()["csrf_token"] == ""  # a header is no cookie: nothing to forge


async def test_the_scheme_may_be_written_as_one_likes(program):
    tokens = await tokens_of(program)
    for scheme in ("bearer", "BEARER"):
        answer = await program.get("/auth/me", headers=bearer(tokens, scheme))
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "identity.token_invalid"),
        ("Bearer", "identity.token_invalid"),
        ("Bearer ", "identity.token_invalid"),
        ("Bearer  a", "identity.token_invalid"),
        ("Bearer a b", "identity.token_invalid"),
        ("Bearer a, Bearer b", "identity.token_invalid"),
        ("Bearer\ta", "identity.token_invalid"),
        ("Bearer é", "identity.token_invalid"),
        ("Bearer a.b.c", "identity.token_invalid"),
        ("Bearer " + "a" * 100_000, "identity.token_invalid"),
        ("Basic YTpi", "identity.scheme_unknown"),
        ("Bearer rfk_whatever", "identity.bearer_unsupported"),
        ("DPoP a.b.c", "identity.token_invalid"),
    ],
)
async def test_a_header_that_is_no_good_is_refused(house, header, code):
    """RFC 6750, section 3.1; never taken for nobody's."""
    async with house.client() as client:
        answer = await client.get(
            "/auth/login", headers={"authorization": header.encode()}
        )
        assert answer.status_code == 401
        assert answer.text == code


async def test_it_expires(house, program):
    tokens = await tokens_of(program)
    house.clock.now += 600
    answer = await program.get("/auth/me", headers=bearer(tokens))
    assert answer.text == "identity.token_expired"


async def test_it_is_never_read_from_the_query(program):
    tokens = await tokens_of(program)
    query = {"access_token": tokens["access_token"]}
    answer = await program.get("/auth/me", params=query)
    assert answer.text == "access.not_signed_in"


@pytest.mark.parametrize(
    "end", ["password", "roles", "tenant", "disabled", "epoch", "family"]
)
async def test_what_was_taken_back_opens_nothing(house, program, end):
    """On the next use, though its signature was found good before."""
    tokens = await tokens_of(program)
    headers = bearer(tokens)
    assert (await program.get("/auth/me", headers=headers)).status_code == 200
    accounts, ann = house.accounts._store, last(house).principal.id
    family = last(house).token.sid
    await {
        "password": lambda: accounts.set_password(ann, "new", epoch=0),
        "roles": lambda: accounts.set_roles(ann, frozenset({"clerk"})),
        "tenant": lambda: accounts.set_tenant(ann, "acme"),
        "disabled": lambda: accounts.set_disabled(ann, disabled=True),
        "epoch": lambda: accounts.raise_epoch(ann),
        "family": lambda: program.delete(f"/auth/tokens/{family}", headers=headers),
    }[end]()
    answer = await program.get("/auth/me", headers=headers)
    assert (answer.status_code, answer.text) == (401, "identity.token_revoked")


async def test_a_store_that_is_down_lets_nobody_in(house, program, monkeypatch):
    tokens = await tokens_of(program)

    async def fails(*_):
        raise StoreError("down")

    revocations = house.sessions._credentials._tokens.revocations
    monkeypatch.setattr(revocations, "standing", fails)
    monkeypatch.setattr(revocations, "recall", lambda *_: None)
    answer = await program.get("/auth/me", headers=bearer(tokens))
    assert (answer.status_code, answer.text) == (503, "identity.unavailable")


async def test_exactly_one_credential(house, program):
    """Trap 11: else a server and a proxy each believe another one."""
    tokens = await tokens_of(program)
    access = f"access-8000={tokens['access_token']}"
    async with house.client() as browser:
        await browser.post("/auth/login", json=ANN)
        session = f"session-8000={browser.cookies['session-8000']}"
    for headers in (
        {**bearer(tokens), "cookie": session},
        {**bearer(tokens), "cookie": access},
        {"cookie": f"{session}; {access}"},
        {"authorization": "Bearer rfk_x", "cookie": session},
        {"authorization": "Basic x", "cookie": session},
        {"cookie": f"{access}; access-8000=another"},
    ):
        for _ in range(2):  # what is remembered of cookies must not let it in later
            answer = await program.get("/auth/me", headers=headers)
            assert answer.status_code == 400, headers
            program.cookies.clear()
    for headers in ({"cookie": session}, {"cookie": access}, bearer(tokens)):
        assert (await program.get("/auth/me", headers=headers)).status_code == 200


async def test_a_session_seen_before_does_not_hide_a_second_credential(house):
    tokens = None
    async with house.client() as browser:
        tokens = await tokens_of(browser)
        await browser.post("/auth/login", json=ANN)
        assert (await browser.get("/auth/me")).status_code == 200
        answer = await browser.get("/auth/me", headers=bearer(tokens))
        assert (answer.status_code, answer.text) == (400, "identity.two_credentials")


async def test_a_bound_token_wants_a_proof(house, program):
    key, other = Key(), Key()
    tokens = await tokens_of(program, key)
    assert tokens["token_type"] == "DPoP"
    good = bound(house, tokens, key)
    assert (await program.get("/auth/me", headers=good)).status_code == 200
    for headers, code in (
        (good, "identity.dpop_invalid"),  # replayed
        (bearer(tokens), "identity.dpop_required"),  # a downgrade
        (bearer(tokens, "DPoP"), "identity.dpop_invalid"),
        (bound(house, tokens, other), "identity.token_invalid"),
        (bound(house, tokens, key, path="/auth/tokens"), "identity.dpop_invalid"),
        (bound(house, tokens, key, method="POST"), "identity.dpop_invalid"),
        ({"cookie": f"access-8000={tokens['access_token']}"}, "access.not_signed_in"),
    ):
        answer = await program.get("/auth/me", headers=headers)
        assert (answer.status_code, answer.text) == (401, code)


async def test_a_token_without_a_key_is_not_sent_as_dpop(house, program):
    tokens = await tokens_of(program)
    answer = await program.get("/auth/me", headers=bound(house, tokens, Key()))
    assert answer.text == "identity.token_invalid"


async def test_fifty_requests_with_one_proof_are_one(house, program):
    key = Key()
    tokens = await tokens_of(program, key)
    headers = bound(house, tokens, key)
    answers = await asyncio.gather(
        *(program.get("/auth/me", headers=headers) for _ in range(50))
    )
    assert sorted(one.status_code for one in answers) == [200] + [401] * 49


async def test_where_a_key_is_required_nothing_else_will_do(prepared, tmp_path):
    shutil.copy(prepared, tmp_path)
    lenient = TokenSettings(enabled=True)
    async with gatehouse(tmp_path, tokens=lenient) as house, house.client() as client:
        unbound = await tokens_of(client)
    strict = TokenSettings(enabled=True, dpop="required")
    async with gatehouse(tmp_path, tokens=strict) as house, house.client() as client:
        answer = await client.get("/auth/me", headers=bearer(unbound))
        assert answer.text == "identity.token_invalid"
        cookie = {"cookie": f"access-8000={unbound['access_token']}"}
        assert (await client.get("/auth/me", headers=cookie)).status_code == 401
        assert (await client.post("/auth/token", json=ANN)).status_code == 400
        refresh = {"refresh_token": unbound["refresh_token"]}
        answer = await client.post("/auth/token/refresh", json=refresh)
        assert answer.json()["code"] == "identity.dpop_required"
        await tokens_of(client, Key())


async def test_a_cookie_that_has_lapsed_signs_out_and_says_why(house):
    """A public page is shown; a script is told to refresh."""
    async with house.client() as browser:
        await browser.post("/auth/token", json=ANN | {"transport": "cookie"})
        assert (await browser.get("/auth/me")).status_code == 200
        assert last(house).credential == "session"  # ambient: CSRF applies
        assert last(house).ambient
        house.clock.now += 600
        assert (await browser.get("/auth/login")).status_code == 200
        assert last(house).principal is None
        assert last(house).lapsed.code == "identity.token_expired"
        assert "access-8000" in browser.cookies
        refreshed = await browser.post(
            "/auth/token/refresh", json={"transport": "cookie"}
        )
        assert refreshed.status_code == 200
        assert (await browser.get("/auth/me")).status_code == 200


async def test_a_cookie_that_was_taken_back_opens_nothing(house):
    """It ends with the refresh that is refused."""
    async with house.client() as browser:
        await browser.post("/auth/token", json=ANN | {"transport": "cookie"})
        await browser.get("/auth/me")
        await house.accounts._store.raise_epoch(last(house).principal.id)
        await browser.get("/auth/login")
        assert last(house).principal is None
        assert last(house).lapsed.code == "identity.token_revoked"
        await browser.post("/auth/token/refresh", json={"transport": "cookie"})
        assert "access-8000" not in browser.cookies


async def test_a_change_of_roles_or_tenant_signs_no_browser_out(house):
    """Its next access token has them, and so has one that follows a confirmation."""
    async with house.client() as browser:
        await browser.post("/auth/token", json=ANN | {"transport": "cookie"})
        await browser.get("/auth/me")
        owner = last(house).principal.id
        await house.accounts._store.set_roles(owner, frozenset({"clerk"}))
        await house.accounts._store.set_tenant(owner, "acme")
        await browser.get("/auth/login")
        assert last(house).lapsed.code == "identity.token_revoked"
        answer = await browser.post("/auth/token/refresh", json={"transport": "cookie"})
        assert answer.status_code == 200
        assert (await browser.get("/auth/me")).status_code == 200
        principal = last(house).principal
        assert (principal.roles, principal.tenant) == ({"clerk"}, "acme")
        await browser.post("/auth/confirm", json={"password": PASSWORD})
        assert last(house).principal.tenant == "acme"
        await browser.get("/auth/me")
        assert last(house).principal.tenant == "acme"


async def test_a_request_that_was_overtaken_takes_no_new_cookies_away(house):
    """Another tab asks with the old ones, while this one confirms."""
    async with house.client() as browser:
        await browser.post("/auth/token", json=ANN | {"transport": "cookie"})
        old = dict(browser.cookies)
        await browser.post("/auth/confirm", json={"password": PASSWORD})
        async with house.client(cookies=old) as late:
            answer = await late.get("/auth/login")
            assert last(house).lapsed.code == "identity.token_revoked"
            assert "set-cookie" not in answer.headers
        assert (await browser.get("/auth/me")).status_code == 200


async def test_whose_token_it_is_is_known_without_asking(house, program):
    """One question to a store in the network: see ``guard.inquiry``."""
    key = Key()
    tokens, of_key = await tokens_of(program), await tokens_of(program, key)
    house.guard.identity = house.identity
    for headers in (bearer(tokens), bound(house, of_key, key)):
        await program.get("/auth/me", headers=headers)
        exchange = last(house)
        exchange.shown = None
        name = house.sessions.named(exchange)
        assert name.account_id == exchange.principal.id
        assert isinstance(exchange.shown[0], Shown)
    house.clock.now += 600
    for headers in (bearer(tokens), bearer(of_key), {"authorization": "Bearer x"}):
        await program.get("/auth/login", headers=headers)
        assert house.sessions.named(last(house)).account_id == ""


async def test_a_store_that_did_not_answer_lets_nobody_in(house, program):
    tokens = await tokens_of(program)
    await program.get("/auth/me", headers=bearer(tokens))
    exchange = last(house)
    exchange.principal = exchange.token = None
    exchange.reply = StoreError("down")
    refused = await house.identity.authenticate(exchange)
    assert refused.code == "identity.unavailable"
    exchange.reply = Reply(Verdict(-1, 0.0, 0), Told(""), -1, settled=False)
    assert await house.identity.authenticate(exchange) is None


class Line:
    """Something that stays open."""

    def __init__(self):
        self.cut = asyncio.Event()

    def end(self):
        self.cut.set()


@pytest.fixture
async def opened(house, program):
    """A connection that was opened with a token."""
    tokens = await tokens_of(program)
    await program.get("/auth/me", headers=bearer(tokens))
    line = Line()
    line.tokens = tokens
    line.exchange = last(house)
    line.forget = house.identity.watch(line.exchange, line.end)
    await house.sessions.live.check()
    assert not line.cut.is_set()
    return line


async def test_what_is_open_ends_when_the_token_expires(house, opened):
    house.clock.now += 599
    await house.sessions.live.check()
    await asyncio.sleep(0)
    assert not opened.cut.is_set()
    house.clock.now += 1
    await house.sessions.live.check()
    await asyncio.wait_for(opened.cut.wait(), 5)


async def test_it_ends_at_once_when_this_process_ends_the_family(house, opened):
    async with house.client() as client:
        body = {"token": opened.tokens["refresh_token"]}
        assert (await client.post("/auth/token/revoke", json=body)).status_code == 200
    await asyncio.wait_for(opened.cut.wait(), 5)


async def test_it_ends_within_seconds_when_another_process_does(house, opened):
    await house.accounts._store.raise_epoch(opened.exchange.principal.id)
    assert not opened.cut.is_set()
    await house.sessions.live.check()
    await asyncio.wait_for(opened.cut.wait(), 5)


async def test_it_ends_with_everything_of_the_account(house, opened):
    house.sessions.live.end_account(opened.exchange.principal.id)
    await asyncio.wait_for(opened.cut.wait(), 5)


async def test_it_does_not_end_with_sessions(house, opened):
    account = opened.exchange.principal.id
    house.sessions.live.end_session(b"x", account)
    house.sessions.live.end_public(account, "x")
    house.sessions.live.end_account(account, keep=b"x")
    await asyncio.sleep(0)
    assert not opened.cut.is_set()
    opened.forget()
    assert house.sessions.live.count == 0


async def test_an_api_key_is_asked_about(prepared, tmp_path):
    """And is a credential like the others: exactly one."""
    shutil.copy(prepared, tmp_path)
    scopes = ("orders:read",)
    async with (
        gatehouse(
            tmp_path, tokens=TokenSettings(enabled=True), api_key_scopes=scopes
        ) as house,
        house.client() as client,
    ):
        tokens = await tokens_of(client)
        ann = await house.accounts.by_email(EMAIL)
        made = await house.identity.api_keys.make(ann.id, "till", scopes, Cause())
        headers = {"authorization": f"bearer {made.key}"}
        await client.get("/auth/login", headers=headers)
        assert last(house).principal.credential == "api-key"
        assert last(house).credential == "bearer"
        headers["cookie"] = f"access-8000={tokens['access_token']}"
        answer = await client.get("/auth/login", headers=headers)
        assert answer.status_code == 400
        headers = {"authorization": "Bearer rfk_" + "A" * 49}
        answer = await client.get("/auth/login", headers=headers)
        assert (answer.status_code, answer.text) == (401, "identity.api_key_invalid")


async def test_a_family_ends_beside_what_a_key_has_opened(prepared, tmp_path):
    """A WebSocket of an API key, of the same account, is no hindrance."""
    shutil.copy(prepared, tmp_path)
    scopes = ("orders:read",)
    async with (
        gatehouse(
            tmp_path, tokens=TokenSettings(enabled=True), api_key_scopes=scopes
        ) as house,
        house.client() as client,
    ):
        tokens = await tokens_of(client)
        ann = await house.accounts.by_email(EMAIL)
        made = await house.identity.api_keys.make(ann.id, "till", scopes, Cause())
        headers = {"authorization": f"Bearer {made.key}"}
        await client.get("/auth/login", headers=headers)
        line = Line()
        house.identity.watch(last(house), line.end)
        body = {"token": tokens["refresh_token"]}
        answer = await client.post("/auth/token/revoke", json=body)
        assert answer.status_code == 200
        answer = await client.post(
            "/auth/token/refresh", json={"refresh_token": tokens["refresh_token"]}
        )
        assert answer.json()["code"] == "identity.refresh_invalid"
        await asyncio.sleep(0)
        assert not line.cut.is_set()


class Elsewhere:
    """Another issuer, whose tokens are ``theirs``."""

    def __init__(self):
        self.said = Principal("issuer|ann", credential="token")

    def is_theirs(self, token):
        return token == b"theirs"

    async def principal(self, token):
        return self.said


@pytest.fixture
def elsewhere(house):
    """That issuer, trusted here."""
    house.sessions._credentials._foreign = Elsewhere()
    return house.sessions._credentials._foreign


THEIRS = {"authorization": "Bearer theirs"}


async def test_a_token_of_another_issuer_is_asked_about(house, program, elsewhere):
    tokens = await tokens_of(program)
    await program.get("/auth/login", headers=THEIRS)
    assert last(house).principal is elsewhere.said
    for headers, status in (
        (THEIRS | {"cookie": f"access-8000={tokens['access_token']}"}, 400),
        (THEIRS | {"authorization": "DPoP theirs"}, 401),
        (THEIRS | {"authorization": "Bearer ours"}, 401),
        (THEIRS | {"authorization": "Bearer"}, 401),
        (bearer(tokens), 200),
    ):
        answer = await program.get("/auth/login", headers=headers)
        assert answer.status_code in {status, 303 if status == 200 else status}
    elsewhere.said = TOKEN_EXPIRED
    answer = await program.get("/auth/login", headers=THEIRS)
    assert answer.text == "identity.token_expired"


async def test_where_a_key_is_required_theirs_are_not_enough(house, program, elsewhere):
    credentials = house.sessions._credentials
    credentials._tokens = replace(credentials._tokens, is_bound=True)
    assert (await program.get("/auth/login", headers=THEIRS)).status_code == 401


async def test_what_their_token_opens_ends_with_it(house, program, elsewhere):
    await program.get("/auth/login", headers=THEIRS)
    line = Line()
    house.identity.watch(last(house), line.end)
    await house.sessions.live.check()
    await asyncio.sleep(0)
    assert not line.cut.is_set()
    elsewhere.said = TOKEN_EXPIRED
    await house.sessions.live.check()
    await asyncio.wait_for(line.cut.wait(), 5)


async def test_their_issuer_can_be_asked_no_more(house, program, elsewhere):
    await program.get("/auth/login", headers=THEIRS)
    line = Line()
    house.identity.watch(last(house), line.end)
    house.sessions._credentials._foreign = None
    await house.sessions.live.check()
    await asyncio.wait_for(line.cut.wait(), 5)


async def test_signing_out_as_a_program_ends_its_family(house, program):
    tokens = await tokens_of(program)
    assert (
        await program.post("/auth/logout", headers=bearer(tokens))
    ).status_code == 204
    answer = await program.get("/auth/me", headers=bearer(tokens))
    assert answer.text == "identity.token_revoked"
