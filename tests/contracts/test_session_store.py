"""What every session store promises."""

import asyncio

import pytest
from tests.contracts.records import NOW, account, session

from ringfence.stores.contracts import Told, Use

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ann(stores):
    """The stores, with one account in them."""
    await stores.accounts.add(account())
    return stores


async def add(stores, record, *, epoch=0, replaces=None):
    return await stores.sessions.add(record, epoch=epoch, replaces=replaces)


async def test_keeps_every_field(stores):
    await stores.accounts.add(account(roles=frozenset({"staff", "admin"})))
    kept = session(
        factors=frozenset({"password", "totp"}),
        roles=frozenset({"staff", "admin"}),
        created=0.1 + 0.2,
        last_seen=NOW + 1e-3,
        address="203.0.113.9",
        device="Åbrowser on ☎",
        proved=NOW + 0.1,
        last_network="2001:db8::2",
        last_device="☎",
        moved_at=NOW + 0.2,
        moved_network="192.0.2.7",
        moved_device="Chrome on Windows",
    )
    assert await add(stores, kept) is True
    assert await stores.sessions.read(kept.token_hash) == kept
    assert await stores.sessions.of_account("id-ann") == [kept]


async def test_unknown_tokens_are_none(ann):
    assert await ann.sessions.read(b"\x00" * 32) is None
    assert await ann.sessions.read(b"") is None
    assert await ann.sessions.read(b"' OR '1'='1") is None


async def test_a_sign_in_replaces_the_session_it_came_with(ann):
    """Both happen or neither: no moment with two, none with none."""
    await add(ann, session("before"))
    await add(ann, session("after"), replaces=session("before"))
    assert await ann.sessions.read(session("before").token_hash) is None
    assert [found.public_id for found in await ann.sessions.of_account("id-ann")] == [
        "public-after"
    ]


async def test_a_sign_in_replaces_anothers_session(ann):
    """At a shared computer: Bob signs in where Ann has not signed out."""
    await ann.accounts.add(account("bob"))
    await add(ann, session("anns"))
    assert await ann.sessions.read(session("anns").token_hash) == session("anns")
    await add(ann, session("bobs", "bob"), replaces=session("anns"))
    assert await ann.sessions.read(session("anns").token_hash) is None
    bobs = session("bobs", "bob")
    assert await ann.sessions.read(bobs.token_hash) == bobs


@pytest.mark.parametrize("epoch", [-1, 1])
async def test_an_overtaken_sign_in_adds_nothing_and_ends_nothing(ann, epoch):
    """A sign-in with the old password must not outlive the change of password."""
    await add(ann, session("before"))
    late = session("late")
    assert await add(ann, late, epoch=epoch, replaces=session("before")) is False
    assert await ann.sessions.read(late.token_hash) is None
    assert await ann.sessions.read(session("before").token_hash) is not None


async def test_no_session_for_a_disabled_or_missing_account(stores):
    await stores.accounts.add(account(disabled=True))
    assert await add(stores, session()) is False
    assert await add(stores, session("other", "nobody")) is False
    assert await stores.sessions.read(session().token_hash) is None


async def test_a_disabled_account_has_no_live_sessions(ann):
    """Even if a session is still stored, it is not read."""
    await add(ann, session())
    await ann.accounts.set_disabled("id-ann", disabled=True)
    assert await ann.sessions.read(session().token_hash) is None
    assert await ann.sessions.of_account("id-ann") == []


def use(at):
    return Use(at, "192.0.2.9", "Safari on iPhone")


async def test_touch_moves_only_forward_and_only_what_is_there(ann):
    await add(ann, session("one"))
    await add(ann, session("two"))
    gone = session("gone").token_hash
    one, two = session("one").token_hash, session("two").token_hash
    await ann.sessions.touch({one: use(NOW + 60), two: use(NOW - 60), gone: use(NOW)})
    assert await ann.sessions.read(one) == session(
        "one",
        last_seen=NOW + 60,
        last_network="192.0.2.9",
        last_device="Safari on iPhone",
    )
    assert await ann.sessions.read(two) == session("two")
    assert await ann.sessions.read(gone) is None
    await ann.sessions.touch({})


async def test_a_move_is_marked_once(ann):
    """Of fifty requests that notice the same move one is told to tell of it."""
    await add(ann, session())
    token = session().token_hash
    marks = [ann.sessions.mark_moved(token, use(NOW + n)) for n in range(50)]
    assert (await asyncio.gather(*marks)).count(True) == 1
    found = await ann.sessions.read(token)
    assert found.moved_at >= NOW
    assert (found.moved_network, found.moved_device) == (
        "192.0.2.9",
        "Safari on iPhone",
    )
    assert found.last_network == session().address
    assert await ann.sessions.mark_moved(token, use(NOW + 99)) is False
    assert await ann.sessions.read(token) == found
    assert await ann.sessions.mark_moved(b"gone", use(NOW)) is False


async def test_what_is_recalled_is_what_is_read(ann):
    """Nothing, or the very record; and nothing any more once it has changed."""
    await add(ann, session())
    token = session().token_hash
    assert ann.sessions.recall(b"unknown") is None
    found = await ann.sessions.read(token)
    recalled = ann.sessions.recall(token)
    assert recalled is None or recalled is found
    await ann.sessions.touch({token: use(NOW + 60)})
    assert ann.sessions.recall(token) is None
    await ann.sessions.read(token)
    await ann.accounts.set_roles("id-ann", frozenset({"staff"}))
    assert ann.sessions.recall(token) is None
    await ann.sessions.read(token)
    await ann.accounts.set_tenant("id-ann", "acme")
    assert ann.sessions.recall(token) is None
    await ann.sessions.read(token)
    await ann.sessions.end_token(token, "id-ann")
    assert ann.sessions.recall(token) is None


async def test_many_are_read_at_once(ann):
    """Exactly those that can be read one by one, however many are asked for."""
    await ann.accounts.add(account("bob"))
    for number in range(3):
        await add(ann, session(f"anns-{number}"))
    await add(ann, session("bobs", "bob"))
    await ann.accounts.set_disabled("id-bob", disabled=True)
    await ann.sessions.end_token(session("anns-1").token_hash, "id-ann")
    names = ["anns-0", "anns-1", "anns-2", "bobs"]
    wanted = [session(name).token_hash for name in names]
    unknown = [n.to_bytes(32, "big") for n in range(1200)]
    found = await ann.sessions.read_many([*unknown, *wanted])
    assert found == {
        session(name).token_hash: session(name) for name in ("anns-0", "anns-2")
    }
    assert await ann.sessions.read_many([]) == {}


async def test_sessions_are_listed_latest_first(ann):
    await ann.accounts.add(account("bob"))
    for age, name in enumerate(["new", "middle", "old"]):
        await add(ann, session(name, created=NOW - age))
    await add(ann, session("bobs", "bob"))
    listed = [found.public_id for found in await ann.sessions.of_account("id-ann")]
    assert listed == ["public-new", "public-middle", "public-old"]


async def test_an_owner_ends_only_their_own(ann):
    """Naming another's session ends nothing (CWE-639)."""
    await ann.accounts.add(account("bob"))
    await add(ann, session("anns"))
    await add(ann, session("bobs", "bob"))
    assert await ann.sessions.end("id-ann", "public-bobs") is False
    assert await ann.sessions.end("id-ann", "public-anns") is True
    assert await ann.sessions.end("id-ann", "public-anns") is False
    assert await ann.sessions.read(session("anns").token_hash) is None
    assert await ann.sessions.read(session("bobs", "bob").token_hash) is not None


async def test_end_all_and_end_all_others(ann):
    await ann.accounts.add(account("bob"))
    await add(ann, session("bobs", "bob"))
    for name in ("one", "two", "three"):
        await add(ann, session(name))
    kept = session("two").token_hash
    assert await ann.sessions.end_all("id-ann", keep=kept) == 2
    assert [found.token_hash for found in await ann.sessions.of_account("id-ann")] == [
        kept
    ]
    assert await ann.sessions.end_all("id-ann", keep=None) == 1
    assert await ann.sessions.end_all("id-ann", keep=None) == 0
    assert await ann.sessions.read(session("bobs", "bob").token_hash) is not None


async def test_anothers_token_protects_nothing(ann):
    await ann.accounts.add(account("bob"))
    await add(ann, session("anns"))
    await add(ann, session("bobs", "bob"))
    keep = session("bobs", "bob").token_hash
    assert await ann.sessions.end_all("id-ann", keep=keep) == 1


async def test_end_token(ann):
    await add(ann, session())
    assert await ann.sessions.end_token(session().token_hash, "id-ann") is True
    assert await ann.sessions.end_token(session().token_hash, "id-ann") is False
    assert await ann.sessions.read(session().token_hash) is None


async def test_a_token_is_ended_for_its_account_alone(ann):
    """Under another's id nothing ends: copies would be voided of that one only."""
    await ann.accounts.add(account("bob"))
    await add(ann, session())
    assert await ann.sessions.end_token(session().token_hash, "id-bob") is False
    assert await ann.sessions.end_token(b"unknown", "id-ann") is False
    assert await ann.sessions.read(session().token_hash) == session()
    await add(ann, session("bobs", "bob"), replaces=session(account_id="id-bob"))
    assert await ann.sessions.read(session().token_hash) == session()


async def test_a_session_is_ended_once(ann):
    """Of fifty parallel ends one is told that it ended something."""
    await add(ann, session())
    ends = [ann.sessions.end_token(session().token_hash, "id-ann") for _ in range(50)]
    assert (await asyncio.gather(*ends)).count(True) == 1


async def test_touch_never_revives(ann):
    """A touch that was on its way when the session ended changes nothing."""
    await add(ann, session())
    token = session().token_hash
    touches = [ann.sessions.touch({token: use(NOW + n)}) for n in range(1, 10)]
    await asyncio.gather(*touches, ann.sessions.end_token(token, "id-ann"))
    assert await ann.sessions.read(token) is None


async def test_what_a_store_has_said_is_nothing_without_copies(ann):
    """Where nobody keeps copies, what came along with a request changes no answer."""
    await add(ann, session())
    token = session().token_hash
    for told in (Told(""), Told("id-ann"), Told("id-ann", b"no copy of ours")):
        assert await ann.sessions.read(token, told) == session()
        assert await ann.sessions.read(b"unknown", told) is None
    await ann.accounts.set_disabled("id-ann", disabled=True)
    for told in (Told(""), Told("id-ann"), Told("id-ann", b"no copy of ours")):
        assert await ann.sessions.read(token, told) is None


async def test_forget_expired(ann):
    await add(ann, session("fresh"))
    await add(ann, session("old", created=NOW - 100))
    await add(ann, session("idle", last_seen=NOW - 50))
    forgotten = await ann.sessions.forget_expired(
        created_before=NOW - 99, seen_before=NOW - 49
    )
    assert forgotten == 2
    assert [found.public_id for found in await ann.sessions.of_account("id-ann")] == [
        "public-fresh"
    ]
