"""Refresh tokens in families, and what keeps them."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol


class Grant(NamedTuple):
    """A family of refresh tokens: what one sign-in of a program has led to.

    Times are Unix seconds.

    Args:
        id: 16 random bytes; names the family in every token of it.
        account_id: whose it is.
        token_hash: SHA-256 of the one token that may be redeemed now.
        generation: how often it was rotated.
        created: time of the sign-in.
        used: time of the last rotation, or of the sign-in.
        expires: when it ends unless it is used before.
        ends: when it ends in any case.
        factors: how the owner has proved who they are.
        proved: when they did.
        key: RFC 7638 thumbprint of the DPoP key that it is bound to; empty for none.
        address: the client's, at the sign-in.
        device: a short description of the client.
        roles: the account's, read with the grant.
        epoch: the account's, read with the grant.
        tenant: the account's, read with the grant.
    """

    id: bytes
    account_id: str
    token_hash: bytes
    generation: int
    created: float
    used: float
    expires: float
    ends: float
    factors: frozenset[str]
    proved: float
    key: str = ""
    address: str = ""
    device: str = ""
    roles: frozenset[str] = frozenset()
    epoch: int = 0
    tenant: str = ""


class Rotation(NamedTuple):
    """What takes the place of a refresh token.

    Args:
        token_hash: of the new token.
        expires: of the family from now on.
        answer: what the redeemer is told, sealed under a key that only the old token
            gives; kept for the grace window.
        binding: hash of what the redeemer is known by; only the same one is told the
            answer once more.
        at: now, Unix seconds.
        grace: seconds for which the answer is repeated once; 0 for never.
    """

    token_hash: bytes
    expires: float
    answer: bytes
    binding: bytes
    at: float
    grace: float


class Rotated(NamedTuple):
    """What came of it.

    Args:
        outcome: ``rotated``: the answer of this call holds. ``replayed``: another call
            was first, a moment ago, and ``answer`` is what it was told. ``again``:
            within the window, but the answer was repeated already; nothing changes.
            ``reused``: an older token of the family, or the previous one from
            elsewhere or too late: the family was ended. ``gone``: there is no such
            family (any more), or its account must not be used.
        answer: sealed, of ``replayed`` only.
        account_id: whose family it is or was; empty where it is ``gone``.
    """

    outcome: Literal["rotated", "replayed", "again", "reused", "gone"]
    answer: bytes = b""
    account_id: str = ""


class GrantStore(Protocol):
    """Families of refresh tokens. Every method may raise ``StoreError``.

    Whatever ends an account's sessions (``set_password``, ``set_disabled``,
    ``raise_epoch``, ``remove``) ends its families in the same transaction; a change of
    roles or of the tenant does not.

    Source: RFC 9700 sections 2.2.2 and 4.14; CWE-613, CWE-367.
    """

    async def add(self, grant: Grant, *, epoch: int) -> bool:
        """Add a family; return ``False`` and add nothing if the account is gone,
        disabled or no longer at ``epoch``."""

    async def find(self, grant_id: bytes) -> Grant | None:
        """Return a family whose account may be used, expired or not."""

    async def rotate(
        self, grant_id: bytes, presented: bytes, rotation: Rotation
    ) -> Rotated:
        """Redeem a token, by one compare-and-swap: of several calls with one token
        exactly one is told ``rotated``, whichever process and machine they come from.

        Args:
            grant_id: of the family; that the token is one of its own was checked.
            presented: SHA-256 of the token.
            rotation: what takes its place.
        """

    async def of_account(self, account_id: str) -> list[Grant]:
        """Return the account's families, the latest sign-in first."""

    async def end(self, account_id: str, grant_id: bytes) -> bool:
        """End one family of this account; return whether it had such a family."""

    async def end_all(self, account_id: str) -> int:
        """End all families of this account; return how many."""

    async def forget_expired(self, now: float) -> int:
        """Delete what has ended by itself; return how many."""
