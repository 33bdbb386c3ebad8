"""What may be used once, and what has been taken back."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ringfence.stores.contracts.copies import Told


class Ticket(NamedTuple):
    """Something that may be used once: a reset link, a recovery code.

    Args:
        kind: what it is good for, ``password-reset`` say.
        token_hash: SHA-256 of the token; the token itself is nowhere stored.
        account_id: whose it is.
        epoch: of the account when it was made; raising that makes it void.
        payload: what its maker wants to know when it is used.
    """

    kind: str
    token_hash: bytes
    account_id: str
    epoch: int
    payload: bytes = b""


class TicketStore(Protocol):
    """Single-use tokens. Every method may raise ``StoreError``.

    Authoritative in the database: what was used stays used.

    Source: CWE-640, CWE-367.
    """

    async def issue(self, ticket: Ticket, seconds: float, *, most: int = 16) -> bool:
        """Keep a ticket; return ``False`` and keep nothing if the account is gone,
        disabled or no longer at its epoch.

        Args:
            ticket: to be kept.
            seconds: for how long, more than 0.
            most: how many of one kind an account has, 1 or more; the oldest goes.
        """

    async def find(self, kind: str, token_hash: bytes) -> Ticket | None:
        """Return what ``redeem`` would return now, and use nothing up: for whoever has
        to look at something else first. What counts is ``redeem``."""

    async def redeem(self, kind: str, token_hash: bytes) -> Ticket | None:
        """Use a ticket: of several at once exactly one gets it. ``None`` if it is
        unknown, used, expired, or its account is gone, disabled or at another epoch."""

    async def withdraw(self, account_id: str, kind: str) -> int:
        """Make the account's tickets of a kind void; return how many."""


class ReplayStore(Protocol):
    """What was seen once and must not be seen again: the ids of signed proofs, the
    time steps of one-time codes. Every method may raise ``StoreError``.

    Source: CWE-294; RFC 6238 section 5.2, RFC 9449 section 11.1.
    """

    async def first(self, key: bytes, seconds: float) -> bool:
        """Return whether ``key`` was not seen in the last ``seconds``, and remember it
        for so long: of several at once exactly one is told ``True``.

        Args:
            key: made by ``counter_key``.
            seconds: until the thing itself has expired.
        """


class RevocationStore(Protocol):
    """Single signed tokens that were taken back. Every method may raise
    ``StoreError``. Everything of an account is taken back by its epoch
    (``AccountStore.raise_epoch``).

    Source: CWE-613; ASVS 5.0 V7.4.1.
    """

    async def revoke(self, token_id: bytes, account_id: str, seconds: float) -> None:
        """Take a token back.

        Args:
            token_id: of the token.
            account_id: whose it is.
            seconds: for how long that is remembered: until the token has expired.
        """

    async def standing(
        self, token_ids: tuple[bytes, ...], account_id: str, told: Told | None = None
    ) -> int | None:
        """Return the account's present epoch if nothing of this was taken back and the
        account may be used, else ``None``.

        Args:
            token_ids: of the token, and after it of what it was made from (a family of
                refresh tokens, say); each at least one byte.
            account_id: whose it is.
            told: what the store of copies has said about the first of them, where it
                was asked.
        """

    def recall(
        self, token_ids: tuple[bytes, ...], account_id: str, told: Told | None = None
    ) -> int | None:
        """Return what ``standing`` would return, if that is known without waiting;
        ``None`` says nothing."""
