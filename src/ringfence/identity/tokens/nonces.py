"""Numbers that a proof must repeat: who makes proofs ahead does not know them."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from ringfence.clock import Clock
from ringfence.identity.tokens.base64url import decode, encode

STEP = 60  # seconds for which all clients get the same one
LASTS = 300.0  # seconds
_TIME_BYTES = 6
_MAC_BYTES = 16  # HMAC-SHA-256-128, RFC 4868 section 2.1.1
_SIGNED = b"ringfence dpop nonce 1\x00"
_LENGTH = len(encode(bytes(_TIME_BYTES + _MAC_BYTES)))


class Nonces:
    """Makes and recognises nonces for DPoP proofs. Nothing is kept: a nonce is the time
    at which it was made, signed.

    Args:
        keys: returns the keys that they are signed with, the newest first.
        clock: tells the time.

    Source: RFC 9449, sections 8, 9 and 11.1.
    """

    def __init__(self, keys: Callable[[], Sequence[bytes]], clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._last: tuple[int, bytes, bytes] | None = None

    def current(self) -> bytes:
        """Return the nonce of this minute."""
        key, step = self._keys()[0], int(self._clock()) // STEP
        if self._last is None or self._last[:2] != (step, key):
            time = (step * STEP).to_bytes(_TIME_BYTES, "big")
            self._last = (step, key, encode(time + _mac(key, time)))
        return self._last[2]

    def made(self, nonce: str) -> float | None:
        """Return when a nonce was made, Unix seconds; ``None`` if it is none of ours
        or too old.

        Args:
            nonce: as it came.
        """
        if len(nonce) != _LENGTH or not nonce.isascii():
            return None
        raw = decode(nonce.encode())
        if raw is None:
            return None
        time, mac = raw[:_TIME_BYTES], raw[_TIME_BYTES:]
        genuine = [hmac.compare_digest(_mac(key, time), mac) for key in self._keys()]
        if not any(genuine):
            return None
        made = float(int.from_bytes(time, "big"))
        return made if -STEP <= self._clock() - made < LASTS else None


def _mac(key: bytes, time: bytes) -> bytes:
    return hmac.digest(key, _SIGNED + time, "sha256")[:_MAC_BYTES]
