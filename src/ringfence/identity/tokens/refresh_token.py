"""What a refresh token looks like, and how one of ours is told from noise."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

from ringfence.identity.tokens.base64url import decode, encode

PREFIX = b"rfr_"  # so that scanners for leaked secrets find it
_ID_BYTES = 16
_GENERATION_BYTES = 4
_RANDOM_BYTES = 32  # 256 bits; RFC 9700 asks for what cannot be guessed
_MAC_BYTES = 16  # HMAC-SHA-256-128, RFC 4868 section 2.1.1
_BODY_BYTES = _ID_BYTES + _GENERATION_BYTES + _RANDOM_BYTES
_LENGTH = len(PREFIX) + len(encode(bytes(_BODY_BYTES + _MAC_BYTES)))
_MOST_GENERATIONS = 2 ** (8 * _GENERATION_BYTES)
_SIGNED = b"ringfence refresh 1\x00"
_SALT = b"ringfence.refresh-answer.1"


class RefreshToken(NamedTuple):
    """A token that we have written.

    Args:
        family: its family of tokens.
        generation: how often that had been rotated before.
        text: the whole of it.
    """

    family: bytes
    generation: int
    text: bytes

    @property
    def hash(self) -> bytes:
        """SHA-256, under which the store knows it. An unsalted fast hash is right here:
        there is nothing to guess in 256 random bits."""
        return sha256(self.text).digest()

    def answer_key(self) -> bytes:
        """Return the key that only who has this token can make: HKDF-SHA-256 of it
        (RFC 5869). It opens the answer to its redemption, which stands in the store
        beside the hash; the hash does not give it."""
        extracted = hmac.digest(_SALT, self.text, "sha256")
        return hmac.digest(extracted, self.family + b"\x01", "sha256")


class RefreshTokenForm:
    """Writes and reads refresh tokens: ``rfr_`` and, in base64url, family, generation,
    256 random bits and a code.

    The store alone decides what a token is good for. The code says that it was ours
    once: who presents an old token of a family has it ended, and the id of a family is
    no secret, since every access token names it. Without the code a stranger could
    make up an old token, and sign the owner out (CWE-345).

    Args:
        keys: returns the keys that codes are made with, the newest first.

    Source: RFC 9700, section 4.14.2; RFC 2104.
    """

    def __init__(self, keys: Callable[[], Sequence[bytes]]) -> None:
        self._keys = keys

    def write(self, family: bytes, generation: int) -> RefreshToken:
        """Return a new token.

        Args:
            family: 16 bytes.
            generation: 0 for the first one.

        Raises:
            ValueError: there are no more generations, after four billion.
        """
        if generation >= _MOST_GENERATIONS:
            raise ValueError("a family of tokens was rotated too often")
        number = generation.to_bytes(_GENERATION_BYTES, "big")
        body = family + number + secrets.token_bytes(_RANDOM_BYTES)
        text = PREFIX + encode(body + _mac(self._keys()[0], body))
        return RefreshToken(family, generation, text)

    def read(self, text: bytes) -> RefreshToken | None:
        """Return what a text says if we have written it, whenever that was.

        Args:
            text: as it came, of any length.
        """
        if len(text) != _LENGTH or not text.startswith(PREFIX):
            return None
        raw = decode(text[len(PREFIX) :])
        if raw is None:
            return None
        body, mac = raw[:_BODY_BYTES], raw[_BODY_BYTES:]
        genuine = [hmac.compare_digest(_mac(key, body), mac) for key in self._keys()]
        if not any(genuine):
            return None
        family, rest = body[:_ID_BYTES], body[_ID_BYTES:]
        generation = int.from_bytes(rest[:_GENERATION_BYTES], "big")
        return RefreshToken(family, generation, text)


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, _SIGNED + body, "sha256")[:_MAC_BYTES]
