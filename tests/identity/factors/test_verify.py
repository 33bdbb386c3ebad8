"""Proving a second factor: what counts, what is told, and how often it may be tried."""

import pytest
from tests.identity.factors.setting_up import with_app
from tests.identity.gatehouse import visit

from ringfence.audit.events import (
    FactorAdded,
    FactorFailed,
    FactorRemoved,
    RecoveryCodesRenewed,
    RecoveryCodeUsed,
    SignInLocked,
)
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.identity.cause import Cause
from ringfence.principal import Principal

pytestmark = pytest.mark.anyio

WRONG = "000000"
HOUR = 3600


async def prove(setup, code, client="203.0.113.9", **options):
    setup.clock.now += 30
    return await setup.factors.prove(setup.ann, code, visit(client), **options)


def now(setup, app):
    """Return the code that the app shows when the next proof is looked at."""
    return app.at(setup.clock.now + 30)


async def test_a_code_of_the_app_proves_it(setup):
    app, _ = await with_app(setup)
    assert await prove(setup, now(setup, app)) == "totp"
    code = now(setup, app)
    assert await prove(setup, f" {code[:3]} {code[3:]} ") == "totp"
    assert setup.ledger.named(FactorFailed) == []


async def test_a_recovery_code_stands_in_for_it(setup):
    _, codes = await with_app(setup)
    assert await prove(setup, codes[0]) == "recovery-code"
    (event,) = setup.ledger.named(RecoveryCodeUsed)
    assert (event.account, event.left, event.client) == (setup.ann.id, 9, "203.0.113.9")


@pytest.mark.parametrize(
    "code",
    [
        WRONG,
        "",
        "12345",
        "1234567",
        "x" * 16,
        "0" * 16,
        "१२३४५६",
        "\x00" * 6,
        "1" * 65,
        "5" * 10_000,
    ],
)
async def test_what_is_no_proof_gets_one_answer(setup, code):
    await with_app(setup)
    refused = await prove(setup, code)
    assert (refused.status, refused.code) == (401, "identity.code_wrong")
    assert refused.fields[0][0] == "code"
    (event,) = setup.ledger.named(FactorFailed)
    assert event.identifier == setup.identifier("ann@example.com")
    assert code not in repr(event) or len(code) < 6


async def test_who_is_signed_in_stays_so_after_a_wrong_code(setup):
    """401 would tell a program that its session has ended."""
    await with_app(setup)
    exchange = visit()
    exchange.principal = Principal(setup.ann.id)
    refused = await setup.factors.prove(setup.ann, WRONG, exchange)
    assert refused.status == 403


async def test_only_what_would_do_is_looked_at(setup):
    """A code that does not count is not used up."""
    app, codes = await with_app(setup)
    only = frozenset({"recovery-code"})
    code = now(setup, app)
    assert isinstance(await prove(setup, code, among=only), Denial)
    setup.clock.now -= 30
    assert await prove(setup, code) == "totp"
    refused = await prove(setup, codes[0], among=frozenset({"totp"}))
    assert isinstance(refused, Denial)
    assert await prove(setup, codes[0]) == "recovery-code"


async def test_recovery_codes_alone_prove_nothing(setup):
    """They stand in for a factor that is there."""
    codes = await setup.factors.recovery_codes.make(setup.ann)
    assert isinstance(await prove(setup, codes[0]), Denial)


async def test_guesses_are_locked_and_then_the_right_one_is_wrong(setup):
    app, _ = await with_app(setup)
    for number in range(5):
        assert (await prove(setup, WRONG, f"203.0.113.{number}")).private != "locked"
    assert (await prove(setup, now(setup, app), "203.0.113.77")).private == "locked"
    assert len(setup.ledger.named(SignInLocked)) == 1
    # One lock of the sign-in and, noticed when that has ended, one of the factors.
    setup.clock.now += 60
    assert (await prove(setup, now(setup, app))).private == "locked"
    setup.clock.now += 60
    assert await prove(setup, now(setup, app)) == "totp"


async def test_a_right_password_does_not_give_guesses_back(setup):
    """Whoever knows the password would begin anew after every few guesses: a million
    codes, of which three are right, are guessed within days (CWE-307)."""
    await with_app(setup)
    refused, guessed = 0, 0
    for number in range(60):
        visitor = visit(f"203.0.113.{number}")
        password = await setup.attempts.begin(setup.ann.email_key, visitor)
        answer = await prove(setup, WRONG, f"198.51.100.{number}")
        guessed += answer.private != "locked"
        refused += answer.private == "locked"
        if not isinstance(password, Denial):
            await password.succeeded()
    assert guessed <= 20
    assert refused >= 40


async def test_locks_of_guesses_grow_to_a_day(setup):
    """Nobody who is patient gets more: four an hour would be one in ten in a year."""
    await with_app(setup)
    guessed = 0
    for _ in range(14 * 24 * 2):  # every half an hour, for a fortnight
        setup.clock.now += HOUR / 2
        guessed += (await prove(setup, WRONG)).private != "locked"
    assert guessed <= 100  # NIST SP 800-63B-4, section 3.2.2


async def test_an_operator_ends_the_lock_and_mail_does_not(setup):
    """Who guesses at a second factor may well read the owner's mail."""
    app, _ = await with_app(setup)
    for number in range(6):
        await prove(setup, WRONG, f"203.0.113.{number}")
    setup.clock.now += 60
    await prove(setup, WRONG)
    await setup.attempts.lift(setup.ann.email_key)
    assert (await prove(setup, now(setup, app))).private == "locked"
    await setup.attempts.lift(setup.ann.email_key, second=True)
    assert await prove(setup, now(setup, app)) == "totp"


async def test_too_many_tries_of_a_network_are_told(setup):
    await with_app(setup)
    answers = [await setup.factors.prove(setup.bob, WRONG, visit()) for _ in range(12)]
    assert answers[-1].status == 429


async def test_guesses_share_the_budgets_of_the_sign_in(setup):
    """After four wrong passwords one wrong code is left, not five."""
    await with_app(setup)
    for number in range(4):
        attempt = await setup.attempts.begin(
            setup.ann.email_key, visit(f"203.0.113.{number}")
        )
        await attempt.failed()
    assert (await prove(setup, WRONG, "203.0.113.70")).private != "locked"
    assert (await prove(setup, WRONG, "203.0.113.71")).private == "locked"


async def test_a_store_that_is_down_lets_nobody_in(setup, monkeypatch):
    app, _ = await with_app(setup)

    async def down(*_, **__):
        raise StoreError("down")

    monkeypatch.setattr(setup.stores.factors, "of_account", down)
    with pytest.raises(StoreError):
        await prove(setup, now(setup, app))


async def test_what_is_added_is_told(setup):
    await with_app(setup)
    added = setup.ledger.named(FactorAdded)
    assert [event.factor for event in added] == ["totp", "recovery-code"]
    assert {event.account for event in added} == {setup.ann.id}


async def test_the_last_factor_takes_its_recovery_codes_along(setup):
    """They would sign in for nothing; and a factor that is set up later would get no
    new ones, of which its owner has the paper."""
    await with_app(setup)
    await with_app(setup)
    one, other = (await setup.factors.held(setup.ann.id)).totp
    assert await setup.factors.remove(setup.ann, "totp", one.id, visit())
    assert len((await setup.factors.held(setup.ann.id)).recovery_codes) == 10
    assert await setup.factors.remove(setup.ann, "totp", other.id, visit())
    assert await setup.factors.held(setup.ann.id) == ((), (), ())
    removed = setup.ledger.named(FactorRemoved)
    assert [event.factor for event in removed] == ["totp", "totp"]


async def test_anothers_factor_is_not_removed(setup):
    """By naming it (CWE-639)."""
    await with_app(setup)
    (app,) = (await setup.factors.held(setup.ann.id)).totp
    assert not await setup.factors.remove(setup.bob, "totp", app.id, visit())
    assert (await setup.factors.held(setup.ann.id)).totp == (app,)


async def test_renewed_codes_are_told(setup):
    _, old = await with_app(setup)
    new = await setup.factors.renew_codes(setup.ann, visit())
    assert len(new) == 10
    assert not set(new) & set(old)
    (event,) = setup.ledger.named(RecoveryCodesRenewed)
    assert event.account == setup.ann.id
    await setup.stores.accounts.set_password(setup.ann.id, "new", epoch=0)
    assert await setup.factors.renew_codes(setup.ann, visit()) == ()
    assert len(setup.ledger.named(RecoveryCodesRenewed)) == 1


async def test_an_account_that_has_changed_gets_no_codes(setup):
    await setup.stores.accounts.set_password(setup.ann.id, "new", epoch=0)
    assert await setup.factors.added(setup.ann, "passkey", visit()) == ()
    assert [event.factor for event in setup.ledger.named(FactorAdded)] == ["passkey"]


async def test_nobody_is_told_of_a_removal_that_did_not_happen(setup):
    """An operator whose look at the account is older than a change of its password."""
    await with_app(setup)
    await setup.stores.accounts.raise_epoch(setup.ann.id)
    assert not await setup.factors.remove_all(setup.ann, Cause())
    assert setup.ledger.named(FactorRemoved) == []
    assert (await setup.factors.held(setup.ann.id)).is_guarded
