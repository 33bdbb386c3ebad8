"""Whatever is wrong with a token, it is refused, and nothing else happens."""

import base64
import json
import time
import zlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import (
    generate_private_key as generate_rsa,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.identity.tokens.forge import (
    ISSUER,
    NOW,
    OTHER_SEED,
    SEED,
    Ring,
    b64,
    claims_of,
    issue,
    mac,
    opened,
    signed,
    unb64,
)

from ringfence.denial import Denial
from ringfence.identity.tokens.access_token import AccessTokens, Claims
from ringfence.identity.tokens.keys import _P256_ORDER
from ringfence.identity.tokens.verify import MOST_BYTES, SKEW

ALGORITHMS = ("EdDSA", "ES256", "HS256")

PARTS = {algorithm: opened(algorithm) for algorithm in ALGORITHMS}
EDDSA = PARTS["EdDSA"]
TOKEN = issue(EDDSA)
HEADER = json.loads(unb64(TOKEN.split(b".")[0]))
GOOD = claims_of(TOKEN)


@pytest.fixture(params=ALGORITHMS)
def parts(request):
    return opened(request.param)


def refused(token, parts=EDDSA):
    """Return why a token is refused, twice the same; it is remembered nowhere."""
    found = parts.verifier.known(token)
    assert isinstance(found, Denial), found
    assert (found.status, found.code) == (401, "identity.token_invalid")
    assert dict(found.headers)[b"www-authenticate"].startswith(b"Bearer ")
    assert parts.verifier.known(token) is found
    return found.private


def test_a_token_says_what_was_issued(parts):
    token = issue(parts, roles={"b", "a"}, factors={"totp", "password"}, key="thumb")
    found = parts.verifier.known(token)
    assert isinstance(found, Claims)
    assert found.iss == found.aud == ISSUER
    assert (found.sub, found.client_id, found.sid) == ("ann", "shop", "f" * 22)
    assert (found.iat, found.nbf, found.exp) == (NOW, NOW, NOW + 600)
    assert (found.auth_time, found.ver) == (NOW - 60, 3)
    assert (found.role, found.amr) == (("a", "b"), ("password", "totp"))
    assert found.cnf.jkt == "thumb"
    assert parts.verifier.check(found, NOW) is None
    assert json.loads(unb64(token.split(b".")[0]))["typ"] == "at+jwt"
    assert len(token) < 1000


def test_each_token_has_an_id_of_its_own(parts):
    assert len({parts.verifier.known(issue(parts)).jti for _ in range(64)}) == 64


# Time and audience, on every use.


@pytest.mark.parametrize(
    ("after", "code"),
    [
        (-SKEW - 1, "identity.token_invalid"),
        (-SKEW, None),
        (599.9, None),
        (600, "identity.token_expired"),
    ],
)
def test_a_token_is_good_from_its_time_to_its_end(after, code):
    claims = EDDSA.verifier.known(TOKEN)
    said = EDDSA.verifier.check(claims, NOW + after)
    assert (said.code if said else None) == code


def test_what_is_remembered_expires_like_everything_else():
    """Only that the signature is good is kept: a cache that kept the verdict would let
    a token live on."""
    parts = opened()
    token = issue(parts)
    for _ in range(3):
        assert parts.verifier.check(parts.verifier.known(token), NOW) is None
    late = parts.verifier.check(parts.verifier.known(token), NOW + 601)
    assert late.code == "identity.token_expired"


@pytest.mark.parametrize(
    ("aud", "is_good"),
    [
        (ISSUER, True),
        ([ISSUER], True),
        (["https://other.example", ISSUER], True),
        ("https://other.example", False),
        (ISSUER + "/", False),
        (ISSUER.upper(), False),
        (["https://other.example"], False),
        ([], False),
        ("", False),
        ("https://shop.exampl", False),
        (f"https://evil.example {ISSUER}", False),
    ],
)
def test_a_token_for_somebody_else_is_refused(aud, is_good):
    claims = EDDSA.verifier.known(signed(EDDSA, GOOD | {"aud": aud}))
    assert (EDDSA.verifier.check(claims, NOW) is None) is is_good


# The header: compared as a whole, never read.


HEADERS = {
    "none": {"alg": "none"},
    "None": {"alg": "None"},
    "nOnE": {"alg": "nOnE", "typ": "at+jwt"},
    "none with our kid": HEADER | {"alg": "none"},
    "empty alg": HEADER | {"alg": ""},
    "no alg": {"kid": HEADER["kid"], "typ": "at+jwt"},
    "alg null": HEADER | {"alg": None},
    "alg list": HEADER | {"alg": ["EdDSA"]},
    "HS256": HEADER | {"alg": "HS256"},
    "ES256": HEADER | {"alg": "ES256"},
    "RS256": HEADER | {"alg": "RS256"},
    "Ed25519": HEADER | {"alg": "Ed25519"},
    "alg in lower case": HEADER | {"alg": "eddsa"},
    "unknown kid": HEADER | {"kid": "another"},
    "no kid": {"alg": "EdDSA", "typ": "at+jwt"},
    "kid is a path": HEADER | {"kid": "../../../../dev/null"},
    "kid is SQL": HEADER | {"kid": "x' UNION SELECT 'secret"},
    "kid is a number": HEADER | {"kid": 0},
    "crit": HEADER | {"crit": ["exp"]},
    "crit unknown": HEADER | {"crit": ["bork"], "bork": True},
    "crit b64": HEADER | {"crit": ["b64"], "b64": False},
    "crit empty": HEADER | {"crit": []},
    "jku": HEADER | {"jku": "https://evil.example/jwks.json"},
    "x5u": HEADER | {"x5u": "https://evil.example/cert.pem"},
    "x5c": HEADER | {"x5c": ["MIIB"]},
    "zip": HEADER | {"zip": "DEF"},
    "cty": HEADER | {"cty": "JWT"},
    "typ JWT": HEADER | {"typ": "JWT"},
    "typ refresh": HEADER | {"typ": "rt+jwt"},
    "typ id token": {"alg": "EdDSA", "kid": HEADER["kid"]},
    "typ in upper case": HEADER | {"typ": "AT+JWT"},
    "typ dpop": HEADER | {"typ": "dpop+jwt"},
    "another order": dict(reversed(HEADER.items())),
    "extra": HEADER | {"x": 1},
    "deep": HEADER | {"x": [[[[[[[[]]]]]]]]},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_is_not_ours_is_of_no_key(header):
    """Even signed with our own key. It is not parsed: only its text counts, so that no
    word in it decides how it is verified (RFC 8725, sections 2.1 and 3.1)."""
    said = "its header is of none of our keys"
    ours = signed(EDDSA, GOOD, b64(header))
    assert refused(ours) == said
    unsigned = b".".join([b64(header), b64(GOOD), b""])
    assert refused(unsigned) == said
    stolen = b".".join([b64(header), *TOKEN.split(b".")[1:]])
    assert refused(stolen) == said


def test_a_name_that_comes_twice_in_the_header_decides_nothing():
    twice = b'{"alg":"none",' + json.dumps(HEADER).encode()[1:]
    assert refused(signed(EDDSA, GOOD, b64(twice))).startswith("its header")


def test_a_key_that_comes_with_the_token_is_no_key():
    """CVE-2026-27962, CVE-2018-0114: signed with the key in its own header."""
    evil = Ed25519PrivateKey.generate()
    raw = evil.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw).decode()}
    for header in (HEADER | {"jwk": jwk}, {"alg": "EdDSA", "jwk": jwk}, HEADER):
        message = b64(header) + b"." + b64(GOOD)
        refused(message + b"." + b64(evil.sign(message)))


def public_forms(key):
    """Return a public key in every form that a forger may take for the secret."""
    forms = [
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.OpenSSH, PublicFormat.OpenSSH),
    ]
    if hasattr(key, "curve"):
        forms += [
            (Encoding.X962, PublicFormat.UncompressedPoint),
            (Encoding.X962, PublicFormat.CompressedPoint),
        ]
    elif hasattr(key, "public_numbers"):
        forms += [
            (Encoding.PEM, PublicFormat.PKCS1),
            (Encoding.DER, PublicFormat.PKCS1),
        ]
    else:
        forms += [(Encoding.Raw, PublicFormat.Raw)]
    return [key.public_bytes(*form) for form in forms]


def our_public_key(parts):
    jwk = parts.keys.current().signing.public
    x = unb64(jwk["x"].encode())
    if jwk["kty"] == "OKP":
        return Ed25519PublicKey.from_public_bytes(x)
    point = b"\x04" + x + unb64(jwk["y"].encode())
    return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_our_public_key_is_no_secret_to_sign_with(algorithm):
    """CVE-2024-37568, CVE-2022-29217, CVE-2017-11424, CVE-2024-33663: everybody has the
    public key, in many forms; as the secret of HS256 it signs nothing here."""
    parts = PARTS[algorithm]
    header = json.loads(unb64(issue(parts).split(b".")[0]))
    forms = public_forms(our_public_key(parts))
    forms += [form.rstrip(b"\n") for form in forms]
    forms += [json.dumps(parts.keys.current().signing.public).encode(), b""]
    for form in forms:
        for said in (header | {"alg": "HS256"}, {"alg": "HS256", "typ": "at+jwt"}):
            refused(mac(form, said, GOOD), parts)
        # With the very header of ours, the bytes of a MAC are no signature.
        refused(mac(form, header, GOOD), parts)


def test_keys_of_other_kinds_in_pkcs1_are_no_secret_either():
    """Where HS256 is what we sign with, our secret is no public key of anybody."""
    parts = PARTS["HS256"]
    header = json.loads(unb64(issue(parts).split(b".")[0]))
    rsa = generate_rsa(public_exponent=65537, key_size=1024)
    ec = generate_private_key(SECP256R1())
    for form in public_forms(rsa.public_key()) + public_forms(ec.public_key()):
        assert refused(mac(form, header, GOOD), parts) == "the signature is wrong"
    assert refused(mac(b"", header, GOOD), parts) == "the signature is wrong"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("other", ALGORITHMS)
def test_a_token_of_one_algorithm_is_none_of_another(algorithm, other):
    if algorithm != other:
        refused(issue(PARTS[algorithm]), PARTS[other])


def test_a_token_of_other_keys_is_refused(parts):
    elsewhere = opened(parts.keys._purpose.rpartition(".")[2], ring=Ring(OTHER_SEED))
    assert refused(issue(elsewhere), parts) == "its header is of none of our keys"


# The shape.


SHAPES = {
    "empty": b"",
    "dots": b"..",
    "one segment": b"abc",
    "two segments": b"abc.def",
    "four segments": TOKEN + b".",
    "five segments (JWE)": b"eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aaaa.aaaa.aaaa",
    "many dots": b"." * 4096,
    "blank before": b" " + TOKEN,
    "blank after": TOKEN + b" ",
    "line end": TOKEN + b"\n",
    "NUL": TOKEN + b"\0",
    "JSON": json.dumps({"payload": "", "signatures": []}).encode(),
    "not ASCII": TOKEN[:-1] + "é".encode(),
    "not UTF-8": b"\xff\xfe" + TOKEN,
    "twice": TOKEN + TOKEN,
    "scheme": b"Bearer " + TOKEN,
    "no signature": TOKEN.rpartition(b".")[0] + b".",
    "no claims": TOKEN.split(b".")[0] + b".." + TOKEN.split(b".")[2],
    "no header": b"." + TOKEN.partition(b".")[2],
}


@pytest.mark.parametrize("token", SHAPES.values(), ids=SHAPES)
def test_what_is_no_token_is_refused(token):
    refused(token)


def test_a_long_token_is_refused_before_anything_is_done_with_it():
    """CVE-2025-61920: a megabyte is not decoded, hashed or searched for dots."""
    huge = TOKEN + b"A" * 1_000_000
    dotted = b"." * 1_000_000
    before = time.perf_counter()
    for _ in range(1000):
        assert EDDSA.verifier.known(huge).private == "longer than 4096 bytes"
        assert EDDSA.verifier.known(dotted).private == "longer than 4096 bytes"
    assert time.perf_counter() - before < 0.5
    assert refused(b"A" * (MOST_BYTES + 1)) == "longer than 4096 bytes"
    assert refused(b"A" * MOST_BYTES) == "not three segments"


def test_what_is_compressed_is_never_unpacked():
    """CVE-2024-33664, CVE-2026-39373: 100 MB in a few hundred bytes, as a JWE, and
    signed by ourselves."""
    bomb = zlib.compress(b" " * 100_000_000)[:2500]
    header = {"alg": "dir", "enc": "A256GCM", "zip": "DEF"}
    refused(b".".join([b64(header), b"", b64(b"i" * 12), b64(bomb), b64(b"t" * 16)]))
    assert refused(signed(EDDSA, bomb)).startswith("signed, but")


def test_a_token_in_a_token_is_no_token():
    """Nested: what was signed is a token, which nobody looks into."""
    inner = json.dumps(TOKEN.decode()).encode()
    assert refused(signed(EDDSA, inner)).startswith("signed, but")
    assert refused(signed(EDDSA, TOKEN)).startswith("signed, but")


# One spelling.


def test_a_token_has_one_spelling(parts):
    """Of the last character of a signature some bits count for nothing: a decoder that
    takes any would give a token other names, under which nobody has revoked it."""
    token = issue(parts)
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    good = [
        last
        for last in alphabet
        if isinstance(parts.verifier.known(token[:-1] + bytes([last])), Claims)
    ]
    assert good == [token[-1]]


@pytest.mark.parametrize(
    "respell",
    [
        lambda token: token + b"=",
        lambda token: token + b"==",
        lambda token: token[:-1],
        lambda token: token + b"A",
        lambda token: token[:-4] + b"\n" + token[-4:],
        lambda token: token[:-4] + b" " + token[-4:],
        lambda token: token[:-4] + b"!" + token[-4:],
        lambda token: token.replace(b"-", b"+").replace(b"_", b"/"),
        lambda token: token.replace(b".", b"=."),
        lambda token: token.replace(b".", b"\n."),
        lambda token: token.swapcase(),
    ],
)
def test_another_spelling_is_another_token(parts, respell):
    token = issue(parts)
    while not {45, 95} & set(token.rpartition(b".")[2]):
        token = issue(parts)
    refused(respell(token), parts)


def test_the_other_signature_of_es256_is_refused():
    """Of (r, s) and (r, -s) both verify. We write the lower s, and read no other."""
    parts = PARTS["ES256"]
    for _ in range(16):
        message, _, segment = issue(parts).rpartition(b".")
        raw = unb64(segment)
        s = int.from_bytes(raw[32:], "big")
        assert s <= _P256_ORDER // 2
        other = b64(raw[:32] + (_P256_ORDER - s).to_bytes(32, "big"))
        assert refused(message + b"." + other, parts) == "the signature is wrong"


ZERO, ORDER = bytes(32), _P256_ORDER.to_bytes(32, "big")


@pytest.mark.parametrize(
    "signature",
    [
        ZERO + ZERO,  # CVE-2022-21449, "psychic signatures"
        ORDER + ORDER,
        ZERO + ORDER,
        b"\x01" * 32 + ZERO,
        ZERO + b"\x01" * 32,
        b"\xff" * 64,
        b"",
        b"\0",
        b"\x01" * 63,
        b"\x01" * 65,
        b"0\x06\x02\x01\x01\x02\x01\x01",  # DER
    ],
)
def test_a_signature_that_is_none_is_refused(parts, signature):
    message = issue(parts).rpartition(b".")[0]
    assert refused(message + b"." + b64(signature), parts) == "the signature is wrong"


def test_the_other_s_of_ed25519_is_refused():
    """S plus the order of the group would be a second spelling (RFC 8032, 5.1.7)."""
    order = 2**252 + 27742317777372353535851937790883648493
    message, _, segment = TOKEN.rpartition(b".")
    raw = unb64(segment)
    more = int.from_bytes(raw[32:], "little") + order
    refused(message + b"." + b64(raw[:32] + more.to_bytes(32, "little")))


# The claims, even under a signature of our own.


def without(name):
    return {key: value for key, value in GOOD.items() if key != name}


def with_text(name, text):
    """Return the claims with something that Python would not write."""
    return json.dumps(GOOD | {name: "@"}).replace('"@"', text).encode()


CLAIMS = {
    **{f"no {name}": without(name) for name in GOOD},
    "list": [],
    "null": None,
    "text": "x",
    "number": 1,
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"sub":"\xff"}',
    "two values": json.dumps(GOOD).encode() * 2,
    "BOM": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "deep": b"[" * 2000 + b"]" * 2000,
    "exp text": GOOD | {"exp": str(GOOD["exp"])},
    "exp null": GOOD | {"exp": None},
    "exp true": GOOD | {"exp": True},
    "exp fraction": GOOD | {"exp": NOW + 0.5},
    "exp NaN": with_text("exp", "NaN"),
    "exp Infinity": with_text("exp", "Infinity"),
    "exp 1e400": with_text("exp", "1e400"),
    "exp 1e9": with_text("exp", "1e9"),
    "exp huge": with_text("exp", "9" * 400),
    "exp 2**64": GOOD | {"exp": 2**64},
    "exp list": GOOD | {"exp": [GOOD["exp"]]},
    "exp negative": GOOD | {"exp": -1},
    "exp too far": GOOD | {"exp": NOW + 901},
    "endless": GOOD | {"exp": 2**53 - 1},
    "exp before iat": GOOD | {"exp": NOW},
    "nbf before iat": GOOD | {"nbf": NOW - 1},
    "nbf after exp": GOOD | {"nbf": NOW + 600},
    "iat 0": GOOD | {"iat": 0, "nbf": 0, "exp": 600},
    "iat text": GOOD | {"iat": "0"},
    "iss other": GOOD | {"iss": "https://evil.example"},
    "iss longer": GOOD | {"iss": ISSUER + "/"},
    "iss list": GOOD | {"iss": [ISSUER]},
    "sub number": GOOD | {"sub": 7},
    "sub null": GOOD | {"sub": None},
    "role text": GOOD | {"role": "admin"},
    "role of numbers": GOOD | {"role": [1]},
    "aud number": GOOD | {"aud": 1},
    "aud of numbers": GOOD | {"aud": [1]},
    "ver text": GOOD | {"ver": "3"},
    "ver huge": GOOD | {"ver": 2**63},
    "cnf text": GOOD | {"cnf": "thumb"},
    "cnf other": GOOD | {"cnf": {"jkt": "a", "x5t#S256": "b"}},
    "cnf empty": GOOD | {"cnf": {}},
    "sub twice": b'{"sub":"eve",' + json.dumps(GOOD).encode()[1:],
    "sub twice at the end": json.dumps(GOOD).encode()[:-1] + b',"sub":"eve"}',
    "sub twice, escaped": b'{"s\\u0075b":"eve",' + json.dumps(GOOD).encode()[1:],
    "extra NaN": with_text("extra", "NaN"),
    "extra twice": json.dumps(GOOD).encode()[:-1] + b',"x":1,"x":2}',
    "extra huge": with_text("extra", "9" * 5000)[:3000],
    "extra beyond 2**53": GOOD | {"extra": 2**60},
}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_claims_that_we_would_not_write_are_refused(claims):
    """Our key in other hands, or a mistake of our own, gets no further."""
    assert not refused(signed(EDDSA, claims)).startswith("its header")


@pytest.mark.parametrize("payload", [b"", b"!", b"e30=", b"e31", b"A", b"e 30"])
def test_signed_text_that_is_no_base64url_is_refused(payload):
    key = EDDSA.keys.current().signing
    message = key.header + b"." + payload
    said = refused(message + b"." + key.sign(message))
    assert said.startswith("signed, but")


def test_depth_raises_nothing():
    """How deep is too deep differs between versions of Python; neither is an error."""
    deep = with_text("extra", "[" * 1300 + "]" * 1300)
    assert isinstance(EDDSA.verifier.known(signed(EDDSA, deep)), Denial | Claims)


def test_a_key_in_other_hands_cannot_write_claims_that_mean_two_things(parts):
    twice = b'{"role":["admin"],' + json.dumps(GOOD).encode()[1:]
    assert refused(signed(parts, twice), parts).startswith("signed, but")


def test_another_version_may_say_more():
    """While a service is updated, one process writes what another does not know."""
    said = EDDSA.verifier.known(signed(EDDSA, GOOD | {"later": {"x": [1, "a"]}}))
    assert said == EDDSA.verifier.known(TOKEN)


@pytest.mark.parametrize("lifetime", [0, -1, 1, 299, 901, 86_400, 10**9])
def test_there_is_no_endless_token(lifetime):
    """CVE-less, but common: a lifetime of None, of 0, of a year."""
    with pytest.raises(ValueError, match="300 to 900"):
        AccessTokens(
            EDDSA.keys,
            issuer=ISSUER,
            audience=ISSUER,
            lifetime=lifetime,
            clock=lambda: NOW,
        )


# What is remembered.


def test_memory_is_bounded_and_keeps_what_is_used():
    parts = opened("HS256", most=8)
    used = issue(parts)
    first = parts.verifier.known(used)
    for _ in range(64):
        parts.verifier.known(issue(parts))
        assert parts.verifier.known(used) is first  # the very object: remembered
        kept = parts.verifier._young | parts.verifier._old
        assert len(kept) <= 8
    assert all(len(name) == 32 for name in kept)  # hashes, and no token


def test_forged_tokens_push_nothing_out():
    parts = opened("HS256", most=4)
    used = issue(parts)
    first = parts.verifier.known(used)
    for number in range(100):
        refused(used[:-3] + b"%03d" % number, parts)
    assert parts.verifier.known(used) is first
    assert len(parts.verifier._young | parts.verifier._old) == 1


# Rotation.


def test_tokens_outlive_a_rotation_and_not_the_end_of_their_key(parts):
    old = issue(parts)
    assert isinstance(parts.verifier.known(old), Claims)
    parts.ring.seeds = (SEED, OTHER_SEED)  # added, does not sign yet
    assert isinstance(parts.verifier.known(old), Claims)
    parts.ring.seeds = (OTHER_SEED, SEED)  # signs
    new = issue(parts)
    assert new.split(b".")[0] != old.split(b".")[0]
    assert isinstance(parts.verifier.known(old), Claims)
    assert isinstance(parts.verifier.known(new), Claims)
    parts.ring.seeds = (OTHER_SEED,)  # retired: what was remembered is forgotten
    assert refused(old, parts) == "its header is of none of our keys"
    assert isinstance(parts.verifier.known(new), Claims)


# Anything at all.


@given(st.binary(max_size=200))
def test_no_bytes_raise(token):
    for parts in PARTS.values():
        assert isinstance(parts.verifier.known(token), Denial)


@given(st.data())
def test_no_change_of_a_good_token_passes_or_raises(data):
    parts = data.draw(st.sampled_from(list(PARTS.values())))
    token = issue(parts)
    place = data.draw(st.integers(0, len(token) - 1))
    piece = data.draw(st.binary(max_size=3))
    changed = token[:place] + piece + token[place + len(piece) :]
    found = parts.verifier.known(changed)
    assert isinstance(found, Denial) or changed == token


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*GOOD]) | st.text(max_size=5), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from([*GOOD, "cnf", "new"]))
def test_no_claims_raise(value, name):
    """Whatever is signed with our own key."""
    for said in (value, GOOD | {name: value}):
        found = EDDSA.verifier.known(signed(EDDSA, said))
        if isinstance(found, Claims):
            EDDSA.verifier.check(found, NOW)


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_no_three_segments_raise(header, payload, signature):
    token = b".".join([b64(header), b64(payload), b64(signature)])
    refused(token)
    refused(b".".join([TOKEN.split(b".")[0], b64(payload), b64(signature)]))


def test_the_standard_library_reads_what_we_write():
    for text in (TOKEN.split(b".")[0], TOKEN.split(b".")[1]):
        padded = text + b"=" * (-len(text) % 4)
        json.loads(base64.urlsafe_b64decode(padded))
