"""Second factors as browsers and programs meet them."""

import re
import shutil
import sys

import pyotp
import pytest
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD, gatehouse, visit

from ringfence.audit.events import FactorRemoved, SessionConfirmed, SignedIn
from ringfence.errors import MissingExtraError
from ringfence.identity.factors.bodies import Code, CodesToKeep, FirstCode
from ringfence.identity.pending import PendingSignIns
from ringfence.identity.refusals import SIGN_IN_FAILED
from ringfence.identity.sessions import Sessions
from ringfence.identity.tokens.refusals import SESSION_NEEDED
from ringfence.stores.sql_factors import SqlFactorStore

pytestmark = pytest.mark.anyio

FORM = {"email": EMAIL, "password": PASSWORD}
NEW = "another long phrase"
SECRET = re.compile(r'<p class="key">(.*?)</p>', re.DOTALL)
ENROLMENT = re.compile(r'name="enrolment" value="([\w-]+)"')
CODE = re.compile(r"<code>([\w-]{19})</code>")
WRONG = "000000"


async def begin(house, client):
    """Set up an app through the JSON addresses; return it, and the codes."""
    enrolled = (await client.post("/auth/totp/enrol")).json()
    app = pyotp.TOTP(enrolled["secret"])
    first = {
        "enrolment": enrolled["enrolment"],
        "code": app.at(house.clock.now),
        "label": "  Old\n telephone ",
    }
    answer = await client.post("/auth/totp/confirm", json=first)
    assert answer.status_code == 201
    return app, answer.json()["recovery_codes"]


def shown(house, app):
    """Return a code that was not used yet, half a minute later."""
    house.clock.now += 30
    return app.at(house.clock.now)


async def sign_in(house, client, app):
    """Sign in with both proofs."""
    await client.post("/auth/login", json=FORM)
    return await client.post("/auth/totp/verify", json={"code": shown(house, app)})


async def test_a_program_sets_up_an_app_and_signs_in_with_it(house, ann):
    app, codes = await begin(house, ann)
    assert len(codes) == 10
    assert (await ann.get("/auth/me")).json()["factors"] == ["password", "totp"]
    async with house.client() as program:
        half = await program.post("/auth/login", json=FORM)
        assert half.status_code == 401
        told = half.json()
        assert told["code"] == "identity.second_factor_required"
        assert told["factors"] == ["recovery-code", "totp"]
        assert (await program.get("/auth/me")).status_code == 401
        program.cookies.clear()
        both = {"code": shown(house, app), "pending": told["pending"]}
        answer = await program.post("/auth/totp/verify", json=both)
        assert answer.status_code == 200
        assert answer.json()["email"] == EMAIL
        assert answer.json()["factors"] == ["password", "totp"]
        assert (await program.get("/auth/me")).status_code == 200
    assert len(house.ledger.named(SignedIn)) == 2


async def test_a_person_sets_up_an_app_and_signs_in_with_it(house):
    async with house.client(headers=HTML) as person:
        await person.post("/auth/login", data=FORM)
        page = (await person.get("/auth/totp/enrol")).text
        assert "<svg" in page
        assert "style=" not in page
        assert "data:" not in page
        secret = re.sub(r"<[^>]+>|\s", "", SECRET.search(page)[1])
        app = pyotp.TOTP(secret.upper())
        first = {"enrolment": ENROLMENT.search(page)[1], "code": WRONG, "label": "Mine"}
        again = await person.post("/auth/totp/confirm", data=first)
        assert again.status_code == 422
        assert ENROLMENT.search(again.text)[1] == first["enrolment"]
        assert 'value="Mine"' in again.text
        first["code"] = app.at(house.clock.now)
        done = await person.post("/auth/totp/confirm", data=first)
        codes = CODE.findall(done.text)
        assert len(codes) == 10
        assert done.headers["cache-control"] == "no-store"
        overview = (await person.get("/auth/two-step")).text
        assert "Mine" in overview
        assert "<strong>10</strong> left" in overview
        assert secret not in overview
        await person.post("/auth/logout", data={})

        half = await person.post("/auth/login", data={**FORM, "next": "/orders"})
        assert half.headers["location"] == "/auth/second-factor?next=/orders"
        asked = await person.get(half.headers["location"])
        assert 'autocomplete="one-time-code"' in asked.text
        assert 'inputmode="numeric"' in asked.text
        form = {"code": WRONG, "next": "/orders"}
        wrong = await person.post("/auth/totp/verify", data=form)
        assert wrong.status_code == 401
        assert "wrong or used up" in wrong.text
        assert 'name="next" value="/orders"' in wrong.text
        form["code"] = shown(house, app)
        entered = await person.post("/auth/totp/verify", data=form)
        assert (entered.status_code, entered.headers["location"]) == (303, "/orders")
        assert (await person.get("/auth/account")).status_code == 200


async def test_a_recovery_code_opens_the_door_once(house, ann):
    _, codes = await begin(house, ann)
    for expected in (200, 401):
        async with house.client() as elsewhere:
            await elsewhere.post("/auth/login", json=FORM)
            answer = await elsewhere.post("/auth/totp/verify", json={"code": codes[0]})
            assert answer.status_code == expected
    assert (await ann.get("/auth/two-step")).json()["recovery_codes"] == 9


async def test_the_second_half_needs_the_first(house, ann):
    """A right code opens nothing by itself, and the first half is over after five
    minutes, and once it was used."""
    app, _ = await begin(house, ann)
    async with house.client() as thief:
        answer = await thief.post("/auth/totp/verify", json={"code": shown(house, app)})
        assert (answer.status_code, answer.json()["code"]) == (
            401,
            "identity.pending_over",
        )
        forged = {"code": shown(house, app), "pending": "A" * 80}
        assert (await thief.post("/auth/totp/verify", json=forged)).status_code == 401
        half = (await thief.post("/auth/login", json=FORM)).json()
        thief.cookies.clear()
        house.clock.now += 300
        late = {"code": shown(house, app), "pending": half["pending"]}
        answer = await thief.post("/auth/totp/verify", json=late)
        assert answer.json()["code"] == "identity.pending_over"
        half = (await thief.post("/auth/login", json=FORM)).json()
        thief.cookies.clear()
        for expected in (200, 401):
            both = {"code": shown(house, app), "pending": half["pending"]}
            answer = await thief.post("/auth/totp/verify", json=both)
            assert answer.status_code == expected
            thief.cookies.clear()


async def test_a_change_of_password_ends_half_a_sign_in(house, ann):
    app, _ = await begin(house, ann)
    async with house.client() as thief:
        half = (await thief.post("/auth/login", json=FORM)).json()
        change = {"current_password": PASSWORD, "new_password": NEW}
        assert (await ann.post("/auth/password/change", json=change)).is_success
        both = {"code": shown(house, app), "pending": half["pending"]}
        answer = await thief.post("/auth/totp/verify", json=both)
        assert answer.json()["code"] == "identity.pending_over"


async def test_a_session_from_before_cannot_change_factors(house, ann):
    """Its thief has the password as well, and may be fresh: but has shown no second
    factor, which is what the owner has set up against them."""
    async with house.client("203.0.113.66") as thief:
        await thief.post("/auth/login", json=FORM)
        await begin(house, ann)
        (app,) = (await ann.get("/auth/two-step")).json()["totp"]
        for path, body in (
            ("totp/remove", {"id": app["id"]}),
            ("totp/enrol", {}),
            ("totp/confirm", {"enrolment": "x", "code": WRONG}),
            ("recovery-codes", {}),
        ):
            answer = await thief.post(f"/auth/{path}", json=body)
            assert answer.status_code == 401
            assert answer.json()["code"] == "identity.second_factor_missing"
            assert answer.json()["factors"] == ["passkey", "recovery-code", "totp"]
        for path in ("totp/enrol", "recovery-codes", "totp/remove?id=1"):
            answer = await thief.get(f"/auth/{path}", headers=HTML)
            assert answer.status_code == 303
            asked = answer.headers["location"]
            assert asked.startswith(
                "/auth/confirm?factor=passkey,recovery-code,totp&next=/auth/"
            )
    assert house.ledger.named(FactorRemoved) == []
    assert len((await ann.get("/auth/two-step")).json()["totp"]) == 1


async def test_a_change_of_password_does_not_skip_the_second_factor(house, ann):
    async with house.client("203.0.113.66", headers=HTML) as before:
        await before.post("/auth/login", data=FORM)
        app, _ = await begin(house, ann)
        change = {"current_password": PASSWORD, "new_password": NEW}
        answer = await before.post("/auth/password/change", data=change)
        assert answer.headers["location"] == "/auth/second-factor"
        assert (await before.get("/auth/account")).status_code == 401
        form = {"code": shown(house, app)}
        assert (await before.post("/auth/totp/verify", data=form)).status_code == 303
        assert (await before.get("/auth/account")).status_code == 200


@pytest.mark.parametrize("path", ["totp/verify", "confirm"])
async def test_a_code_confirms_who_is_signed_in(house, ann, path):
    app, _ = await begin(house, ann)
    async with house.client() as other:
        await sign_in(house, other, app)
        house.clock.now += 700
        assert (await other.post("/auth/totp/enrol")).status_code == 401
        wrong = await other.post(f"/auth/{path}", json={"code": WRONG})
        assert wrong.status_code == 403
        body = {"code": shown(house, app)}
        answer = await other.post(f"/auth/{path}", json=body)
        assert answer.status_code == 200
        assert answer.json()["factors"] == ["password", "totp"]
        assert (await other.post("/auth/totp/enrol")).status_code == 200
        again = await other.post(f"/auth/{path}", json=body)
        assert again.status_code == 403
    assert len(house.ledger.named(SessionConfirmed)) == 2  # one is the setting up


async def test_a_confirmation_is_one_proof(house, ann):
    for body in (
        {},
        {"password": "", "code": ""},
        {"password": PASSWORD, "code": "123456"},
        {"password": 1},
        {"code": None},
        {"password": PASSWORD, "more": "1"},
    ):
        answer = await ann.post("/auth/confirm", json=body)
        assert answer.status_code == 422
        assert answer.json()["code"] == "identity.invalid_input"


async def test_the_confirmation_offers_what_would_do(house, ann):
    page = (await ann.get("/auth/confirm", headers=HTML)).text
    assert 'name="password"' in page
    assert 'name="code"' not in page
    none = (await ann.get("/auth/confirm?factor=totp", headers=HTML)).text
    assert "your account has none yet" in none
    assert 'href="/auth/two-step"' in none
    assert 'name="password"' not in none
    await begin(house, ann)
    page = (await ann.get("/auth/confirm", headers=HTML)).text
    assert 'name="password"' in page
    assert 'name="code"' in page
    asked = "/auth/confirm?factor=totp,recovery-code&next=/orders"
    page = (await ann.get(asked, headers=HTML)).text
    assert 'name="password"' not in page
    assert page.count('name="code"') == 2
    assert page.count('name="factor" value="recovery-code,totp"') == 2
    page = (await ann.get("/auth/confirm?factor=<b>,totp", headers=HTML)).text
    assert 'name="factor" value="totp"' in page
    assert "<b>" not in page


async def test_a_factor_that_would_not_do_is_not_used_up(house, ann):
    _, codes = await begin(house, ann)
    form = {"code": codes[0], "factor": "totp", "next": "/orders"}
    answer = await ann.post("/auth/confirm", data=form, headers=HTML)
    assert answer.status_code == 403
    assert 'name="next" value="/orders"' in answer.text
    assert (await ann.get("/auth/two-step")).json()["recovery_codes"] == 10


FRESH = [
    ("GET", "totp/enrol"),
    ("POST", "totp/enrol"),
    ("POST", "totp/confirm"),
    ("GET", "totp/remove"),
    ("POST", "totp/remove"),
    ("GET", "recovery-codes"),
    ("POST", "recovery-codes"),
]


async def test_what_changes_factors_asks_for_a_fresh_proof(house, ann):
    """Whoever has found the browser open must not make themselves at home."""
    house.clock.now += 601
    for method, path in FRESH:
        answer = await ann.request(method, f"/auth/{path}")
        assert (answer.status_code, answer.text) == (401, "access.not_fresh")


async def test_an_app_is_removed_on_a_page_that_says_what_that_means(house, ann):
    await begin(house, ann)
    (app,) = (await ann.get("/auth/two-step")).json()["totp"]
    assert app["label"] == "Old telephone"
    page = await ann.get(f"/auth/totp/remove?id={app['id']}", headers=HTML)
    assert "Remove Old telephone?" in page.text
    assert "your last second step" in page.text
    gone = await ann.post("/auth/totp/remove", data={"id": app["id"]}, headers=HTML)
    assert gone.headers["location"] == "/auth/two-step?note=app-removed"
    overview = await ann.get(gone.headers["location"], headers=HTML)
    assert "worth nothing any more" in overview.text
    told = (await ann.get("/auth/two-step")).json()
    assert told == {"on": False, "totp": [], "passkeys": [], "recovery_codes": 0}
    async with house.client() as other:
        assert (await other.post("/auth/login", json=FORM)).status_code == 200


async def test_what_is_not_there_is_not_removed(house, ann):
    await begin(house, ann)
    for factor_id in ("", "xyz", "00", "ä", "0" * 5_000):
        answer = await ann.post("/auth/totp/remove", json={"id": factor_id})
        assert answer.json()["code"] == "identity.no_such_factor"
        asked = await ann.get(
            "/auth/totp/remove", params={"id": factor_id}, headers=HTML
        )
        assert asked.status_code == 404


async def test_a_program_removes_an_app(house, ann):
    await begin(house, ann)
    (app,) = (await ann.get("/auth/two-step")).json()["totp"]
    answer = await ann.post("/auth/totp/remove", json={"id": app["id"]})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_only_a_few_apps(house, ann):
    for _ in range(3):
        await begin(house, ann)
        house.clock.now += 30
    answer = await ann.post("/auth/totp/enrol")
    assert answer.json()["code"] == "identity.too_many_factors"
    page = (await ann.get("/auth/two-step", headers=HTML)).text
    assert page.count("Remove") >= 3


async def test_codes_are_renewed_and_taken_home(house, ann):
    _, old = await begin(house, ann)
    asked = await ann.get("/auth/recovery-codes", headers=HTML)
    assert "The 10 that you have are worth nothing afterwards" in asked.text
    page = await ann.post("/auth/recovery-codes", headers=HTML)
    new = CODE.findall(page.text)
    assert len(new) == 10
    assert not set(new) & set(old)
    file = await ann.post("/auth/recovery-codes/file", data={"codes": " ".join(new)})
    assert file.headers["content-type"] == "text/plain; charset=utf-8"
    assert file.headers["content-disposition"].startswith("attachment;")
    assert file.headers["cache-control"] == "no-store"
    assert file.text.split("\r\n")[2:-1] == new
    async with house.client() as other:
        await other.post("/auth/login", json=FORM)
        for code, expected in ((old[0], 401), (new[0], 200)):
            answer = await other.post("/auth/totp/verify", json={"code": code})
            assert answer.status_code == expected
    program = await ann.post("/auth/recovery-codes")
    assert len(program.json()["recovery_codes"]) == 10
    left = await ann.get("/auth/recovery-codes")
    assert left.json() == {"recovery_codes": 10}


async def test_nothing_but_codes_is_given_as_a_file(house, ann):
    """What a form sends is not sent back, whatever a browser makes of the answer."""
    code = "ABCD-EFGH-JKMN-PQRS"
    for codes in ("", "<script>", f"{code}\r\nX", code * 20, f"{code} " * 17):
        form = {"codes": codes}
        answer = await ann.post("/auth/recovery-codes/file", data=form)
        assert answer.status_code == 422


async def test_no_recovery_codes_without_a_factor(house, ann):
    for method in ("GET", "POST"):
        answer = await ann.request(method, "/auth/recovery-codes")
        assert answer.json()["code"] == "identity.no_second_factor"


async def test_the_page_of_the_second_half_is_for_who_has_begun(house):
    async with house.client(headers=HTML) as person:
        away = await person.get("/auth/second-factor?next=/orders")
        assert away.headers["location"] == "/auth/login?next=/orders"
        await person.post("/auth/login", data=FORM)
        in_already = await person.get("/auth/second-factor?next=/orders")
        assert in_already.headers["location"] == "/orders"
        over = await person.post("/auth/totp/verify", data={"code": 1, "pending": "x"})
        assert over.status_code == 401
        assert "Sign in again" in over.text


async def test_bad_bodies_are_refused(house, ann):
    headers = {"content-type": "application/json"}
    for body in (b"", b"{", b'{"code": 1}', b'{"code": "1", "x": 1}', b"[]"):
        for path in ("totp/verify", "totp/confirm", "totp/remove"):
            answer = await ann.post(f"/auth/{path}", content=body, headers=headers)
            assert answer.status_code in {400, 422}
    for path in ("totp/enrol", "recovery-codes", "recovery-codes/file"):
        for more in ({}, HTML):
            answer = await ann.post(
                f"/auth/{path}", content=b"{", headers={**headers, **more}
            )
            assert answer.status_code == 400


async def test_a_store_that_is_down_is_told(house, ann):
    await begin(house, ann)
    async with house.client() as other:
        await other.post("/auth/login", json=FORM)
        await house.identity._stores.stop()
        answer = await other.post("/auth/totp/verify", json={"code": WRONG})
        assert answer.status_code == 503


async def test_an_account_that_goes_meanwhile_changes_nothing(house, ann, monkeypatch):
    async def gone(_):
        return None

    monkeypatch.setattr(house.accounts._store, "by_id", gone)
    for method, path, body in (
        ("GET", "two-step", None),
        ("GET", "totp/enrol", None),
        ("POST", "totp/confirm", {"enrolment": "x", "code": WRONG}),
        ("POST", "totp/remove", {"id": "00"}),
        ("GET", "totp/remove", None),
        ("GET", "recovery-codes", None),
        ("POST", "recovery-codes", None),
        ("POST", "totp/verify", {"code": WRONG}),
        ("POST", "confirm", {"code": WRONG}),
    ):
        answer = await ann.request(method, f"/auth/{path}", json=body)
        assert answer.json()["code"] == "identity.sign_in_failed"


async def test_switched_off_nobody_gets_past_what_was_set_up(
    prepared, tmp_path, anyio_backend
):
    """Off is no way around: it fails closed."""
    shutil.copy(prepared, tmp_path)
    async with gatehouse(tmp_path) as house, house.client() as ann:
        await ann.post("/auth/login", json=FORM)
        await begin(house, ann)
    async with (
        gatehouse(tmp_path, second_factors=False) as house,
        house.client() as ann,
    ):
        refused = await ann.post("/auth/login", json=FORM)
        assert refused.json()["code"] == "identity.second_factor_required"
        assert (await ann.post("/auth/totp/verify")).status_code == 404
        assert (await ann.get("/auth/me")).status_code == 401
        await house.accounts.register("new@example.com", PASSWORD, visit())
        new = {"email": "new@example.com", "password": PASSWORD}
        assert (await ann.post("/auth/login", json=new)).status_code == 200
        assert "Two-step" not in (await ann.get("/auth/account", headers=HTML)).text
        answer = await ann.post("/auth/confirm", json={"code": WRONG})
        assert answer.status_code == 401
        assert (await ann.get("/auth/confirm", headers=HTML)).status_code == 200


async def test_below_a_prefix_everything_has_it(prepared, tmp_path, anyio_backend):
    shutil.copy(prepared, tmp_path)
    async with (
        gatehouse(tmp_path, root_path="/shop") as house,
        house.client(headers=HTML, base_url="http://127.0.0.1:8000/shop") as person,
    ):
        async with house.client(base_url="http://127.0.0.1:8000/shop") as ann:
            await ann.post("/auth/login", json=FORM)
            await begin(house, ann)
            page = await ann.get("/auth/two-step", headers=HTML)
            assert 'href="/shop/auth/totp/enrol"' in page.text
        half = await person.post("/auth/login", data=FORM)
        assert half.headers["location"] == "/shop/auth/second-factor"
        page = await person.get("/auth/second-factor")
        assert 'action="/shop/auth/totp/verify"' in page.text


async def test_a_session_that_ends_meanwhile_is_not_renewed(house, ann, monkeypatch):
    """A proof that was overtaken by a change of password or a sign-out elsewhere. The
    app is set up all the same, and its codes are shown: there is no other time."""
    app, _ = await begin(house, ann)

    async def overtaken(*_, **__):
        return SIGN_IN_FAILED

    enrolled = (await ann.post("/auth/totp/enrol")).json()
    monkeypatch.setattr(Sessions, "confirm", overtaken)
    for path in ("confirm", "totp/verify"):
        answer = await ann.post(f"/auth/{path}", json={"code": shown(house, app)})
        assert answer.json()["code"] == "identity.sign_in_failed"
    code = pyotp.TOTP(enrolled["secret"]).at(house.clock.now)
    first = {"enrolment": enrolled["enrolment"], "code": code}
    assert (await ann.post("/auth/totp/confirm", json=first)).status_code == 201


@pytest.mark.parametrize("path", ["confirm", "totp/verify"])
async def test_a_token_is_not_renewed_by_a_code(house, ann, monkeypatch, path):
    """And the code is not used up for nothing: it is sent to ``POST /auth/token``."""
    app, _ = await begin(house, ann)
    authenticate = house.identity.authenticate

    async def as_bearer(exchange):
        refused = await authenticate(exchange)
        exchange.credential = "bearer"
        return refused

    code = shown(house, app)
    with monkeypatch.context() as patch:
        patch.setattr(house.identity, "authenticate", as_bearer)
        answer = await ann.post(f"/auth/{path}", json={"code": code})
        assert answer.json()["code"] == SESSION_NEEDED.code
    assert (await ann.post(f"/auth/{path}", json={"code": code})).status_code == 200


async def test_half_a_sign_in_that_is_overtaken_opens_nothing(house, ann, monkeypatch):
    app, _ = await begin(house, ann)
    async with house.client() as other:
        await other.post("/auth/login", json=FORM)

        async def used(*_):
            return False

        monkeypatch.setattr(PendingSignIns, "redeem", used)
        answer = await other.post("/auth/totp/verify", json={"code": shown(house, app)})
        assert answer.json()["code"] == "identity.sign_in_failed"
        assert (await other.get("/auth/me")).status_code == 401


async def test_codes_that_could_not_be_made_are_told(house, ann, monkeypatch):
    await begin(house, ann)

    async def changed(*_, **__):
        return False

    monkeypatch.setattr(SqlFactorStore, "replace", changed)
    answer = await ann.post("/auth/recovery-codes")
    assert answer.json()["code"] == "identity.changed_meanwhile"


async def test_another_app_of_a_person_is_added_without_codes(house, ann):
    await begin(house, ann)
    enrolled = (await ann.post("/auth/totp/enrol")).json()
    code = pyotp.TOTP(enrolled["secret"]).at(house.clock.now)
    form = {"enrolment": enrolled["enrolment"], "code": code}
    answer = await ann.post("/auth/totp/confirm", data=form, headers=HTML)
    assert answer.headers["location"] == "/auth/two-step?note=app-added"


async def test_a_form_of_a_session_from_before_leads_to_the_proof(house, ann):
    async with house.client(headers=HTML) as before:
        await before.post("/auth/login", data=FORM)
        await begin(house, ann)
        answer = await before.post("/auth/recovery-codes")
        asked = answer.headers["location"]
        assert asked.endswith("&next=/auth/two-step")


async def test_a_missing_library_is_named(tmp_path, monkeypatch):
    for module, library in (("factors.totp", "totp"), ("routes.totp", "totp")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, f"ringfence.identity.{module}", None)
            with pytest.raises(MissingExtraError, match=r"ringfence\[mfa\]") as raised:
                async with gatehouse(tmp_path):
                    raise AssertionError
            assert library in str(raised.value)


def test_bodies_show_nothing_of_what_they_carry():
    """In a log, say."""
    for body in (Code("123456"), FirstCode("x", "123456"), CodesToKeep("ABCD")):
        assert "123456" not in repr(body)
        assert "ABCD" not in repr(body)


@pytest.mark.parametrize("label", ["a\0b", "a\u202eb", "a\x1bb", "My a\u200db"])
async def test_a_name_has_no_signs_that_cannot_be_seen(house, ann, label):
    """They turn a page around or speak to a terminal; PostgreSQL has no NUL."""
    enrolled = (await ann.post("/auth/totp/enrol")).json()
    code = pyotp.TOTP(enrolled["secret"]).at(house.clock.now)
    first = {"enrolment": enrolled["enrolment"], "code": code, "label": label}
    assert (await ann.post("/auth/totp/confirm", json=first)).status_code == 201
    (app,) = (await ann.get("/auth/two-step")).json()["totp"]
    assert app["label"].isprintable()
    assert app["label"].endswith("a b")


async def test_half_a_sign_in_ends_with_a_whole_one_of_somebody_else(house, ann):
    """At a shared computer: what Bob proves once more is not tried for Ann, whose
    password was typed here a minute before."""
    await begin(house, ann)
    bob = {"email": "bob@example.com", "password": PASSWORD}
    await house.accounts.register(*bob.values(), visit())
    async with house.client() as shared:
        assert (await shared.post("/auth/login", json=FORM)).status_code == 401
        assert (await shared.post("/auth/login", json=bob)).status_code == 200
        app, _ = await begin(house, shared)
        again = {"code": shown(house, app)}
        answer = await shared.post("/auth/totp/verify", json=again)
        assert answer.status_code == 200
        assert answer.json()["email"] == bob["email"]


async def test_a_recovery_code_fits_into_every_field_for_codes(house, ann):
    """A browser would cut what is pasted, and the rest be counted as a wrong guess."""
    _, codes = await begin(house, ann)
    async with house.client(headers=HTML) as person:
        await person.post("/auth/login", data=FORM)
        page = (await person.get("/auth/second-factor")).text
    limits = re.findall(r'name="code"[^>]* maxlength="(\d+)"', page)
    assert len(limits) == 2
    assert all(int(limit) >= len(codes[0]) for limit in limits)
