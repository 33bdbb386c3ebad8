"""Sessions in memory: packed, bounded, and found by token, by account and by age."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

import msgspec

from ringfence.errors import StoreError
from ringfence.stores.contracts import AccountRecord, SessionRecord, Told, Use

MOST_SESSIONS = 1_000_000
MOST_OF_ACCOUNT = 256
_KNOWN = 8192  # sessions kept unpacked, about 4 MB
_NONE = 0  # no session has this place
_GENERATION_SECONDS = 60.0
_AT_ONCE = 1000  # removals between two turns of the event loop
_TOKEN_BYTES = 32
_KEY_BYTES = 8


class _Packed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Everything of a session but its token (in front of it), its roles and its tenant
    (the account's) and its last use (beside it). What repeats an earlier field is left
    out."""

    public_id: str
    account_id: str
    epoch: int
    factors: tuple[str, ...]
    created: float
    address: str
    device: str
    proved: float | None  # unless it is ``created``
    last_network: str | None  # unless it is ``address``
    last_device: str | None  # unless it is ``device``
    move: tuple[float, str, str] | None


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Packed).decode
_NO_MOVE = (0.0, "", "")


class Standings(Protocol):
    """What accounts may be now, asked in the middle of a request."""

    def open(self) -> None:
        """Begin to answer. May be called again after ``close``."""

    def close(self) -> None:
        """Stop answering. Idempotent."""

    def changed(self) -> bool:
        """Return whether any account may have changed since the last call."""

    async def standing(self, account_id: str) -> AccountRecord | None:
        """Return an account, if it is there."""


class MemorySessionStore:
    """Sessions of one process, gone with it. See ``contracts.SessionStore``.

    A million sessions with their index by account take less than 300 bytes each. The
    number is bounded: the one that was unused the longest gives way, since refusing
    would let a flood of sign-ins keep everybody else out. So that one account cannot
    push out the others, it has at most 256 sessions, and its own oldest gives way.

    An account that another process changes is noticed by its epoch: its sessions end.

    Args:
        accounts: tells whether an account may still be used.
        most: how many sessions there may be.
    """

    def __init__(self, accounts: Standings, most: int = MOST_SESSIONS) -> None:
        self._accounts = accounts
        self._most = most
        self._table = SessionTable()
        self._known: dict[bytes, SessionRecord] = {}
        self._changing: set[str] = set()
        self._open = False

    def __len__(self) -> int:
        return len(self._table)

    def open(self) -> None:
        """Begin to answer; what was kept before is still there."""
        self._known.clear()
        self._open = True

    def close(self) -> None:
        """Stop answering. Idempotent."""
        self._open = False

    def recall(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        """See ``contracts.SessionStore``."""
        self._opened()
        return self._known.get(token_hash)

    async def read(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        """See ``contracts.SessionStore``."""
        known = self.recall(token_hash)
        if known is not None:
            return known
        slot = self._table.find(token_hash)
        session = None if slot == _NONE else await self._live(slot)
        if session is not None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[token_hash] = session
        return session

    async def read_many(
        self, token_hashes: Collection[bytes]
    ) -> Mapping[bytes, SessionRecord]:
        """See ``contracts.SessionStore``."""
        found = {}
        for number, token_hash in enumerate(token_hashes):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            session = await self.read(token_hash)
            if session is not None:
                found[token_hash] = session
        return found

    async def add(
        self, session: SessionRecord, *, epoch: int, replaces: SessionRecord | None
    ) -> bool:
        """See ``contracts.SessionStore``."""
        table = self._opened()
        account = await self._accounts.standing(session.account_id)
        if account is None or account.disabled or account.epoch != epoch:
            return False
        if replaces is not None:
            self._end_of(replaces.token_hash, replaces.account_id)
        own = list(table.of_account(session.account_id))
        if len(own) >= MOST_OF_ACCOUNT:
            self._end(min(own, key=table.seen_at))
        elif len(table) >= self._most:
            self._end(table.oldest())
        table.add(session, epoch)
        return True

    async def touch(self, seen: Mapping[bytes, Use]) -> None:
        """See ``contracts.SessionStore``."""
        table = self._opened()
        for token_hash, use in seen.items():
            slot = table.find(token_hash)
            if slot != _NONE and table.seen_at(slot) < use.at:
                table.touch(slot, use)
                self._known.pop(token_hash, None)

    async def mark_moved(self, token_hash: bytes, use: Use) -> bool:
        """See ``contracts.SessionStore``."""
        table = self._opened()
        slot = table.find(token_hash)
        if slot == _NONE or not table.mark_moved(slot, use):
            return False
        self._known.pop(token_hash, None)
        return True

    async def of_account(self, account_id: str) -> list[SessionRecord]:
        """See ``contracts.SessionStore``."""
        found = [
            session
            for slot in list(self._opened().of_account(account_id))
            if (session := await self._live(slot)) is not None
        ]
        return sorted(found, key=lambda one: (-one.created, one.public_id))

    async def end(self, account_id: str, public_id: str) -> bool:
        """See ``contracts.SessionStore``."""
        table = self._opened()
        for slot in table.of_account(account_id):
            if table.public_id(slot) == public_id:
                return self._end(slot)
        return False

    async def end_all(self, account_id: str, *, keep: bytes | None) -> int:
        """See ``contracts.SessionStore``."""
        self._opened()
        return self.end_now(account_id, keep=keep)

    def end_now(self, account_id: str, *, keep: bytes | None = None) -> int:
        """End the account's sessions but ``keep`` at once; return how many."""
        table = self._table
        slots = list(table.of_account(account_id))
        return sum(self._end(slot) for slot in slots if table.token(slot) != keep)

    async def end_token(self, token_hash: bytes, account_id: str) -> bool:
        """See ``contracts.SessionStore``."""
        return self._end_of(token_hash, account_id)

    def _end_of(self, token_hash: bytes, account_id: str) -> bool:
        table = self._opened()
        slot = table.find(token_hash)
        if slot == _NONE or table.account_id(slot) != account_id:
            return False
        return self._end(slot)

    async def forget_expired(self, *, created_before: float, seen_before: float) -> int:
        """See ``contracts.SessionStore``. A generation is a minute: only those that
        can hold expired sessions are looked at."""
        table, count = self._opened(), 0
        for order, time in (
            (table.seen, seen_before),
            (table.created, created_before),
        ):
            while expired := order.before(time, _AT_ONCE):
                count += sum(map(self._end, expired))
                await asyncio.sleep(0)
        return count

    def expect_change(self, account_id: str) -> None:
        """Let the sessions of an account outlive the change of roles, or of the tenant,
        that follows."""
        self._changing.add(account_id)

    def carry_over(self, account: AccountRecord | None, account_id: str) -> None:
        """Carry the sessions of an account over to its new roles or its new tenant.

        Only from the epoch just before: one that was raised twice was raised by a
        change of password as well.
        """
        self._changing.discard(account_id)
        for slot in list(self._table.of_account(account_id)):
            self._known.pop(self._table.token(slot), None)
            if account is not None and self._table.epoch(slot) == account.epoch - 1:
                self._table.set_epoch(slot, account.epoch)

    async def _live(self, slot: int) -> SessionRecord | None:
        """Return a session if its account still stands behind it; else end it."""
        token_hash, epoch = self._table.token(slot), self._table.epoch(slot)
        account_id = self._table.account_id(slot)
        account = await self._accounts.standing(account_id)
        if self._table.find(token_hash) != slot:  # ended while the account was read
            return None
        if account is None or account.disabled:
            self._end(slot)
            return None
        if account.epoch != epoch and account_id not in self._changing:
            self._end(slot)
            return None
        return self._table.unpack(slot, account.roles, account.tenant)

    def _end(self, slot: int) -> bool:
        if slot == _NONE:
            return False
        self._known.pop(self._table.token(slot), None)
        self._table.remove(slot)
        return True

    def _opened(self) -> SessionTable:
        if not self._open:
            raise StoreError("the sessions in memory are not open")
        if self._accounts.changed():
            self._known.clear()
        return self._table


class SessionTable:
    """Packed sessions in numbered places, and four orders over them.

    Arrays of numbers in place of objects: a dictionary of a million keys, with a second
    one for the accounts, would take twice the memory. Nothing here is ever copied at
    once, so that no request waits while the table grows.
    """

    def __init__(self) -> None:
        self._records: list[bytes] = [b""]  # place 0 stays empty
        self._seen_at = array("d", [0.0])
        self._free: list[int] = []
        self._tokens = _Index()
        self._accounts = _Index()
        self.seen = _Generations()
        self.created = _Generations()

    def __len__(self) -> int:
        return len(self._records) - 1 - len(self._free)

    def add(self, session: SessionRecord, epoch: int) -> None:
        """Pack a session whose token is not there yet."""
        slot = self._place()
        self._write(slot, session, epoch)
        self._seen_at[slot] = session.last_seen
        self._tokens.add(slot, _key(session.token_hash))
        self._accounts.add(slot, _account_key(session.account_id))
        self.seen.add(slot, session.last_seen)
        self.created.add(slot, session.created)

    def _place(self) -> int:
        if self._free:
            return self._free.pop()
        self._records.append(b"")
        self._seen_at.append(0.0)
        for order in (self._tokens, self._accounts, self.seen, self.created):
            order.grow()
        return len(self._records) - 1

    def remove(self, slot: int) -> None:
        """Forget what is in a place."""
        self._tokens.remove(slot)
        self._accounts.remove(slot)
        self.seen.remove(slot)
        self.created.remove(slot)
        self._records[slot] = b""
        self._free.append(slot)

    def find(self, token_hash: bytes) -> int:
        """Return the place of a token, 0 if it is not there."""
        for slot in self._tokens.find(_key(token_hash)):
            if self.token(slot) == token_hash:
                return slot
        return _NONE

    def of_account(self, account_id: str) -> Iterator[int]:
        """Yield the places of an account's sessions."""
        for slot in self._accounts.find(_account_key(account_id)):
            if self.account_id(slot) == account_id:
                yield slot

    def oldest(self) -> int:
        """Return the place of a session that was unused for longer than others, give
        or take a generation; 0 if there is none."""
        return self.seen.oldest()

    def touch(self, slot: int, use: Use) -> None:
        """Write down a use."""
        self.seen.remove(slot)
        self._seen_at[slot] = use.at
        self.seen.add(slot, use.at)
        session = self.unpack(slot)
        if (session.last_network, session.last_device) != use[1:]:
            self._write(
                slot,
                session._replace(last_network=use.network, last_device=use.device),
                self.epoch(slot),
            )

    def mark_moved(self, slot: int, use: Use) -> bool:
        """Write down a move; return whether it was the first."""
        session = self.unpack(slot)
        if session.moved_at:
            return False
        moved = session._replace(
            moved_at=use.at, moved_network=use.network, moved_device=use.device
        )
        self._write(slot, moved, self.epoch(slot))
        return True

    def set_epoch(self, slot: int, epoch: int) -> None:
        """Bind a session to another epoch of its account."""
        self._write(slot, self.unpack(slot), epoch)

    def _write(self, slot: int, session: SessionRecord, epoch: int) -> None:
        self._records[slot] = session.token_hash + _pack(_packed(session, epoch))

    def token(self, slot: int) -> bytes:
        """Return the token's hash."""
        return self._records[slot][:_TOKEN_BYTES]

    def seen_at(self, slot: int) -> float:
        """Return the time of the last use."""
        return self._seen_at[slot]

    def public_id(self, slot: int) -> str:
        """Return the name that lists use."""
        return self._packed(slot).public_id

    def account_id(self, slot: int) -> str:
        """Return the owner."""
        return self._packed(slot).account_id

    def epoch(self, slot: int) -> int:
        """Return the epoch of the account at which the session was opened."""
        return self._packed(slot).epoch

    def _packed(self, slot: int) -> _Packed:
        return _unpack(self._records[slot][_TOKEN_BYTES:])

    def unpack(
        self, slot: int, roles: frozenset[str] = frozenset(), tenant: str = ""
    ) -> SessionRecord:
        """Return the session in a place, with the roles and the tenant that its account
        has."""
        packed = self._packed(slot)
        created, address, device = packed.created, packed.address, packed.device
        proved, network = packed.proved, packed.last_network
        last_device = packed.last_device
        return SessionRecord(
            self.token(slot),
            packed.public_id,
            packed.account_id,
            roles,
            frozenset(packed.factors),
            created,
            self._seen_at[slot],
            address,
            device,
            created if proved is None else proved,
            address if network is None else network,
            device if last_device is None else last_device,
            *(packed.move or _NO_MOVE),
            tenant,
        )


class _Index:
    """Finds places by a number of 64 bits, by linear hashing.

    Chains of places, one bucket a place, and one bucket more for each further place:
    unlike a table that doubles, it never stops to copy itself.

    Source: W. Litwin, "Linear hashing", VLDB 1980.
    """

    def __init__(self) -> None:
        self._heads = array("I", [_NONE])
        self._mask = 0
        self._keys = array("Q", [0])
        self._next = array("I", [_NONE])

    def grow(self) -> None:
        """Make room for one more place, and part one bucket in two."""
        self._keys.append(0)
        self._next.append(_NONE)
        new = len(self._heads)
        if new > self._mask:
            self._mask = 2 * self._mask + 1
        parted = new & (self._mask >> 1)
        slot, self._heads[parted] = self._heads[parted], _NONE
        self._heads.append(_NONE)
        while slot != _NONE:
            following = self._next[slot]
            self._link(slot)
            slot = following

    def _bucket(self, key: int) -> int:
        bucket = key & self._mask
        return bucket if bucket < len(self._heads) else bucket & (self._mask >> 1)

    def _link(self, slot: int) -> None:
        bucket = self._bucket(self._keys[slot])
        self._next[slot] = self._heads[bucket]
        self._heads[bucket] = slot

    def add(self, slot: int, key: int) -> None:
        """Have a place found under a key."""
        self._keys[slot] = key
        self._link(slot)

    def find(self, key: int) -> Iterator[int]:
        """Yield the places under a key."""
        slot = self._heads[self._bucket(key)]
        while slot != _NONE:
            if self._keys[slot] == key:
                yield slot
            slot = self._next[slot]

    def remove(self, slot: int) -> None:
        """Have a place found no more."""
        bucket = self._bucket(self._keys[slot])
        here, following = self._heads[bucket], self._next[slot]
        if here == slot:
            self._heads[bucket] = following
            return
        while self._next[here] != slot:
            here = self._next[here]
        self._next[here] = following


class _Generations:
    """Places in the order of a time, by the minute, each minute a ring."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._times = array("d", [0.0])
        self._after = array("I", [_NONE])
        self._before = array("I", [_NONE])

    def grow(self) -> None:
        """Make room for one more place."""
        self._times.append(0.0)
        self._after.append(_NONE)
        self._before.append(_NONE)

    def add(self, slot: int, time: float) -> None:
        """Put a place under its time."""
        self._times[slot] = time
        generation = _generation(time)
        first = self._first.get(generation, _NONE)
        if first != _NONE:
            self._before[first] = slot
        self._after[slot], self._before[slot] = first, _NONE
        self._first[generation] = slot

    def remove(self, slot: int) -> None:
        """Take a place out again."""
        before, after = self._before[slot], self._after[slot]
        if after != _NONE:
            self._before[after] = before
        if before != _NONE:
            self._after[before] = after
        elif after != _NONE:
            self._first[_generation(self._times[slot])] = after
        else:
            del self._first[_generation(self._times[slot])]

    def before(self, time: float, most: int) -> list[int]:
        """Return places whose time is earlier, up to ``most``."""
        last, found = _generation(time), list[int]()
        for generation in sorted(one for one in self._first if one <= last):
            slot = self._first[generation]
            while slot != _NONE and len(found) < most:
                if self._times[slot] < time:
                    found.append(slot)
                slot = self._after[slot]
        return found

    def oldest(self) -> int:
        """Return a place of the earliest minute."""
        return self._first[min(self._first)] if self._first else _NONE


def _packed(session: SessionRecord, epoch: int) -> _Packed:
    network, device = session.last_network, session.last_device
    move = (session.moved_at, session.moved_network, session.moved_device)
    return _Packed(
        public_id=session.public_id,
        account_id=session.account_id,
        epoch=epoch,
        factors=tuple(session.factors),
        created=session.created,
        address=session.address,
        device=session.device,
        proved=None if session.proved == session.created else session.proved,
        last_network=None if network == session.address else network,
        last_device=None if device == session.device else device,
        move=move if session.moved_at else None,
    )


def _generation(time: float) -> int:
    return int(time // _GENERATION_SECONDS)


def _key(token_hash: bytes) -> int:
    # Tokens are hashed with SHA-256, so nobody can choose what falls into one bucket.
    return int.from_bytes(token_hash[:_KEY_BYTES], "little")


def _account_key(account_id: str) -> int:
    return hash(account_id) & 0xFFFF_FFFF_FFFF_FFFF
