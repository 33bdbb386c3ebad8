"""Registration, sign-in, change of password, administration."""

import asyncio
import dataclasses
import threading

import argon2
import pytest
from tests.identity.gatehouse import EMAIL, PASSWORD, gatehouse, visit

from ringfence.audit.events import (
    AccountCreated,
    AccountRemoved,
    PasswordChanged,
    PasswordChangeFailed,
    SignInFailed,
)
from ringfence.denial import Denial
from ringfence.errors import StoreBusyError
from ringfence.identity.cause import Cause
from ringfence.identity.passwords.argon2 import Argon2id
from ringfence.stores.contracts import AccountRecord

pytestmark = pytest.mark.anyio


@pytest.fixture
def work(monkeypatch):
    """Counts the slow work: the name of every call that hashes."""
    calls = []
    for name in ("hash", "verify"):
        real = getattr(Argon2id, name)

        def counted(self, *args, _name=name, _real=real):
            calls.append(_name)
            return _real(self, *args)

        monkeypatch.setattr(Argon2id, name, counted)
    return calls


@pytest.fixture
def writes(house):
    """Counts the transactions that write."""
    file = house.identity._stores._file
    real, calls = file.writing, []

    def counted():
        calls.append("write")
        return real()

    file.writing = counted
    return calls


async def the_account(house, email=EMAIL):
    (found,) = [row for row in await house.accounts.page() if row.email == email]
    return found


async def test_a_registered_account_can_sign_in(house):
    account = await house.accounts.authenticate(EMAIL, PASSWORD, visit())
    assert isinstance(account, AccountRecord)
    assert account.roles == frozenset()
    assert account.created == house.clock.now
    assert len(account.id) == 22


async def test_the_address_is_kept_as_written_and_compared_folded(house):
    assert (
        await house.accounts.register("  Bob@Example.COM ", PASSWORD, visit()) is None
    )
    bob = await house.accounts.authenticate("bob@example.com", PASSWORD, visit())
    assert bob.email == "Bob@Example.COM"


async def test_registration_does_not_tell_a_known_address(house, work, writes):
    """The same answer, the same hashing, the same writing (CWE-204, CWE-208)."""
    answers, efforts = [], []
    for email in ("fresh@example.com", EMAIL, EMAIL.upper()):
        work.clear()
        writes.clear()
        answers.append(
            await house.accounts.register(email, "another long one", visit())
        )
        efforts.append((list(work), list(writes)))
    assert answers == [None, None, None]
    assert efforts == [(["hash"], ["write"])] * 3
    assert isinstance(
        await house.accounts.authenticate(EMAIL, PASSWORD, visit()), AccountRecord
    )
    stolen = await house.accounts.authenticate(EMAIL, "another long one", visit())
    assert isinstance(stolen, Denial)


async def test_fifty_parallel_registrations_make_one_account(house):
    passwords = [f"a long password {number}" for number in range(50)]
    answers = await asyncio.gather(
        *(
            house.accounts.register("new@example.com", text, visit(f"203.0.113.{n}"))
            for n, text in enumerate(passwords)
        )
    )
    assert answers == [None] * 50
    assert len(await house.accounts.page()) == 2
    assert len(house.ledger.named(AccountCreated)) == 1


@pytest.mark.parametrize(
    ("email", "password", "fields"),
    [
        ("nobody", PASSWORD, ["email"]),
        ("x@example.com", "short", ["password"]),
        ("x@example.com", "x@example.com", ["password"]),
        ("", "", ["email", "password"]),
        ("a" * 10_000 + "@example.com", PASSWORD, ["email"]),
        ("x@example.com", "x" * 5_000_000, ["password"]),
    ],
)
async def test_bad_input_is_refused_without_hashing(
    house, work, email, password, fields
):
    refused = await house.accounts.register(email, password, visit())
    assert (refused.status, refused.code) == (422, "identity.invalid_input")
    assert [name for name, _ in refused.fields] == fields
    assert work == []
    assert password not in refused.detail or not password


async def disable(house):
    account = await the_account(house)
    await house.accounts._store.set_disabled(account.id, disabled=True)


async def remove_password(house):
    account = await the_account(house)
    await house.accounts._store.upgrade_hash(account.id, account.password_hash, "")


async def nothing(house):
    pass


@pytest.mark.parametrize(
    "case",
    [
        (nothing, EMAIL, "wrong password", "wrong password"),
        (nothing, "nobody@example.com", PASSWORD, "unknown account"),
        (nothing, "no address", PASSWORD, "unknown account"),
        (nothing, "", "", "unknown account"),
        (nothing, "x" * 100_000, PASSWORD, "unknown account"),
        (nothing, "' OR '1'='1", "' OR '1'='1", "unknown account"),
        (nothing, EMAIL, "x" * 5_000_000, "wrong password"),
        (nothing, EMAIL, "", "wrong password"),
        (disable, EMAIL, PASSWORD, "disabled account"),
        (disable, EMAIL, "wrong password", "wrong password"),
        (remove_password, EMAIL, PASSWORD, "wrong password"),
        (remove_password, EMAIL, "", "wrong password"),
    ],
)
async def test_every_failed_sign_in_looks_and_costs_the_same(house, work, writes, case):
    """CVE-2026-22746, CVE-2024-39329, CVE-2025-13473: the time told who exists."""
    prepare, email, password, reason = case
    await prepare(house)
    work.clear()
    writes.clear()
    refused = await house.accounts.authenticate(email, password, visit())
    assert (refused.status, refused.code) == (401, "identity.sign_in_failed")
    assert refused.private == ""
    assert work == ["verify"]
    assert writes == []
    (event,) = house.ledger.named(SignInFailed)
    assert (event.reason, event.request_id, event.client) == (
        reason,
        "r-1",
        "203.0.113.9",
    )


async def test_failed_sign_ins_carry_a_keyed_hash_of_the_address(house):
    """Tries at one account can be counted; the address is not written down."""
    for email in (EMAIL, EMAIL.upper(), "bob@example.com"):
        await house.accounts.authenticate(email, "wrong password", visit())
    first, second, third = [
        event.identifier for event in house.ledger.named(SignInFailed)
    ]
    assert first == second != third
    assert len(first) == 32
    assert EMAIL not in repr(house.ledger.named(SignInFailed))


async def test_a_weak_hash_is_replaced_at_sign_in(house):
    account = await the_account(house)
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    await house.accounts._store.upgrade_hash(
        account.id, account.password_hash, weak.hash(PASSWORD)
    )
    assert isinstance(
        await house.accounts.authenticate(EMAIL, PASSWORD, visit()), AccountRecord
    )
    upgraded = await the_account(house)
    assert argon2.extract_parameters(upgraded.password_hash).memory_cost == 19_456
    assert isinstance(
        await house.accounts.authenticate(EMAIL, PASSWORD, visit()), AccountRecord
    )


async def test_a_weak_hash_is_not_replaced_by_a_wrong_password(house):
    account = await the_account(house)
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    stored = weak.hash(PASSWORD)
    await house.accounts._store.upgrade_hash(account.id, account.password_hash, stored)
    assert isinstance(
        await house.accounts.authenticate(EMAIL, "wrong one", visit()), Denial
    )
    assert (await the_account(house)).password_hash == stored


async def test_a_changed_password_replaces_the_old(house):
    account = await the_account(house)
    changed = await house.accounts.change_password(
        account.id, current=PASSWORD, new="another long one", exchange=visit()
    )
    assert changed.epoch == account.epoch + 1
    assert isinstance(
        await house.accounts.authenticate(EMAIL, PASSWORD, visit()), Denial
    )
    signed_in = await house.accounts.authenticate(EMAIL, "another long one", visit())
    assert isinstance(signed_in, AccountRecord)
    (event,) = house.ledger.named(PasswordChanged)
    assert (event.account, event.request_id) == (account.id, "r-1")


async def test_the_present_password_is_asked_for(house):
    account = await the_account(house)
    refused = await house.accounts.change_password(
        account.id, current="wrong password", new="another long one", exchange=visit()
    )
    assert (refused.status, refused.code) == (403, "identity.password_wrong")
    assert await the_account(house) == account
    (event,) = house.ledger.named(PasswordChangeFailed)
    assert (event.account, event.client) == (account.id, "203.0.113.9")


async def test_a_bad_new_password_is_refused_before_any_work(house, work):
    account = await the_account(house)
    work.clear()
    refused = await house.accounts.change_password(
        account.id, current=PASSWORD, new="short", exchange=visit()
    )
    assert refused.fields[0][0] == "new_password"
    assert work == []


async def test_of_parallel_changes_one_wins(house):
    account = await the_account(house)
    results = await asyncio.gather(
        *(
            house.accounts.change_password(
                account.id,
                current=PASSWORD,
                new=f"the new password {number}",
                exchange=visit(),
            )
            for number in range(8)
        )
    )
    winners = [result for result in results if isinstance(result, AccountRecord)]
    losers = {result.code for result in results if isinstance(result, Denial)}
    assert len(winners) == 1
    assert losers <= {"identity.changed_meanwhile", "identity.password_wrong"}
    assert len(house.ledger.named(PasswordChanged)) == 1


async def test_a_removed_account_changes_no_password(house):
    account = await the_account(house)
    assert await house.accounts.remove(EMAIL) is None
    refused = await house.accounts.change_password(
        account.id, current=PASSWORD, new="another long one", exchange=visit()
    )
    assert refused.code == "identity.changed_meanwhile"


async def test_an_operator_creates_with_roles_and_is_told_of_a_known_address(house):
    by = Cause(by="operator")
    made = await house.accounts.create("op@example.com", PASSWORD, ["operator"], by)
    assert made.roles == {"operator"}
    (event,) = [event for event in house.ledger.named(AccountCreated) if event.roles]
    assert (event.roles, event.by, event.account) == (
        ("operator",),
        "operator",
        made.id,
    )
    again = await house.accounts.create("OP@example.com", PASSWORD, ["admin"], by)
    assert (again.status, again.code) == (409, "identity.address_taken")
    assert (await the_account(house, "op@example.com")).roles == {"operator"}


@pytest.mark.parametrize("role", ["", "Admin", "a b", "x" * 65, "-a", "a\n", "ädmin"])
async def test_odd_role_names_are_refused(house, role):
    refused = await house.accounts.create("op@example.com", PASSWORD, ["ok", role])
    assert refused.fields[0][0] == "roles"
    assert len(await house.accounts.page()) == 1


async def test_an_account_is_made_in_a_tenant(house):
    made = await house.accounts.create("op@example.com", PASSWORD, tenant="acme")
    assert (await the_account(house, "op@example.com")).tenant == made.tenant == "acme"
    (event,) = [event for event in house.ledger.named(AccountCreated) if event.tenant]
    assert (event.account, event.tenant) == (made.id, "acme")


@pytest.mark.parametrize("tenant", [" ", "a b", "x" * 65, "a\n", "ä", "a/b", "*", "\0"])
async def test_odd_ids_of_tenants_are_refused(house, tenant):
    """What must be quoted somewhere, or looks like another, is one day mistaken."""
    refused = await house.accounts.create("op@example.com", PASSWORD, tenant=tenant)
    assert refused.fields[0][0] == "tenant"
    (account,) = await house.accounts.page()
    refused = await house.accounts.set_tenant(account.id, tenant)
    assert refused.fields[0][0] == "tenant"
    (unchanged,) = await house.accounts.page()
    assert unchanged == account


async def test_there_are_no_default_accounts(tmp_path):
    async with gatehouse(tmp_path) as empty:
        assert await empty.accounts.page() == []


async def test_removing_says_whether_there_was_one(house):
    by = Cause(by="operator")
    account = await the_account(house)
    assert await house.accounts.remove(EMAIL.upper(), by) is None
    refused = await house.accounts.remove(EMAIL, by)
    assert (refused.status, refused.code) == (404, "identity.no_such_account")
    (event,) = house.ledger.named(AccountRemoved)
    assert (event.account, event.by) == (account.id, "operator")
    assert await house.accounts.by_id(account.id) is None


async def test_a_full_queue_refuses_before_any_work(tmp_path, work):
    async with gatehouse(tmp_path, hash_threads=1, hash_queue=1) as house:
        opened = threading.Event()
        pool = house.accounts._passwords.pool
        full = [
            asyncio.create_task(pool.run(lambda: opened.wait(20))) for _ in range(2)
        ]
        await asyncio.sleep(0)
        tries = [
            house.accounts.authenticate(f"{n}@example.com", PASSWORD, visit())
            for n in range(8)
        ]
        results = await asyncio.gather(*tries, return_exceptions=True)
        opened.set()
        await asyncio.gather(*full)
    assert all(isinstance(result, StoreBusyError) for result in results)
    assert work == []


async def test_passwords_and_hashes_are_not_in_representations(house):
    account = await the_account(house)
    assert account.password_hash
    assert account.password_hash not in repr(account)
    assert dataclasses.asdict(account)["password_hash"] == account.password_hash


async def test_strangers_who_fill_the_queue_keep_nobody_who_is_known(tmp_path):
    """Registrations from a few addresses held up every sign-in for minutes."""
    async with gatehouse(tmp_path, hash_threads=1, hash_queue=1) as house:
        account = await house.accounts.create(EMAIL, PASSWORD)
        remembering = visit()
        house.identity.devices.remember(remembering, EMAIL, account.epoch)
        (cookie,) = [v for k, v in remembering.response_headers if k == b"set-cookie"]
        known = visit(cookie=cookie.decode().partition(";")[0])
        opened = threading.Event()
        pool = house.accounts._passwords.pool
        flood = [
            asyncio.create_task(pool.run(lambda: opened.wait(20))) for _ in range(2)
        ]
        await asyncio.sleep(0)
        try:
            with pytest.raises(StoreBusyError):
                await house.accounts.authenticate(EMAIL, PASSWORD, visit())
            owner = await asyncio.wait_for(
                house.accounts.authenticate(EMAIL, PASSWORD, known), 20
            )
        finally:
            opened.set()
            await asyncio.gather(*flood)
    assert owner.id == account.id
