"""Owners are told by mail what happens to their accounts."""

import shutil
from dataclasses import replace

import pytest
from tests.identity.gatehouse import EMAIL
from tests.identity.mailed import ORIGIN, letters, mailed
from tests.servers.mail import running_mail_server

from ringfence.audit.events import (
    FactorAdded,
    FactorRemoved,
    PasswordChanged,
    RecoveryCodeUsed,
    SignedIn,
)
from ringfence.identity.notices import SENTENCES, Notices

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server():
    with running_mail_server() as mail:
        yield mail


@pytest.fixture
async def house(prepared, tmp_path, server, anyio_backend):
    shutil.copy(prepared, tmp_path)
    async with mailed(tmp_path, server) as opened:
        yield opened


@pytest.fixture
async def notices(house):
    stores = house.identity._stores
    return Notices(stores.accounts, house.identity.post, clock=house.clock)


@pytest.fixture
async def ann(house):
    return (await house.accounts.by_email(EMAIL)).id


FACTS = {"factor": "totp", "left": 3, "label": "export", "issuer": "id.example"}


async def test_each_kind_is_told(house, notices, ann):
    """By a letter that opens nothing."""
    for kind in SENTENCES:
        notices.told(ann, kind, **FACTS)
    told = await letters(house)
    titles = {letter.message["subject"] for letter in told}
    assert titles == {f"{said.title} (This site)" for said in SENTENCES.values()}
    for letter in told:
        assert letter.to == [EMAIL]
        assert not letter.code
        assert "{" not in letter.text
        assert letter.link in {"", f"{ORIGIN}/auth/password/forgot"}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (FactorAdded(factor="passkey"), "your account: a passkey."),
        (FactorRemoved(factor="totp"), "an app that shows codes"),
        (RecoveryCodeUsed(left=3), "left: 3."),
        (FactorAdded(factor="x\r\nSubject: y"), "account: x  Subject: y."),
    ],
)
async def test_facts_of_events_are_told(house, notices, ann, event, words):
    """For people; and they cannot begin a line of their own."""
    notices.hear(lambda _: None)(replace(event, account=ann))
    (letter,) = await letters(house)
    assert words in " ".join(letter.text.split("\n"))


async def test_what_is_no_affair_of_theirs_is_not_told(house, notices, ann):
    """A sign-in, an event of nobody, of an account that is gone."""
    record = notices.hear(lambda _: None)
    record(SignedIn(account=ann))
    record(PasswordChanged())
    notices.told("gone", "session_moved")
    assert not await letters(house)


async def test_what_the_ledger_hears_the_owner_hears(house, notices, ann):
    heard = []
    record = notices.hear(heard.append)
    record(PasswordChanged(account=ann))
    record(SignedIn(account=ann))
    assert len(heard) == 2
    (letter,) = await letters(house)
    assert letter.message["subject"].startswith("Your password was changed")


async def test_a_storm_fills_no_mailbox(house, notices, ann):
    """And uses up no letter that the owner asks for."""
    for _ in range(40):
        notices.told(ann, "session_moved")
    assert len(await letters(house)) == 20
    assert await house.identity.post.limits.may_have(ann, "password-reset")


async def test_without_mail_nothing_happens(house, ann):
    nowhere = Notices(house.identity._stores.accounts, None, clock=house.clock)
    nowhere.told(ann, "password_changed")
    assert not await letters(house)
