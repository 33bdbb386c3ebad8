"""Passkeys from end to end, with an authenticator in software."""

import asyncio
from dataclasses import replace

import pytest
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD, gatehouse, visit
from tests.identity.passkeys.authenticator import (
    BE,
    BS,
    EDDSA,
    ES256,
    RS256,
    UP,
    UV,
    Authenticator,
    raw,
    text,
)
from tests.identity.passkeys.conftest import (
    SITE,
    add_passkey,
    answered,
    sign_in,
    use_passkey,
)

from ringfence.audit.events import (
    FactorAdded,
    FactorFailed,
    FactorRemoved,
    PasskeyCopied,
    SignedIn,
    SignInFailed,
)
from ringfence.identity.refusals import SIGN_IN_FAILED
from ringfence.identity.sessions import Sessions

pytestmark = pytest.mark.anyio

AT_ONCE = 50
BOB = "bob@example.com"


async def options_of(client, purpose):
    return await answered(client, f"passkeys/{purpose}/options")


async def listed(client):
    answer = await client.get("/auth/passkeys")
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---- making one


async def test_what_a_browser_is_asked_for(ann, house):
    """A resident key that verifies its user, for a random name, of three algorithms,
    and no word about its model."""
    options = await options_of(ann, "register")
    account = await house.accounts.by_email(EMAIL)
    assert options["rp"] == {"id": "localhost", "name": "This site"}
    assert raw(options["user"]["id"]) == account.id.encode()
    assert len(raw(options["challenge"])) == 72
    assert [one["alg"] for one in options["pubKeyCredParams"]] == [-8, -7, -257]
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert options["attestation"] == "none"
    assert options["timeout"] == 300_000
    assert options["excludeCredentials"] == []


async def test_a_passkey_of_each_algorithm_signs_in(ann, stranger, house):
    """Without a name and without a password; as two factors at once."""
    for algorithm in (EDDSA, ES256, RS256):
        key = Authenticator(algorithm=algorithm)
        await add_passkey(ann, key)
        told = await use_passkey(stranger, key)
        assert (told["email"], told["factors"]) == (EMAIL, ["passkey"])
        me = await stranger.get("/auth/me")
        assert me.json()["email"] == EMAIL
    assert len(house.ledger.named(SignedIn)) == 4


async def test_what_is_kept_and_shown_of_one(ann, stranger, house):
    key = Authenticator(flags=UP | UV | BE | BS, aaguid=raw("6puNZk0BHSE85La0jLV11A"))
    made = await add_passkey(ann, key)
    assert made["label"] == "Google Password Manager"
    assert made["synced"]
    assert made["transports"] == ["internal", "hybrid"]
    assert made["last_used"] is None
    house.clock.now += 90
    await use_passkey(stranger, key)
    [shown] = await listed(ann)
    assert shown["last_used"] == "1970-01-12T13:48:10Z"
    assert set(shown) == {
        "id",
        "label",
        "created",
        "last_used",
        "synced",
        "copied",
        "transports",
    }
    [event] = [e for e in house.ledger.named(FactorAdded) if e.factor == "passkey"]
    assert event.account


async def test_a_first_passkey_brings_recovery_codes(ann):
    """Shown once; a second one brings none."""
    made = await add_passkey(ann, Authenticator())
    assert len(made["recovery_codes"]) == 10
    assert "recovery_codes" not in await add_passkey(ann, Authenticator())


async def test_a_device_makes_no_second_one(ann, key):
    """It is told which ones it has (``excludeCredentials``), with their transports."""
    [known] = (await options_of(ann, "register"))["excludeCredentials"]
    assert known == {
        "type": "public-key",
        "id": text(key.id),
        "transports": ["internal", "hybrid"],
    }


async def test_attestations_are_cut_off_unread(ann, stranger):
    """What a maker vouches for is neither trusted nor parsed."""
    statement = {"alg": -7, "sig": b"nobody's", "x5c": [b"no certificate"]}
    key = Authenticator(format="packed", statement=statement)
    await add_passkey(ann, key)
    await use_passkey(stranger, key)


async def test_making_and_removing_take_a_fresh_proof(ann, key, house):
    """Renaming does not: it proves nothing."""
    [shown] = await listed(ann)
    house.clock.now += 601
    for path in ("register/options", "register", f"{shown['id']}/remove"):
        answer = await ann.post(f"/auth/passkeys/{path}", json={})
        assert (answer.status_code, answer.text) == (401, "access.not_fresh")
    await answered(ann, f"passkeys/{shown['id']}/rename", {"label": "Key"})


async def test_a_session_from_before_the_first_one_adds_none(ann, at_home):
    """Who has stolen it has no part in what was set up since (CWE-308)."""
    async with at_home() as thief:
        await sign_in(thief)
        key = Authenticator()
        await add_passkey(ann, key)
        for path in ("passkeys/register/options", "passkeys/register"):
            content = {}
            if path == "passkeys/register":
                options = await options_of(ann, "register")
                content = {"credential": Authenticator().create(options)}
            refused = await answered(thief, path, content, 401)
            assert refused["code"] == "identity.second_factor_missing"
        await use_passkey(thief, key, "verify")
        await add_passkey(thief, Authenticator())


async def test_a_passkey_belongs_to_one_account(ann, key, house, at_home):
    """Another account cannot register it."""
    await house.accounts.register(BOB, PASSWORD, visit())
    async with at_home() as bob:
        await sign_in(bob, BOB)
        refused = await add_passkey(bob, key, status=409)
        assert refused["code"] == "identity.passkey_taken"
        assert await listed(bob) == []
    assert len(await listed(ann)) == 1


async def test_what_was_removed_is_not_added_again(ann):
    """By whoever has kept what the browser sent: it is good once."""
    kept = Authenticator()
    content = {"credential": kept.create(await options_of(ann, "register"))}
    made = await answered(ann, "passkeys/register", content, 201)
    await answered(ann, f"passkeys/{made['id']}/remove")
    refused = await answered(ann, "passkeys/register", content, 400)
    assert refused["code"] == "identity.passkey_expired"


async def test_so_many_and_no_more(ann, monkeypatch):
    monkeypatch.setattr("ringfence.identity.passkeys.passkeys.MOST", 2)
    options = await options_of(ann, "register")
    for _ in range(2):
        await add_passkey(ann, Authenticator())
    refused = await answered(ann, "passkeys/register/options", status=409)
    assert refused["code"] == "identity.too_many_passkeys"
    late = {"credential": Authenticator().create(options)}
    await answered(ann, "passkeys/register", late, 409)


@pytest.mark.parametrize("credential", ["bearer", "session"])
async def test_the_codes_are_shown_whatever_the_session_does(
    ann, house, monkeypatch, credential
):
    """A program with a token has no session to renew, and one may have ended meanwhile:
    there is no other time for the codes."""
    authenticate = house.identity.authenticate

    async def as_if(exchange):
        refused = await authenticate(exchange)
        exchange.credential = credential
        return refused

    async def overtaken(*_, **__):
        return SIGN_IN_FAILED

    monkeypatch.setattr(house.identity, "authenticate", as_if)
    monkeypatch.setattr(Sessions, "confirm", overtaken)
    made = await add_passkey(ann, Authenticator())
    assert len(made["recovery_codes"]) == 10


# ---- signing in


async def test_nobody_learns_whether_an_account_exists(stranger, key):
    """Options name no passkey, and differ in nothing but the challenge."""
    one, other = [await options_of(stranger, "login") for _ in range(2)]
    assert one["allowCredentials"] == []
    assert one.pop("challenge") != other.pop("challenge")
    assert one == other


async def test_an_unknown_passkey_is_refused_as_a_wrong_one_is(stranger, key, house):
    unknown = Authenticator(user_handle=b"nobody")
    wrong = Authenticator(id=key.id, user_handle=key.user_handle)
    answers = [await use_passkey(stranger, one, status=401) for one in (unknown, wrong)]
    for answer in answers:
        answer.pop("request_id")
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "identity.passkey_refused"
    reasons = [event.reason for event in house.ledger.named(SignInFailed)]
    assert reasons[0] == "passkey: unknown passkey"
    assert "signature" in reasons[1]


async def test_of_fifty_uses_of_one_assertion_one_signs_in(stranger, key, house):
    """All at the same moment, on one database."""
    options = await options_of(stranger, "login")
    content = {"credential": key.get(options)}
    before = len(house.ledger.named(SignedIn))
    answers = await asyncio.gather(
        *(stranger.post("/auth/passkeys/login", json=content) for _ in range(AT_ONCE))
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 400, 429}
    assert len(house.ledger.named(SignedIn)) == before + 1
    assert house.ledger.named(PasskeyCopied) == []


async def test_a_proof_is_good_once(stranger, key):
    options = await options_of(stranger, "login")
    content = {"credential": key.get(options)}
    await answered(stranger, "passkeys/login", content)
    again = await answered(stranger, "passkeys/login", content, 400)
    assert again["code"] == "identity.passkey_expired"


async def test_a_proof_is_good_in_the_browser_it_was_begun_in(stranger, key, at_home):
    """Nobody signs a visitor in as somebody else (login CSRF, CWE-352)."""
    options = await options_of(stranger, "login")
    content = {"credential": key.get(options)}
    async with at_home() as elsewhere:
        await options_of(elsewhere, "login")
        refused = await answered(elsewhere, "passkeys/login", content, 400)
        assert refused["code"] == "identity.passkey_expired"
    await answered(stranger, "passkeys/login", content)


async def test_tabs_do_not_disturb_one_another(stranger, key):
    first = await options_of(stranger, "login")
    await options_of(stranger, "login")
    content = {"credential": key.get(first)}
    await answered(stranger, "passkeys/login", content)


async def test_a_challenge_is_good_for_five_minutes(stranger, key, house):
    for after, status in ((299, 200), (300, 400)):
        options = await options_of(stranger, "login")
        house.clock.now += after
        content = {"credential": key.get(options)}
        await answered(stranger, "passkeys/login", content, status)


async def test_a_challenge_is_good_for_what_it_was_made_for(ann, stranger, key):
    """Of another ceremony it is worth nothing."""
    begun = await options_of(ann, "verify")
    content = {"credential": key.get(begun)}
    await answered(ann, "passkeys/login", content, 400)
    begun = await options_of(stranger, "login")
    content = {"credential": Authenticator().create({**NO_OPTIONS, **begun})}
    stranger.cookies.update(ann.cookies)
    await answered(stranger, "passkeys/register", content, 400)


NO_OPTIONS = {"rp": {"id": "localhost"}, "user": {"id": text(b"x")}}

LIES = {
    "the pages of another site": {"origin": "https://localhost.evil.example"},
    "another port": {"origin": "http://localhost:9000"},
    "another scheme": {"origin": "https://localhost:8000"},
    "another relying party": {"rp_id": "evil.example"},
    "nobody there": {"flags": UV},
    "a user who was not verified": {"flags": UP},
    "a passkey that may be copied now": {"flags": UP | UV | BE},
    "a copy of what cannot be copied": {"flags": UP | UV | BS},
    "bytes behind the data": {"authenticator_extra": b"\x00"},
    "the handle of another account": {"user_handle": b"somebody else"},
    "no handle": {"user_handle": None},
}
SHAPES = {
    "a frame of another site": {"crossOrigin": True},
    "the name of a page around it": {"topOrigin": "https://evil.example"},
    "the other ceremony": {"type": "webauthn.create"},
    "no challenge of ours": {"challenge": text(b"\x00" * 72)},
    "no challenge": {"challenge": ""},
}


async def test_a_proof_of_something_else_signs_nobody_in(stranger, key, house):
    for lie, told in LIES.items():
        house.clock.now += 61  # as often as it likes
        refused = await use_passkey(stranger, replace(key, **told), status=401)
        assert refused["code"] == "identity.passkey_refused", lie
    key.counter = 99
    await use_passkey(stranger, key)


async def test_client_data_of_another_ceremony_is_refused(stranger, key):
    codes = {"identity.passkey_malformed", "identity.passkey_expired"}
    for shape, told in SHAPES.items():
        refused = await use_passkey(stranger, replace(key, client=told), status=400)
        assert refused["code"] in codes, shape
    await use_passkey(stranger, key)


NOT_MADE = {
    "the pages of another site": {"origin": "https://localhost.evil.example"},
    "another relying party": {"rp_id": "evil.example"},
    "nobody there": {"flags": UV},
    "a user who was not verified": {"flags": UP},
    "a frame of another site": {"client": {"crossOrigin": True}},
    "bytes behind the data": {"authenticator_extra": b"\x00"},
    "a challenge of somebody else": {"client": {"challenge": text(bytes(72))}},
    "an algorithm that was not asked for": {"public": {1: 2, 3: -36, -1: 3}},
    "a point beside the curve": {
        "public": {1: 2, 3: ES256, -1: 1, -2: b"\x01" * 32, -3: b"\x02" * 32}
    },
    "a curve that was not asked for": {
        "public": {1: 2, 3: ES256, -1: 2, -2: b"\x01" * 48, -3: b"\x02" * 48}
    },
    "a key of EdDSA on another curve": {
        "public": {1: 2, 3: EDDSA, -1: 1, -2: b"\x01" * 32, -3: b"\x02" * 32}
    },
    "an RSA key that is cheap to break": {
        "public": {1: 3, 3: RS256, -1: b"\xff" * 64, -2: b"\x01\x00\x01"}
    },
    "an RSA key that is dear to use": {
        "public": {1: 3, 3: RS256, -1: b"\xff" * 256, -2: b"\xff" * 256}
    },
    "an algorithm that is a fraction": {
        "public": {1: 1, 3: -8.0, -1: 6, -2: bytes(32)}
    },
    "no key at all": {"public": {}},
}


async def test_a_passkey_that_is_not_for_this_site_is_not_added(ann):
    for lie, told in NOT_MADE.items():
        refused = await add_passkey(ann, Authenticator(**told), status=400)
        assert refused["code"].startswith("identity.passkey_"), lie
    assert await listed(ann) == []
    await add_passkey(ann, Authenticator())


# ---- the counter


async def test_a_copy_is_noticed_and_refused(ann, stranger, key, house):
    """Whichever of the two comes second; from then on neither is believed, however
    high it counts. The ledger and the owner are told once."""
    copy = key.copied()
    await use_passkey(stranger, key)
    await use_passkey(stranger, key)
    before = (await listed(ann))[0]["last_used"]
    for one, counter in ((copy, 0), (copy, 1000), (key, 2**32 - 2), (key, 5)):
        one.counter = counter
        house.clock.now += 1
        refused = await use_passkey(stranger, one, status=401)
        assert refused["code"] == "identity.passkey_copied"
    [event] = house.ledger.named(PasskeyCopied)
    assert (event.counter, bool(event.account)) == (1, True)
    reasons = [event.reason for event in house.ledger.named(SignInFailed)]
    assert reasons == ["passkey: known to be copied"] * 3
    [shown] = await listed(ann)
    assert (shown["copied"], shown["last_used"]) == (True, before)
    page = await ann.get("/auth/passkeys", headers=HTML)
    assert "may have been copied" in page.text
    assert (await stranger.get("/auth/me")).json()["email"] == EMAIL


async def test_a_passkey_that_does_not_count_is_no_copy(ann, stranger):
    key = Authenticator(counter=None)
    await add_passkey(ann, key)
    for _ in range(3):
        await use_passkey(stranger, key)


# ---- the second factor, and a step-up


async def test_a_password_alone_is_not_enough_any_more(stranger, key):
    """The passkey completes the sign-in; only now is anybody told which ones there
    are."""
    credentials = {"email": EMAIL, "password": PASSWORD}
    refused = await answered(stranger, "login", credentials, 401)
    assert refused["code"] == "identity.second_factor_required"
    assert "passkey" in refused["factors"]
    [allowed] = (await options_of(stranger, "verify"))["allowCredentials"]
    assert allowed["id"] == text(key.id)
    told = await use_passkey(stranger, key, "verify")
    assert told["factors"] == ["passkey", "password"]
    assert (await stranger.get("/auth/me")).status_code == 200


async def test_programs_send_half_a_sign_in_back(stranger, key):
    credentials = {"email": EMAIL, "password": PASSWORD}
    half = await answered(stranger, "login", credentials, 401)
    for name in list(stranger.cookies):
        if name.startswith("pending"):
            stranger.cookies.delete(name)
    pending = {"pending": half["pending"]}
    options = await answered(stranger, "passkeys/verify/options", pending)
    content = {"credential": key.get(options), **pending}
    told = await answered(stranger, "passkeys/verify", content)
    assert told["email"] == EMAIL


async def test_nothing_is_asked_before_the_password(stranger, key):
    for content in ({}, {"pending": "x"}):
        refused = await answered(stranger, "passkeys/verify/options", content, 401)
        assert refused["code"] == "identity.pending_over"


async def test_half_a_sign_in_is_not_completed_by_another_account(
    stranger, key, house, at_home
):
    """Mallory's passkey is good for Mallory alone."""
    await house.accounts.register(BOB, PASSWORD, visit())
    async with at_home() as bob:
        await sign_in(bob, BOB)
        bobs = Authenticator()
        await add_passkey(bob, bobs)
    await answered(stranger, "login", {"email": EMAIL, "password": PASSWORD}, 401)
    refused = await use_passkey(stranger, bobs, "verify", 401)
    assert refused["code"] == "identity.passkey_refused"
    bobs.user_handle = key.user_handle
    await use_passkey(stranger, bobs, "verify", 401)
    events = house.ledger.named(FactorFailed)
    assert {event.factor for event in events} == {"passkey"}
    assert (await stranger.get("/auth/me")).status_code == 401


async def test_a_step_up_makes_the_session_fresh(ann, key, house):
    """With a new token, and in the place of the password."""
    house.clock.now += 601
    before = dict(ann.cookies)
    refused = await ann.post("/auth/passkeys/register/options", json={})
    assert refused.status_code == 401
    told = await use_passkey(ann, key, "verify")
    assert told["factors"] == ["passkey", "password"]
    assert dict(ann.cookies)["session-8000"] != before["session-8000"]
    assert (
        await ann.post("/auth/passkeys/register/options", json={})
    ).status_code == 200


async def test_a_failed_step_up_signs_nobody_out(ann, key, house):
    key.flags = UP
    await use_passkey(ann, key, "verify", 403)
    assert (await ann.get("/auth/me")).status_code == 200


async def test_who_has_none_is_told_so(ann):
    refused = await answered(ann, "passkeys/verify/options", status=409)
    assert refused["code"] == "identity.no_passkeys"


# ---- budgets


async def test_tries_without_worth_are_limited_and_lock_nobody_out(
    stranger, key, house
):
    """Ten a minute from one address; the owner, elsewhere, notices nothing."""
    wrong = Authenticator(id=key.id, user_handle=key.user_handle)
    for _ in range(9):  # one of the ten was Ann's password
        await use_passkey(stranger, wrong, status=401)
    refused = await use_passkey(stranger, wrong, status=429)
    assert refused["code"] == "identity.too_many_attempts"
    async with house.client("198.51.100.7", base_url=SITE) as owner:
        await use_passkey(owner, key)
        credentials = {"email": EMAIL, "password": PASSWORD}
        half = await answered(owner, "login", credentials, 401)
        assert half["code"] == "identity.second_factor_required"


async def test_good_sign_ins_use_nothing_up(stranger, key):
    for _ in range(12):
        await use_passkey(stranger, key)


# ---- the owner's list


async def test_names_are_the_owners(ann, key):
    [before] = await listed(ann)
    path = f"passkeys/{before['id']}/rename"
    [after] = await answered(ann, path, {"label": "  Blue   key "})
    assert after == {**before, "label": "Blue key"}
    for label in ("", "   ", "x" * 65, "a\u202eb", "a\x00b"):
        refused = await answered(ann, path, {"label": label}, 422)
        assert refused["code"] == "identity.invalid_input"


async def test_nobody_touches_the_passkeys_of_another(ann, key, house, at_home):
    """They are not found (CWE-639)."""
    await house.accounts.register(BOB, PASSWORD, visit())
    [anns] = await listed(ann)
    async with at_home() as bob:
        await sign_in(bob, BOB)
        for does, content in (("rename", {"label": "mine"}), ("remove", {})):
            path = f"passkeys/{anns['id']}/{does}"
            refused = await answered(bob, path, content, 404)
            assert refused["code"] == "identity.no_such_passkey"
    assert await listed(ann) == [anns]


async def test_a_removed_one_signs_nobody_in(ann, key, stranger, house):
    [shown] = await listed(ann)
    assert await answered(ann, f"passkeys/{shown['id']}/remove") == []
    await use_passkey(stranger, key, status=401)
    credentials = {"email": EMAIL, "password": PASSWORD}
    await answered(stranger, "login", credentials)
    [event] = house.ledger.named(FactorRemoved)
    assert event.factor == "passkey"
    await answered(ann, f"passkeys/{shown['id']}/remove", status=404)


# ---- where they work


async def test_a_number_is_no_name(house):
    """Browsers refuse passkeys on 127.0.0.1; the page says where they work."""
    async with house.client() as client:
        for path in ("login", "verify"):
            await sign_in(client)
            refused = await answered(client, f"passkeys/{path}/options", status=409)
            assert refused["code"] == "identity.no_passkeys_here"
        page = await client.get("/auth/passkeys", headers={"accept": "text/html"})
        assert 'href="http://localhost:8000/auth/passkeys"' in page.text


async def test_in_production_the_public_origins_decide(tmp_path):
    origins = ("https://shop.example", "https://www.shop.example", "https://192.0.2.1")
    async with gatehouse(tmp_path, development=False, public_origins=origins) as opened:
        await opened.accounts.register(EMAIL, PASSWORD, visit())
        async with opened.client(base_url="https://www.shop.example") as ann:
            await sign_in(ann)
            options = await options_of(ann, "register")
            assert options["rp"]["id"] == "shop.example"
            key = Authenticator(origin="https://www.shop.example")
            await add_passkey(ann, key)
            cookie = ann.cookies["__Host-passkey"]
            assert len(cookie) == 43
            key.origin = "https://shop.example"
            await use_passkey(ann, key)
            key.origin = "https://other.shop.example"
            await use_passkey(ann, key, status=401)
        async with opened.client(base_url="https://192.0.2.1") as ann:
            await answered(ann, "passkeys/login/options", status=409)


async def test_they_can_be_switched_off(tmp_path):
    async with gatehouse(tmp_path, passkeys=False) as opened:
        paths = [route.path for route in opened.identity.routes]
        assert not [path for path in paths if "passkeys/" in path]
        async with opened.client() as client:
            page = await client.get("/auth/login", headers={"accept": "text/html"})
            assert "passkey" not in page.text


# ---- what is no answer


async def test_each_address_reads_its_body_strictly(ann, key, house):
    """A code for each body that is none, as a page for people."""
    [shown] = await listed(ann)
    for path in (
        "register/options",
        "register",
        "login/options",
        "login",
        "verify/options",
        "verify",
        f"{shown['id']}/rename",
        f"{shown['id']}/remove",
    ):
        house.clock.now += 1
        address = f"/auth/passkeys/{path}"
        answer = await ann.post(address, json={"nobody": "asked"})
        assert answer.status_code == 422, path
        assert answer.json()["code"] == "identity.invalid_input"
        answer = await ann.post(address, content=b"x" * 20_000)
        assert answer.status_code == 413, path
        page = await ann.post(address, data={"nobody": "asked"}, headers=HTML)
        assert page.status_code == 422, path
        assert page.headers["content-type"].startswith("text/html")
    assert await listed(ann) == [shown]


async def test_credentials_that_are_none_are_refused(ann, key):
    """Of the right shape, with nothing in it."""
    options = await options_of(ann, "register")
    new = Authenticator().create(options)
    new["response"]["attestationObject"] = text(b"nothing")
    used = key.get(await options_of(ann, "login"))
    used["response"]["clientDataJSON"] = text(b"nothing")
    for path, credential in (
        ("register", new),
        ("login", used),
        ("verify", used),
    ):
        content = {"credential": credential}
        refused = await answered(ann, f"passkeys/{path}", content, 400)
        assert refused["code"] == "identity.passkey_malformed"
    new["type"] = "password"
    content = {"credential": new}
    await answered(ann, "passkeys/register", content, 400)


async def test_a_new_one_has_a_name_that_can_be_read(ann):
    refused = await add_passkey(ann, Authenticator(), "x" * 65, status=422)
    assert refused["code"] == "identity.invalid_input"
    assert await listed(ann) == []


async def test_no_ceremony_goes_on_at_a_number(ann, key, house):
    """What was begun at the name is not completed at another address."""
    new = {"credential": Authenticator().create(await options_of(ann, "register"))}
    used = {"credential": key.get(await options_of(ann, "login"))}
    number = {"host": "127.0.0.1:8000"}
    for path, content in (("register/options", {}), ("register", new), ("login", used)):
        address = f"passkeys/{path}"
        refused = await answered(ann, address, content, 409, headers=number)
        assert refused["code"] == "identity.no_passkeys_here"


async def test_a_passkey_that_is_removed_meanwhile_is_no_copy(
    stranger, key, house, monkeypatch
):
    """Between the signature and the count."""
    factors = house.identity._stores.factors
    advance = factors.advance

    async def removed_first(kind, factor_id, **rest):
        found = await factors.find(kind, factor_id)
        await factors.remove(found.account_id, kind, factor_id)
        return await advance(kind, factor_id, **rest)

    monkeypatch.setattr(factors, "advance", removed_first)
    await use_passkey(stranger, key, status=401)
    assert house.ledger.named(PasskeyCopied) == []
    [event] = house.ledger.named(SignInFailed)
    assert event.reason == "passkey: removed meanwhile"


async def test_a_lost_database_is_no_way_in(stranger, key, house):
    options = await options_of(stranger, "login")
    content = {"credential": key.get(options)}
    await house.identity._stores.stop()
    refused = await answered(stranger, "passkeys/login", content, 503)
    assert refused["code"] == "identity.unavailable"


async def test_a_disabled_account_is_nobodys(stranger, key, house):
    account = await house.accounts.by_email(EMAIL)
    await house.identity._stores.accounts.set_disabled(account.id, disabled=True)
    await use_passkey(stranger, key, status=401)


async def test_half_a_sign_in_ends_with_the_password(stranger, key, house):
    """A change of the password meanwhile makes it void."""
    await answered(stranger, "login", {"email": EMAIL, "password": PASSWORD}, 401)
    options = await options_of(stranger, "verify")
    account = await house.accounts.by_email(EMAIL)
    await house.identity._stores.accounts.raise_epoch(account.id)
    content = {"credential": key.get(options)}
    refused = await answered(stranger, "passkeys/verify", content, 401)
    assert refused["code"] == "identity.pending_over"


async def test_half_a_sign_in_is_completed_once(stranger, key):
    """Two proofs at once open one session."""
    await answered(stranger, "login", {"email": EMAIL, "password": PASSWORD}, 401)
    proofs = [
        {"credential": key.get(await options_of(stranger, "verify"))} for _ in range(2)
    ]
    answers = await asyncio.gather(
        *(stranger.post("/auth/passkeys/verify", json=proof) for proof in proofs)
    )
    assert [answer.status_code for answer in answers].count(200) == 1


async def test_an_account_that_is_gone_has_no_page(ann, house, monkeypatch):
    async def gone(account_id):
        return None

    monkeypatch.setattr(house.accounts, "by_id", gone)
    answer = await ann.get("/auth/passkeys", headers=HTML)
    assert answer.status_code == 401
    await answered(ann, "passkeys/verify/options", status=401)


# ---- pages


async def test_the_list_for_people(ann, key, house):
    """Works without scripts, but for making one; every name is escaped."""
    [shown] = await listed(ann)
    answer = await ann.post(
        f"/auth/passkeys/{shown['id']}/rename",
        data={"label": "<b>Blue</b> key"},
        headers=HTML,
    )
    assert answer.headers["location"] == "/auth/passkeys?note=passkey-renamed"
    page = await ann.get(answer.headers["location"], headers=HTML)
    assert "&lt;b&gt;Blue&lt;/b&gt; key" in page.text
    assert "<b>" not in page.text
    answer = await ann.post(
        f"/auth/passkeys/{shown['id']}/rename", data={"label": ""}, headers=HTML
    )
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    two_step = await ann.get("/auth/two-step", headers=HTML)
    assert "&lt;b&gt;Blue&lt;/b&gt; key" in two_step.text
    address = f"/auth/passkeys/{shown['id']}/remove"
    answer = await ann.post(address, headers=HTML)
    assert answer.headers["location"] == "/auth/passkeys?note=passkey-removed"
    assert (await ann.post(address, headers=HTML)).status_code == 404


async def test_a_browser_without_the_second_proof_is_led_to_it(ann, at_home):
    async with at_home() as other:
        await sign_in(other)
        await add_passkey(ann, Authenticator())
        [shown] = await listed(ann)
        address = f"/auth/passkeys/{shown['id']}/remove"
        answer = await other.post(address, headers=HTML)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/auth/confirm?factor=")


async def test_the_sign_in_page_offers_a_passkey(stranger):
    page = (await stranger.get("/auth/login?next=/orders", headers=HTML)).text
    assert 'autocomplete="username webauthn"' in page
    assert 'data-passkey="login"' in page
    assert 'data-next="/orders"' in page
    page = (await stranger.get("/auth/login?next=//evil.example", headers=HTML)).text
    assert 'data-next="/"' in page
    script = await stranger.get("/auth/assets/passkeys.js")
    assert script.headers["content-type"].startswith("text/javascript")
