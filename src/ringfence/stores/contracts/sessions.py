"""Sessions, and what keeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

from ringfence.stores.contracts.copies import Told


class SessionRecord(NamedTuple):
    """A session together with what its account may be *now*. Times are Unix seconds.

    A named tuple, not a frozen dataclass: one is made for every request, and it is
    made in a fifth of the time.

    Args:
        token_hash: SHA-256 of the cookie's token; the token itself is nowhere stored.
        public_id: names the session in lists and in ``DELETE /auth/sessions/{id}``;
            good for nothing else.
        account_id: the owner.
        roles: the account's roles, read with the session, so that a change of role
            holds at once.
        factors: how the owner proved who they are.
        created: time of the sign-in; the absolute expiry counts from here.
        last_seen: written at most once a minute; the idle expiry counts from here.
        address: client address at sign-in.
        device: a short description of the browser at sign-in.
        proved: when the owner last proved who they are: the sign-in, or a confirmation
            since then.
        last_network: network of the last use (see ``Use``), written with ``last_seen``.
        last_device: the browser of the last use, likewise.
        moved_at: when the session was first used from another network and another
            device at once, 0 if never.
        moved_network: network of that use.
        moved_device: the browser of that use.
        tenant: the account's tenant, read with the session like the roles.
    """

    token_hash: bytes
    public_id: str
    account_id: str
    roles: frozenset[str]
    factors: frozenset[str]
    created: float
    last_seen: float
    address: str
    device: str
    proved: float = 0.0
    last_network: str = ""
    last_device: str = ""
    moved_at: float = 0.0
    moved_network: str = ""
    moved_device: str = ""
    tenant: str = ""


class Use(NamedTuple):
    """When and from where a session was last used.

    Args:
        at: Unix seconds.
        network: the client's address, IPv6 grouped to /64.
        device: a short description of the browser.
    """

    at: float
    network: str
    device: str


class SessionStore(Protocol):
    """Sessions. Every method may raise ``StoreError``.

    Source: CWE-613; ASVS 5.0 V7.4.1, V7.4.2.
    """

    async def read(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        """Return the session unless it was revoked or its account is disabled. Expiry
        is the caller's to judge. On SQLite this is a prepared primary-key read.

        Args:
            token_hash: of the session.
            told: what the store of copies has said about it, where it was asked. A copy
                may be kept then, so the answer is what the database has now.
        """

    async def add(
        self, session: SessionRecord, *, epoch: int, replaces: SessionRecord | None
    ) -> bool:
        """Add a session and, in the same transaction, end the one it replaces.

        Return ``False`` and add nothing if the account is gone, disabled or no longer
        at ``epoch``: a sign-in with the old password that is overtaken by a change of
        password must not leave a session behind.
        """

    def recall(
        self, token_hash: bytes, told: Told | None = None
    ) -> SessionRecord | None:
        """Return what ``read`` would return, if that is known without waiting; ``None``
        says nothing. Without a change the record is the same object every time."""

    async def read_many(
        self, token_hashes: Collection[bytes]
    ) -> Mapping[bytes, SessionRecord]:
        """Return those of these sessions that ``read`` would return, in few reads and
        without holding up the event loop."""

    async def touch(self, seen: Mapping[bytes, Use]) -> None:
        """Write when and from where sessions were last used, all in one transaction.
        Never moves a time back, never revives a session."""

    async def mark_moved(self, token_hash: bytes, use: Use) -> bool:
        """Write down that a session has moved, and where to, unless that is written
        down already; return whether it was this call. Of several at once only one is
        told so."""

    async def of_account(self, account_id: str) -> list[SessionRecord]:
        """Return the account's sessions, the latest sign-in first."""

    async def end(self, account_id: str, public_id: str) -> bool:
        """End one session of this account; return whether it had such a session."""

    async def end_all(self, account_id: str, *, keep: bytes | None) -> int:
        """End the account's sessions; return how many.

        Args:
            account_id: whose.
            keep: hash of the token of one that goes on, ``None`` for none.
        """

    async def end_token(self, token_hash: bytes, account_id: str) -> bool:
        """End the session with this token, which is this account's; return whether
        there was one."""

    async def forget_expired(self, *, created_before: float, seen_before: float) -> int:
        """Delete what was made or last seen before these times (Unix seconds); return
        how many."""
