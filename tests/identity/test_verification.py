"""An account comes to life when its owner has shown that the address is theirs."""

import asyncio

import pytest
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD
from tests.identity.mailed import (
    ORIGIN,
    forgot,
    letters,
    login,
    mailed,
    register,
    reset,
    verify,
)
from tests.servers.mail import running_mail_server

from ringfence.audit.events import AddressVerified, SignInFailed

pytestmark = pytest.mark.anyio

OTHER = "an entirely other one"


@pytest.fixture(scope="module")
def server():
    with running_mail_server() as mail:
        yield mail


@pytest.fixture
async def house(tmp_path, server, anyio_backend):
    async with mailed(tmp_path, server) as opened:
        yield opened


@pytest.fixture
async def browser(house):
    async with house.client() as client:
        yield client


async def registered(house, client, password=PASSWORD):
    """Register; return the code of the letter."""
    assert (await register(client, EMAIL, password)).status_code == 202
    (letter,) = await letters(house)
    return letter.code


async def test_the_whole_way(house, browser):
    """Register, follow the link with the password, sign in."""
    assert (await register(browser, EMAIL, PASSWORD)).status_code == 202
    (letter,) = await letters(house)
    assert letter.to == [EMAIL]
    assert letter.link == f"{ORIGIN}/auth/email/verify#{letter.code}"
    answer = await verify(browser, letter.code, PASSWORD)
    assert (answer.status_code, answer.json()) == (200, {"status": "verified"})
    assert (await login(browser, EMAIL, PASSWORD)).status_code == 200
    assert house.ledger.named(AddressVerified)


async def test_before_it_nobody_signs_in(house, browser):
    """And the answer is that of a wrong password, to the byte."""
    await registered(house, browser)
    right = await login(browser, EMAIL, PASSWORD)
    wrong = await login(browser, EMAIL, OTHER)
    unknown = await login(browser, "nobody@example.com", PASSWORD)
    answers = [
        {**answer.json(), "request_id": "", "status": answer.status_code}
        for answer in (right, wrong, unknown)
    ]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["code"] == "identity.sign_in_failed"
    assert sorted(right.headers) == sorted(wrong.headers)
    reasons = [event.reason for event in house.ledger.named(SignInFailed)]
    assert reasons[0] == "address not verified"


async def test_the_right_password_brings_a_fresh_link(house, browser):
    """And a wrong one brings none: the letters are the owner's affair."""
    old = await registered(house, browser)
    await login(browser, EMAIL, OTHER)
    assert not await letters(house)
    await login(browser, EMAIL, PASSWORD)
    (letter,) = await letters(house)
    assert letter.code not in {"", old}
    assert (await verify(browser, old, PASSWORD)).status_code == 400
    assert (await verify(browser, letter.code, PASSWORD)).status_code == 200


async def test_letters_are_limited(house, browser):
    """Whoever knows the password floods nobody with them."""
    await registered(house, browser)
    for _ in range(10):
        await login(browser, EMAIL, PASSWORD)
    assert len(await letters(house)) <= 1


async def test_a_taken_address_gets_another_letter(house, browser):
    """And whoever has asked gets the same answer: registration is no oracle."""
    free = await register(browser, EMAIL, PASSWORD)
    (letter,) = await letters(house)
    await verify(browser, letter.code, PASSWORD)
    taken = await register(browser, EMAIL, OTHER)
    assert (taken.status_code, taken.content) == (free.status_code, free.content)
    assert sorted(taken.headers) == sorted(free.headers)
    (letter,) = await letters(house)
    assert letter.message["subject"] == "You have an account at This site"
    assert f"{ORIGIN}/auth/password/forgot" in letter.text
    assert not letter.code
    assert (await login(browser, EMAIL, OTHER)).status_code == 401


async def test_registering_and_signing_in_tells_nothing(house, browser):
    """Free or taken: with the password of the attempt, the answer is the same."""
    code = await registered(house, browser)
    await verify(browser, code, PASSWORD)
    answers = []
    for email in (EMAIL, "free@example.com"):
        await register(browser, email, OTHER)
        answer = await login(browser, email, OTHER)
        answers.append((answer.status_code, answer.json()["code"]))
    assert answers[0] == answers[1]


async def test_a_strangers_password_never_comes_to_life(house, browser):
    """Somebody has registered Ann's address before her (pre-hijacking). Her click does
    not help them: the link alone proves nothing."""
    code = await registered(house, browser, OTHER)
    answer = await verify(browser, code, PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (
        403,
        "identity.password_wrong",
    )
    assert (await login(browser, EMAIL, OTHER)).status_code == 401
    await letters(house)
    await forgot(browser, EMAIL)
    (letter,) = await letters(house)
    assert (await reset(browser, letter.code, PASSWORD)).status_code == 200
    assert (await login(browser, EMAIL, OTHER)).status_code == 401
    assert (await login(browser, EMAIL, PASSWORD)).status_code == 200
    assert (await verify(browser, code, OTHER)).status_code == 400


async def test_guesses_at_the_password_are_counted(house, browser):
    """With a link in hand, as at the sign-in; the link stays good for the owner."""
    code = await registered(house, browser)
    answers = [
        await verify(browser, code, f"guess number {n} of many") for n in range(6)
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert (await verify(browser, code, PASSWORD)).status_code == 403  # locked
    house.clock.now += 61
    assert (await verify(browser, code, PASSWORD)).status_code == 200


async def test_a_link_is_good_once(house, browser):
    code = await registered(house, browser)
    assert (await verify(browser, code, PASSWORD)).status_code == 200
    answer = await verify(browser, code, PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (400, "identity.link_void")


async def test_one_of_many_at_once_is_taken(house, browser):
    """Fifty who follow the link: the address is proved once."""
    code = await registered(house, browser)
    clients = [house.client(f"198.51.100.{n}") for n in range(50)]
    answers = await asyncio.gather(
        *(verify(client, code, PASSWORD) for client in clients)
    )
    for client in clients:
        await client.aclose()
    assert [answer.status_code for answer in answers].count(200) == 1
    assert len(house.ledger.named(AddressVerified)) == 1


async def test_a_link_of_one_kind_is_none_of_another(house, browser):
    """A link that proves an address sets no password."""
    code = await registered(house, browser)
    assert (await reset(browser, code, OTHER)).status_code == 400
    await forgot(browser, EMAIL)
    (letter,) = await letters(house)
    assert (await verify(browser, letter.code, PASSWORD)).status_code == 400
    assert (await verify(browser, code, PASSWORD)).status_code == 200


async def test_the_way_by_pages(house, browser):
    """Forms; opening the link changes nothing."""
    form = {"email": EMAIL, "password": PASSWORD}
    answer = await browser.post("/auth/register", data=form, headers=HTML)
    assert answer.headers["location"] == "/auth/login?note=registered"
    page = await browser.get(answer.headers["location"], headers=HTML)
    assert "We have sent you a letter" in page.text
    (letter,) = await letters(house)
    page = await browser.get("/auth/email/verify", headers=HTML)
    assert page.status_code == 200
    form = {"token": letter.code, "password": OTHER}
    page = await browser.post("/auth/email/verify", data=form, headers=HTML)
    assert page.status_code == 403
    assert "not the password of the account" in page.text
    assert OTHER not in page.text
    form["password"] = PASSWORD
    answer = await browser.post("/auth/email/verify", data=form, headers=HTML)
    assert answer.headers["location"] == "/auth/login?note=verified"
    assert (await login(browser, EMAIL, PASSWORD)).status_code == 200


async def test_a_refused_sign_in_says_what_to_do(house, browser):
    """To everybody alike: whose password was right gets a letter besides."""
    await registered(house, browser)
    pages = []
    for password in (PASSWORD, OTHER):
        form = {"email": EMAIL, "password": password}
        pages.append(await browser.post("/auth/login", data=form, headers=HTML))
    assert pages[0].text == pages[1].text
    assert "Follow the link in our letter first" in pages[0].text


async def test_an_operator_vouches_for_an_address(house, browser):
    """``ringfence accounts create`` and imports: nobody waits for a letter."""
    await house.accounts.create(EMAIL, PASSWORD)
    assert (await login(browser, EMAIL, PASSWORD)).status_code == 200


async def test_it_can_be_switched_off(tmp_path, server):
    async with (
        mailed(tmp_path, server, letters={"verify": False}) as house,
        house.client() as client,
    ):
        await register(client, EMAIL, PASSWORD)
        assert not await letters(house)
        assert (await login(client, EMAIL, PASSWORD)).status_code == 200
        assert (await verify(client, "x" * 43, PASSWORD)).status_code == 404


async def test_a_disabled_account_gets_no_letter(house, browser):
    await registered(house, browser)
    account = await house.accounts.by_email(EMAIL)
    await house.identity._stores.accounts.set_disabled(account.id, disabled=True)
    await register(browser, EMAIL, OTHER)
    await login(browser, EMAIL, PASSWORD)
    assert not await letters(house)
