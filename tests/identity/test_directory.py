"""The accounts as the application's own pages see them."""

import json
from dataclasses import fields

import pytest
from starlette.applications import Starlette
from tests.examples.conftest import started
from tests.identity.gatehouse import visit

from ringfence import Guard, Principal, Settings
from ringfence.errors import SettingsError
from ringfence.exchange import Exchange, active
from ringfence.identity.directory import Account
from ringfence.identity.refusals import LOCKED
from ringfence.stores.contracts import Factor

pytestmark = pytest.mark.anyio

SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}


def guard_over(folder, **settings):
    loaded = Settings.load(environ={}, env="development", data=folder, **settings)
    return Guard(Starlette(), loaded)


async def make(guard, *names):
    create = guard._rooms.identity.accounts.create
    made = [
        await create(f"{n}@example.org", "a long pass phrase", ["x"]) for n in names
    ]
    return [record.id for record in made]


async def test_an_account_is_shown_without_its_password(tmp_path):
    """What a handler cannot reach, it cannot let slip out (CWE-522)."""
    guard = guard_over(tmp_path)
    async with started(guard):
        (ada,) = await make(guard, "ada")
        account = await guard.accounts.find(ada)
        assert (account.id, account.email) == (ada, "ada@example.org")
        assert (account.roles, account.disabled) == (frozenset({"x"}), False)
        assert await guard.accounts.find("nobody") is None
    names = {field.name for field in fields(Account)}
    assert names == {"id", "email", "roles", "disabled", "created", "tenant"}


async def test_an_operators_page_moves_an_account_to_another_tenant(tmp_path):
    """And the ledger knows who, from where and whereto."""
    guard = guard_over(tmp_path)
    async with started(guard):
        (ada,) = await make(guard, "ada")
        exchange = Exchange(dict(SCOPE), receive=None)
        exchange.principal = Principal("olga", frozenset({"operator"}))
        token = active.set(exchange)
        try:
            assert await guard.accounts.set_tenant(ada, "acme") is True
            assert (await guard.accounts.find(ada)).tenant == "acme"
            assert await guard.accounts.set_tenant(ada, "") is True
            assert await guard.accounts.set_tenant("nobody", "acme") is False
            with pytest.raises(ValueError, match="no id of a tenant"):
                await guard.accounts.set_tenant(ada, "a b")
        finally:
            active.reset(token)
        assert (await guard.accounts.find(ada)).tenant == ""
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    moved = [e for e in map(json.loads, lines) if e["event"] == "authz_change"]
    assert [(e.get("before", ""), e.get("after", "")) for e in moved] == [
        ("", "acme"),
        ("acme", ""),
    ]
    assert {(e["account"], e["by"]) for e in moved} == {(ada, "olga")}


async def test_accounts_are_listed_in_parts(tmp_path):
    guard = guard_over(tmp_path)
    async with started(guard):
        ids = sorted(await make(guard, "ada", "bob", "carol"))
        listed = guard.accounts.list
        assert [account.id for account in await listed()] == ids
        assert [account.id for account in await listed(limit=2)] == ids[:2]
        assert [account.id for account in await listed(after=ids[1])] == ids[2:]
        for limit in (0, -1, 1001):
            with pytest.raises(ValueError, match="from 1 to 1000"):
                await listed(limit=limit)


async def test_the_ledger_knows_who_removed_an_account(tmp_path):
    guard = guard_over(tmp_path)
    async with started(guard):
        (ada,) = await make(guard, "ada")
        exchange = Exchange(dict(SCOPE), receive=None)
        exchange.request_id, exchange.client = "r-1", "192.0.2.1"
        exchange.principal = Principal("olga", frozenset({"operator"}))
        token = active.set(exchange)
        try:
            assert await guard.accounts.remove(ada) is True
            assert await guard.accounts.remove(ada) is False
        finally:
            active.reset(token)
        assert await guard.accounts.find(ada) is None
    events = (tmp_path / "audit.jsonl").read_text().splitlines()
    (removed,) = (
        event for event in map(json.loads, events) if event["event"] == "user_deleted"
    )
    assert (removed["account"], removed["by"]) == (ada, "olga")
    assert (removed["request_id"], removed["client"]) == ("r-1", "192.0.2.1")


async def test_an_account_can_be_removed_outside_a_request(tmp_path):
    guard = guard_over(tmp_path)
    async with started(guard):
        (ada,) = await make(guard, "ada")
        assert await guard.accounts.remove(ada) is True


async def test_an_operators_page_unlocks_an_account(tmp_path):
    guard = guard_over(tmp_path)
    async with started(guard):
        (ada,) = await make(guard, "ada")
        attempts = guard._rooms.identity.attempts
        for n in range(6):
            at_the_door = await attempts.begin("ada@example.org", visit(f"10.0.0.{n}"))
        assert at_the_door is LOCKED
        assert await guard.accounts.unlock(ada) is True
        at_the_door = await attempts.begin("ada@example.org", visit("10.0.0.9"))
        assert at_the_door is not LOCKED
        assert await guard.accounts.unlock("nobody") is False


def test_without_identity_there_are_no_accounts(tmp_path):
    guard = guard_over(tmp_path, identity={"enabled": False})
    with pytest.raises(SettingsError, match="keeps no accounts"):
        _ = guard.accounts


async def test_an_operator_takes_lost_factors_away(tmp_path):
    """And the ledger says who; nobody else's are touched."""
    guard = guard_over(tmp_path)
    async with started(guard):
        ada, bob = await make(guard, "ada", "bob")
        identity = guard._rooms.identity
        for account_id in (ada, bob):
            account = await identity.accounts.by_id(account_id)
            factor = Factor("totp", account_id.encode(), account_id)
            assert await identity._stores.factors.add(factor, epoch=0)
            await identity.factors.recovery_codes.make(account)
        exchange = Exchange(SCOPE, None)
        exchange.principal = Principal("operator-1")
        token = active.set(exchange)
        assert await guard.accounts.remove_factors(ada)
        assert not await guard.accounts.remove_factors(ada)
        assert not await guard.accounts.remove_factors("nobody")
        active.reset(token)
        assert await identity.factors.held(ada) == ((), (), ())
        assert (await identity.factors.held(bob)).is_guarded
    text = (tmp_path / "audit.jsonl").read_text("utf-8")
    events = [json.loads(line) for line in text.splitlines()]
    removed = [event for event in events if event["event"] == "authn_factor_removed"]
    assert {event["factor"] for event in removed} == {"totp", "recovery-code"}
    assert {event["by"] for event in removed} == {"operator-1"}


async def test_without_second_factors_there_is_nothing_to_take(tmp_path):
    guard = guard_over(tmp_path, identity={"second_factors": False})
    async with started(guard):
        (ada,) = await make(guard, "ada")
        assert not await guard.accounts.remove_factors(ada)
