"""Whose tokens are believed, and whose are not."""

import hashlib
import hmac
import json

import pytest
from joserfc.jwk import ECKey
from tests.servers.openid_provider import SIGNERS

from ringfence.denial import Denial
from ringfence.identity.fetch import Fetched
from ringfence.identity.openid.id_token import MOST_BYTES, Expected, Identity, IdTokens
from ringfence.identity.openid.provider import _basic
from ringfence.identity.tokens.base64url import encode
from ringfence.identity.tokens.jwks_client import RemoteKeys

pytestmark = pytest.mark.anyio

NOW = 1_000_000.0
NONCE = "n-1"
KEY = ECKey.generate_key("P-256", auto_kid=True)
OTHER = ECKey.generate_key("P-256", auto_kid=True)
CLAIMS = {
    "iss": "https://accounts.example",
    "sub": "ann-7",
    "aud": "shop",
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": NONCE,
    "email": "ann@example.com",
    "email_verified": True,
}
HEADER = {"alg": "ES256", "kid": KEY.kid}
EXPECTED = Expected("https://accounts.example", "shop", NONCE, "access-1")
DISCONTENT = "identity.openid_token_invalid"


def part(value):
    return encode(value if isinstance(value, bytes) else json.dumps(value).encode())


def signed(claims=CLAIMS, header=HEADER, key=KEY, algorithm="ES256"):
    text = part(header) + b"." + part(claims)
    return (text + b"." + encode(SIGNERS[algorithm].sign(text, key))).decode()


def changed(**claims):
    return {k: v for k, v in {**CLAIMS, **claims}.items() if v is not None}


def verifier(*keys, algorithms=("ES256", "RS256", "EdDSA")):
    jwks = {"keys": [key.as_dict(private=False) for key in keys or (KEY,)]}

    async def fetch(url, **_):
        return Fetched(200, json.dumps(jwks).encode())

    remote = RemoteKeys("https://accounts.example/jwks", fetch, lambda: NOW)
    return IdTokens(remote, algorithms)


async def verify(token, **options):
    return await verifier(**options).verify(token, EXPECTED, NOW)


async def test_an_honest_token_tells_who_it_is():
    identity = await verify(signed())
    assert identity[:3] == ("https://accounts.example", "ann-7", "ann@example.com")
    assert identity.email_verified


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["shop"]},
        {"azp": "shop"},
        {"exp": NOW - 59},
        {"iat": NOW + 60},
        {"iat": NOW - 600},
        {"nbf": NOW + 60},
        {"exp": int(NOW) + 1},
        {"sub": "x" * 255},
        {"groups": ["a"] * 100, "extra": {"deep": [1, 2]}},
    ],
)
async def test_what_honest_providers_say_is_taken(claims):
    assert isinstance(await verify(signed(changed(**claims))), Identity)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://accounts.example/"}, "another issuer"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"aud": "other"}, "somebody else"),
        ({"aud": ["shop", "other"]}, "somebody else"),
        ({"aud": ["other", "shop"], "azp": "shop"}, "somebody else"),
        ({"aud": []}, "somebody else"),
        ({"azp": "other"}, "asked for by somebody else"),
        ({"azp": ""}, "asked for by somebody else"),
        ({"nonce": "n-2"}, "another attempt"),
        ({"nonce": None}, "another attempt"),
        ({"nonce": ""}, "another attempt"),
        ({"exp": NOW - 60}, "expired"),
        ({"exp": 0}, "expired"),
        ({"iat": NOW - 601}, "not issued just now"),
        ({"iat": NOW + 61}, "not issued just now"),
        ({"nbf": NOW + 61}, "not good yet"),
        ({"sub": ""}, "names nobody"),
        ({"sub": "x" * 256}, "names nobody"),
        ({"sub": "ann\0-7"}, "names nobody"),
        ({"sub": None}, "missing, or of a wrong kind"),
        ({"sub": 7}, "missing, or of a wrong kind"),
        ({"exp": None}, "missing, or of a wrong kind"),
        ({"exp": "soon"}, "missing, or of a wrong kind"),
        ({"iat": None}, "missing, or of a wrong kind"),
        ({"aud": {"shop": 1}}, "missing, or of a wrong kind"),
        ({"at_hash": "AAAA"}, "another access token"),
        ({"at_hash": ""}, "another access token"),
    ],
)
async def test_a_token_that_says_something_else_is_refused(claims, why):
    refused = await verify(signed(changed(**claims)))
    assert isinstance(refused, Denial)
    assert refused.code == DISCONTENT
    assert why in refused.private
    assert why not in refused.detail


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 9000])
async def test_claims_that_are_none_are_refused(content):
    refused = await verify(signed(content))
    assert refused.private.startswith("its claims are missing")


async def test_the_hash_of_the_access_token_is_compared():
    digest = hashlib.sha256(b"access-1").digest()
    fits = changed(at_hash=encode(digest[:16]).decode())
    assert isinstance(await verify(signed(fits)), Identity)


PUBLIC = KEY.as_pem(private=False)


def with_secret(secret):
    """A token signed by HMAC, with what everybody knows."""
    text = part({"alg": "HS256", "kid": KEY.kid}) + b"." + part(CLAIMS)
    mac = hmac.digest(secret, text, "sha256")
    return (text + b"." + encode(mac)).decode()


def unsigned(algorithm):
    header = {"alg": algorithm, "kid": KEY.kid}
    return (part(header) + b"." + part(CLAIMS) + b".").decode()


@pytest.mark.parametrize(
    "token",
    [
        unsigned("none"),
        unsigned("None"),
        unsigned(""),
        unsigned("ES256"),
        with_secret(PUBLIC),
        with_secret(KEY.as_der(private=False)),
        with_secret(json.dumps(KEY.as_dict(private=False)).encode()),
        with_secret(b"s3cret"),
        with_secret(b""),
        signed(key=OTHER),
        signed()[:-2],
        signed() + "A",
        signed() + "=",
        signed().replace(".", ".\n", 1),
        signed(header={"alg": "RS256", "kid": KEY.kid}),
        signed(header={"alg": "ES256", "kid": "unknown"}),
        signed(header={"alg": "ES384", "kid": KEY.kid}),
        signed(header={"alg": "ES256", "kid": OTHER.kid}, key=OTHER),
    ],
)
async def test_a_forged_signature_is_refused(token):
    """None, a public key as a secret, another key, another algorithm, no signature
    (CVE-2024-37568, CVE-2022-29217, CVE-2024-33663)."""
    refused = await verify(token)
    assert isinstance(refused, Denial)
    assert refused.code == DISCONTENT


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": OTHER.as_dict(private=False)},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"], "exp": 1},
        {"b64": False},
    ],
)
async def test_a_token_brings_no_key_and_demands_nothing(header):
    """CVE-2026-27962, CVE-2025-59420."""
    for key in (KEY, OTHER):
        refused = await verify(signed(header={**HEADER, **header}, key=key))
        assert refused.private == "its header brings a key, or demands something"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "...." * 5,
        "é.b.c",
        "x" * (MOST_BYTES + 1),
        (part({**HEADER, "more": "x" * 600}) + b".e30.e30").decode(),
        (part([]) + b".e30.e30").decode(),
        (part(b"{") + b".e30.e30").decode(),
        (part({"alg": 5}) + b".e30.e30").decode(),
        (part({"alg": "ES256", "kid": 5}) + b".e30.e30").decode(),
        (part({"kid": "x"}) + b".e30.e30").decode(),
        (part(b"[" * 400) + b".e30.e30").decode(),
    ],
)
async def test_what_is_no_token_is_refused(token):
    refused = await verify(token)
    assert refused.code == DISCONTENT


async def test_without_a_name_the_only_key_of_its_kind_is_meant():
    token = signed(header={"alg": "ES256"})
    assert isinstance(await verify(token), Identity)
    refused = await verifier(KEY, OTHER).verify(token, EXPECTED, NOW)
    assert refused.private == "the provider has no such key"


async def test_only_a_true_vouches_for_an_address():
    for said in ("true", 1, "1", [True], None):
        identity = await verify(signed({**CLAIMS, "email_verified": said}))
        assert not identity.email_verified
    identity = await verify(signed(changed(email=["ann@example.com"])))
    assert identity.email == ""


def test_a_colon_in_the_id_moves_no_border():
    """RFC 6749, section 2.3.1."""
    assert _basic("a:b", "c d") == "Basic YSUzQWI6YyUyMGQ="
