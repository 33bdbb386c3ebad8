"""The public keys that clients show in their proofs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    EllipticCurve,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm

from ringfence.identity.tokens.base64url import decode
from ringfence.identity.tokens.keys import thumbprint

Verify = Callable[[bytes, bytes], bool]
"""Tells whether a signature, raw, fits a message."""

# What may stand beside a public key; nothing of it is used (RFC 7517, section 4).
_IDLE = frozenset({"alg", "use", "key_ops", "ext", "kid"})
_ED25519_BYTES = 32


class ProofKey(NamedTuple):
    """A key whose private half the client has.

    Args:
        thumbprint: its name (RFC 7638).
        verify: tells whether it has signed something.
    """

    thumbprint: str
    verify: Verify


class _Curve(NamedTuple):
    name: str
    curve: EllipticCurve
    hash: HashAlgorithm
    bytes: int


_CURVES: Mapping[str, _Curve] = MappingProxyType(
    {
        "ES256": _Curve("P-256", SECP256R1(), SHA256(), 32),
        "ES384": _Curve("P-384", SECP384R1(), SHA384(), 48),
    }
)
_EDWARDS = frozenset({"EdDSA", "Ed25519"})  # RFC 8037, RFC 9864

ALGORITHMS = ("ES256", "ES384", "EdDSA", "Ed25519")
"""Asymmetric ones only: of an HMAC the key would have to be known here. No RSA: what a
check costs is up to the size of the key, which the client would choose."""


def read_key(algorithm: str, jwk: Mapping[str, object]) -> ProofKey | str:
    """Return the key of a proof, or what is wrong with it.

    Args:
        algorithm: that the proof says to be signed with.
        jwk: as it stands in the proof.

    Source: RFC 9449, section 4.3, items 5 to 7; RFC 7518, section 6.2; RFC 8037.
    """
    curve = _CURVES.get(algorithm)
    if curve is not None:
        members = {"crv": curve.name, "kty": "EC"}
        wanted: tuple[str, ...] = ("x", "y")
    elif algorithm in _EDWARDS:
        members = {"crv": "Ed25519", "kty": "OKP"}
        wanted = ("x",)
    else:
        return "the algorithm is none of those that are taken"
    unknown = jwk.keys() - members.keys() - set(wanted) - _IDLE
    if unknown:  # a private member would be among them
        return "the key has members that a public key has not"
    if any(jwk.get(name) != value for name, value in members.items()):
        return "the key does not fit the algorithm"
    parts: list[bytes] = []
    for name in wanted:
        text = jwk.get(name)
        part = decode(text.encode()) if isinstance(text, str) else None
        if part is None or len(part) != (curve.bytes if curve else _ED25519_BYTES):
            return "the key is damaged"
        parts.append(part)
        members[name] = str(text)
    try:
        verify = _edwards(*parts) if curve is None else _ecdsa(curve, *parts)
    except ValueError:
        return "the key is no point of its curve"
    return ProofKey(thumbprint(members), verify)


def _ecdsa(curve: _Curve, x: bytes, y: bytes) -> Verify:
    numbers = EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve.curve
    )
    public, scheme, size = numbers.public_key(), ECDSA(curve.hash), curve.bytes

    def verify(message: bytes, signature: bytes) -> bool:
        if len(signature) != 2 * size:
            return False
        pair = signature[:size], signature[size:]
        r, s = (int.from_bytes(part, "big") for part in pair)
        try:
            public.verify(encode_dss_signature(r, s), message, scheme)
        except InvalidSignature:
            return False
        return True

    return verify


def _edwards(x: bytes) -> Verify:
    public = Ed25519PublicKey.from_public_bytes(x)

    def verify(message: bytes, signature: bytes) -> bool:
        try:
            public.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return verify
