"""Sealing what must be kept, and must be read by nobody who finds it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE_BYTES = 12  # 96 random bits: for 2**32 seals of one key; NIST SP 800-38D, 8.3
_TAG_BYTES = 16
_LEAST_BYTES = len(_VERSION) + _NONCE_BYTES + _TAG_BYTES


class Seal:
    """Encrypts under the newest key of one purpose, and opens what any of them sealed.

    Stops whoever has a copy of the database, but not the keys, from reading the secrets
    in it; and, since what is sealed says whom it belongs to, from giving one account
    the secret of another.

    Args:
        keys: returns the keys of this purpose, 32 bytes each, the newest first:
            ``partial(keyring.derive_kept, "identity.totp")``.

    Source: NIST SP 800-38D (AES-256-GCM); ASVS 5.0 V11.3.2, V13.3.1; CWE-312.

    Not covered: that an old sealed text is put in the place of a newer one of the same
    owner.
    """

    def __init__(self, keys: Callable[[], Sequence[bytes]]) -> None:
        self._keys = keys

    def seal(self, content: bytes, owner: bytes) -> bytes:
        """Return the content as nobody without the key can read or change it.

        Args:
            content: to be hidden.
            owner: what it belongs to; the same is needed to open it. Not hidden.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._keys()[0]).encrypt(nonce, content, _VERSION + owner)
        return _VERSION + nonce + sealed

    def open(self, sealed: bytes, owner: bytes) -> bytes | None:
        """Return what was sealed for this owner; ``None`` if it is damaged, forged,
        another's, or sealed under a key that is gone.

        Args:
            sealed: as ``seal`` has returned it, or anything else.
            owner: as it was given then.
        """
        if len(sealed) < _LEAST_BYTES or not sealed.startswith(_VERSION):
            return None
        start = len(_VERSION) + _NONCE_BYTES
        nonce, hidden = sealed[len(_VERSION) : start], sealed[start:]
        for key in self._keys():
            try:
                return AESGCM(key).decrypt(nonce, hidden, _VERSION + owner)
            except InvalidTag:
                continue
        return None
