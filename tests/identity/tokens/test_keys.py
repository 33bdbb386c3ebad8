"""Keys for tokens: made from the keyring, and nothing else is stored."""

import json
from collections import Counter
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import KeySet
from tests.identity.tokens.forge import (
    ISSUER,
    OTHER_SEED,
    SEED,
    Ring,
    b64,
    issue,
    opened,
    unb64,
)

from ringfence.identity.tokens.base64url import decode, encode
from ringfence.identity.tokens.jwks import PublicKeys
from ringfence.identity.tokens.keys import _P256_ORDER, TokenKeys, _scalar, thumbprint
from ringfence.secrets.keyring import Keyring


def test_the_seed_is_the_ed25519_key():
    key = opened("EdDSA").keys.current().signing
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert key.public["x"] == b64(raw).decode()


def test_the_thumbprint_is_that_of_the_rfc():
    """RFC 8037, appendix A.3 (OKP)."""
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert (
        thumbprint({"kty": "OKP", "crv": "Ed25519", "x": x})
        == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )


def test_a_p256_key_is_as_likely_as_any_other():
    """FIPS 186-5 A.2.1: 64 more bits than the order has, never 0."""
    scalars = [_scalar(sha256(bytes([n])).digest()) for n in range(256)]
    assert all(0 < one < _P256_ORDER for one in scalars)
    assert len(set(scalars)) == 256
    assert max(Counter(one >> 253 for one in scalars).values()) < 64
    assert _scalar(SEED) == _scalar(SEED) != int.from_bytes(SEED, "big")


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "HS256"])
def test_every_process_makes_the_same_keys(algorithm):
    one, other = opened(algorithm), opened(algorithm)
    assert one.keys.current().signing.header == other.keys.current().signing.header
    assert other.verifier.known(issue(one))


def test_no_seed_is_used_in_two_algorithms(tmp_path):
    ring = Keyring(tmp_path / "keys.json", create=True)
    ring.open()
    purposes = []

    def derive_all(purpose):
        purposes.append(purpose)
        return ring.derive_all(purpose)

    for algorithm in ("EdDSA", "ES256", "HS256"):
        TokenKeys(derive_all, algorithm).current()
    assert len({ring.derive(purpose) for purpose in purposes}) == 3


def test_keys_are_made_once_until_they_change():
    parts = opened()
    first = parts.keys.current()
    assert parts.keys.current() is first
    parts.ring.seeds = (bytes(SEED),)
    assert parts.keys.current() is first
    parts.ring.seeds = (OTHER_SEED, SEED)
    assert parts.keys.current() is not first
    assert parts.keys.current().all[1].kid == first.signing.kid


def test_no_key_is_shown():
    for algorithm in ("EdDSA", "ES256", "HS256"):
        keys = opened(algorithm).keys.current()
        assert repr(keys.signing) == f"TokenKey({keys.signing.kid!r})"
        assert SEED not in repr(keys).encode()
        assert b64(SEED).decode() not in repr(keys) + keys.signing.kid


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # for Ed25519, RFC 9864
@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_others_verify_our_tokens_with_the_published_keys(algorithm):
    """joserfc, given nothing but the set of keys, also right before and after a key
    takes its turn."""
    parts = opened(algorithm, ring=Ring(SEED, OTHER_SEED))
    published = json.loads(PublicKeys(parts.keys).content())
    for seeds in ((SEED, OTHER_SEED), (OTHER_SEED, SEED)):
        parts.ring.seeds = seeds
        token = issue(parts).decode()
        read = jwt.decode(
            token,
            KeySet.import_key_set(published),
            algorithms=["EdDSA", "Ed25519", "ES256"],
        )
        assert read.claims["iss"] == ISSUER
        assert read.header["typ"] == "at+jwt"


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "HS256"])
def test_what_is_published_is_public(algorithm):
    """No private part of any key; of a secret key nothing at all."""
    parts = opened(algorithm, ring=Ring(SEED, OTHER_SEED))
    keys = PublicKeys(parts.keys)
    content = keys.content()
    assert keys.content() is content
    published = json.loads(content)["keys"]
    assert len(published) == (0 if algorithm == "HS256" else 2)
    for key in published:
        assert key.keys() <= {"kty", "crv", "x", "y", "alg", "kid", "use"}
        assert key["use"] == "sig"
        assert key["alg"] == algorithm
        bare = {n: key[n] for n in ("crv", "kty", "x", "y") if n in key}
        assert key["kid"] == thumbprint(bare)
    for seed in (SEED, OTHER_SEED):
        assert b64(seed) not in content
    parts.ring.seeds = (OTHER_SEED,)
    assert len(json.loads(keys.content())["keys"]) == (algorithm != "HS256")


@pytest.mark.parametrize("length", range(70))
def test_base64url_comes_back(length):
    value = bytes(range(200, 200 + length) if length < 56 else range(length))
    assert encode(value) == b64(value)
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        *(b"A", b"AA=", b"AA==", b"AAA=", b"AB", b"AAB", b"A A", b"AA\n", b"A+A/"),
        *(b"A.AA", b"\xff\xff", b"AAAAA", b"====", b"A\0AA", b"\xc3\xa9AA"),
    ],
)
def test_base64url_has_one_spelling(text):
    assert decode(text) is None


def test_nothing_is_nothing():
    assert decode(b"") == b"" == unb64(encode(b""))
