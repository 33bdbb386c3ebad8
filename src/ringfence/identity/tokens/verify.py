"""Whether a token is one of ours, and whether it is good now."""

from __future__ import annotations

import json
from hashlib import sha256

import msgspec

from ringfence.denial import Denial
from ringfence.identity.tokens.access_token import Claims
from ringfence.identity.tokens.base64url import decode
from ringfence.identity.tokens.keys import KeySet, TokenKeys
from ringfence.identity.tokens.refusals import TOKEN_EXPIRED, token_invalid
from ringfence.identity.tokens.settings import LONGEST

MOST_BYTES = 4096
"""Of a token, looked at before anything else is; ours have about 600."""

SKEW = 5
"""Seconds by which a token may come from the future: processes differ a little about
the time of the database, and a token is used right after it was issued. There is none
at the other end: an expired token that is taken a little longer helps thieves only."""

_MOST_KEPT = 16_384  # about 25 MB where every one of them is used
_LARGEST = 2**53  # beyond it readers of JSON do not agree about a number

_to_claims = msgspec.json.Decoder(Claims, strict=True).decode
_to_json = msgspec.json.Encoder().encode

_TOO_LONG = token_invalid("longer than 4096 bytes")
_NO_SEGMENTS = token_invalid("not three segments")
_NO_KEY = token_invalid("its header is of none of our keys")
_FORGED = token_invalid("the signature is wrong")
_NO_CLAIMS = token_invalid("signed, but its claims are not as we write them")
_FOREIGN = token_invalid("issued by somebody else")
_TOO_LASTING = token_invalid("it would last too long, or ends before it begins")
_NOT_YET = token_invalid("it is from the future")
_NOT_FOR_US = token_invalid("it is for another audience")


class TokenVerifier:
    """Recognises the tokens that ``AccessTokens`` has issued.

    In two steps, since only one of them can be remembered: ``known`` says that a token
    is ours, which stays true; ``check`` says that it is good now, and is asked on every
    use. What was revoked is asked of the store, by the caller.

    The header of a token is never parsed: see ``TokenKeys``.

    Args:
        keys: that tokens are signed with.
        issuer: ``iss`` of ours.
        audience: this service; a token must be for it.
        most: tokens that are remembered.

    Source: RFC 8725, section 3; RFC 9068, section 4; CWE-347, CWE-345, CWE-400.

    Not covered: revocation, and the proof of a key that the token is bound to.
    """

    def __init__(
        self, keys: TokenKeys, *, issuer: str, audience: str, most: int = _MOST_KEPT
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._half = max(1, most // 2)
        # By SHA-256 of the token, so that memory holds no token that could be used.
        # Two halves: the older one is dropped as a whole, so nobody pays for a sweep.
        self._young: dict[bytes, Claims] = {}
        self._old: dict[bytes, Claims] = {}
        self._of: KeySet | None = None

    def known(self, token: bytes) -> Claims | Denial:
        """Return what a token says if we have signed it, whenever that was.

        Args:
            token: as it came, without the scheme.
        """
        if len(token) > MOST_BYTES:
            return _TOO_LONG
        keys = self._keys.current()
        if keys is not self._of:
            self._forget(keys)
        name = sha256(token).digest()
        claims = self._young.get(name)
        if claims is not None:
            return claims
        return self._seen_less(name, token, keys)

    def check(self, claims: Claims, now: float) -> Denial | None:
        """Return why a token is not good now, ``None`` if it is.

        Args:
            claims: as ``known`` gives them.
            now: Unix seconds.
        """
        if now >= claims.exp:
            return TOKEN_EXPIRED
        if now < claims.nbf - SKEW:
            return _NOT_YET
        if claims.aud != self._audience and not claims.is_for(self._audience):
            return _NOT_FOR_US
        return None

    def _forget(self, keys: KeySet) -> None:
        """Start anew: a token of a key that was taken away must not live on here."""
        self._young, self._old = {}, {}
        self._of = keys

    def _seen_less(self, name: bytes, token: bytes, keys: KeySet) -> Claims | Denial:
        claims = self._old.pop(name, None)
        if claims is None:
            found = self._read(token, keys)
            if isinstance(found, Denial):
                return found  # not remembered: strangers can make any number of them
            claims = found
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[name] = claims
        return claims

    def _read(self, token: bytes, keys: KeySet) -> Claims | Denial:
        segments = token.split(b".", 3)
        if len(segments) != 3:  # noqa: PLR2004 - header, claims, signature (RFC 7515)
            return _NO_SEGMENTS
        header, payload, signature = segments
        key = keys.by_header.get(header)
        if key is None:
            return _NO_KEY
        if not key.verify(token[: -len(signature) - 1], signature):
            return _FORGED
        return self._judged(payload)

    def _judged(self, payload: bytes) -> Claims | Denial:
        """Return signed claims if they are what we could have written. Nobody else has
        the key; so what is refused here is a mistake of ours, or a key in two hands."""
        raw = decode(payload)
        if raw is None:
            return _NO_CLAIMS
        try:
            claims = _to_claims(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _NO_CLAIMS
        # What we write comes back byte by byte, so nothing stands in it twice. Another
        # version may have written more; that is read once again, with suspicion.
        if _to_json(claims) != raw and not _is_unambiguous(raw):
            return _NO_CLAIMS
        if claims.iss != self._issuer:
            return _FOREIGN
        if not (0 < claims.iat <= claims.nbf < claims.exp <= claims.iat + LONGEST):
            return _TOO_LASTING
        return claims


def _is_unambiguous(raw: bytes) -> bool:
    """Return whether every reader of JSON would find the same in it."""
    try:
        # NaN and Infinity were refused by the first reader already.
        json.loads(raw, object_pairs_hook=_once, parse_int=_small)
    except (ValueError, RecursionError):
        return False
    return True


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _small(digits: str) -> int:
    number = int(digits)  # bounded: the token was
    if abs(number) > _LARGEST:
        raise ValueError("a number that readers do not agree about")
    return number
