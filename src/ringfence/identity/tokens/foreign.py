"""Access tokens of other issuers, for a service that another one signs people in to."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.errors import FetchError
from ringfence.identity.fetch import Fetch
from ringfence.identity.refusals import unavailable
from ringfence.identity.tokens.foreign_signature import Header, is_genuine, split
from ringfence.identity.tokens.jwks_client import RemoteKeys
from ringfence.identity.tokens.refusals import TOKEN_EXPIRED, token_invalid
from ringfence.identity.tokens.settings import ForeignIssuer
from ringfence.principal import Principal, is_tenant

MOST_BYTES = 8192  # tokens with groups have 4 kB; servers take no longer header
SKEW = 30  # seconds by which the issuer's clock may differ from ours
LONGEST = 24 * 3600  # seconds until a token expires; whoever says more says "never"
BELIEVED = 300.0
"""Seconds for which a good signature is remembered: a key that its issuer has taken
away stops being good here after that, and the hour for which keys are kept."""

_MOST_KEPT = 4096
_MOST_SUBJECT = 255  # characters; OpenID Connect Core 1.0, section 2
_MOST_NAMES = 64  # roles, or scopes
_MOST_NAME = 128  # characters

_ACCESS_TOKEN = frozenset({"at+jwt", "application/at+jwt"})


class _Claims(msgspec.Struct, frozen=True):
    sub: str
    aud: str | list[str]
    exp: int | float
    nbf: int | float = 0
    iat: int | float = 0
    cnf: Any = None
    nonce: Any = None
    at_hash: Any = None


class _Issuer(msgspec.Struct, frozen=True):
    """All that is read before anything is proved: whose keys are to be asked for."""

    iss: str


class _Known(NamedTuple):
    principal: Principal
    claims: _Claims
    since: float


class ForeignTokens:
    """Recognises access tokens that other issuers have made for this service.

    Which issuer a token is of is read from it, and only picks one of those that are
    configured, with its keys, its algorithms, its audience. A key or an address that
    the token itself names is never looked at.

    The person is ``issuer|sub``: a ``sub`` means something at its issuer only, and
    there can be the same one at another (CWE-287).

    Args:
        issuers: that are trusted.
        fetch: asks for their keys; of the guard, which dials only where that is safe.
        clock: tells the time.

    Source: RFC 9068, section 4; RFC 8725, sections 3.1, 3.8 to 3.12; RFC 7519, section
    4.1; CWE-345, CWE-347, CWE-918.

    Not covered: whether the issuer has taken a token back; tokens that are bound to a
    key, which are refused.
    """

    def __init__(
        self, issuers: Sequence[ForeignIssuer], fetch: Fetch, *, clock: Clock
    ) -> None:
        self._clock = clock
        self._trusted = {
            one.issuer: (one, RemoteKeys(one.jwks_uri, fetch, clock)) for one in issuers
        }
        self._known: dict[bytes, _Known] = {}

    def is_theirs(self, token: bytes) -> bool:
        """Return whether a token says that it is of one of these issuers; nothing is
        proved by that.

        Args:
            token: as it came, without the scheme.
        """
        read = split(token, MOST_BYTES) if self._trusted else ""
        return not isinstance(read, str) and _issuer_of(read[1]) in self._trusted

    async def principal(self, token: bytes) -> Principal | Denial:
        """Return whom a token means, if one of these issuers has made it for us, and it
        is good now.

        Args:
            token: as it came, without the scheme.
        """
        if len(token) > MOST_BYTES:
            return token_invalid("it is too long")
        now = self._clock()
        name = sha256(token).digest()
        known = self._known.get(name)
        if known is None or not 0 <= now - known.since < BELIEVED:
            found = await self._read(token, now)
            if isinstance(found, Denial):
                self._known.pop(name, None)
                return found
            known = self._remember(name, found)
        return _lapsed(known.claims, now) or known.principal

    def _remember(self, name: bytes, known: _Known) -> _Known:
        self._known.pop(name, None)
        if len(self._known) >= _MOST_KEPT:
            del self._known[next(iter(self._known))]
        self._known[name] = known
        return known

    async def _read(self, token: bytes, now: float) -> _Known | Denial:
        read = split(token, MOST_BYTES)
        if isinstance(read, str):
            return token_invalid(read)
        header, payload = read
        trusted = self._trusted.get(_issuer_of(payload))
        if trusted is None:
            return token_invalid("its issuer is not trusted here")
        issuer, keys = trusted
        refused = await _unproved(token, header, issuer, keys)
        return refused or _judged(payload, issuer, now)


async def _unproved(
    token: bytes, header: Header, issuer: ForeignIssuer, keys: RemoteKeys
) -> Denial | None:
    """Return why a token is not proved to be of its issuer, ``None`` if it is."""
    if fault := _fault_of_header(header, issuer):
        return token_invalid(fault)
    try:
        key = await keys.find(header.kid, header.alg)
    except FetchError as error:
        return unavailable(f"the keys of {issuer.issuer}: {error}", 10)
    if key is None:
        return token_invalid("its issuer has no such key")
    if not is_genuine(token, header.alg, key):
        return token_invalid("the signature is wrong")
    return None


def _judged(payload: bytes, issuer: ForeignIssuer, now: float) -> _Known | Denial:
    """Return what its issuer has signed, if it is for us."""
    try:
        claims = msgspec.json.decode(payload, type=_Claims)
        everything = msgspec.json.decode(payload, type=dict[str, Any])
    except (ValueError, RecursionError):
        return token_invalid("its claims are missing, or of a wrong kind")
    if fault := _fault(claims, issuer, now):
        return token_invalid(fault)
    principal = Principal(
        f"{issuer.issuer}|{claims.sub}",
        names_in(everything, issuer.roles),
        scopes=names_in(everything, issuer.scopes) if issuer.scopes else None,
        credential="token",
        tenant=tenant_in(everything, issuer.tenant),
    )
    return _Known(principal, claims, now)


def _issuer_of(payload: bytes) -> str:
    try:
        return msgspec.json.decode(payload, type=_Issuer).iss
    except (ValueError, RecursionError):
        return ""


def _fault_of_header(header: Header, issuer: ForeignIssuer) -> str:
    if header.alg not in issuer.algorithms:
        return "it is signed by an algorithm that is not allowed"
    kind = header.typ.lower()
    if issuer.type == "JWT":
        return "" if kind in {"jwt", "", *_ACCESS_TOKEN} else "it is no access token"
    return "" if kind in _ACCESS_TOKEN else "it is no access token (typ)"


def _fault(claims: _Claims, issuer: ForeignIssuer, now: float) -> str:
    """Return what is wrong with signed claims; their ``iss`` has picked the keys."""
    audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    faults = {
        "it is for another audience": issuer.audience not in audience,
        "it is endless": not claims.exp <= now + LONGEST,
        "it names nobody": not 0 < len(claims.sub) <= _MOST_SUBJECT
        or not claims.sub.isprintable(),
        "it is bound to a key": claims.cnf is not None,
        # Who was told who somebody is must not speak for them here.
        "it is an ID token": claims.nonce is not None or claims.at_hash is not None,
    }
    return next((fault for fault, is_so in faults.items() if is_so), "")


def _lapsed(claims: _Claims, now: float) -> Denial | None:
    if now >= claims.exp + SKEW:
        return TOKEN_EXPIRED
    if now < max(claims.nbf, claims.iat) - SKEW:
        return token_invalid("it is from the future")
    return None


def names_in(claims: dict[str, Any], place: str) -> frozenset[str]:
    """Return the roles or scopes that claims give: none where no place is configured,
    or where what stands there is neither a list of texts nor words.

    Args:
        claims: of a token whose signature is good.
        place: the name of the claim, or names of nested objects with dots between them.
    """
    found = _at(claims, place)
    if isinstance(found, str):
        found = found.split()
    if not isinstance(found, list) or len(found) > _MOST_NAMES:
        return frozenset()
    return frozenset(
        name for name in found if isinstance(name, str) and 0 < len(name) <= _MOST_NAME
    )


def tenant_in(claims: dict[str, Any], place: str) -> str:
    """Return the tenant that claims give: none, which opens nothing of any tenant,
    where no place is configured, or where what stands there is no id of one.

    Args:
        claims: of a token whose signature is good.
        place: as for ``names_in``.
    """
    found = _at(claims, place)
    return found if isinstance(found, str) and is_tenant(found) else ""


def _at(claims: dict[str, Any], place: str) -> Any:
    """Return what stands in a place, ``None`` where there is nothing."""
    if not place:
        return None
    found: Any = claims.get(place)
    if found is None:
        found = claims
        for name in place.split("."):
            found = found.get(name) if isinstance(found, dict) else None
    return found
