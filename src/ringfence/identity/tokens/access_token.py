"""Access tokens: what they say, and how they are issued."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Annotated

import msgspec

from ringfence.clock import Clock
from ringfence.identity.tokens.base64url import encode
from ringfence.identity.tokens.keys import TokenKeys
from ringfence.identity.tokens.settings import LONGEST, SHORTEST

_ID_BYTES = 16

Whole = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number that every reader of JSON understands alike (RFC 8259, section 6)."""

_encode = msgspec.json.Encoder().encode


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody has to show besides the token (RFC 7800).

    Args:
        jkt: thumbprint of the key that DPoP proofs are signed with (RFC 9449).
    """

    jkt: str


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an access token says. Times are Unix seconds.

    Args:
        iss: who has issued it.
        sub: the account's id.
        aud: who is to accept it.
        exp: when it expires.
        nbf: from when it is good.
        iat: when it was issued.
        jti: its own id, random.
        client_id: the program that it was issued to.
        role: the roles of the account.
        auth_time: when its owner has last proved who they are; 0 where none counts.
        amr: how they did, in the words of ``Principal.factors``.
        sid: the family of refresh tokens that it came from.
        ver: the account's epoch; raising that makes the token void.
        cnf: the key that it is bound to, if any.
        tenant: that the account belongs to, if any.

    Source: RFC 9068, section 2.2; RFC 8176 (``amr``); RFC 9449, section 6.1.
    """

    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: Whole
    nbf: Whole
    iat: Whole
    jti: str
    client_id: str
    role: tuple[str, ...]
    auth_time: Whole
    amr: tuple[str, ...]
    sid: str
    ver: Whole
    cnf: Confirmation | None = None
    tenant: str = ""

    def is_for(self, audience: str) -> bool:
        """Return whether a service is among those that are to accept it."""
        aud = self.aud
        return aud == audience if isinstance(aud, str) else audience in aud


class AccessTokens:
    """Issues access tokens.

    Args:
        keys: that they are signed with.
        issuer: ``iss``.
        audience: ``aud``.
        lifetime: seconds, 300 to 900. There is no endless one: what was stolen has to
            become worthless by itself.
        clock: tells the time.

    Raises:
        ValueError: the lifetime is out of range.

    Source: RFC 9068; RFC 9700, section 2.2.1; CWE-613.

    Not covered: who reads a token uses it until it expires, unless it is bound to a key
    (DPoP) or revoked.
    """

    def __init__(
        self,
        keys: TokenKeys,
        *,
        issuer: str,
        audience: str,
        lifetime: int,
        clock: Clock,
    ) -> None:
        if not SHORTEST <= lifetime <= LONGEST:
            message = f"a token lasts {SHORTEST} to {LONGEST} seconds, not {lifetime}"
            raise ValueError(message)
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime
        self._clock = clock

    def issue(  # noqa: PLR0913 - what it says, each by its name
        self,
        account_id: str,
        *,
        roles: Collection[str],
        factors: Collection[str],
        auth_time: float,
        epoch: int,
        family: str,
        client_id: str,
        key: str = "",
        tenant: str = "",
    ) -> str:
        """Return a new token.

        Args:
            account_id: whose it is.
            roles: of the account.
            factors: how its owner has proved who they are.
            auth_time: when they last did, Unix seconds; 0 where none counts.
            epoch: of the account.
            family: id of the refresh tokens that it goes with.
            client_id: the program that it is issued to.
            key: thumbprint of the DPoP key that it is bound to; empty for none.
            tenant: of the account; empty for none.
        """
        now = int(self._clock())
        claims = Claims(
            iss=self._issuer,
            sub=account_id,
            aud=self._audience,
            exp=now + self.lifetime,
            nbf=now,
            iat=now,
            jti=encode(secrets.token_bytes(_ID_BYTES)).decode(),
            client_id=client_id,
            role=tuple(sorted(roles)),
            auth_time=int(auth_time),
            amr=tuple(sorted(factors)),
            sid=family,
            ver=epoch,
            cnf=Confirmation(key) if key else None,
            tenant=tenant,
        )
        return self.sign(claims)

    def sign(self, claims: Claims) -> str:
        """Return the token that says exactly this."""
        key = self._keys.current().signing
        message = key.header + b"." + encode(_encode(claims))
        return (message + b"." + key.sign(message)).decode()
