"""Sessions of a database, with copies in a faster store before it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from ringfence.errors import StoreError
from ringfence.stores.contracts import (
    CopyStore,
    SessionRecord,
    SessionStore,
    Told,
    Use,
)
from ringfence.stores.held import HeldChanges
from ringfence.stores.seal import CopySeal

logger = logging.getLogger("ringfence.stores")

_REMEMBERED = 8192  # about 8 MB
_FORMAT = b"session 2 "  # of copies: another version's are no copies
_NO_EPOCH = -1  # of the account: a session's copy does without

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SessionRecord).decode


class _Copy(NamedTuple):
    """A copy as its store has it, and what it means."""

    sealed: bytes
    generation: bytes
    session: SessionRecord


class CopiedSessions:
    """Sessions whose copies are asked first. See ``contracts.SessionStore``.

    A good copy is an answer of the database, and holds while the database is down. A
    store of copies that is down is no answer: nobody could be signed out then.

    Args:
        database: keeps the sessions.
        copies: are asked where the owner is known beforehand.
        seal: tells our copies from others.
        held: changes the database.
    """

    def __init__(
        self,
        database: SessionStore,
        copies: CopyStore,
        seal: CopySeal,
        held: HeldChanges,
    ) -> None:
        self._database = database
        self._copies = copies
        self._seal = seal
        self._held = held
        self._known: dict[bytes, _Copy] = {}
        self.of_account = database.of_account
        self.read_many = database.read_many  # every two seconds, and authoritative
        self.forget_expired = database.forget_expired  # expiry shows in a copy, too

    def recall(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        """See ``contracts.SessionStore``."""
        if told is None:
            unknown = token_hash not in self._known
            return self._database.recall(token_hash) if unknown else None
        if not told.owner:
            return self._database.recall(token_hash)
        sealed = told.copy
        if sealed is None:
            return None
        known = self._known.get(token_hash)
        if (
            known is not None
            and known.sealed == sealed
            and known.generation == told.generation
            and known.session.account_id == told.owner
            and self._seal.is_fresh(sealed)
        ):
            return known.session
        session = _decoded(self._seal.open(token_hash, told))
        return session and self._remember(sealed, told, session)

    async def read(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        """See ``contracts.SessionStore``."""
        if told is None:
            known = self._known.get(token_hash)
            if known is not None:
                told = await self._copies.read(token_hash, known.session.account_id)
        if told is None or not told.owner:
            return await self._database.read(token_hash)
        return self.recall(token_hash, told) or await self._fill(token_hash, told)

    async def _fill(self, token_hash: bytes, told: Told) -> SessionRecord | None:
        """Ask the database, and keep a copy of what it says."""
        session = await self._database.read(token_hash, told)
        if session is None or session.account_id != told.owner or not told.lease:
            return session
        content = _FORMAT + _encode(session)
        sealed = self._seal.seal(token_hash, told, content, _NO_EPOCH)
        try:
            await self._copies.keep(token_hash, told, sealed, _NO_EPOCH)
        except StoreError as error:
            logger.warning("a session was read but could not be copied: %s", error)
        return self._remember(sealed, told, session)

    def _remember(
        self, sealed: bytes, told: Told, session: SessionRecord
    ) -> SessionRecord:
        """Decode each copy once: without a change its record is the same object."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[session.token_hash] = _Copy(sealed, told.generation, session)
        return session

    async def add(
        self, session: SessionRecord, *, epoch: int, replaces: SessionRecord | None
    ) -> bool:
        """See ``contracts.SessionStore``. Of what was not there, there is no copy."""

        async def add() -> bool:
            return await self._database.add(session, epoch=epoch, replaces=replaces)

        if replaces is None:
            return await add()
        return await self._held.change(add, replaces.account_id)

    async def touch(self, seen: Mapping[bytes, Use]) -> None:
        """See ``contracts.SessionStore``. A copy of an earlier time is not wrong: no
        hold for it, and no failure where only the copies cannot be dropped."""
        await self._database.touch(seen)
        owners = await self._owners(seen)
        dropped = await asyncio.gather(
            *(self._copies.drop(name, owner) for name, owner in owners.items()),
            return_exceptions=True,
        )
        errors = [error for error in dropped if isinstance(error, BaseException)]
        for error in errors:
            if not isinstance(error, StoreError):
                raise error
        if errors:
            logger.warning("copies of sessions could not be dropped: %s", errors[0])

    async def mark_moved(self, token_hash: bytes, use: Use) -> bool:
        """See ``contracts.SessionStore``. A copy without the mark would be fresh where
        the owner has to confirm it: so this is a change like any other."""
        owners = await self._owners((token_hash,))
        if token_hash not in owners:
            return False
        return await self._held.change(
            lambda: self._database.mark_moved(token_hash, use), owners[token_hash]
        )

    async def _owners(self, names: Collection[bytes]) -> dict[bytes, str]:
        """Return whose sessions these are, as far as they are there."""
        known = {
            name: self._known[name].session.account_id
            for name in names
            if name in self._known
        }
        others = [name for name in names if name not in known]
        if others:
            found = await self._database.read_many(others)
            known |= {name: session.account_id for name, session in found.items()}
        return known

    async def end(self, account_id: str, public_id: str) -> bool:
        """See ``contracts.SessionStore``."""
        return await self._held.change(
            lambda: self._database.end(account_id, public_id), account_id
        )

    async def end_all(self, account_id: str, *, keep: bytes | None) -> int:
        """See ``contracts.SessionStore``."""
        return await self._held.change(
            lambda: self._database.end_all(account_id, keep=keep), account_id
        )

    async def end_token(self, token_hash: bytes, account_id: str) -> bool:
        """See ``contracts.SessionStore``."""
        return await self._held.change(
            lambda: self._database.end_token(token_hash, account_id), account_id
        )


def _decoded(content: bytes | None) -> SessionRecord | None:
    """Return the session that an opened copy holds, ``None`` if it is none."""
    if content is None or not content.startswith(_FORMAT):
        return None
    try:
        return _decode(content[len(_FORMAT) :])
    except msgspec.MsgspecError:  # of a version whose sessions look otherwise
        return None
