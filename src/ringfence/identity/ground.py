"""What every part of the gatehouse stands on."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ringfence.audit.events import Event
from ringfence.clock import Clock
from ringfence.identity.settings import IdentitySettings
from ringfence.secrets.keyring import Keyring
from ringfence.stores.contracts import CounterStore, Stores

_IDENTIFIER_BYTES = 16


@dataclass(frozen=True, slots=True)
class Ground:
    """Settings, stores, keys, ledger and time of one gatehouse.

    Args:
        settings: of this room.
        stores: keep what must last.
        counters: keep what is left of the limits.
        keyring: gives the keys; opened before the start.
        record: takes the events.
        clock: tells the time.
        public_origins: where this service is reached, ``https://shop.example`` say.
        development: plain http on this machine.
    """

    settings: IdentitySettings
    stores: Stores
    counters: CounterStore
    keyring: Keyring
    record: Callable[[Event], None]
    clock: Clock
    public_origins: tuple[str, ...]
    development: bool

    def keys(self, purpose: str) -> Callable[[], Sequence[bytes]]:
        """Return what gives the keys of a purpose, the signing one first: for what is
        in hands and ends by itself."""
        return partial(self.keyring.derive_all, purpose)

    def kept_keys(self, purpose: str) -> Callable[[], Sequence[bytes]]:
        """Return the same for what lies in the database, which outlives the time in
        which a key verifies."""
        return partial(self.keyring.derive_kept, purpose)

    def identifier(self, email_key: str) -> str:
        """Return the keyed hash that stands for an address where nobody is to read it.

        Args:
            email_key: the address, folded.
        """
        key = self.keyring.derive("identity.identifier")
        return hmac.digest(key, email_key.encode(), "sha256")[:_IDENTIFIER_BYTES].hex()

    async def epoch_of(self, email_key: str) -> int | None:
        """Return the present epoch of the account with this folded address."""
        account = await self.stores.accounts.by_email(email_key)
        return None if account is None else account.epoch
