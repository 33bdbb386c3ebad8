"""The seal on copies: whoever can write to their store cannot make one up."""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Sequence

from ringfence.stores.contracts import Told, counter_key

Keys = Callable[[], Sequence[bytes]]
"""Returns the keys that copies are sealed with, the newest first."""

_MAC_BYTES = 16  # HMAC-SHA-256-128, RFC 4868 section 2.1.1
_pack_epoch = struct.Struct(">q").pack


class CopySeal:
    """Seals copies on their way out, and opens those that we have sealed.

    A copy is believed: it says who is signed in, and with which roles. In a store that
    others can write to (a request forged on the server's side reaches many a Redis
    without a password) an account could give itself the role of an operator.

    Args:
        keys: that seals are made with.

    Source: CWE-345, CWE-353, CWE-918; RFC 2104.

    Not covered: who can read and write the store can put back what stood there in the
    last five minutes.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def seal(self, name: bytes, told: Told, content: bytes, epoch: int) -> bytes:
        """Return a copy as it is kept.

        Args:
            name: of the copy.
            told: allows to keep it; the copy belongs to its owner and its generation.
            content: what the database has said.
            epoch: of the account.
        """
        told = told._replace(epoch=epoch)
        return _mac(self._keys()[0], name, told, content) + content

    def open(self, name: bytes, told: Told) -> bytes | None:
        """Return what the database has said, ``None`` if there is no copy, or none of
        ours."""
        copy = told.copy
        if copy is None:
            return None
        mac, content = copy[:_MAC_BYTES], copy[_MAC_BYTES:]
        for key in self._keys():
            if hmac.compare_digest(_mac(key, name, told, content), mac):
                return content
        return None


def _mac(key: bytes, name: bytes, told: Told, content: bytes) -> bytes:
    epoch = _pack_epoch(told.epoch)
    message = counter_key(told.owner, name, told.generation, epoch, content)
    return hmac.digest(key, message, "sha256")[:_MAC_BYTES]
