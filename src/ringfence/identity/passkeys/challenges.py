"""Challenges: what a passkey signs, good once, for five minutes, in one browser."""

from __future__ import annotations

import hmac
import secrets
import struct
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Literal

from ringfence.clock import Clock
from ringfence.exchange import Exchange
from ringfence.identity.passkeys.binding import BrowserBinding
from ringfence.stores.contracts import ReplayStore, counter_key

LIFETIME = 300  # seconds; WebAuthn Level 3, section 15.1, recommends 5 to 10 minutes

Purpose = Literal["register", "sign-in", "verify"]

_SIGNED = b"ringfence passkey challenge 1\x00"
_RANDOM_BYTES = 32
_MADE = struct.Struct(">d")
_MAC_BYTES = 32
_SKEW = 1.0  # seconds that the clock of another process may be ahead


class Challenges:
    """Makes and recognises challenges.

    A challenge carries its own proof: 32 random bytes, when it was made, and a MAC over
    both, the browser, what it is for and whose it is. So nothing is stored before a
    passkey has answered, and tabs beside each other do not disturb one another.

    Args:
        keys: returns the keys of the MAC, the newest first.
        replays: remembers which ones were used.
        development: plain http on this machine.
        clock: tells the time.

    Source: WebAuthn Level 3, sections 7.1 step 8, 7.2 step 11, 13.4.3; CWE-294.
    """

    def __init__(
        self,
        keys: Callable[[], Sequence[bytes]],
        replays: ReplayStore,
        *,
        development: bool,
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._replays = replays
        self._binding = BrowserBinding(LIFETIME, development=development)
        self._clock = clock

    def issue(
        self, exchange: Exchange, purpose: Purpose, account_id: str = ""
    ) -> bytes:
        """Return a new challenge, and have the browser keep what it is bound to.

        Args:
            exchange: of the request.
            purpose: what it is for.
            account_id: whose it is; empty where nobody knows yet.
        """
        bound = _bound(self._binding.keep(exchange), purpose, account_id)
        start = secrets.token_bytes(_RANDOM_BYTES) + _MADE.pack(self._clock())
        return start + _mac(self._keys()[0], start + bound)

    def holds(
        self,
        challenge: bytes,
        exchange: Exchange,
        purpose: Purpose,
        account_id: str = "",
    ) -> bool:
        """Return whether a challenge is ours, of this browser, for this, and young."""
        start, mac = challenge[:-_MAC_BYTES], challenge[-_MAC_BYTES:]
        browser = self._binding.read(exchange)
        if len(start) != _RANDOM_BYTES + _MADE.size or not browser:
            return False
        bound = _bound(browser, purpose, account_id)
        genuine = [
            hmac.compare_digest(mac, _mac(key, start + bound)) for key in self._keys()
        ]
        if not any(genuine):
            return False
        age = self._clock() - _MADE.unpack(start[_RANDOM_BYTES:])[0]
        return bool(-_SKEW <= age < LIFETIME)

    async def redeem(self, challenge: bytes) -> bool:
        """Use a challenge whose answer was verified: of several at once exactly one is
        told ``True``."""
        key = counter_key("passkey", sha256(challenge).digest())
        return await self._replays.first(key, LIFETIME)


def _bound(browser: bytes, purpose: str, account_id: str) -> bytes:
    return b"\x00".join((browser, purpose.encode(), account_id.encode()))


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, _SIGNED + message, "sha256")
