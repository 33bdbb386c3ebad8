"""The keys of another issuer: fetched when they are needed, and not more often."""

import asyncio
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, OctKey, OKPKey
from tests.identity.gatehouse import Clock

from ringfence.errors import FetchError
from ringfence.identity.fetch import Fetched
from ringfence.identity.tokens.base64url import encode
from ringfence.identity.tokens.jwks_client import (
    ASKED_AGAIN,
    FAILED,
    KEPT,
    STALE,
    RemoteKeys,
    allowed,
    read_keys,
)

pytestmark = pytest.mark.anyio

EC = ECKey.generate_key("P-256", auto_kid=True)
NEXT = ECKey.generate_key("P-256", auto_kid=True)
OKP = OKPKey.generate_key("Ed25519", auto_kid=True)


def number(value):
    return encode(value.to_bytes((value.bit_length() + 7) // 8)).decode()


def public(key, **more):
    return {**key.as_dict(private=False), **more}


class Issuer:
    """Answers for a set of keys, and counts how often it is asked."""

    def __init__(self, *keys):
        self.keys = [public(key) for key in keys]
        self.asked = 0
        self.status = 200
        self.down = False
        self.clock = Clock()
        self.remote = RemoteKeys("https://a.example/jwks", self, self.clock)

    async def __call__(self, url, *, headers, form=None, most, **_):
        assert most > 0
        assert (url, form) == ("https://a.example/jwks", None)
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise FetchError("it is away")
        return Fetched(self.status, json.dumps({"keys": self.keys}).encode())

    async def has(self, key, algorithm="ES256"):
        found = await self.remote.find(key.kid, algorithm)
        return found is not None and found.thumbprint() == key.thumbprint()


async def test_a_known_key_is_fetched_once():
    issuer = Issuer(EC)
    assert all([await issuer.has(EC) for _ in range(5)])
    assert issuer.asked == 1


async def test_many_at_once_ask_once():
    issuer = Issuer(EC)
    assert all(await asyncio.gather(*(issuer.has(EC) for _ in range(50))))
    unknown = (issuer.remote.find(f"unknown-{n}", "ES256") for n in range(50))
    assert set(await asyncio.gather(*unknown)) == {None}
    assert issuer.asked == 1


async def test_a_new_key_is_found_after_a_while():
    issuer = Issuer(EC)
    assert await issuer.has(EC)
    issuer.keys = [public(NEXT)]
    assert not await issuer.has(NEXT)
    issuer.clock.now += ASKED_AGAIN
    assert await issuer.has(NEXT)
    assert not await issuer.has(EC)
    assert issuer.asked == 2


async def test_keys_that_are_gone_are_believed_for_an_hour_at_most():
    issuer = Issuer(EC)
    assert await issuer.has(EC)
    issuer.keys = []
    issuer.clock.now += KEPT - 1
    assert await issuer.has(EC)
    issuer.clock.now += 1
    assert not await issuer.has(EC)


async def test_an_issuer_that_is_away_for_long_vouches_for_nobody():
    issuer = Issuer(EC)
    assert await issuer.has(EC)
    issuer.down = True
    issuer.clock.now += STALE - 1
    assert all([await issuer.has(EC) for _ in range(5)])
    assert issuer.asked == 2
    with pytest.raises(FetchError, match="it is away"):
        await issuer.has(NEXT)
    issuer.clock.now += FAILED
    for _ in range(5):
        with pytest.raises(FetchError, match="it is away"):
            await issuer.has(EC)
    assert issuer.asked == 3
    issuer.down = False
    issuer.clock.now += FAILED
    assert await issuer.has(EC)


async def test_another_status_is_no_answer():
    issuer = Issuer(EC)
    issuer.status = 404
    with pytest.raises(FetchError, match="404"):
        await issuer.has(EC)


async def test_a_clock_that_is_set_back_leads_to_a_fresh_look():
    issuer = Issuer(EC)
    assert await issuer.has(EC)
    issuer.clock.now -= 10 * KEPT
    assert await issuer.has(EC)
    assert issuer.asked == 2


async def test_a_key_is_for_its_own_algorithm():
    issuer = Issuer(EC, OKP)
    issuer.keys.append({**public(NEXT), "alg": "ES384"})
    assert await issuer.has(OKP, "EdDSA")
    assert await issuer.has(OKP, "Ed25519")
    assert not await issuer.has(OKP, "ES256")
    assert not await issuer.has(EC, "ES384")
    assert not await issuer.has(EC, "RS256")
    assert not await issuer.has(NEXT)
    assert await issuer.remote.find("x" * 257, "ES256") is None
    for algorithm in ("HS256", "none", ""):
        assert await issuer.remote.find(EC.kid, algorithm) is None


async def test_shared_secrets_weak_keys_and_strange_ones_are_left_out():
    weak = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    secret = OctKey.generate_key(256, auto_kid=True)
    keys = [
        secret.as_dict(private=True),
        {"kty": "RSA", "kid": "weak", "n": number(weak.n), "e": number(weak.e)},
        public(EC, use="enc"),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "off the curve"},
        {"kty": "EC", "crv": "P-256", "kid": "without a point"},
        {"kty": "RSA", "kid": "empty"},
        {"kty": "new", "kid": "new"},
        {"kid": "no kind"},
        "no object",
        None,
        public(OKP),
    ]
    ((jwk, key),) = read_keys(json.dumps({"keys": keys}).encode())
    assert (jwk.kid, key.thumbprint()) == (OKP.kid, OKP.thumbprint())


async def test_no_private_part_is_read():
    keys = [EC.as_dict(private=True)]
    ((_, key),) = read_keys(json.dumps({"keys": keys}).encode())
    assert not key.is_private


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"keys": 5}',
        b"\xff",
        b"[" * 100_000,
        json.dumps({"keys": [{}] * 65}).encode(),
    ],
)
async def test_what_is_no_set_of_keys(content):
    with pytest.raises(FetchError):
        read_keys(content)


def test_only_signatures_that_need_no_shared_secret_are_allowed():
    assert allowed(["ES256"]) == {"ES256"}
    for algorithms in ([], ["none"], ["HS256"], ["ES256", "HS256"]):
        with pytest.raises(ValueError, match="can be verified"):
            allowed(algorithms)
