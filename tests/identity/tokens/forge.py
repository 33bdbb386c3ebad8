"""Tokens as we issue them, and as others would like them to be."""

import base64
import hmac
import json
from types import SimpleNamespace

from ringfence.identity.tokens.access_token import AccessTokens
from ringfence.identity.tokens.keys import TokenKeys
from ringfence.identity.tokens.verify import TokenVerifier

NOW = 1_800_000_000
ISSUER = "https://shop.example"
SEED = bytes(range(7, 39))
OTHER_SEED = bytes(range(90, 122))


def b64(raw):
    if not isinstance(raw, bytes):
        raw = json.dumps(raw, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def unb64(text):
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


class Ring:
    """A keyring of which the test says what is in it."""

    def __init__(self, *seeds):
        self.seeds = seeds or (SEED,)

    def derive_all(self, purpose):
        return self.seeds


def opened(algorithm="EdDSA", *, ring=None, audience=ISSUER, **options):
    """Return an issuer and a verifier of one ring of keys."""
    ring = ring or Ring()
    keys = TokenKeys(ring.derive_all, algorithm)
    clock = SimpleNamespace(now=float(NOW))
    return SimpleNamespace(
        ring=ring,
        keys=keys,
        clock=clock,
        tokens=AccessTokens(
            keys,
            issuer=ISSUER,
            audience=audience,
            lifetime=600,
            clock=lambda: clock.now,
        ),
        verifier=TokenVerifier(keys, issuer=ISSUER, audience=audience, **options),
    )


def issue(parts, **changes):
    """Return a token of Ann's."""
    said = {
        "roles": {"customer"},
        "factors": {"password"},
        "auth_time": NOW - 60,
        "epoch": 3,
        "family": "f" * 22,
        "client_id": "shop",
    }
    return parts.tokens.issue("ann", **(said | changes)).encode()


def claims_of(token):
    return json.loads(unb64(token.split(b".")[1]))


def signed(parts, payload, header=None):
    """Return a token that is signed with our key, whatever it says."""
    key = parts.keys.current().signing
    payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    message = (header or key.header) + b"." + b64(payload)
    return message + b"." + key.sign(message)


def mac(secret, header, payload):
    """Return a token signed with HMAC, as a forger who knows a public key makes it."""
    message = b64(header) + b"." + b64(payload)
    return message + b"." + b64(hmac.digest(secret, message, "sha256"))
