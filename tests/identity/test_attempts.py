"""How often a password may be tried, and who is hit by the limits."""

import asyncio

import pytest
from tests.identity.gatehouse import EMAIL, PASSWORD, gatehouse, visit

from ringfence.audit.events import (
    AccountUnlocked,
    PasswordChangeFailed,
    RequestRefused,
    SignInFailed,
    SignInLocked,
    SignInsLimited,
    SignInSpray,
)
from ringfence.denial import Denial
from ringfence.errors import StoreBusyError, StoreError, WrongPasswordError
from ringfence.identity.attempts import Attempt
from ringfence.identity.cause import Cause
from ringfence.identity.passwords.passwords import Passwords
from ringfence.identity.refusals import LOCKED, SIGN_IN_FAILED
from ringfence.stores.contracts import AccountRecord, Verdict
from ringfence.stores.memory_counters import MemoryCounters

pytestmark = pytest.mark.anyio

NOBODY = "nobody@example.com"
NEW = "another long phrase"
HOUR = 3600


@pytest.fixture(autouse=True)
def looked_at(monkeypatch):
    """The stored hashes that a password was compared with. Nothing is hashed, and no
    answer waits: thousands are asked for here."""
    seen = []

    async def verify(_, stored, password, **__):
        seen.append(stored)
        await asyncio.sleep(0)  # as long as another may come in between
        if not stored or password != PASSWORD:
            raise WrongPasswordError
        return stored

    async def hashed(_, password, **__):
        await asyncio.sleep(0)
        return f"$argon2 {password}"

    async def evenly(_, work):
        return await work

    async def better(*_, **__):
        return ""

    monkeypatch.setattr(Passwords, "verify", verify)
    monkeypatch.setattr(Passwords, "hash", hashed)
    monkeypatch.setattr(Passwords, "evenly", evenly)
    monkeypatch.setattr(Passwords, "better", better)
    return seen


def places(count, prefix="10.0"):
    """Return so many addresses, each in a network of its own."""
    return [f"{prefix}.{n // 256}.{n % 256}" for n in range(count)]


async def guess(house, email=EMAIL, *, at="203.0.113.9", cookie="", password="wrong"):
    return await house.accounts.authenticate(email, password, visit(at, cookie=cookie))


async def guesses(house, count, email=EMAIL, **options):
    """Guess from as many addresses, so that only the account's budget counts."""
    return [await guess(house, email, at=at, **options) for at in places(count)]


async def sign_in(house, email=EMAIL, *, at="203.0.113.9", cookie=""):
    return await guess(house, email, at=at, cookie=cookie, password=PASSWORD)


async def device_of(house, email=EMAIL, cookie=""):
    """Return the cookie of a browser from which this account has signed in."""
    account = await house.accounts._store.by_email(email)
    exchange = visit(cookie=cookie)
    house.identity.devices.remember(exchange, email, account.epoch)
    (line,) = [v for k, v in exchange.response_headers if k == b"set-cookie"]
    return line.decode().partition(";")[0]


def codes(answers):
    return [a.code if isinstance(a, Denial) else "signed in" for a in answers]


WRONG, MANY = "identity.sign_in_failed", "identity.too_many_attempts"


class TestAnAccount:
    """Five failures in any hour lock it, for strangers."""

    @pytest.mark.parametrize("email", [EMAIL, NOBODY])
    async def test_five_guesses_are_looked_at_and_no_more(
        self, house, looked_at, email
    ):
        answers = await guesses(house, 50, email)
        assert codes(answers) == [WRONG] * 50
        assert len(looked_at) == 5

    @pytest.mark.parametrize("email", [EMAIL, NOBODY])
    async def test_fifty_parallel_guesses_are_no_more(self, house, looked_at, email):
        """Paid for before the hashing, atomically (trap: read, hash, then count)."""
        answers = await asyncio.gather(
            *(guess(house, email, at=at) for at in places(50))
        )
        assert codes(answers) == [WRONG] * 50
        assert len(looked_at) == 5

    async def test_a_locked_account_answers_as_a_wrong_password_does(self, house):
        """And does not give the right one away."""
        wrong, *_, locked = await guesses(house, 6)
        right = await sign_in(house, at="198.51.100.1")
        assert wrong == locked == right == SIGN_IN_FAILED
        reasons = [event.reason for event in house.ledger.named(SignInFailed)]
        assert reasons == ["wrong password"] * 5 + ["locked"] * 2

    async def test_the_locked_take_as_long_as_the_wrong(self, house, monkeypatch):
        """No hashing is done for them, so they wait for the same moment. Who is told
        to wait need not wait for that."""
        waited = []

        async def evenly(_, work):
            waited.append("waited")
            return await work

        monkeypatch.setattr(Passwords, "evenly", evenly)
        await guesses(house, 7)
        assert waited == ["waited"] * 7
        answers = [await guess(house, f"{n}@example.com") for n in range(11)]
        assert codes(answers[-1:]) == [MANY]
        assert waited == ["waited"] * 17

    async def test_other_accounts_are_not_hit(self, house):
        await guesses(house, 6, NOBODY)
        assert isinstance(await sign_in(house), AccountRecord)

    @pytest.mark.parametrize(
        "spelling",
        [EMAIL.upper(), f"  {EMAIL} ", "A" + EMAIL[1:], "\uff41nn@example.com"],
    )
    async def test_every_spelling_is_the_same_account(self, house, looked_at, spelling):
        await guesses(house, 5, spelling)
        looked_at.clear()
        assert await sign_in(house) == SIGN_IN_FAILED
        assert looked_at == []

    async def test_overlong_addresses_share_no_budget_with_others(self, house):
        await guesses(house, 6, EMAIL + "x" * 100_000)
        assert isinstance(await sign_in(house), AccountRecord)

    async def test_a_success_costs_no_guess(self, house):
        for at in places(20):
            assert isinstance(await sign_in(house, at=at), AccountRecord)
        assert house.ledger.named(SignInLocked) == []

    async def test_honest_parallel_sign_ins_leave_no_lock_behind(self, house):
        """More than five at once cannot be told from guesses at first; once a password
        was right, the lock that they have begun is over."""
        answers = await asyncio.gather(*(sign_in(house, at=at) for at in places(20)))
        assert codes(answers) == ["signed in"] * 5 + [WRONG] * 15
        assert isinstance(await sign_in(house), AccountRecord)
        await guesses(house, 6)
        (*_, event) = house.ledger.named(SignInLocked)
        assert event.seconds == 60

    async def test_a_slow_hash_does_not_move_the_clock(self, house, monkeypatch):
        """What is given back after seconds leaves the other budgets as they are."""
        real = Passwords.verify

        async def slow(*args, **kwargs):
            house.clock.now += 30
            return await real(*args, **kwargs)

        monkeypatch.setattr(Passwords, "verify", slow)
        for _ in range(4):
            await guess(house)
        assert isinstance(await sign_in(house), AccountRecord)
        assert isinstance(await sign_in(house), AccountRecord)
        await guess(house)
        assert await sign_in(house) == SIGN_IN_FAILED

    async def test_strangers_are_not_forgiven_by_a_success(self, house, looked_at):
        """Else four guesses would be free after each sign-in of the owner."""
        await guesses(house, 4)
        assert isinstance(await sign_in(house), AccountRecord)
        looked_at.clear()
        await guesses(house, 4)
        assert len(looked_at) == 1

    async def test_the_lock_ends_by_itself(self, house):
        await guesses(house, 6)
        house.clock.now += 59
        assert await sign_in(house) == SIGN_IN_FAILED
        house.clock.now += 1
        assert isinstance(await sign_in(house), AccountRecord)

    async def test_what_is_tried_meanwhile_does_not_prolong_it(self, house):
        await guesses(house, 6)
        for at in places(12, "10.9"):
            house.clock.now += 5
            answer = await sign_in(house, at=at)
        assert isinstance(answer, AccountRecord)

    async def test_the_lock_grows_and_is_never_for_ever(self, house):
        """1, 4, 16 and 60 minutes, and then 60 again."""
        for _ in range(6):
            await guesses(house, 6)
            (*_, event) = house.ledger.named(SignInLocked)
            house.clock.now += event.seconds
        lengths = [event.seconds for event in house.ledger.named(SignInLocked)]
        assert lengths == [60, 240, 960, HOUR, HOUR, HOUR]
        assert isinstance(await sign_in(house), AccountRecord)

    async def test_a_quiet_time_makes_the_next_lock_short_again(self, house):
        await guesses(house, 6)
        house.clock.now += 60 + HOUR
        await guesses(house, 6)
        lengths = [event.seconds for event in house.ledger.named(SignInLocked)]
        assert lengths == [60, 60]

    async def test_slow_guessing_gets_nowhere(self, house, looked_at):
        """A day of a guess every two minutes: five in the hour, once the locks have
        grown (NIST: no more than a hundred in a row are worth fearing)."""
        for minute in range(0, 24 * 60, 2):
            house.clock.now = 1_000_000 + 60 * minute
            await guess(house)
            if minute == 120:
                first = len(looked_at)
        assert first <= 20
        assert len(looked_at) <= 20 + 22 * 5

    async def test_a_lock_is_told_once(self, house):
        await guesses(house, 30)
        (event,) = house.ledger.named(SignInLocked)
        assert (event.seconds, event.client) == (60, "10.0.0.5")
        (identifier,) = {e.identifier for e in house.ledger.named(SignInFailed)}
        assert event.identifier == identifier

    async def test_a_flood_of_names_does_not_wash_a_lock_away(
        self, tmp_path, looked_at
    ):
        """The room for counters is bounded; who is held is not forgotten for others."""
        counters = MemoryCounters(keys=64, members=64)
        wide = {"sign_ins_per_address": 10_000, "sign_ins_global": 10_000}
        async with gatehouse(tmp_path, counters=counters, **wide) as house:
            await house.accounts.register(EMAIL, PASSWORD, visit())
            await guesses(house, 6)
            for n, at in enumerate(places(300, "10.9")):
                await guess(house, f"{n}@example.com", at=at)
            looked_at.clear()
            assert await sign_in(house) == SIGN_IN_FAILED
            assert looked_at == []

    async def test_a_long_lock_is_told_once_too(self, house):
        await guesses(house, 6)
        house.clock.now += 60
        for n in range(240):
            await guess(house, at=f"10.9.0.{n}")
            house.clock.now += 1
        events = house.ledger.named(SignInLocked)
        assert [event.seconds for event in events] == [60, 240]

    async def test_proof_by_other_means_lifts_it(self, house):
        await guesses(house, 6)
        await house.identity.attempts.lift(EMAIL)
        assert isinstance(await sign_in(house), AccountRecord)

    async def test_an_operator_unlocks_it(self, house):
        await guesses(house, 6)
        account = await house.accounts._store.by_email(EMAIL)
        operator = Cause(client="192.0.2.1", by="olive")
        assert await house.accounts.unlock(account.id, operator) is None
        assert isinstance(await sign_in(house), AccountRecord)
        (event,) = house.ledger.named(AccountUnlocked)
        assert (event.account, event.by, event.client) == (
            account.id,
            "olive",
            "192.0.2.1",
        )
        refused = await house.accounts.unlock("nobody", operator)
        assert refused.code == "identity.no_such_account"

    async def test_the_settings_say_how_many(self, tmp_path, looked_at):
        async with gatehouse(
            tmp_path, sign_in_failures=2, lock_shortest=10, lock_longest=10
        ) as house:
            await house.accounts.register(EMAIL, PASSWORD, visit())
            await guesses(house, 5)
            assert len(looked_at) == 2
            house.clock.now += 10
            assert isinstance(await sign_in(house), AccountRecord)


class TestAKnownDevice:
    """The owner's browser is not hit by what strangers do."""

    async def test_the_owner_signs_in_while_a_thousand_addresses_guess(self, house):
        """CWE-645: a lock that strangers can use against the owner."""
        cookie = await device_of(house)
        for number, at in enumerate(places(1000)):
            await guess(house, at=at)
            if number % 100 == 0:
                house.clock.now += 60
        assert await sign_in(house) == SIGN_IN_FAILED  # a stranger with the password
        owner = await sign_in(house, cookie=cookie)
        assert isinstance(owner, AccountRecord)

    async def test_the_owner_signs_in_while_the_global_budget_is_burnt(self, house):
        for n, at in enumerate(places(100)):
            await guess(house, f"somebody-{n}@example.com", at=at)
        assert codes([await sign_in(house)]) == [MANY]
        cookie = await device_of(house)
        assert isinstance(await sign_in(house, cookie=cookie), AccountRecord)

    async def test_the_owner_signs_in_beside_a_guesser_in_the_same_network(self, house):
        for n in range(12):
            await guess(house, f"somebody-{n}@example.com")
        assert codes([await sign_in(house)]) == [MANY]
        cookie = await device_of(house)
        assert isinstance(await sign_in(house, cookie=cookie), AccountRecord)

    async def test_a_stolen_cookie_has_five_guesses(self, house, looked_at):
        cookie = await device_of(house)
        await guesses(house, 50, cookie=cookie)
        assert len(looked_at) == 5
        looked_at.clear()
        await guesses(house, 50)
        assert len(looked_at) == 5

    async def test_a_thief_does_not_fill_the_ledger(self, house):
        """What is refused because the device is locked costs its network after all."""
        cookie = await device_of(house)
        answers = [await guess(house, cookie=cookie) for _ in range(100)]
        assert codes(answers) == [WRONG] * 15 + [MANY] * 85
        assert len(house.ledger.named(SignInFailed)) == 15

    async def test_fifty_parallel_guesses_of_a_known_device(self, house, looked_at):
        cookie = await device_of(house)
        await asyncio.gather(*(guess(house, at=at, cookie=cookie) for at in places(50)))
        assert len(looked_at) == 5

    async def test_a_thief_does_not_lock_the_owners_other_devices(self, house):
        stolen, other = await device_of(house), await device_of(house)
        await guesses(house, 50, cookie=stolen)
        assert isinstance(await sign_in(house, cookie=other), AccountRecord)

    async def test_many_stolen_cookies_have_an_end(self, tmp_path, looked_at):
        """Fifty failures an hour for all known devices of an account together."""
        async with gatehouse(tmp_path, sign_ins_per_address=1000) as house:
            await house.accounts.register(EMAIL, PASSWORD, visit())
            for _ in range(30):
                cookie = await device_of(house)
                await guesses(house, 5, cookie=cookie)
                house.clock.now += 6
            assert len(looked_at) == 50

    async def test_a_cookie_for_one_account_is_a_strangers_for_another(
        self, house, looked_at
    ):
        await house.accounts.create("bob@example.com", PASSWORD)
        bobs = await device_of(house, "bob@example.com")
        await guesses(house, 6)
        looked_at.clear()
        assert await sign_in(house, cookie=bobs) == SIGN_IN_FAILED
        assert looked_at == []

    async def test_a_planted_cookie_does_not_share_the_owners_budget(self, house):
        """An attacker plants a device of their own in the owner's browser: after the
        owner's sign-in the id is another one, and the attacker's copy knows nothing."""
        await house.accounts.create("mallory@example.com", PASSWORD)
        planted = await device_of(house, "mallory@example.com")
        owners = await device_of(house, cookie=planted)
        await guesses(house, 10, "mallory@example.com", cookie=planted)
        await guesses(house, 10, cookie=planted)
        assert isinstance(await sign_in(house, cookie=owners), AccountRecord)

    async def test_a_success_forgives_the_owners_typing_errors(self, house):
        cookie = await device_of(house)
        for _ in range(3):
            for _ in range(3):
                await guess(house, cookie=cookie)
            assert isinstance(await sign_in(house, cookie=cookie), AccountRecord)
            house.clock.now += 60

    async def test_a_changed_password_makes_a_stranger_of_it(self, house):
        cookie = await device_of(house)
        account = await house.accounts._store.by_email(EMAIL)
        changed = await house.accounts.change_password(
            account.id, current=PASSWORD, new=NEW, exchange=visit()
        )
        assert isinstance(changed, AccountRecord)
        await guesses(house, 6)
        exchange = visit(cookie=cookie)
        assert await house.accounts.authenticate(EMAIL, NEW, exchange) == SIGN_IN_FAILED

    async def test_the_account_is_asked_for_only_by_devices_that_claim_to_know_it(
        self, house, monkeypatch
    ):
        """The time of a look at the account is no oracle for strangers."""
        asked = []
        real = house.identity.attempts._epoch_of

        async def epoch_of(key):
            asked.append(key)
            return await real(key)

        monkeypatch.setattr(house.identity.attempts, "_epoch_of", epoch_of)
        await sign_in(house)
        await guess(house, NOBODY)
        await guess(house, cookie="device-8000=AAAA")
        assert asked == []
        await sign_in(house, cookie=await device_of(house))
        assert asked == [EMAIL]

    async def test_signing_in_over_and_over_has_an_end(self, house):
        """Each costs a hash and a write; ten a minute are enough for an account."""
        cookie = await device_of(house)
        answers = [await sign_in(house, cookie=cookie) for _ in range(12)]
        assert codes(answers) == ["signed in"] * 10 + [MANY] * 2

    async def test_the_reserve_is_not_burnt_with_accounts_of_ones_own(self, house):
        """Successes are given back, and each account has few failures."""
        for n in range(20):
            await house.accounts.create(f"mallory-{n}@example.com", PASSWORD)
        for n in range(20):
            email = f"mallory-{n}@example.com"
            cookie = await device_of(house, email)
            for _ in range(10):
                await sign_in(house, email, cookie=cookie)
        cookie = await device_of(house)
        assert isinstance(await sign_in(house, cookie=cookie), AccountRecord)


class TestAnAddress:
    """Ten sign-ins of strangers in any minute."""

    async def test_the_eleventh_is_told_to_wait(self, house):
        answers = [await guess(house, f"{n}@example.com") for n in range(11)]
        assert codes(answers) == [WRONG] * 10 + [MANY]
        refused = answers[-1]
        assert refused.status == 429
        assert dict(refused.headers) == {
            b"retry-after": b"60",
            b"ratelimit-policy": b'"sign-in";q=10;w=60',
            b"ratelimit": b'"sign-in";r=0;t=60',
        }

    async def test_never_eleven_in_any_minute(self, tmp_path, looked_at):
        """No edge of a window at which twice as many pass."""
        times = []
        async with gatehouse(tmp_path, spray_accounts=1000) as house:
            for n in range(400):
                before = len(looked_at)
                await guess(house, f"{n}@example.com")
                if len(looked_at) > before:
                    times.append(house.clock.now)
                house.clock.now += 1
        assert len(times) > 50
        assert all(b - a >= 60 for a, b in zip(times, times[10:], strict=False))

    async def test_nothing_is_hashed_for_the_eleventh(self, house, looked_at):
        await asyncio.gather(*(guess(house, f"{n}@example.com") for n in range(50)))
        assert len(looked_at) == 10

    async def test_another_address_is_not_hit(self, house):
        for n in range(11):
            await guess(house, f"{n}@example.com")
        assert isinstance(await sign_in(house, at="198.51.100.1"), AccountRecord)

    async def test_the_network_counts_and_not_the_address(self, house):
        """IPv6 customers own a /64: ``exchange.network`` is what is counted."""
        for n in range(10):
            exchange = visit("2001:db8::")
            exchange.client = f"2001:db8::{n:x}"
            await house.accounts.authenticate(f"{n}@example.com", "wrong", exchange)
        exchange = visit("2001:db8::")
        exchange.client = "2001:db8::ffff"
        refused = await house.accounts.authenticate(EMAIL, PASSWORD, exchange)
        assert codes([refused]) == [MANY]

    async def test_it_ends_by_itself(self, house):
        """Never a lock of an address: an office behind one would be cut off."""
        for _ in range(200):
            await guess(house, NOBODY)
        house.clock.now += 60
        assert isinstance(await sign_in(house), AccountRecord)

    async def test_a_lock_does_not_show_by_what_is_left(self, house):
        """The eleventh try is refused with 429 whether the account is locked or not,
        so that counting the answers tells nothing either."""
        open_ones = [await guess(house, f"{n}@example.com") for n in range(12)]
        locked = [await guess(house, at="198.51.100.1") for _ in range(12)]
        assert open_ones == locked

    async def test_every_refusal_can_be_looked_up(self, house):
        for n in range(12):
            exchange = visit(request_id=f"r-{n}")
            await house.accounts.authenticate(f"{n}@example.com", "wrong", exchange)
        refused = house.ledger.named(RequestRefused)
        assert [event.request_id for event in refused] == ["r-10", "r-11"]
        assert {(event.status, event.code) for event in refused} == {(429, MANY)}
        assert refused[0].private == "network: 10 in 60 s"

    async def test_it_is_told_once_a_minute(self, house):
        for _ in range(30):
            await guess(house)
        (event,) = house.ledger.named(SignInsLimited)
        assert (event.scope, event.limit, event.client) == (
            "network",
            10,
            "203.0.113.9",
        )
        house.clock.now += 60
        for _ in range(30):
            await guess(house)
        assert len(house.ledger.named(SignInsLimited)) == 2


class TestAllTogether:
    """A hundred sign-ins of strangers in any minute."""

    async def test_the_hundred_and_first_waits(self, house, looked_at):
        for n, at in enumerate(places(100)):
            await guess(house, f"{n}@example.com", at=at)
        assert len(looked_at) == 100
        refused = await sign_in(house)
        assert codes([refused]) == [MANY]
        assert dict(refused.headers)[b"retry-after"] == b"60"
        (event,) = house.ledger.named(SignInsLimited)
        assert (event.scope, event.limit) == ("everybody", 100)

    async def test_what_is_refused_costs_it_nothing(self, house):
        """Neither one address over its limit nor a locked account uses it up."""
        for _ in range(300):
            await guess(house)
        await guesses(house, 300)
        assert isinstance(
            await sign_in(house, email=EMAIL, cookie=await device_of(house)),
            AccountRecord,
        )
        answers = [
            await guess(house, f"{n}@example.com", at=at)
            for n, at in enumerate(places(80, "10.9"))
        ]
        assert codes(answers) == [WRONG] * 80


class TestAnOffice:
    """Honest people behind one address (guide of the cases: docs/attacks)."""

    @pytest.fixture
    async def staff(self, tmp_path):
        async with gatehouse(tmp_path, hash_per_network=100, hash_queue=100) as house:
            for n in range(50):
                await house.accounts.create(f"{n}@example.com", PASSWORD)
            yield house

    async def test_fifty_at_nine_on_the_devices_of_every_day(self, staff):
        cookies = [await device_of(staff, f"{n}@example.com") for n in range(50)]
        answers = await asyncio.gather(
            *(
                sign_in(staff, f"{n}@example.com", cookie=cookie)
                for n, cookie in enumerate(cookies)
            )
        )
        assert codes(answers) == ["signed in"] * 50

    async def test_fifty_on_the_first_day(self, staff):
        """Ten a minute; the others are told when to come again."""
        answers = await asyncio.gather(
            *(sign_in(staff, f"{n}@example.com") for n in range(50))
        )
        assert codes(answers).count("signed in") == 10
        waits = {
            dict(a.headers)[b"retry-after"] for a in answers if codes([a]) == [MANY]
        }
        assert waits == {b"60"}

    async def test_one_guesser_does_not_stop_the_others(self, staff):
        cookies = [await device_of(staff, f"{n}@example.com") for n in range(5)]
        for _ in range(100):
            await guess(staff, "0@example.com")
        for n, cookie in enumerate(cookies):
            answer = await sign_in(staff, f"{n}@example.com", cookie=cookie)
            assert isinstance(answer, AccountRecord)


class TestASpray:
    """Many accounts, few tries each."""

    async def test_it_is_told_once_and_the_network_is_slowed(self, house, looked_at):
        for n in range(40):
            await guess(house, f"{n}@example.com")
            house.clock.now += 6
        (event,) = house.ledger.named(SignInSpray)
        assert (event.network, event.accounts) == ("203.0.113.9", 20)
        assert event.level == "CRITICAL"
        looked_at.clear()
        for n in range(60):
            await guess(house, f"later-{n}@example.com")
            house.clock.now += 1
        assert len(looked_at) <= 2 + 1

    async def test_no_account_is_locked_by_it(self, house):
        for n in range(40):
            await guess(house, EMAIL if n == 20 else f"{n}@example.com")
            house.clock.now += 6
        assert isinstance(await sign_in(house, at="198.51.100.1"), AccountRecord)

    async def test_the_network_is_not_slowed_for_ever(self, house):
        for n in range(25):
            await guess(house, f"{n}@example.com")
            house.clock.now += 6
        house.clock.now += HOUR
        answers = [await guess(house, f"{n}@example.com") for n in range(10)]
        assert codes(answers) == [WRONG] * 10

    async def test_known_devices_in_that_network_are_not_slowed(self, house):
        cookie = await device_of(house)
        for n in range(40):
            await guess(house, f"{n}@example.com")
            house.clock.now += 6
        for _ in range(5):
            assert isinstance(await sign_in(house, cookie=cookie), AccountRecord)

    async def test_one_from_everywhere_is_told(self, tmp_path):
        """A botnet: every address tries one account only."""
        async with gatehouse(tmp_path, spray_accounts_global=30) as house:
            for n, at in enumerate(places(60)):
                await guess(house, f"{n}@example.com", at=at)
                house.clock.now += 1
        (event,) = house.ledger.named(SignInSpray)
        assert (event.network, event.accounts) == ("", 30)

    async def test_successes_are_no_spray(self, tmp_path):
        async with gatehouse(tmp_path, sign_ins_per_address=100) as house:
            for n in range(30):
                await house.accounts.create(f"{n}@example.com", PASSWORD)
                assert isinstance(
                    await sign_in(house, f"{n}@example.com"), AccountRecord
                )
            assert house.ledger.named(SignInSpray) == []

    async def test_one_account_tried_often_is_none(self, house):
        for _ in range(100):
            await guess(house)
            house.clock.now += 6
        assert house.ledger.named(SignInSpray) == []

    async def test_networks_that_are_slowed_are_forgotten_in_order(self, house):
        attempts = house.identity.attempts
        for at in places(5000):
            attempts._slow(at, house.clock.now + HOUR)
        assert len(attempts._slowed) == 4096
        assert "10.0.0.0" not in attempts._slowed


class TestASession:
    """The present password is not guessed through a stolen session either."""

    async def account(self, house):
        return await house.accounts._store.by_email(EMAIL)

    async def change(self, house, current, **options):
        account = await self.account(house)
        return await house.accounts.change_password(
            account.id, current=current, new=NEW, exchange=visit(**options)
        )

    async def test_five_guesses_and_no_more(self, house, looked_at):
        for at in places(20):
            refused = await self.change(house, "wrong", client=at)
            assert (refused.status, refused.code) == (403, "identity.password_wrong")
        assert len(looked_at) == 5
        refused = await self.change(house, PASSWORD)
        assert refused.code == "identity.password_wrong"
        reasons = [event.reason for event in house.ledger.named(PasswordChangeFailed)]
        assert reasons == ["wrong password"] * 5 + ["locked"] * 16

    async def test_it_shares_the_budget_of_the_sign_in(self, house, looked_at):
        await guesses(house, 3)
        for at in places(9):
            await self.change(house, "wrong", client=at)
        assert len(looked_at) == 5

    async def test_so_does_a_confirmation(self, house, looked_at):
        account = await self.account(house)
        for at in places(9):
            refused = await house.accounts.confirm(account.id, "wrong", visit(at))
            assert refused.code == "identity.password_wrong"
        assert len(looked_at) == 5
        assert await sign_in(house) == SIGN_IN_FAILED

    async def test_a_confirmation_succeeds(self, house):
        account = await self.account(house)
        assert await house.accounts.confirm(account.id, PASSWORD, visit()) == account

    async def test_a_removed_account_confirms_nothing(self, house):
        account = await self.account(house)
        await house.accounts.remove(EMAIL)
        refused = await house.accounts.confirm(account.id, PASSWORD, visit())
        assert refused.code == "identity.changed_meanwhile"

    async def test_an_address_over_its_limit_is_told(self, house):
        account = await self.account(house)
        for n in range(10):
            await guess(house, f"{n}@example.com")
        refused = await house.accounts.confirm(account.id, PASSWORD, visit())
        assert codes([refused]) == [MANY]
        assert codes([await self.change(house, PASSWORD)]) == [MANY]

    async def test_the_owners_browser_changes_it_while_strangers_guess(self, house):
        cookie = await device_of(house)
        await guesses(house, 50)
        changed = await self.change(house, PASSWORD, cookie=cookie)
        assert isinstance(changed, AccountRecord)

    async def test_a_bad_new_password_costs_nothing(self, house):
        account = await self.account(house)
        for _ in range(20):
            refused = await house.accounts.change_password(
                account.id, current="wrong", new="short", exchange=visit()
            )
            assert refused.code == "identity.invalid_input"
        assert isinstance(await sign_in(house), AccountRecord)


class TestARegistration:
    """Costs a hash and a row, so it has limits as well."""

    async def register(self, house, number, at="203.0.113.9", password=NEW):
        return await house.accounts.register(
            f"{number}@example.com", password, visit(at)
        )

    async def test_a_hundred_an_hour_from_one_address(self, house):
        answers = [await self.register(house, n) for n in range(101)]
        assert answers[:100] == [None] * 100
        assert codes(answers[100:]) == [MANY]
        assert await self.register(house, 199, at="198.51.100.1") is None
        house.clock.now += HOUR
        assert await self.register(house, 200) is None

    async def test_known_addresses_count_like_new_ones(self, house):
        answers = [
            await house.accounts.register(EMAIL, NEW, visit()) for _ in range(101)
        ]
        assert codes(answers[100:]) == [MANY]

    async def test_a_limit_on_all(self, tmp_path):
        async with gatehouse(tmp_path, registrations_global=5) as house:
            answers = [
                await self.register(house, n, at) for n, at in enumerate(places(6))
            ]
        assert answers[:5] == [None] * 5
        assert codes(answers[5:]) == [MANY]

    async def test_typing_errors_cost_nothing(self, house):
        for n in range(110):
            await self.register(house, n, password="short")
        assert await self.register(house, 1) is None

    async def test_it_takes_nothing_from_the_sign_ins(self, house):
        for n in range(101):
            await self.register(house, n)
        assert isinstance(await sign_in(house), AccountRecord)


class TestWhatGoesWrong:
    """A guess is paid for, whatever happens; one that was not made is given back."""

    async def test_a_full_queue_gives_the_guess_back(self, house, monkeypatch):
        async def busy(*_, **__):
            raise StoreBusyError("full", retry_after=1)

        with monkeypatch.context() as patched:
            patched.setattr(Passwords, "verify", busy)
            for at in places(20):
                with pytest.raises(StoreBusyError):
                    await guess(house, at=at)
        assert isinstance(await sign_in(house), AccountRecord)

    async def test_a_cancelled_request_has_paid(self, house, monkeypatch):
        """Hanging up early does not make guesses free."""

        async def hang(*_, **__):
            await asyncio.Event().wait()

        with monkeypatch.context() as patched:
            patched.setattr(Passwords, "verify", hang)
            for at in places(5):
                task = asyncio.create_task(guess(house, at=at))
                await asyncio.sleep(0)
                while not task.done():
                    task.cancel()
                    await asyncio.sleep(0)
        assert await sign_in(house) == SIGN_IN_FAILED

    async def test_no_counters_no_guess(self, house, monkeypatch, looked_at):
        """A store that is down refuses; it never means no limit."""

        async def down(*_):
            raise StoreError("down")

        monkeypatch.setattr(type(house.identity.attempts._counters), "take", down)
        with pytest.raises(StoreError):
            await sign_in(house)
        assert looked_at == []
        async with house.client() as client:
            body = {"email": EMAIL, "password": PASSWORD}
            answer = await client.post("/auth/login", json=body)
        assert answer.status_code == 503

    async def test_a_second_process_may_have_used_up_the_address(
        self, house, monkeypatch
    ):
        """Between the two decisions about a locked account."""
        await guesses(house, 6)
        counters = house.identity.attempts._counters
        real = counters.take

        async def take(charges):
            if len(charges) == 1 and b"network" in charges[0].key:
                return Verdict(0, 7.0, 0)
            return await real(charges)

        monkeypatch.setattr(counters, "take", take)
        refused = await sign_in(house)
        assert codes([refused]) == [MANY]
        assert dict(refused.headers)[b"retry-after"] == b"7"

    async def test_the_seam_for_other_proofs(self, house):
        """What other routes use: begin, and tell of a success."""
        attempts = house.identity.attempts
        for at in places(5):
            attempt = await attempts.begin(EMAIL, visit(at))
            assert isinstance(attempt, Attempt)
        assert await attempts.begin(EMAIL, visit("198.51.100.1")) is LOCKED
        await attempts.lift(EMAIL)
        for at in places(20):
            attempt = await attempts.begin(EMAIL, visit(at))
            await attempt.succeeded()


class TestOverHttp:
    """What clients see."""

    BODY = {"email": EMAIL, "password": PASSWORD}  # noqa: RUF012 - never changed

    async def test_the_answers_cannot_be_told_apart(self, house):
        def told(answer):
            fields = answer.json()
            fields.pop("request_id")
            return answer.status_code, fields, sorted(answer.headers.items())

        wrong = {**self.BODY, "password": "wrong"}
        answers = [
            await house.client(at).post("/auth/login", json=wrong) for at in places(5)
        ]
        locked = await house.client("10.9.0.1").post("/auth/login", json=wrong)
        right = await house.client("10.9.0.2").post("/auth/login", json=self.BODY)
        unknown = await house.client("10.9.0.3").post(
            "/auth/login", json={**self.BODY, "email": NOBODY}
        )
        answers += [locked, right, unknown]
        assert len({str(told(answer)) for answer in answers}) == 1
        assert locked.status_code == 401

    async def test_a_program_is_told_to_wait(self, house):
        async with house.client() as client:
            for n in range(10):
                await client.post(
                    "/auth/login", json={**self.BODY, "email": f"{n}@x.y"}
                )
            answer = await client.post("/auth/login", json=self.BODY)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "60"
        assert answer.headers["ratelimit"] == '"sign-in";r=0;t=60'
        assert answer.json()["code"] == MANY

    async def test_a_person_is_told_on_the_page(self, house):
        async with house.client(headers={"accept": "text/html"}) as client:
            for n in range(10):
                await client.post(
                    "/auth/login", data={**self.BODY, "email": f"{n}@x.y"}
                )
            answer = await client.post("/auth/login", data=self.BODY)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "60"
        assert "too many attempts" in answer.text
        assert EMAIL in answer.text
        assert PASSWORD not in answer.text

    async def test_a_browser_that_has_been_here_before_gets_in(self, house):
        async with house.client() as browser:
            await browser.post("/auth/login", json=self.BODY)
            await browser.post("/auth/logout")
            wrong = {**self.BODY, "password": "wrong"}
            for at in places(50):
                await house.client(at).post("/auth/login", json=wrong)
            stranger = await house.client("10.9.0.1").post(
                "/auth/login", json=self.BODY
            )
            assert stranger.status_code == 401
            owner = await browser.post("/auth/login", json=self.BODY)
            assert owner.status_code == 200
