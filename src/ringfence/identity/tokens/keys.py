"""The keys that access tokens are signed with, made from the keyring."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ringfence.identity.tokens.base64url import decode, encode
from ringfence.identity.tokens.settings import Algorithm

TYPE = "at+jwt"
_PAIR_BYTES = 64  # an Ed25519 signature, or r and s of ES256 (RFC 7518, section 3.4)
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_SEED_BYTES = 40  # 64 bits more than the order has, FIPS 186-5 A.2.1
_ECDSA = ECDSA(SHA256())

Jwk = dict[str, str]


@dataclass(frozen=True, slots=True, repr=False)
class TokenKey:
    """One key.

    Args:
        kid: its name: the RFC 7638 thumbprint, or of a secret key a keyed hash.
        header: the first segment of every token that it signs, as text.
        sign: returns the last segment for the two before it.
        verify: tells whether the last segment is what ``sign`` gives, in one spelling.
        public: what others verify with; ``None`` for a secret key, which has no such
            part.
    """

    kid: str
    header: bytes
    sign: Callable[[bytes], bytes]
    verify: Callable[[bytes, bytes], bool]
    public: Jwk | None

    def __repr__(self) -> str:
        return f"TokenKey({self.kid!r})"


@dataclass(frozen=True, slots=True, eq=False)
class KeySet:
    """The keys of one moment.

    Args:
        signing: signs new tokens.
        by_header: verifies, by the token's first segment.
        all: each key, the signing one first.
    """

    signing: TokenKey
    by_header: Mapping[bytes, TokenKey]
    all: tuple[TokenKey, ...]


class TokenKeys:
    """Gives the keys of the present moment.

    Nothing is stored besides the keyring: its derivative for this purpose is the seed.
    Each algorithm has a purpose of its own, so that no seed is used in two of them.

    A token names its key by its whole first segment, compared as text. The header of
    a token is thereby never parsed: what an attacker writes into it (another ``alg``,
    ``none``, ``jwk``, ``jku``, ``x5u``, ``x5c``, ``crit``, ``zip``, another ``typ``)
    makes another text, which no key belongs to.

    Args:
        derive_all: returns the keys of a purpose, the signing one first, and the same
            tuple until they change; of the keyring.
        algorithm: that is signed with.

    Source: RFC 8725, sections 3.1, 3.10, 3.11 and 3.12; RFC 7638; FIPS 186-5, A.2.1;
    CWE-347.
    """

    def __init__(
        self, derive_all: Callable[[str], Sequence[bytes]], algorithm: Algorithm
    ) -> None:
        self._derive_all = derive_all
        self._purpose = f"identity.access-token.{algorithm}"
        self._make = _MAKERS[algorithm]
        self._material: Sequence[bytes] = ()
        self._set: KeySet | None = None

    def current(self) -> KeySet:
        """Return the keys; the same object until they change.

        Raises:
            SettingsError: the keyring is not open.
        """
        material = self._derive_all(self._purpose)
        known = self._set
        if known is not None and (
            material is self._material or material == self._material
        ):
            return known
        keys = tuple(map(self._make, material))
        by_header = MappingProxyType({key.header: key for key in keys})
        self._set = made = KeySet(keys[0], by_header, keys)
        self._material = material
        return made


def thumbprint(jwk: Jwk) -> str:
    """Return the name of a public key: a hash over what makes it up.

    Args:
        jwk: the members that the thumbprint is made of, and no others.

    Source: RFC 7638, section 3.
    """
    ordered = msgspec.json.encode(dict(sorted(jwk.items())))
    return encode(sha256(ordered).digest()).decode()


def _ed25519(seed: bytes) -> TokenKey:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key()
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(message: bytes) -> bytes:
        return encode(private.sign(message))

    def verify(message: bytes, segment: bytes) -> bool:
        signature = decode(segment)
        if signature is None:
            return False
        try:
            public.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    jwk = {"crv": "Ed25519", "kty": "OKP", "x": encode(raw).decode()}
    return _key("EdDSA", thumbprint(jwk), sign, verify, jwk)


def _p256(seed: bytes) -> TokenKey:
    private = derive_private_key(_scalar(seed), SECP256R1())
    public = private.public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(message, _ECDSA))
        return encode(
            r.to_bytes(32, "big") + min(s, _P256_ORDER - s).to_bytes(32, "big")
        )

    def verify(message: bytes, segment: bytes) -> bool:
        signature = decode(segment)
        if signature is None or len(signature) != _PAIR_BYTES:
            return False
        r, s = (
            int.from_bytes(signature[:32], "big"),
            int.from_bytes(signature[32:], "big"),
        )
        # Of s and its negative both would be good; we write the lower one only.
        if not (0 < r < _P256_ORDER and 0 < s <= _P256_ORDER // 2):
            return False
        try:
            public.verify(encode_dss_signature(r, s), message, _ECDSA)
        except InvalidSignature:
            return False
        return True

    x, y = encode(point[:32]).decode(), encode(point[32:]).decode()
    jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    return _key("ES256", thumbprint(jwk), sign, verify, jwk)


def _scalar(seed: bytes) -> int:
    """Return a private key that is as likely as any other: taken modulo the order,
    32 bytes would make some twice as likely."""
    wide = HKDFExpand(SHA256(), length=_P256_SEED_BYTES, info=b"ringfence.p256.1")
    return int.from_bytes(wide.derive(seed), "big") % (_P256_ORDER - 1) + 1


def _hmac(secret: bytes) -> TokenKey:
    def sign(message: bytes) -> bytes:
        return encode(hmac.digest(secret, message, "sha256"))

    def verify(message: bytes, segment: bytes) -> bool:
        return hmac.compare_digest(sign(message), segment)

    name = hmac.digest(secret, b"ringfence.kid.1", "sha256")
    return _key("HS256", encode(name).decode(), sign, verify, None)


def _key(
    algorithm: Algorithm,
    kid: str,
    sign: Callable[[bytes], bytes],
    verify: Callable[[bytes, bytes], bool],
    public: Jwk | None,
) -> TokenKey:
    header = encode(msgspec.json.encode({"alg": algorithm, "kid": kid, "typ": TYPE}))
    if public is not None:
        public = {**public, "alg": algorithm, "kid": kid, "use": "sig"}
    return TokenKey(kid, header, sign, verify, public)


_MAKERS: Mapping[Algorithm, Callable[[bytes], TokenKey]] = MappingProxyType(
    {"EdDSA": _ed25519, "ES256": _p256, "HS256": _hmac}
)
