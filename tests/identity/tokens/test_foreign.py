"""Tokens of other issuers, whose keys are fetched from real servers on loopback."""

import asyncio
import base64
import hmac
import json
import warnings
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import (
    generate_private_key as generate_rsa,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from tests.identity.tokens.forge import b64, unb64
from tests.servers.keys import key_server

from ringfence.denial import Denial
from ringfence.errors import FetchError
from ringfence.guard.fetch import Fetcher
from ringfence.identity.tokens import foreign as module
from ringfence.identity.tokens.foreign import (
    BELIEVED,
    ForeignTokens,
    names_in,
    tenant_in,
)
from ringfence.identity.tokens.jwks_client import ASKED_AGAIN, KEPT, STALE
from ringfence.identity.tokens.settings import ForeignIssuer
from ringfence.principal import Principal

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000
ISSUER = "https://login.example"


def weak_key():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is weak
        return RSAKey.import_key(generate_rsa(public_exponent=65537, key_size=1024))


KEYS = {
    "rsa": RSAKey.import_key(generate_rsa(public_exponent=65537, key_size=2048)),
    "weak": weak_key(),
    "ec": ECKey.import_key(generate_private_key(SECP256R1())),
    "okp": OKPKey.import_key(Ed25519PrivateKey.generate()),
    "evil": RSAKey.import_key(generate_rsa(public_exponent=65537, key_size=2048)),
}
NAMES = {"RS256": "rsa", "PS256": "rsa", "ES256": "ec", "Ed25519": "okp"}
REGISTRY = jws.JWSRegistry(algorithms=[*NAMES, "HS256"], strict_check_header=False)


def jwk(name, **changes):
    return KEYS[name].as_dict(private=False) | {"kid": name, "use": "sig"} | changes


def token(algorithm="RS256", key=None, header=None, **changes):
    """Return a token as the issuer makes them."""
    key = key or NAMES[algorithm]
    said = {
        "iss": ISSUER,
        "sub": "ann",
        "aud": "shop",
        "exp": NOW + 300,
        "iat": NOW,
        "realm_access": {"roles": ["admin", "staff"]},
    }
    claims = {k: v for k, v in (said | changes).items() if v is not ...}
    head = {"alg": algorithm, "kid": key, "typ": "at+jwt"} | (header or {})
    head = {k: v for k, v in head.items() if v is not ...}
    return jws.serialize_compact(
        head, json.dumps(claims).encode(), KEYS[key], registry=REGISTRY
    ).encode()


@pytest.fixture
def issuer():
    with key_server() as served:
        served.publish(*(jwk(name) for name in ("rsa", "ec", "okp")))
        yield served


@pytest.fixture
def clock():
    return SimpleNamespace(now=float(NOW))


@pytest.fixture
def tokens(issuer, clock):
    return opened(issuer, clock)


def opened(issuer, clock, **changes):
    told = {
        "issuer": ISSUER,
        "jwks_uri": issuer.url,
        "audience": "shop",
        "algorithms": frozenset(NAMES),
    }
    fetch = Fetcher((), development=True)
    trusted = [ForeignIssuer(**(told | changes))]
    return ForeignTokens(trusted, fetch, clock=lambda: clock.now)


async def refused(tokens, what, code="identity.token_invalid"):
    found = await tokens.principal(what)
    assert isinstance(found, Denial), found
    assert found.code == code
    return found.private


@pytest.mark.parametrize("algorithm", NAMES)
async def test_a_token_of_a_trusted_issuer_names_a_person(tokens, algorithm):
    """By issuer and subject together: the same subject elsewhere is somebody else."""
    found = await tokens.principal(token(algorithm))
    assert found == Principal(f"{ISSUER}|ann", scopes=frozenset(), credential="token")
    assert tokens.is_theirs(token(algorithm))


@pytest.mark.parametrize(
    ("place", "said", "scopes"),
    [
        ("scope", {"scope": "openid orders:read"}, {"openid", "orders:read"}),
        ("scope", {"scope": ["orders:read"]}, {"orders:read"}),
        ("scope", {"scope": {"orders:read": 1}}, set()),
        ("scope", {}, set()),
        ("scp", {"scope": "orders:write", "scp": "orders:read"}, {"orders:read"}),
        ("", {"scope": "orders:read"}, None),
    ],
)
async def test_a_token_is_good_for_its_scopes(issuer, clock, place, said, scopes):
    """What another program was allowed to do there is not all that its user may."""
    found = await opened(issuer, clock, scopes=place).principal(token(**said))
    assert found.scopes == scopes


async def test_an_issuer_gives_roles_only_where_that_is_configured(issuer, clock):
    assert (await opened(issuer, clock).principal(token())).roles == frozenset()
    told = opened(issuer, clock, roles="realm_access.roles")
    assert (await told.principal(token())).roles == {"admin", "staff"}


@pytest.mark.parametrize(
    ("claims", "place", "roles"),
    [
        ({"r": ["a"]}, "r", {"a"}),
        ({"r": "a b"}, "r", {"a", "b"}),
        ({"https://x.example/r": ["a"]}, "https://x.example/r", {"a"}),
        ({"a": {"b": {"c": ["d"]}}}, "a.b.c", {"d"}),
        ({"r": ["a", 1, None, "", ["b"], "x" * 129]}, "r", {"a"}),
        ({"r": {"a": 1}}, "r", set()),
        ({"r": ["a"] * 65}, "r", set()),
        ({"r": True}, "r.s", set()),
        ({}, "r", set()),
        ({"": ["a"]}, "", set()),
    ],
)
def test_roles_are_texts_in_the_place_that_is_configured(claims, place, roles):
    assert names_in(claims, place) == roles


async def test_an_issuer_names_a_tenant_only_where_that_is_configured(issuer, clock):
    """Else whoever writes claims there could put their own people into any tenant."""
    said = token(org={"id": "acme"}, tenant="acme")
    assert (await opened(issuer, clock).principal(said)).tenant == ""
    told = opened(issuer, clock, tenant="org.id")
    assert (await told.principal(said)).tenant == "acme"


@pytest.mark.parametrize(
    ("claims", "place", "tenant"),
    [
        ({"t": "Acme.b_c:d-9"}, "t", "Acme.b_c:d-9"),
        ({"t": "x" * 64}, "t", "x" * 64),
        ({"t": "x" * 65}, "t", ""),
        ({"t": "acme\n"}, "t", ""),
        ({"t": "acmé"}, "t", ""),
        ({"t": "a b"}, "t", ""),
        ({"t": ""}, "t", ""),
        ({"t": ["acme"]}, "t", ""),
        ({"t": 7}, "t", ""),
        ({"t": {"id": "acme"}}, "t.id", "acme"),
        ({}, "t", ""),
        ({"": "acme"}, "", ""),
    ],
)
def test_a_tenant_is_one_text_in_the_place_that_is_configured(claims, place, tenant):
    assert tenant_in(claims, place) == tenant


CLAIMS = {
    "other issuer": {"iss": "https://evil.example"},
    "issuer with a slash": {"iss": ISSUER + "/"},
    "issuer missing": {"iss": ...},
    "issuer list": {"iss": [ISSUER]},
    "other audience": {"aud": "bank"},
    "audience missing": {"aud": ...},
    "audience number": {"aud": 1},
    "audience prefix": {"aud": "shopping"},
    "endless": {"exp": ...},
    "endless, by a number that is too large for any float": {"exp": 10**400},
    "exp far away": {"exp": NOW + 90_000},
    "exp text": {"exp": "9999999999"},
    "exp null": {"exp": None},
    "exp huge": {"exp": 10**30},
    "from the future": {"nbf": NOW + 31},
    "issued in the future": {"iat": NOW + 31},
    "nobody": {"sub": ""},
    "sub missing": {"sub": ...},
    "sub number": {"sub": 1},
    "sub long": {"sub": "a" * 256},
    "sub with a line": {"sub": "ann\nbob"},
    "bound to a key": {"cnf": {"jkt": "x"}},
    "ID token": {"nonce": "n"},
    "ID token of a hash": {"at_hash": "n"},
}


@pytest.mark.parametrize("changes", CLAIMS.values(), ids=CLAIMS)
async def test_what_a_trusted_issuer_has_not_made_for_us_is_refused(tokens, changes):
    await refused(tokens, token(**changes))


async def test_it_expires_also_where_it_is_remembered(tokens, clock):
    good = token()
    assert isinstance(await tokens.principal(good), Principal)
    clock.now = NOW + 330
    await refused(tokens, good, "identity.token_expired")


HEADERS = {
    "none": {"alg": "none"},
    "HS256": {"alg": "HS256"},
    "RS512": {"alg": "RS512"},
    "ES256 with an RSA key": {"alg": "ES256"},
    "crit": {"crit": ["bork"], "bork": 1},
    "jwk": {"jwk": {"kty": "RSA"}},
    "jku": {"jku": "https://evil.example"},
    "x5u": {"x5u": "https://evil.example"},
    "x5c": {"x5c": ["x"]},
    "zip": {"zip": "DEF"},
    "b64": {"b64": False},
    "typ JWT": {"typ": "JWT"},
    "typ missing": {"typ": None},
    "kid number": {"kid": 1},
    "kid unknown": {"kid": "another"},
    "kid long": {"kid": "k" * 300},
    "kid path": {"kid": "../../dev/null"},
    "long": {"x": "x" * 1100},
}


@pytest.mark.parametrize("changes", HEADERS.values(), ids=HEADERS)
async def test_a_header_decides_nothing(tokens, changes):
    head, payload, signature = token().split(b".")
    head = b64(json.loads(unb64(head)) | changes)
    await refused(tokens, b".".join([head, payload, signature]))
    await refused(tokens, b".".join([head, payload, b""]))


DEMANDS = ("crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc")


@pytest.mark.parametrize("name", DEMANDS)
async def test_what_a_header_demands_is_refused_under_a_good_signature(tokens, name):
    """What we do not do for a header we do not leave out either (CVE-2025-59420)."""
    payload = token().split(b".")[1]

    def signed(header):
        message = b64(header) + b"." + payload
        return message + b"." + b64(KEYS["okp"].private_key.sign(message))

    good = {"alg": "Ed25519", "kid": "okp", "typ": "at+jwt"}
    assert isinstance(await tokens.principal(signed(good)), Principal)
    said = await refused(tokens, signed(good | {name: None}))
    assert said == "its header brings a key, or demands something"


async def test_only_the_algorithms_of_its_issuer_count(issuer, clock):
    """A key that is there for something else, or for others, signs nothing for us."""
    strict = opened(issuer, clock, algorithms=frozenset({"ES256"}))
    assert isinstance(await strict.principal(token("ES256")), Principal)
    said = await refused(strict, token("RS256"))
    assert said == "it is signed by an algorithm that is not allowed"


async def test_the_keys_of_one_issuer_sign_nothing_for_another(issuer, clock):
    """Two are trusted, and the second one would like to be the first."""
    with key_server() as theirs:
        theirs.publish(jwk("evil", kid="rsa"))
        told = ("shop", frozenset(NAMES))
        trusted = [
            ForeignIssuer(ISSUER, issuer.url, *told),
            ForeignIssuer("https://second.example", theirs.url, *told),
        ]
        fetch = Fetcher((), development=True)
        tokens = ForeignTokens(trusted, fetch, clock=lambda: clock.now)
        own = token(key="evil", header={"kid": "rsa"}, iss="https://second.example")
        found = await tokens.principal(own)
        assert found.id == "https://second.example|ann"
        forged = token(key="evil", header={"kid": "rsa"})
        assert await refused(tokens, forged) == "the signature is wrong"


async def test_a_forged_signature_is_refused(tokens):
    forged = token(key="evil", header={"kid": "rsa"})
    assert await refused(tokens, forged) == "the signature is wrong"
    assert await refused(tokens, token()[:-4] + b"AAAA") == "the signature is wrong"
    assert await refused(tokens, token() + b"=") == "the signature is wrong"


async def test_a_key_that_the_token_brings_is_not_looked_at(tokens):
    """CVE-2026-27962: signed with the key in its own header."""
    own = KEYS["evil"].as_dict(private=False)
    for kid in ("rsa", "evil", ...):
        await refused(tokens, token(key="evil", header={"jwk": own, "kid": kid}))


async def test_the_public_key_is_no_secret(issuer, clock):
    """CVE-2024-37568: HS256 with the published key in every form. HS256 cannot be
    allowed, and if it were, such a key is none."""
    tokens = opened(issuer, clock)
    public = KEYS["rsa"].public_key
    forms = [
        public.public_bytes(*form)
        for form in (
            (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            (Encoding.PEM, PublicFormat.PKCS1),
            (Encoding.DER, PublicFormat.PKCS1),
            (Encoding.OpenSSH, PublicFormat.OpenSSH),
        )
    ]
    payload = token().split(b".")[1]
    for form in forms:
        head = b64({"alg": "HS256", "kid": "rsa", "typ": "at+jwt"})
        mac = b64(hmac.digest(form, head + b"." + payload, "sha256"))
        await refused(tokens, head + b"." + payload + b"." + mac)


async def test_an_issuer_that_does_not_say_so_may_be_configured(issuer, clock):
    lenient = opened(issuer, clock, type="JWT")
    for typ in ("JWT", "jwt", "at+jwt", ...):
        made = token(header={"typ": typ})
        assert isinstance(await lenient.principal(made), Principal)
    await refused(lenient, token(header={"typ": "dpop+jwt"}))
    await refused(lenient, token(nonce="n"))


# The keys.


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"alg": "PS256"},
        {"kty": "EC"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "secp521k1", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed448", "x": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"n": "!!!"},
        {"n": "_" * 6000},
        {"e": ""},
        {"n": ""},
        {"n": "AQAB"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kid": "renamed"},
    ],
)
async def test_a_key_for_something_else_verifies_nothing(issuer, clock, changes):
    issuer.publish(jwk("rsa", **changes), {"kty": "new"}, "text", None, 1)
    tokens = opened(issuer, clock)
    assert await refused(tokens, token()) == "its issuer has no such key"


async def test_a_weak_key_verifies_nothing(issuer, clock):
    """1024 bits (NIST SP 800-131A): factored by whoever wants to."""
    issuer.publish(jwk("weak"))
    tokens = opened(issuer, clock)
    assert await refused(tokens, token(key="weak")) == "its issuer has no such key"


async def test_a_private_key_that_was_published_is_used_as_a_public_one(issuer, clock):
    whole = KEYS["rsa"].as_dict(private=True) | {"kid": "rsa"}
    issuer.publish(whole)
    assert isinstance(await opened(issuer, clock).principal(token()), Principal)


async def test_unknown_names_lead_to_one_fetch_in_half_a_minute(tokens, issuer, clock):
    """CVE-2026-48524: a stranger makes up names, and each one would be a request."""
    assert isinstance(await tokens.principal(token()), Principal)
    assert issuer.asked == 1
    made_up = [token(header={"kid": f"k{number}"}) for number in range(50)]
    await asyncio.gather(*(tokens.principal(one) for one in made_up))
    assert issuer.asked == 1
    clock.now += ASKED_AGAIN
    await asyncio.gather(*(tokens.principal(one) for one in made_up))
    assert issuer.asked == 2


async def test_all_that_come_at_once_wait_for_one_fetch(tokens, issuer):
    made = [token(jti=str(number)) for number in range(50)]
    found = await asyncio.gather(*(tokens.principal(one) for one in made))
    assert all(isinstance(one, Principal) for one in found)
    assert issuer.asked == 1


async def test_a_new_key_is_found(tokens, issuer, clock):
    issuer.publish(jwk("ec"))
    await refused(tokens, token())
    issuer.publish(jwk("ec"), jwk("rsa"))
    clock.now += ASKED_AGAIN
    assert isinstance(await tokens.principal(token()), Principal)


async def test_a_key_that_was_taken_away_is_forgotten(tokens, issuer, clock):
    good = token(exp=NOW + 5000)
    assert isinstance(await tokens.principal(good), Principal)
    issuer.publish(jwk("ec"))
    clock.now += KEPT
    await refused(tokens, good)


BROKEN = {
    "500": (500, b"", {}),
    "404": (404, b"", {}),
    "redirect": (302, b"", {"location": "http://127.0.0.1:1/keys"}),
    "no JSON": (200, b"<html>", {}),
    "not UTF-8": (200, b"\xff", {}),
    "a list": (200, b"[]", {}),
    "no keys": (200, b"{}", {}),
    "keys as text": (200, b'{"keys":"x"}', {}),
    "too many keys": (200, b'{"keys":[' + b"{}," * 99 + b"{}]}", {}),
    "too large": (200, b'{"keys":[],"x":"' + b"x" * 300_000 + b'"}', {}),
    "deep": (200, b"[" * 100_000, {}),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_an_issuer_that_is_down_is_a_503_and_not_asked_each_time(
    issuer, clock, broken
):
    issuer.status, issuer.content, issuer.headers = broken
    tokens = opened(issuer, clock)
    for _ in range(20):
        await refused(tokens, token(), "identity.unavailable")
    assert issuer.asked == 1


async def test_known_keys_outlive_their_issuer_for_a_while(tokens, issuer, clock):
    """Nobody here is locked out since another service is down for a lunch."""
    assert isinstance(await tokens.principal(token()), Principal)
    issuer.status = 500
    for later in (KEPT, STALE - 1):
        clock.now = NOW + later
        fresh = token(exp=int(clock.now) + 300, iat=int(clock.now))
        assert isinstance(await tokens.principal(fresh), Principal)
    clock.now = NOW + STALE
    fresh = token(exp=int(clock.now) + 300, iat=int(clock.now))
    await refused(tokens, fresh, "identity.unavailable")


async def test_nobody_is_asked_for_what_is_not_theirs(tokens, issuer):
    """Neither an issuer that is not trusted nor an algorithm that is not allowed leads
    to a request."""
    await refused(tokens, token(iss="https://evil.example"))
    _, payload, signature = token().split(b".")
    none = b64({"alg": "none", "typ": "at+jwt"})
    await refused(tokens, b".".join([none, payload, signature]))
    await refused(tokens, b"x" * 10_000)
    assert issuer.asked == 0
    assert not tokens.is_theirs(token(iss="https://evil.example"))
    assert not tokens.is_theirs(b"x" * 10_000)
    assert not tokens.is_theirs(b"a.b.c")


@pytest.mark.parametrize(
    "made", [b"!.e30.", b"e30.!.", b"e30=.e30.", b"e30.e30.", b"a.b", b"a.b.c.d", b""]
)
async def test_what_is_no_token_is_refused(tokens, issuer, made):
    await refused(tokens, made)
    assert issuer.asked == 0


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("signature", [b"", b"AAAA", b64(bytes(64)), b64(bytes(256))])
async def test_a_signature_of_another_size_is_refused(tokens, algorithm, signature):
    message = token(algorithm).rpartition(b".")[0]
    said = await refused(tokens, message + b"." + signature)
    assert said == "the signature is wrong"


async def test_a_good_signature_is_remembered_for_five_minutes(tokens, issuer, clock):
    """And asked about anew then, so that a key that is gone stops being good."""
    good = token(exp=NOW + 3000)
    first = await tokens.principal(good)
    assert await tokens.principal(good) is first
    clock.now += BELIEVED
    assert await tokens.principal(good) is not first


async def test_memory_is_bounded(tokens, monkeypatch):
    monkeypatch.setattr(module, "_MOST_KEPT", 4)
    for number in range(12):
        made = token("Ed25519", jti=str(number))
        assert isinstance(await tokens.principal(made), Principal)
        assert len(tokens._known) <= 4


async def no_keys(*_, **__):
    raise FetchError("nobody is there")


UNREACHED = ForeignTokens(
    [ForeignIssuer(ISSUER, "https://login.example/k", "shop", frozenset(NAMES))],
    no_keys,
    clock=lambda: NOW,
)


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_nothing_raises(header, payload, signature):
    for made in (
        b".".join([b64(header), b64(payload), b64(signature)]),
        b".".join([header, payload, signature]),
        token("Ed25519").split(b".")[0] + b"." + b64(payload) + b".",
    ):
        UNREACHED.is_theirs(made)
        assert isinstance(asyncio.run(UNREACHED.principal(made)), Denial)


def test_base64_of_the_tests_is_that_of_the_standard_library():
    assert unb64(b64(b"ab")) == base64.urlsafe_b64decode(b"YWI=")
