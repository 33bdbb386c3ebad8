"""API keys: made by their owners, recognised with each request, ended."""

import asyncio
import shutil
import sqlite3
from contextlib import closing

import pytest
from tests.identity.factors.test_pages import begin
from tests.identity.factors.test_pages import shown as later
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD, gatehouse, visit

from ringfence.audit.events import ApiKeyEnded, ApiKeyMade
from ringfence.errors import StoreError
from ringfence.identity.api_key import is_key, new_key
from ringfence.identity.api_keys import API_KEY_INVALID
from ringfence.identity.cause import Cause
from ringfence.principal import Principal

pytestmark = pytest.mark.anyio

SCOPES = ("orders:read", "orders:write")
WANTED = {"label": "Nightly export", "scopes": ["orders:read"]}
DAY = 86_400


@pytest.fixture
async def house(prepared, tmp_path, anyio_backend):
    """A gatehouse whose owners may make keys, with Ann's account."""
    shutil.copy(prepared, tmp_path)
    async with gatehouse(tmp_path, api_key_scopes=SCOPES) as opened:
        yield opened


@pytest.fixture
def keys(house):
    return house.identity.api_keys


async def made(client, **changes):
    answer = await client.post("/auth/api-keys", json=WANTED | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def shown(house, key):
    """Return what the guard is told of a request with this key."""
    text = key.encode() if isinstance(key, str) else key
    return await house.identity.api_keys.authenticate(text, visit())


def said(answer):
    """Return what the public is told, if it is a refusal of keys."""
    assert (answer.status, answer.code, answer.detail, answer.headers) == (
        API_KEY_INVALID.status,
        API_KEY_INVALID.code,
        API_KEY_INVALID.detail,
        API_KEY_INVALID.headers,
    )
    return answer.private


async def test_a_key_is_made_and_shown_once(house, ann):
    """Lists show enough to recognise it by; the database has a hash."""
    new = await made(ann)
    assert is_key(new["key"].encode())
    (listed,) = (await ann.get("/auth/api-keys")).json()
    assert listed == {name: new[name] for name in listed}
    assert "key" not in listed
    assert listed["hint"] == f"{new['key'][:8]}...{new['key'][-4:]}"
    assert (listed["label"], listed["scopes"]) == ("Nightly export", ["orders:read"])
    assert (listed["created"], listed["last_used"]) == ("1970-01-12T13:46:40Z", None)
    assert listed["expires"] == "1970-04-12T13:46:40Z"  # 90 days
    await house.identity.stop()
    for file in house.database.parent.glob("identity.db*"):
        assert new["key"].encode() not in file.read_bytes()
    (event,) = house.ledger.named(ApiKeyMade)
    assert (event.key, event.scopes, event.days) == (new["id"], ("orders:read",), 90)
    assert event.client == "127.0.0.1"
    assert new["key"] not in repr(house.ledger.events)


async def test_a_key_says_who_its_request_comes_from(house, ann):
    """Its owner, with the roles of now, limited to its scopes; proved by nothing that
    ``access.fresh`` or a second factor would take."""
    account = (await ann.get("/auth/me")).json()
    new = await made(ann)
    expected = Principal(
        account["id"], scopes=frozenset({"orders:read"}), credential="api-key"
    )
    assert await shown(house, new["key"]) == expected
    accounts = house.identity._stores.accounts
    await accounts.set_roles(account["id"], frozenset({"staff"}))
    await accounts.set_tenant(account["id"], "acme")
    answer = await shown(house, new["key"])
    assert (answer.roles, answer.tenant) == ({"staff"}, "acme")
    assert (answer.factors, answer.signed_in_at) == (frozenset(), 0.0)


async def test_a_key_that_is_none_is_refused(house, ann):
    """One answer for all of them; the ledger knows which it was."""
    new = await made(ann, days=1)
    mistyped = new["key"][:-1] + ("0" if new["key"][-1] != "0" else "1")
    for text in (mistyped, "rfk_", b"rfk_\xff", ""):
        assert "checksum" in said(await shown(house, text))
    assert "unknown" in said(await shown(house, new_key()))
    house.clock.now += DAY - 1
    assert isinstance(await shown(house, new["key"]), Principal)
    house.clock.now += 1
    assert "expired" in said(await shown(house, new["key"]))
    assert (await house.identity.api_keys.of(new["id"])) == []


async def test_a_mistyped_key_costs_no_question(house, monkeypatch):
    async def read(_):
        raise AssertionError("the database was asked")

    monkeypatch.setattr(house.identity.api_keys._store, "read", read)
    assert said(await shown(house, new_key()[:-1] + "-"))


async def test_a_store_that_is_down_lets_nobody_in(house, ann, monkeypatch):
    new = await made(ann)

    async def read(_):
        raise StoreError("it is down")

    monkeypatch.setattr(house.identity.api_keys._store, "read", read)
    answer = await shown(house, new["key"])
    assert (answer.status, answer.code) == (503, "identity.unavailable")


async def test_a_key_is_ended_by_its_owner(house, ann):
    """At once, and by nobody else."""
    new, other = await made(ann), await made(ann, label="Other")
    await house.accounts.register("bob@example.com", PASSWORD, visit())
    async with house.client() as bob:
        body = {"email": "bob@example.com", "password": PASSWORD}
        assert (await bob.post("/auth/login", json=body)).status_code == 200
        refused = await bob.delete(f"/auth/api-keys/{new['id']}")
        assert refused.status_code == 404
        assert refused.json()["code"] == "identity.no_such_api_key"
        assert (await bob.get("/auth/api-keys")).json() == []
    assert isinstance(await shown(house, new["key"]), Principal)
    assert (await ann.delete(f"/auth/api-keys/{new['id']}")).status_code == 204
    assert (await ann.delete(f"/auth/api-keys/{new['id']}")).status_code == 404
    assert "unknown" in said(await shown(house, new["key"]))
    (event,) = house.ledger.named(ApiKeyEnded)
    assert event.key == new["id"]
    answer = await ann.post(f"/auth/api-keys/{other['id']}/end")
    assert answer.status_code == 204
    assert "unknown" in said(await shown(house, other["key"]))


async def test_what_ends_everything_ends_the_keys(house, ann):
    """A new password leaves them: the program that has one is not asked for it."""
    new = await made(ann)
    changed = {"current_password": PASSWORD, "new_password": "another long one"}
    assert (await ann.post("/auth/password/change", json=changed)).status_code == 200
    assert isinstance(await shown(house, new["key"]), Principal)
    account = await house.accounts.by_email(EMAIL)
    await house.identity._stores.accounts.set_disabled(account.id, disabled=True)
    assert "unknown" in said(await shown(house, new["key"]))


async def test_making_a_key_asks_for_a_fresh_proof(house, ann):
    """Who has found an unlocked browser takes no key home (CWE-306)."""
    house.clock.now += 601
    answer = await ann.post("/auth/api-keys", json=WANTED)
    assert (answer.status_code, answer.text) == (401, "access.not_fresh")
    await ann.post("/auth/confirm", json={"password": PASSWORD})
    await made(ann)


async def test_a_session_from_before_a_factor_makes_no_key(house, ann):
    """Who has it, and the password, would have a way past the factor for a year."""
    async with house.client() as before:
        await before.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
        app, _ = await begin(house, ann)
        await before.post("/auth/confirm", json={"password": PASSWORD})
        answer = await before.post("/auth/api-keys", json=WANTED)
        assert answer.json()["code"] == "identity.second_factor_missing"
        await before.post("/auth/confirm", json={"code": later(house, app)})
        await made(before)
    await made(ann)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"label": ""}, "label"),
        ({"label": " \t"}, "label"),
        ({"label": "x" * 65}, "label"),
        ({"label": "a\0b"}, "label"),
        ({"label": "\u202eevil"}, "label"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["orders:delete"]}, "scopes"),
        ({"scopes": ["orders:read", "*"]}, "scopes"),
        ({"days": 0}, "days"),
        ({"days": 366}, "days"),
        ({"days": -1}, "days"),
        ({"days": 10**30}, "days"),
        ({"days": "ten"}, "days"),
        ({"days": "9" * 5000}, "days"),
        ({"days": "²"}, "days"),
        ({"days": True}, "days"),
        ({"days": 1.5}, "days"),
        ({"expires": 1}, "expires"),
    ],
)
async def test_a_key_out_of_bounds_is_not_made(house, ann, changes, field):
    answer = await ann.post("/auth/api-keys", json=WANTED | changes)
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] in {"identity.invalid_input", "identity.bad_json"}
    assert field in answer.text or answer.status_code == 400
    assert (await ann.get("/auth/api-keys")).json() == []


async def test_an_account_has_no_more_than_64(house, ann, monkeypatch):
    monkeypatch.setattr("ringfence.identity.api_keys._MOST_KEYS", 2)
    for _ in range(2):
        await made(ann)
    answer = await ann.post("/auth/api-keys", json=WANTED)
    assert answer.status_code == 409
    assert answer.json()["code"] == "identity.too_many_api_keys"


@pytest.mark.parametrize("how", ["ended", "expired", "roles", "tenant", "disabled"])
async def test_what_is_open_ends_with_its_key(house, ann, keys, how):
    """A stream that a thief has opened does not outlive the key."""
    new = await made(ann, days=1)
    exchange, closed = visit(), asyncio.Event()
    principal = await keys.authenticate(new["key"].encode(), exchange)
    house.sessions.live.watch(exchange, closed.set)
    await house.sessions.live.check()
    await asyncio.sleep(0)
    assert not closed.is_set()
    accounts = house.identity._stores.accounts
    if how == "ended":
        assert await keys.end(principal.id, new["id"], Cause())
    elif how == "expired":
        house.clock.now += DAY
    elif how == "roles":
        await accounts.set_roles(principal.id, frozenset({"staff"}))
    elif how == "tenant":
        await accounts.set_tenant(principal.id, "acme")
    else:
        await accounts.set_disabled(principal.id, disabled=True)
    await house.sessions.live.check()
    await asyncio.wait_for(closed.wait(), 10)


async def test_the_owner_is_told_of_a_new_key(house, ann, capfd):
    """Whoever did not make it finds out (ASVS 5.0 V6.3.7)."""
    await made(ann)
    await house.identity.stop()
    assert "A key that programs can use in your name was made" in capfd.readouterr().err


async def test_the_last_use_is_written_once_a_minute(house, ann, keys, monkeypatch):
    """Whatever the number of requests: not one of them writes by itself."""
    new = await made(ann)
    writes = []
    touch = keys._store.touch

    async def counted(seen):
        writes.append(len(seen))
        await touch(seen)

    monkeypatch.setattr(keys._store, "touch", counted)
    house.clock.now += 1200
    for _ in range(20):
        await asyncio.gather(*(shown(house, new["key"]) for _ in range(5)))
        house.clock.now += 2
    await keys.stop()
    assert writes == [1]
    (listed,) = (await ann.get("/auth/api-keys")).json()
    assert listed["last_used"] == "1970-01-12T14:06:40Z"
    house.clock.now += 60
    await shown(house, new["key"])
    await keys.stop()
    assert writes == [1, 1]


async def test_a_use_that_cannot_be_written_stops_nobody(house, ann, keys, caplog):
    new = await made(ann)
    with closing(sqlite3.connect(house.database)) as writer:
        writer.execute("DROP TABLE ringfence_api_keys")
    keys._mark(b"name", 1e9)
    await keys.stop()
    assert "could not be marked as used" in caplog.text
    assert (await shown(house, new["key"])).status == 503


async def test_a_scope_that_is_withdrawn_is_taken_from_all_keys(tmp_path, prepared):
    """Also from those that were made before."""
    shutil.copy(prepared, tmp_path)
    async with gatehouse(tmp_path, api_key_scopes=SCOPES) as house:
        async with house.client() as ann:
            body = {"email": EMAIL, "password": PASSWORD}
            assert (await ann.post("/auth/login", json=body)).status_code == 200
            new = await made(ann, scopes=list(SCOPES))
        assert (await shown(house, new["key"])).scopes == set(SCOPES)
    async with gatehouse(tmp_path, api_key_scopes=SCOPES[:1]) as house:
        assert (await shown(house, new["key"])).scopes == {"orders:read"}
    async with gatehouse(tmp_path) as house:
        assert said(await shown(house, new["key"]))
        async with house.client() as client:
            assert (await client.get("/auth/api-keys")).status_code == 404


async def test_a_browser_has_a_page(house, ann):
    """With a form that needs no script; the new key is on the answer, and on no other
    page."""
    page = await ann.get("/auth/api-keys", headers=HTML)
    assert "There are none." in page.text
    form = {
        "label": "<b>Export</b>",
        "scopes": "orders:read  orders:write",
        "days": "7",
    }
    page = await ann.post("/auth/api-keys", data=form, headers=HTML)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    key = page.text.partition('<code id="api-key">')[2].partition("<")[0]
    assert (await shown(house, key)).scopes == set(SCOPES)
    page = await ann.get("/auth/api-keys", headers=HTML)
    assert key not in page.text
    assert "&lt;b&gt;Export&lt;/b&gt;" in page.text
    (listed,) = (await ann.get("/auth/api-keys")).json()
    ended = await ann.post(f"/auth/api-keys/{listed['id']}/end", headers=HTML)
    assert ended.headers["location"] == "/auth/api-keys?note=key-ended"
    assert (
        "The key is ended"
        in (await ann.get(ended.headers["location"], headers=HTML)).text
    )
    again = await ann.post(f"/auth/api-keys/{listed['id']}/end", headers=HTML)
    assert again.status_code == 404


async def test_a_form_that_was_wrong_is_shown_again(house, ann):
    """With what was typed."""
    form = {"label": "Export", "scopes": "orders:all", "days": "7"}
    page = await ann.post("/auth/api-keys", data=form, headers=HTML)
    assert page.status_code == 422
    assert 'value="Export"' in page.text
    assert 'value="orders:all"' in page.text
    assert "Name at least one of: orders:read, orders:write." in page.text
    page = await ann.post("/auth/api-keys", data={"nonsense": "1"}, headers=HTML)
    assert page.status_code == 422
