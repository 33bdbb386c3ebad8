"""Programs that sign in for tokens, and the keys that they prove."""

import hmac
import json
import secrets
from hashlib import sha256
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.identity.gatehouse import Clock, Keys, Ledger, visit
from tests.identity.tokens.forge import b64

from ringfence.identity.ground import Ground
from ringfence.identity.settings import IdentitySettings
from ringfence.identity.tokens.open import open_tokens
from ringfence.identity.tokens.settings import TokenSettings
from ringfence.stores.memory_counters import MemoryCounters


def opened_over(stores, clock=None, **settings):
    """Return what hands out tokens and recognises them, over stores that are open."""
    clock, ledger = clock or Clock(), Ledger()
    tokens = open_tokens(
        TokenSettings(enabled=True, **settings),
        Ground(
            IdentitySettings(),
            stores,
            MemoryCounters(clock=clock),
            Keys(),
            ledger.record,
            clock,
            ("https://shop.example",),
            development=False,
        ),
    )
    told, ended = [], []
    families = tokens.families(
        record=ledger.record,
        told=lambda *said: told.append(said),
        ended=lambda *said: ended.append(said),
    )
    return SimpleNamespace(
        families=families,
        check=tokens.check,
        clock=clock,
        ledger=ledger,
        told=told,
        ended=ended,
        stores=stores,
    )


def from_device(agent="Program/1.0", client="203.0.113.9"):
    """Return a request of a program."""
    exchange = visit(client)
    exchange.headers = {b"user-agent": agent.encode()}
    return exchange


class Key:
    """A key of a client's, and the proofs that it signs."""

    def __init__(self, algorithm="ES256"):
        self.algorithm = algorithm
        if algorithm in {"EdDSA", "Ed25519"}:
            self.private = ed25519.Ed25519PrivateKey.generate()
            raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw).decode()}
            return
        curve, name, self.size = {
            "ES256": (ec.SECP256R1(), "P-256", 32),
            "ES384": (ec.SECP384R1(), "P-384", 48),
        }[algorithm]
        self.private = ec.generate_private_key(curve)
        numbers = self.private.public_key().public_numbers()
        self.jwk = {"kty": "EC", "crv": name} | {
            part: b64(getattr(numbers, part).to_bytes(self.size, "big")).decode()
            for part in "xy"
        }

    @property
    def thumbprint(self):
        ordered = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        return b64(sha256(ordered.encode()).digest()).decode()

    def sign(self, message):
        if self.algorithm in {"EdDSA", "Ed25519"}:
            return self.private.sign(message)
        digest = {32: SHA256, 48: SHA384}[self.size]()
        pair = utils.decode_dss_signature(self.private.sign(message, ec.ECDSA(digest)))
        return b"".join(part.to_bytes(self.size, "big") for part in pair)

    def proof(self, method, url, now, token="", header=(), **changes):
        """Return a proof; ``changes`` replace claims, ``None`` leaves one out."""
        said = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": self.jwk}
        claims = {
            "jti": secrets.token_urlsafe(12),
            "htm": method,
            "htu": url,
            "iat": int(now),
        }
        if token:
            claims["ath"] = b64(sha256(token.encode()).digest()).decode()
        return self.signed(without_none(said | dict(header)), claims | changes)

    def signed(self, header, claims):
        message = b64(header) + b"." + b64(without_none(claims))
        return (message + b"." + b64(self.sign(message))).decode()


def without_none(members):
    return {name: value for name, value in members.items() if value is not None}


def hmac_proof(secret, header, claims):
    """Return a proof that is signed as if a public key were a secret."""
    message = b64(header) + b"." + b64(claims)
    return (message + b"." + b64(hmac.digest(secret, message, "sha256"))).decode()
