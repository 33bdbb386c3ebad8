"""Second factors, and what keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Factor(NamedTuple):
    """Something beside the password that proves who an owner is.

    Args:
        kind: ``totp``, ``passkey`` or ``recovery-code``.
        id: names it, unique among its kind: a passkey's credential id (at most 1,023
            bytes), the keyed hash of a recovery code, random bytes for the rest.
        account_id: whose it is.
        secret: what a proof is checked against: a sealed TOTP secret, a passkey's
            public key; empty for a recovery code, whose hash is its name.
        counter: only ever rises: the time step of the last code, the signature counter
            of a passkey.
        label: what its owner calls it, at most 64 characters.
        created: when it was made, Unix seconds.
        used: when it last proved something, Unix seconds, 0 if never.
        details: what else its maker wants to know of it, as JSON.
    """

    kind: str
    id: bytes
    account_id: str
    secret: bytes = b""
    counter: int = -1
    label: str = ""
    created: float = 0.0
    used: float = 0.0
    details: bytes = b"{}"


class FactorStore(Protocol):
    """Second factors. Every method may raise ``StoreError``.

    They belong to the account, not to its password: neither a change nor a reset of the
    password takes them away (ASVS 5.0 V6.4.4).

    Source: ASVS 5.0 V6.5.1; RFC 6238 section 5.2; WebAuthn Level 3, section 7.2.
    """

    async def add(self, factor: Factor, *, epoch: int, most: int = 32) -> bool:
        """Add a factor; return ``False`` and add nothing if its name is taken, the
        account is gone, disabled or no longer at ``epoch``, or it has ``most`` of this
        kind already."""

    async def find(self, kind: str, factor_id: bytes) -> Factor | None:
        """Return a factor of an account that may be used, by its name."""

    async def of_account(self, account_id: str) -> list[Factor]:
        """Return the account's factors, the oldest first."""

    async def advance(
        self, kind: str, factor_id: bytes, *, counter: int, at: float
    ) -> bool:
        """Note a use, and raise the counter in the same step; return ``False`` and
        change nothing unless ``counter`` is above the one that is stored, or both are 0
        (a passkey that does not count). Of several at once with one counter exactly one
        is told ``True``."""

    async def rename(
        self, account_id: str, kind: str, factor_id: bytes, label: str
    ) -> bool:
        """Change what the owner calls one, and nothing else of it; return ``False`` if
        the account has no such factor."""

    async def remove(self, account_id: str, kind: str, factor_id: bytes) -> bool:
        """Remove one; of several at once exactly one is told ``True``: so a recovery
        code is used once."""

    async def replace(
        self, account_id: str, kind: str, factors: Sequence[Factor], *, epoch: int
    ) -> bool:
        """Put these in the place of all the account's factors of a kind, in one
        transaction; return ``False`` and change nothing where ``add`` would."""
