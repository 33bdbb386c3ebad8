"""Signatures of other issuers: what a token says of its key, and whether it fits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwa import (
    EdDSAAlgorithm,
    ESAlgorithm,
    JWSAlgModel,
    RSAAlgorithm,
    RSAPSSAlgorithm,
)

from ringfence.identity.tokens.base64url import decode
from ringfence.identity.tokens.jwks_client import PublicKey

_MOST_HEADER = 1024  # bytes, decoded
_SEGMENTS = 3
_REFUSED = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"})
"""A key that a token brings along is the forger's (CVE-2026-27962), what must be
understood (``crit``) is not (CVE-2025-59420), and nothing is unpacked (CVE-2024-33664).
"""

# Made here, since anybody can change the registry of the library.
_VERIFIERS: Mapping[str, JWSAlgModel] = MappingProxyType(
    {
        "RS256": RSAAlgorithm(256),
        "PS256": RSAPSSAlgorithm(256),
        "ES256": ESAlgorithm("ES256", "P-256", 256),
        "ES384": ESAlgorithm("ES384", "P-384", 384),
        "ES512": ESAlgorithm("ES512", "P-521", 512),
        # The family and the curve (RFC 9864): the keys that are found are Ed25519.
        "EdDSA": EdDSAAlgorithm(),
        "Ed25519": EdDSAAlgorithm(),
    }
)


class Header(msgspec.Struct, frozen=True):
    """What is read of a header.

    Args:
        alg: the algorithm that the token says it is signed with.
        kid: the name of its key; empty for none.
        typ: what kind of token it is.
    """

    alg: str
    kid: str = ""
    typ: str = ""


def split(token: bytes, most: int) -> tuple[Header, bytes] | str:
    """Return the header of a token and its claims as bytes, of which nothing is proved
    yet; or what is wrong with it.

    Args:
        token: as it came.
        most: bytes that it may have.
    """
    if len(token) > most:
        return "it is too long"
    segments = token.split(b".", _SEGMENTS)
    if len(segments) != _SEGMENTS:
        return "not three segments"
    raw, payload = decode(segments[0]), decode(segments[1])
    if raw is None or payload is None or len(raw) > _MOST_HEADER:
        return "it is no base64url, or its header is too long"
    try:
        names = msgspec.json.decode(raw, type=dict[str, Any])
        header = msgspec.convert(names, Header)
    except (ValueError, RecursionError):  # the decoder's own are ValueErrors
        return "its header cannot be read"
    if not _REFUSED.isdisjoint(names):
        return "its header brings a key, or demands something"
    return header, payload


def is_genuine(token: bytes, algorithm: str, key: PublicKey) -> bool:
    """Return whether a token was signed with the other half of a key.

    Args:
        token: of three segments.
        algorithm: one that was allowed beforehand, and for which the key was chosen.
        key: of the issuer's.
    """
    signed, _, segment = token.rpartition(b".")
    signature = decode(segment)
    if signature is None:
        return False
    verifier = _VERIFIERS[algorithm]
    try:
        verifier.check_key(key)
        return bool(verifier.verify(signed, signature, key))
    except (JoseError, ValueError):
        return False
