"""An authenticator in software: what a browser and a security key do together."""

from __future__ import annotations

import json
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
EDDSA, ES256, RS256 = -8, -7, -257


def text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(written: str) -> bytes:
    return urlsafe_b64decode(written + "=" * (-len(written) % 4))


def make_key(algorithm: int) -> Any:
    if algorithm == EDDSA:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == ES256:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048)


def cose(key: Any) -> dict[int, Any]:
    """Return the public half as a COSE key (RFC 9053)."""
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {1: 1, 3: EDDSA, -1: 6, -2: public.public_bytes_raw()}
    numbers = public.public_numbers()
    if isinstance(public, ec.EllipticCurvePublicKey):
        x, y = (n.to_bytes(32, "big") for n in (numbers.x, numbers.y))
        return {1: 2, 3: ES256, -1: 1, -2: x, -3: y}
    return {
        1: 3,
        3: RS256,
        -1: numbers.n.to_bytes(public.key_size // 8, "big"),
        -2: numbers.e.to_bytes(3, "big"),
    }


def sign(key: Any, message: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(hashes.SHA256()))
    return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


@dataclass
class Authenticator:
    """One passkey, in a browser that says what a test wants it to say.

    Args:
        origin: that the browser believes to be on.
        algorithm: of the key.
        flags: of what it signs.
        counter: of signatures; ``None``: it does not count.
        rp_id: whose passkey it pretends to be; empty: as the options say.
        client: more members of the client data.
        authenticator_extra: bytes behind what it signs.
        public: in the place of the public key.
        format: of the attestation, with ``statement``.
    """

    origin: str = "http://localhost:8000"
    algorithm: int = ES256
    flags: int = UP | UV
    counter: int | None = 0
    rp_id: str = ""
    client: dict[str, Any] = field(default_factory=dict)
    authenticator_extra: bytes = b""
    public: dict[int, Any] | None = None
    format: str = "none"
    statement: dict[str, Any] = field(default_factory=dict)
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: Any = None
    user_handle: bytes | None = None
    aaguid: bytes = bytes(16)

    def __post_init__(self):
        self.key = self.key or make_key(self.algorithm)

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer ``navigator.credentials.create``."""
        self.user_handle = raw(options["user"]["id"])
        public = cbor2.dumps(cose(self.key) if self.public is None else self.public)
        attested = self.aaguid + struct.pack(">H", len(self.id)) + self.id + public
        data = self._data(options["rp"]["id"], self.flags | AT) + attested
        attestation = cbor2.dumps(
            {
                "fmt": self.format,
                "attStmt": self.statement,
                "authData": data + self.authenticator_extra,
            }
        )
        return self._credential(
            clientDataJSON=self._client_data("webauthn.create", options["challenge"]),
            attestationObject=attestation,
            transports=["internal", "hybrid"],
        )

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer ``navigator.credentials.get``."""
        if self.counter is not None:
            self.counter += 1
        data = self._data(options["rpId"], self.flags) + self.authenticator_extra
        client_data = self._client_data("webauthn.get", options["challenge"])
        handle = {} if self.user_handle is None else {"userHandle": self.user_handle}
        return self._credential(
            clientDataJSON=client_data,
            authenticatorData=data,
            signature=sign(self.key, data + sha256(client_data).digest()),
            **handle,
        )

    def copied(self) -> Authenticator:
        """Return a copy with its own counter, as a thief would have it."""
        return replace(self)

    def _data(self, rp_id: str, flags: int) -> bytes:
        name = sha256((self.rp_id or rp_id).encode()).digest()
        return name + bytes([flags]) + struct.pack(">I", self.counter or 0)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin}
        return json.dumps({**said, "crossOrigin": False, **self.client}).encode()

    def _credential(self, **response: Any) -> dict[str, Any]:
        said = {
            name: text(value) if isinstance(value, bytes) else value
            for name, value in response.items()
        }
        return {
            "id": text(self.id),
            "rawId": text(self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": said,
        }
