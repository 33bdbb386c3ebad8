"""A new password by mail: for the owner, once, and for nobody else."""

import asyncio
import shutil
import sqlite3
from contextlib import asynccontextmanager, closing
from itertools import pairwise

import pytest
from tests.contracts.records import api_key, grant
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD, gatehouse
from tests.identity.mailed import ORIGIN, forgot, letters, login, mailed, reset
from tests.identity.passkeys.authenticator import Authenticator
from tests.identity.passkeys.conftest import SITE, add_passkey, sign_in, use_passkey
from tests.servers.mail import running_mail_server

from ringfence.audit.events import (
    FactorRemoved,
    LettersLimited,
    PasswordReset,
    PasswordResetRequested,
)
from ringfence.identity.mail.settings import MailSettings
from ringfence.stores.contracts import Factor

pytestmark = pytest.mark.anyio

NEW = "another long one, please"
HALF_AN_HOUR = 1800


@pytest.fixture(scope="module")
def server():
    with running_mail_server() as mail:
        yield mail


@pytest.fixture
async def house(prepared, tmp_path, server, anyio_backend):
    """A gatehouse with Ann's account, whose address is known to be hers."""
    shutil.copy(prepared, tmp_path)
    async with mailed(tmp_path, server) as opened:
        await proven(opened)
        yield opened


@pytest.fixture
async def browser(house):
    async with house.client() as client:
        yield client


async def proven(house, email=EMAIL):
    account = await house.accounts.by_email(email)
    stores = house.identity._stores
    assert await stores.accounts.verify(account.id, account.email_key, 1.0)
    return account


@asynccontextmanager
async def signed_in(house):
    async with house.client() as client:
        assert (await login(client, EMAIL, PASSWORD)).status_code == 200
        yield client


async def a_code(house, client, email=EMAIL):
    """Ask for a link; return its code."""
    assert (await forgot(client, email)).status_code == 202
    (letter,) = await letters(house)
    return letter.code


# Asking


async def test_a_link_leads_to_a_new_password(house, browser):
    """The whole way, and the old password is worth nothing after it."""
    code = await a_code(house, browser)
    answer = await reset(browser, code, NEW)
    assert (answer.status_code, answer.json()) == (200, {"status": "reset"})
    assert (await login(browser, EMAIL, PASSWORD)).status_code == 401
    assert (await login(browser, EMAIL, NEW)).status_code == 200
    assert house.ledger.named(PasswordResetRequested)
    assert house.ledger.named(PasswordReset)


async def test_the_letter_goes_to_the_address_that_is_stored(house, browser):
    """Never to the one that was submitted, which only looks the same."""
    await forgot(browser, "  ANN@example.com ")
    (letter,) = await letters(house)
    assert letter.to == [EMAIL]
    assert letter.message["subject"] == "Set a new password for This site"


async def test_the_link_has_its_code_where_nobody_else_reads(house, browser):
    """Behind the sign that no browser sends: in no log, no proxy, no Referer."""
    await forgot(browser, EMAIL)
    (letter,) = await letters(house)
    assert letter.link == f"{ORIGIN}/auth/password/reset#{letter.code}"
    assert letter.link in letter.html


async def test_no_request_says_where_a_link_leads(house, browser):
    """A poisoned Host would bring the code to whoever has sent it (CWE-640)."""
    for headers in (
        {"host": "evil.example"},
        {"host": "shop.example:80@evil.example"},
        {"x-forwarded-host": "evil.example"},
        {"forwarded": "host=evil.example;proto=https"},
        {"x-forwarded-prefix": "//evil.example"},
        {"origin": "https://evil.example"},
        {"referer": "https://evil.example/"},
    ):
        house.clock.now += HALF_AN_HOUR
        await forgot(browser, EMAIL, headers=headers)
        (letter,) = await letters(house)
        assert "evil" not in letter.text + letter.html
        assert letter.link.startswith(f"{ORIGIN}/auth/")


async def test_a_link_knows_where_the_application_is_mounted(
    prepared, tmp_path, server
):
    shutil.copy(prepared, tmp_path)
    async with mailed(tmp_path, server, root_path="/shop") as house:
        async with house.client() as client:
            await client.post("/shop/auth/password/forgot", json={"email": EMAIL})
        (letter,) = await letters(house)
    assert letter.link.startswith(f"{ORIGIN}/shop/auth/password/reset#")


@pytest.mark.parametrize("options", [{}, {"headers": HTML}], ids=["program", "browser"])
async def test_known_and_unknown_addresses_get_one_answer(house, browser, options):
    """Status, body and headers, for known, unknown and disabled accounts (CWE-204)."""
    for name in ("bob", "eve"):
        await house.accounts.create(f"{name}@example.com", PASSWORD)
    stores = house.identity._stores
    eve = await house.accounts.by_email("eve@example.com")
    await stores.accounts.set_disabled(eve.id, disabled=True)
    answers = []
    for name in ("ann", "nobody", "eve", "bob"):
        answer = await forgot(browser, f"{name}@example.com", **options)
        answers.append((answer.status_code, answer.content, sorted(answer.headers)))
    assert len({str(answer) for answer in answers}) == 1
    got = {letter.to[0] for letter in await letters(house)}
    assert got == {EMAIL, "bob@example.com"}


async def test_what_is_no_address_is_said_so(house, browser):
    for email in ("", "ann", "a@b\r\nBcc: eve@example.com", "x" * 300):
        answer = await forgot(browser, email)
        assert answer.status_code == 422
        assert answer.json()["code"] == "identity.invalid_input"
    assert not await letters(house)


async def test_malformed_requests_are_refused(browser):
    """By a code, and never with a 500."""
    bodies = (b"{", b'{"email": 1}', b"[]", b'{"email": "a", "more": "b"}', b"\xff")
    headers = {"content-type": "application/json"}
    for path in ("password/forgot", "password/reset", "email/verify"):
        for body in bodies:
            answer = await browser.post(f"/auth/{path}", content=body, headers=headers)
            assert answer.status_code in {400, 422}
            assert answer.json()["code"].startswith("identity.")


# Limits


async def test_nobody_is_flooded(house, browser):
    """Two letters at once, then one every twelve minutes, and five in any hour."""
    times = []
    for minute in range(120):
        house.clock.now += 60
        assert (await forgot(browser, EMAIL)).status_code == 202
        times += [minute] * len(await letters(house))
    assert times[0] == times[1] - 1 == 0
    windows = [sum(start <= time < start + 60 for time in times) for start in times]
    assert max(windows) == 5
    # What keeps a stranger from using the limit up against the owner:
    gaps = [late - early for early, late in pairwise(times)]
    assert max(gaps) * 60 < HALF_AN_HOUR
    assert house.ledger.named(LettersLimited)


async def test_a_stranger_cannot_keep_the_owner_out(house, browser):
    """However often they ask, the newest letter has a link that works."""
    code = ""
    for _ in range(240):
        house.clock.now += 30
        await forgot(browser, EMAIL)
        code = next((got.code for got in await letters(house)), code)
    assert (await reset(browser, code, NEW)).status_code == 200


async def test_one_network_asks_so_often(prepared, tmp_path, server):
    """For whomever: 429 with Retry-After, and others are not concerned."""
    shutil.copy(prepared, tmp_path)
    few = {"requests_per_address": 3}
    async with (
        mailed(tmp_path, server, letters=few) as house,
        house.client("203.0.113.5") as flooding,
        house.client() as other,
    ):
        answers = [await forgot(flooding, f"some{n}@example.com") for n in range(4)]
        assert [a.status_code for a in answers] == [202] * 3 + [429]
        assert int(answers[-1].headers["retry-after"]) > 0
        assert (await forgot(other, EMAIL)).status_code == 202


async def test_a_full_queue_says_so_to_everybody(prepared, tmp_path, server):
    """Known or not: it is the size of the queue that speaks."""
    shutil.copy(prepared, tmp_path)
    async with mailed(tmp_path, server, letters={"queue": 1, "timeout": 1}) as house:
        await proven(house)
        server.answers += ["hang"] * 4
        async with house.client() as client:
            seen = [
                (await forgot(client, email)).status_code
                for email in (EMAIL, "nobody@example.com") * 8
            ]
        assert set(seen) <= {202, 503}
        assert house.mailbox.waiting <= 1


# Setting the password


async def test_a_link_is_good_once(house, browser):
    code = await a_code(house, browser)
    assert (await reset(browser, code, NEW)).status_code == 200
    answer = await reset(browser, code, "yet another long one")
    assert (answer.status_code, answer.json()["code"]) == (400, "identity.link_void")
    assert (await login(browser, EMAIL, NEW)).status_code == 200


async def test_a_link_holds_for_half_an_hour(house, browser):
    code = await a_code(house, browser)
    assert code
    with closing(sqlite3.connect(house.database)) as connection, connection:
        asked = "SELECT expires - issued FROM ringfence_tickets"
        assert connection.execute(asked).fetchall() == [(HALF_AN_HOUR,)]
        connection.execute("UPDATE ringfence_tickets SET expires = 1")
    assert (await reset(browser, code, NEW)).status_code == 400


async def test_a_newer_link_voids_the_older(house, browser):
    old = await a_code(house, browser)
    new = await a_code(house, browser)
    assert (await reset(browser, old, NEW)).status_code == 400
    assert (await reset(browser, new, NEW)).status_code == 200


async def test_a_change_of_password_voids_the_link(house, browser):
    """Which is bound to the password that it was made to replace."""
    code = await a_code(house, browser)
    async with signed_in(house) as ann:
        body = {"current_password": PASSWORD, "new_password": NEW}
        assert (await ann.post("/auth/password/change", json=body)).status_code == 200
    assert (await reset(browser, code, "yet another long one")).status_code == 400
    assert (await login(browser, EMAIL, NEW)).status_code == 200


async def test_what_is_no_code_changes_nothing(browser):
    for code in ("", "x", "x" * 43, "ü" * 43, "\0" * 43, "x" * 5000):
        answer = await reset(browser, code, NEW)
        assert answer.status_code == 400
        assert answer.json()["code"] == "identity.link_void"


async def test_a_weak_password_leaves_the_link_good(house, browser):
    """The owner tries again, with the same letter."""
    code = await a_code(house, browser)
    for weak in ("short", "ann@example.com ann", "password" * 2):
        answer = await reset(browser, code, weak)
        assert (answer.status_code, answer.json()["code"]) == (
            422,
            "identity.invalid_input",
        )
    assert (await reset(browser, code, NEW)).status_code == 200


async def test_nobody_is_signed_in_by_a_link(house, browser):
    """The second factor is asked for at the sign-in, as ever (CWE-304)."""
    code = await a_code(house, browser)
    account = await house.accounts.by_email(EMAIL)
    stores = house.identity._stores
    factor = Factor("totp", b"totp-1", account.id, b"secret")
    assert await stores.factors.add(factor, epoch=account.epoch)
    answer = await reset(browser, code, NEW)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    answer = await login(browser, EMAIL, NEW)
    assert (answer.status_code, answer.json()["code"]) == (
        401,
        "identity.second_factor_required",
    )
    assert (await browser.get("/auth/me")).status_code == 401


async def test_everything_that_was_signed_in_ends(house, browser):
    """Sessions, refresh tokens and keys; and the epoch, which half a sign-in, access
    tokens and known devices are bound to."""
    account = await house.accounts.by_email(EMAIL)
    stores, epoch = house.identity._stores, account.epoch
    key = api_key(account_id=account.id)
    family = grant(account_id=account.id)
    assert await stores.api_keys.add(key, epoch=epoch)
    assert await stores.grants.add(family, epoch=epoch)
    code = await a_code(house, browser)
    async with signed_in(house) as thief:
        assert (await reset(browser, code, NEW)).status_code == 200
        assert (await thief.get("/auth/me")).status_code == 401
    assert await stores.api_keys.read(key.token_hash) is None
    assert await stores.grants.find(family.id) is None
    assert (await house.accounts.by_email(EMAIL)).epoch > epoch


async def test_a_lock_is_lifted(house, browser):
    """Proof by mail: who was locked out by a stranger's guesses is in again."""
    for _ in range(6):
        await login(browser, EMAIL, "wrong wrong wrong")
    assert (await login(browser, EMAIL, PASSWORD)).status_code == 401
    code = await a_code(house, browser)
    assert (await reset(browser, code, NEW)).status_code == 200
    assert (await login(browser, EMAIL, NEW)).status_code == 200


async def test_the_address_counts_as_proved(prepared, tmp_path, server):
    """The link has shown whose mail it is."""
    shutil.copy(prepared, tmp_path)
    async with mailed(tmp_path, server) as house, house.client() as client:
        assert (await login(client, EMAIL, PASSWORD)).status_code == 401
        await letters(house)
        code = await a_code(house, client)
        assert (await reset(client, code, NEW)).status_code == 200
        assert (await login(client, EMAIL, NEW)).status_code == 200


async def made_before_there_was_mail(prepared, folder, key):
    """Let a stranger add a passkey to the account with Ann's address."""
    shutil.copy(prepared, folder)
    async with gatehouse(folder) as house, house.client(base_url=SITE) as stranger:
        await sign_in(stranger)
        await add_passkey(stranger, key)


async def test_who_waited_in_the_account_is_out(prepared, tmp_path, server):
    """A passkey that was added before the address was proved (a pre-hijacked account)
    signs nobody in after it, and does not stand in the owner's way."""
    key = Authenticator()
    await made_before_there_was_mail(prepared, tmp_path, key)
    async with mailed(tmp_path, server) as house, house.client(base_url=SITE) as owner:
        code = await a_code(house, owner)
        assert (await reset(owner, code, NEW)).status_code == 200
        assert (await login(owner, EMAIL, NEW)).status_code == 200
        removed = house.ledger.named(FactorRemoved)
        assert {event.factor for event in removed} == {"passkey", "recovery-code"}
        assert {event.by for event in removed} == {"recovery"}
        async with house.client(base_url=SITE) as stranger:
            await use_passkey(stranger, key, status=401)


@pytest.mark.parametrize("verify", [True, False])
async def test_a_proved_address_keeps_its_second_factors(
    prepared, tmp_path, server, verify
):
    """Whoever reads the owner's mail does not get past them; nor where no address has
    to be proved, since none ever is then."""
    key = Authenticator()
    await made_before_there_was_mail(prepared, tmp_path, key)
    options = {"letters": {"verify": verify}}
    async with mailed(tmp_path, server, **options) as house, house.client() as thief:
        if verify:
            await proven(house)
        code = await a_code(house, thief)
        assert (await reset(thief, code, NEW)).status_code == 200
        answer = await login(thief, EMAIL, NEW)
        assert answer.json()["code"] == "identity.second_factor_required"


async def test_the_owner_is_told(house, browser):
    """By a letter without any link that opens anything."""
    code = await a_code(house, browser)
    await reset(browser, code, NEW)
    (notice,) = await letters(house)
    assert notice.to == [EMAIL]
    assert notice.message["subject"] == "Your password was reset (This site)"
    assert not notice.code
    assert f"{ORIGIN}/auth/password/forgot" in notice.text


async def test_a_change_and_a_move_are_told(house, browser):
    """What the ledger hears, the owner hears."""
    async with signed_in(house) as ann:
        body = {"current_password": PASSWORD, "new_password": NEW}
        await ann.post("/auth/password/change", json=body)
    (notice,) = await letters(house)
    assert notice.message["subject"] == "Your password was changed (This site)"


async def test_one_of_many_at_once_sets_its_password(house, browser):
    """Fifty who have the same link: one new password, and the others are told no."""
    code = await a_code(house, browser)
    before = await house.accounts.by_email(EMAIL)
    passwords = [f"a long password, number {n}" for n in range(50)]
    clients = [house.client(f"198.51.100.{n}") for n in range(50)]
    answers = await asyncio.gather(
        *(
            reset(client, code, password)
            for client, password in zip(clients, passwords, strict=True)
        )
    )
    for client in clients:
        await client.aclose()
    assert sorted(answer.status_code for answer in answers).count(200) == 1
    assert {answer.status_code for answer in answers} <= {200, 400, 503}
    won = next(
        password
        for answer, password in zip(answers, passwords, strict=True)
        if answer.status_code == 200
    )
    assert (await login(browser, EMAIL, won)).status_code == 200
    after = await house.accounts.by_email(EMAIL)
    assert after.epoch == before.epoch + 2  # all ended, then the password set
    assert len(await letters(house)) == 1


# Pages


async def test_opening_a_link_changes_nothing(house, browser):
    """Mail servers and previews open every link before its reader does."""
    code = await a_code(house, browser)
    for path in ("password/reset", f"password/reset?token={code}", "password/forgot"):
        page = await browser.get(f"/auth/{path}", headers=HTML)
        assert page.status_code == 200
        assert code not in page.text
        assert "set-cookie" not in page.headers
    assert (await reset(browser, code, NEW)).status_code == 200


async def test_the_way_by_pages(house, browser):
    """Forms, without any script: the code is copied from the letter."""
    page = await browser.get("/auth/login", headers=HTML)
    assert "/auth/password/forgot" in page.text
    answer = await browser.post(
        "/auth/password/forgot", data={"email": EMAIL}, headers=HTML
    )
    assert answer.headers["location"] == "/auth/password/forgot?note=sent"
    page = await browser.get(answer.headers["location"], headers=HTML)
    assert "we have sent a letter" in page.text
    (letter,) = await letters(house)
    form = {"token": f" {letter.code}\r\n", "new_password": "short"}
    answer = await browser.post("/auth/password/reset", data=form, headers=HTML)
    assert answer.status_code == 422
    assert f'value="{letter.code}' in answer.text.replace(' value=" ', ' value="')
    form["new_password"] = NEW
    answer = await browser.post("/auth/password/reset", data=form, headers=HTML)
    assert answer.headers["location"] == "/auth/login?note=reset"
    page = await browser.post("/auth/password/reset", data=form, headers=HTML)
    assert page.status_code == 400
    assert "was used already" in page.text
    assert letter.code not in page.text
    assert NEW not in page.text


async def test_without_mail_there_is_no_recovery(prepared, tmp_path):
    """In production; development prints letters."""
    shutil.copy(prepared, tmp_path)
    opened = gatehouse(tmp_path, development=False, mail=MailSettings())
    async with opened as house, house.client() as client:
        assert (await forgot(client, EMAIL)).status_code == 404
        page = await client.get("/auth/login", headers=HTML)
        assert "password/forgot" not in page.text
        assert (await login(client, EMAIL, PASSWORD)).status_code == 200


async def test_development_prints_the_link(prepared, tmp_path, capsys):
    """To the terminal, with the address of the socket that serves."""
    shutil.copy(prepared, tmp_path)
    async with gatehouse(tmp_path) as house, house.client() as client:
        assert (await login(client, EMAIL, PASSWORD)).status_code == 200
        await forgot(client, EMAIL, headers={"host": "evil.example"})
        await house.identity.post.mailbox.settle()
        shown = capsys.readouterr().err
    assert "To:      ann@example.com" in shown
    assert "://127.0.0.1:" in shown
    assert "/auth/password/reset#" in shown
    assert "evil" not in shown
