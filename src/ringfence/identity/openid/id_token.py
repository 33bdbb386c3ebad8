"""Whether a provider's token says who somebody is, here and now."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256, sha384, sha512
from typing import Any, NamedTuple

import msgspec

from ringfence.denial import Denial
from ringfence.identity.openid.refusals import token_invalid
from ringfence.identity.tokens.base64url import encode
from ringfence.identity.tokens.foreign_signature import Header, is_genuine, split
from ringfence.identity.tokens.jwks_client import RemoteKeys

MOST_BYTES = 16_384  # tokens with groups and pictures have 4 kB
SKEW = 60  # seconds by which the provider's clock may differ from ours
OLDEST = 600  # seconds since it was issued, as long as an attempt lasts

_MOST_SUBJECT = 255  # characters; OpenID Connect Core 1.0, section 2
_MOST_EMAIL = 320
_HASHES: Mapping[str, Callable[[bytes], Any]] = {
    "RS256": sha256,
    "PS256": sha256,
    "ES256": sha256,
    "ES384": sha384,
    "ES512": sha512,
    "EdDSA": sha512,
    "Ed25519": sha512,
}


class Identity(NamedTuple):
    """Whom a provider means.

    Args:
        issuer: of the provider, exactly as it calls itself.
        subject: whom it means; never reused there.
        email: what it says the address is; empty if it says none.
        email_verified: whether it says that mail there reaches them.
        signed_in: when they have signed in there, Unix seconds; 0 if it says nothing.
    """

    issuer: str
    subject: str
    email: str
    email_verified: bool
    signed_in: float


class Expected(NamedTuple):
    """What a token must say.

    Args:
        issuer: that was asked.
        client_id: of this service there.
        nonce: of the attempt.
        access_token: that came with it.
    """

    issuer: str
    client_id: str
    nonce: str
    access_token: str


class Person(msgspec.Struct, frozen=True):
    """The claims about a person, of a token or of the userinfo endpoint."""

    sub: str
    email: str = ""
    email_verified: Any = False  # some say "true"; only a true counts


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | list[str]
    exp: int | float
    iat: int | float
    nonce: str = ""
    azp: str | None = None
    nbf: int | float = 0
    at_hash: str | None = None
    auth_time: int | float = 0
    email: Any = ""
    email_verified: Any = False


class IdTokens:
    """Verifies the tokens of one provider.

    Args:
        keys: the provider's.
        algorithms: that are accepted; never what a token says of itself alone, so that
            neither ``none`` nor a public key used as a secret pass (CVE-2024-37568,
            CVE-2022-29217).

    Source: OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725, sections 2.1, 3.1, 3.8,
    3.9 and 3.11; CWE-347, CWE-345.

    Not covered: encrypted tokens, which are refused.
    """

    def __init__(self, keys: RemoteKeys, algorithms: Collection[str]) -> None:
        self._keys = keys
        self._algorithms = frozenset(algorithms)

    async def verify(
        self, token: str, expected: Expected, now: float
    ) -> Identity | Denial:
        """Return whom a token means, if it was made by the provider, for this service,
        for this very attempt, and just now.

        Args:
            token: as the provider's token endpoint has answered.
            expected: what it must say.
            now: Unix seconds.

        Raises:
            FetchError: the provider's keys cannot be had.
        """
        raw = token.encode("utf-8", "replace")
        read = split(raw, MOST_BYTES)
        if isinstance(read, str):
            return token_invalid(read)
        header, payload = read
        refused = await self._judge_signature(raw, header)
        if refused is not None:
            return refused
        try:
            claims = msgspec.json.decode(payload, type=_Claims)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return token_invalid("its claims are missing, or of a wrong kind")
        fault = _fault(claims, expected, now) or _fault_of_hash(
            claims.at_hash, expected.access_token, header.alg
        )
        if fault:
            return token_invalid(fault)
        email, verified = address(claims.email, verified=claims.email_verified)
        return Identity(claims.iss, claims.sub, email, verified, claims.auth_time)

    async def _judge_signature(self, token: bytes, header: Header) -> Denial | None:
        if header.alg not in self._algorithms:
            return token_invalid("it is signed by an algorithm that is not allowed")
        key = await self._keys.find(header.kid, header.alg)
        if key is None:
            return token_invalid("the provider has no such key")
        if not is_genuine(token, header.alg, key):
            return token_invalid("its signature is wrong")
        return None


def address(email: object, *, verified: object) -> tuple[str, bool]:
    """Return the address that a provider tells, and whether it vouches for it."""
    if not isinstance(email, str) or len(email) > _MOST_EMAIL:
        return "", False
    return email, verified is True and bool(email)


def _fault(claims: _Claims, expected: Expected, now: float) -> str:
    """Return what is wrong with the claims, empty if nothing is."""
    audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    faults = {
        "it is of another issuer": claims.iss != expected.issuer,
        # A further audience could use the token here as if it were ours.
        "it is for somebody else": audience != [expected.client_id],
        "it was asked for by somebody else": claims.azp
        not in {None, expected.client_id},
        "it belongs to another attempt": not hmac.compare_digest(
            claims.nonce.encode(), expected.nonce.encode()
        ),
        "it has expired": not claims.exp > now - SKEW,
        "it was not issued just now": not now - OLDEST <= claims.iat <= now + SKEW,
        "it is not good yet": claims.nbf > now + SKEW,
        "it names nobody": not is_subject(claims.sub),
    }
    return next((fault for fault, is_so in faults.items() if is_so), "")


def is_subject(subject: str) -> bool:
    """Return whether this can name somebody at a provider."""
    return 0 < len(subject) <= _MOST_SUBJECT and "\0" not in subject


def _fault_of_hash(at_hash: str | None, access_token: str, algorithm: str) -> str:
    """Compare the hash of the access token, if there is one: a token that was put in
    the place of another does not fit."""
    if at_hash is None:
        return ""
    digest = _HASHES[algorithm](access_token.encode()).digest()
    half = encode(digest[: len(digest) // 2])
    fits = hmac.compare_digest(half, at_hash.encode())
    return "" if fits else "it belongs to another access token"
