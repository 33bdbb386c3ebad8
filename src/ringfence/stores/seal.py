"""The seal on copies: whoever can write to their store cannot make one up."""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Sequence

from ringfence.clock import Clock
from ringfence.stores.contracts import Told, counter_key

Keys = Callable[[], Sequence[bytes]]
"""Returns the keys that copies are sealed with, the newest first."""

_MAC_BYTES = 16  # HMAC-SHA-256-128, RFC 4868 section 2.1.1
_TIME_BYTES = 8
_START = _TIME_BYTES + _MAC_BYTES
_LASTS = 305.0
"""Seconds: a little longer than their store keeps copies, so that it is the store that
lets go of them, and hands out leases for new ones."""
_SKEW = 5.0  # seconds by which processes may differ about the database's time

_pack_epoch = struct.Struct(">q").pack
_pack_time = struct.Struct(">d").pack
_unpack_time = struct.Struct(">d").unpack_from


class CopySeal:
    """Seals copies on their way out, and opens those that we have sealed.

    A copy is believed: it says who is signed in, with which roles, in which tenant. In
    a store that others can write to (a request forged on the server's side reaches many
    a Redis without a password) an account could give itself the role of an operator.

    The seal says when it was made: else whoever has kept a copy could put it back after
    the session was ended, and sign in with it until that would have expired.

    Args:
        keys: that seals are made with.
        clock: tells the time of the database, which all processes share.

    Source: CWE-294, CWE-345, CWE-353, CWE-918; RFC 2104.

    Not covered: who can read and write the store can put back what stood there in the
    last five minutes.
    """

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    def seal(self, name: bytes, told: Told, content: bytes, epoch: int) -> bytes:
        """Return a copy as it is kept.

        Args:
            name: of the copy.
            told: allows to keep it; the copy belongs to its owner and its generation.
            content: what the database has said.
            epoch: of the account.
        """
        time = _pack_time(self._clock())
        told = told._replace(epoch=epoch)
        return time + _mac(self._keys()[0], name, told, time, content) + content

    def open(self, name: bytes, told: Told) -> bytes | None:
        """Return what the database has said, ``None`` if there is no copy, none of
        ours, or one that is too old."""
        copy = told.copy
        if copy is None or len(copy) < _START or not self.is_fresh(copy):
            return None
        time, mac, content = copy[:_TIME_BYTES], copy[_TIME_BYTES:_START], copy[_START:]
        for key in self._keys():
            if hmac.compare_digest(_mac(key, name, told, time, content), mac):
                return content
        return None

    def is_fresh(self, sealed: bytes) -> bool:
        """Return whether a copy that was opened before could be opened now."""
        made: float = _unpack_time(sealed)[0]
        return -_SKEW <= self._clock() - made < _LASTS


def _mac(key: bytes, name: bytes, told: Told, time: bytes, content: bytes) -> bytes:
    epoch = _pack_epoch(told.epoch)
    message = counter_key(told.owner, name, told.generation, epoch, time, content)
    return hmac.digest(key, message, "sha256")[:_MAC_BYTES]
