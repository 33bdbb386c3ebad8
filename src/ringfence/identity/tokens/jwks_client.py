"""The public keys of another issuer, fetched when they are needed and not more often.

A token names its key (``kid``), and anybody can make up names. So a name that is not
known leads to one more look at the issuer's keys, but never to more than one in half a
minute, whoever asks and whatever they ask for (CVE-2026-48524).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from ringfence.clock import Clock
from ringfence.errors import FetchError
from ringfence.identity.fetch import Fetch
from ringfence.identity.tokens.base64url import decode

PublicKey = RSAKey | ECKey | OKPKey

KEPT = 3600.0  # seconds that keys are believed
STALE = 6 * 3600.0  # and while their issuer cannot be asked for them
ASKED_AGAIN = 30.0  # seconds before an unknown key is looked for again
FAILED = 10.0  # seconds before an issuer that has not answered is asked again
MOST_BYTES = 262_144  # large sets with certificates have 60 kB
TIMEOUT = 5.0

_MOST_KEYS = 64
_MOST_NAME = 256  # characters of a ``kid``
_MOST_RSA = 8192
_LEAST_RSA = 2048  # bits; NIST SP 800-131A
_OK = 200

# Each algorithm with the kind and the curve of the keys that it is used with. Keys that
# both sides know (``oct``) are left out: an issuer's public keys are public, and who
# took one for an HMAC key would accept what anybody can sign (CVE-2024-37568).
_KINDS: Mapping[str, tuple[str, str]] = {
    "RS256": ("RSA", ""),
    "PS256": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
ALGORITHMS = frozenset(_KINDS)
"""What another issuer may sign with."""


class _Jwk(msgspec.Struct, frozen=True):
    """What is read of a key before its library sees it. Source: RFC 7517."""

    kty: str
    kid: str = ""
    use: str = "sig"
    alg: str = ""
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


class RemoteKeys:
    """Finds the key of another issuer by its name.

    Args:
        url: where the keys are.
        fetch: asks for them.
        clock: tells the time.

    Source: RFC 7517; RFC 8725, sections 3.1, 3.8 and 3.10; CWE-347, CWE-400.

    Not covered: an issuer that has lost a key is believed for up to an hour more, or
    six while it does not answer.
    """

    def __init__(self, url: str, fetch: Fetch, clock: Clock) -> None:
        self.url = url
        self._fetch = fetch
        self._clock = clock
        self._keys: tuple[tuple[_Jwk, PublicKey], ...] = ()
        self._fetched = float("-inf")
        self._failed = float("-inf")
        self._failure = ""
        self._turn = asyncio.Lock()

    async def find(self, kid: str, algorithm: str) -> PublicKey | None:
        """Return the key with this name for this algorithm, ``None`` if the issuer has
        none now.

        Args:
            kid: of the token's header; empty where it has none, which does if the
                issuer has but one key of the kind.
            algorithm: of the token's header; one that was allowed beforehand.

        Raises:
            FetchError: the issuer's keys cannot be had.
        """
        if algorithm not in _KINDS or len(kid) > _MOST_NAME:
            return None
        found = None if self._is_older_than(KEPT) else self._known(kid, algorithm)
        if found is not None or not self._is_older_than(ASKED_AGAIN):
            return found
        async with self._turn:
            if self._is_older_than(ASKED_AGAIN):  # nobody has asked meanwhile
                try:
                    await self._renew()
                except FetchError:
                    # An issuer that is down for a while must not stop everybody here.
                    known = self._known(kid, algorithm)
                    if known is None or self._is_older_than(STALE):
                        raise
        return self._known(kid, algorithm)

    def _is_older_than(self, seconds: float) -> bool:
        return not 0 <= self._clock() - self._fetched < seconds

    def _known(self, kid: str, algorithm: str) -> PublicKey | None:
        kty, crv = _KINDS[algorithm]
        fitting = [
            (jwk, key)
            for jwk, key in self._keys
            if jwk.kty == kty and jwk.crv == crv and jwk.alg in {"", algorithm}
        ]
        if not kid:
            return fitting[0][1] if len(fitting) == 1 else None
        return next((key for jwk, key in fitting if jwk.kid == kid), None)

    async def _renew(self) -> None:
        if 0 <= self._clock() - self._failed < FAILED:
            raise FetchError(self._failure)
        try:
            self._keys = await self._ask()
        except FetchError as error:
            self._failed, self._failure = self._clock(), str(error)
            raise
        self._fetched = self._clock()

    async def _ask(self) -> tuple[tuple[_Jwk, PublicKey], ...]:
        answer = await self._fetch(
            self.url,
            headers={"accept": "application/jwk-set+json, application/json"},
            most=MOST_BYTES,
            timeout=TIMEOUT,
        )
        if answer.status != _OK:
            raise FetchError(f"the keys are answered with {answer.status}")
        return read_keys(answer.content)


def read_keys(content: bytes) -> tuple[tuple[_Jwk, PublicKey], ...]:
    """Return the keys of a set that verify signatures, each with what is said of it.

    Keys for something else, of unknown kinds, and weak ones are left out.

    Raises:
        FetchError: it is no set of keys.
    """
    try:
        listed = msgspec.json.decode(content, type=_Jwks).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FetchError("what is said to be keys is no JSON Web Key Set") from error
    if len(listed) > _MOST_KEYS:
        raise FetchError(f"the issuer has more than {_MOST_KEYS} keys")
    read = (_read(raw) for raw in listed)
    return tuple(pair for pair in read if pair is not None)


def _read(raw: msgspec.Raw) -> tuple[_Jwk, PublicKey] | None:
    try:
        jwk = msgspec.json.decode(raw, type=_Jwk)
        return (jwk, _import(jwk)) if jwk.use == "sig" else None
    except (msgspec.DecodeError, JoseError, ValueError):
        return None  # one bad key among good ones


def _import(jwk: _Jwk) -> PublicKey:
    """Return the key, from its public parts alone.

    Raises:
        ValueError: of a kind that is not used here, or too weak.
        JoseError: damaged.
    """
    if (jwk.kty, jwk.crv) not in _KINDS.values():
        raise ValueError("a key of another kind, or on another curve")
    if jwk.kty == "RSA":
        # Looked at first: the library warns of a weak key, and a huge one takes time.
        modulus = int.from_bytes(decode(jwk.n.encode()) or b"", "big")
        if not _LEAST_RSA <= modulus.bit_length() <= _MOST_RSA:
            raise ValueError("an RSA key of fewer than 2048 bits, or more than 8192")
        return RSAKey.import_key({"kty": "RSA", "n": jwk.n, "e": jwk.e})
    public: dict[str, str | list[str]] = {"kty": jwk.kty, "crv": jwk.crv, "x": jwk.x}
    if jwk.kty == "EC":
        return ECKey.import_key({**public, "y": jwk.y})
    return OKPKey.import_key(public)


def allowed(algorithms: Collection[str]) -> frozenset[str]:
    """Return these algorithms, of which none needs a shared secret.

    Raises:
        ValueError: one is not known here.
    """
    unknown = sorted(set(algorithms) - ALGORITHMS)
    if unknown or not algorithms:
        raise ValueError(f"only {', '.join(sorted(ALGORITHMS))} can be verified")
    return frozenset(algorithms)
