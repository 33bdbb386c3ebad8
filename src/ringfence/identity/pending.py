"""Half a sign-in: somebody has proved a password, and owes one more proof."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as DecodingError
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from ringfence.clock import Clock
from ringfence.exchange import Exchange
from ringfence.identity.browser_cookie import BrowserCookie
from ringfence.stores.contracts import AccountRecord, ReplayStore, counter_key

LIFETIME = 300  # seconds to find the telephone; NIST SP 800-63B-4 asks for a short one
_SIGNED = b"ringfence pending 1\x00"
_MAC_BYTES = 32
_NONCE_BYTES = 16
_MOST_CHARACTERS = 1024


class Pending(NamedTuple):
    """What was proved so far.

    Args:
        account_id: whose sign-in it is.
        epoch: of the account at that proof; a change of password makes it void.
        factors: what was proved.
        made: when, Unix seconds.
        nonce: makes it good for one sign-in.
    """

    account_id: str
    epoch: int
    factors: tuple[str, ...]
    made: float
    nonce: str


class PendingSignIns:
    """Hands out and reads the proof of the first half of a sign-in.

    It opens nothing by itself, is kept nowhere, and ends after five minutes. Browsers
    keep it in a cookie, programs send it back in the field ``pending``.

    Args:
        keys: returns the keys that it is signed with, the newest first.
        replays: remembers which ones were used.
        development: plain http on this machine; the cookie is then named after the
            port.
        clock: tells the time.

    Source: ASVS 5.0 V6.3.3, V6.5.1; CWE-304, CWE-308.
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
        self._clock = clock
        self._cookie = BrowserCookie("pending", LIFETIME, development=development)

    def issue(self, account: AccountRecord, factors: frozenset[str]) -> str:
        """Return the proof that an account has shown these factors."""
        pending = Pending(
            account.id,
            account.epoch,
            tuple(sorted(factors)),
            self._clock(),
            secrets.token_urlsafe(_NONCE_BYTES),
        )
        payload = msgspec.json.encode(pending)
        return _text(payload + _mac(self._keys()[0], payload))

    def read(self, exchange: Exchange, given: str = "") -> Pending | None:
        """Return what was proved before this request, ``None`` if nothing that holds.

        Args:
            exchange: of the request; its cookie counts where nothing was given.
            given: the field ``pending`` of a program.
        """
        value = (
            given.encode("utf-8", "replace") if given else self._cookie.read(exchange)
        )
        pending = self._opened(value)
        if pending is None:
            return None
        age = self._clock() - pending.made
        return pending if -1.0 <= age < LIFETIME else None

    async def redeem(self, pending: Pending) -> bool:
        """Use it for a sign-in: of several at once exactly one is told ``True``."""
        key = counter_key("pending", pending.nonce)
        return await self._replays.first(key, LIFETIME)

    def write(self, exchange: Exchange, value: str) -> None:
        """Have the browser keep it."""
        self._cookie.write(exchange, value.encode())

    def expire(self, exchange: Exchange) -> None:
        """Have the browser forget it."""
        self._cookie.expire(exchange)

    def give_up(self, exchange: Exchange) -> None:
        """Have the browser forget what it has begun, if it has brought anything."""
        if self._cookie.is_there(exchange):
            self.expire(exchange)

    def _opened(self, value: bytes) -> Pending | None:
        if not 0 < len(value) <= _MOST_CHARACTERS:
            return None
        try:
            raw = urlsafe_b64decode(value + b"=" * (-len(value) % 4))
        except DecodingError:
            return None
        payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        genuine = [hmac.compare_digest(mac, _mac(k, payload)) for k in self._keys()]
        return msgspec.json.decode(payload, type=Pending) if any(genuine) else None


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, _SIGNED + payload, "sha256")
