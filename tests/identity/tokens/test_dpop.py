"""Proofs of the key that a token is bound to (RFC 9449)."""

import asyncio
import json

import pytest
from tests.identity.gatehouse import Clock, Keys
from tests.identity.tokens.forge import b64
from tests.identity.tokens.programs import Key, hmac_proof

from ringfence.errors import StoreError
from ringfence.exchange import Exchange
from ringfence.identity.tokens.dpop import Proof, ProofRefused, Proofs, at_the_counter
from ringfence.identity.tokens.nonces import Nonces
from ringfence.identity.tokens.proof_keys import ALGORITHMS
from ringfence.stores.memory_single_use import MemoryReplayStore

pytestmark = pytest.mark.anyio

SHOP = "https://shop.example"
HERE = f"{SHOP}/api/orders"
TOKEN = b"some.access.token"


class Checks:
    """Checks proofs at a fixed time."""

    def __init__(self, origins=(SHOP,), **options):
        self.clock = Clock(1_800_000_000.0)
        self.nonces = Nonces(lambda: (Keys().derive("nonce"),), self.clock)
        self.replays = MemoryReplayStore(self.clock)
        self.proofs = Proofs(
            self.replays, self.nonces, origins, clock=self.clock, **options
        )

    def proof(self, key, method="GET", url=HERE, **changes):
        return key.proof(method, url, self.clock(), TOKEN.decode(), **changes)

    def read(self, proof, exchange=None, token=TOKEN):
        exchange = exchange or request()
        if proof is not None:
            exchange.headers[b"dpop"] = proof.encode()
        return self.proofs.read(exchange, token)


def request(method="GET", path="/api/orders", *, kind="http", **said):
    scope = {"type": kind, "method": method, "path": path, "headers": []}
    scope |= {"raw_path": path.encode(), "query_string": b"q=1"} | said
    exchange = Exchange(scope, None)
    exchange.scheme, exchange.host = "https", "shop.example"
    return exchange


@pytest.fixture
def checks():
    return Checks()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_proof_that_fits_names_its_key(checks, algorithm):
    key = Key(algorithm)
    proof = checks.read(checks.proof(key))
    assert isinstance(proof, Proof), proof
    assert proof.key == key.thumbprint


def test_no_proof_is_none(checks):
    assert checks.read(None) is None


@pytest.mark.parametrize(
    ("private", "changes"),
    [
        ("made for another method", {"htm": "POST"}),
        ("made for another method", {"htm": "get"}),
        ("made for another address", {"htu": f"{SHOP}/api/orders/2"}),
        ("made for another address", {"htu": "https://evil.example/api/orders"}),
        ("made for another address", {"htu": "http://shop.example/api/orders"}),
        ("made for another address", {"htu": f"{SHOP}:8443/api/orders"}),
        ("made for another address", {"htu": "/api/orders"}),
        ("made for another address", {"htu": "https://[shop/api/orders"}),
        ("made for another address", {"htu": f"{SHOP}:x/api/orders"}),
        ("made for another address", {"htu": f"{SHOP}/api%2Forders"}),
        ("made for another token, or for none", {"ath": None}),
        ("made for another token, or for none", {"ath": "A" * 43}),
        ("made for another token, or for none", {"ath": "é"}),
        ("its claims are not as they must be", {"jti": None}),
        ("its claims are not as they must be", {"jti": ""}),
        ("its claims are not as they must be", {"jti": "x" * 257}),
        ("its claims are not as they must be", {"jti": 7}),
        ("its claims are not as they must be", {"htm": None}),
        ("its claims are not as they must be", {"htu": None}),
        ("its claims are not as they must be", {"iat": None}),
        ("its claims are not as they must be", {"iat": "1800000000"}),
        ("its claims are not as they must be", {"iat": True}),
    ],
)
def test_a_proof_of_something_else_is_refused(checks, private, changes):
    refused = checks.read(checks.proof(Key(), **changes))
    assert isinstance(refused, ProofRefused)
    assert (refused.status, refused.code) == (401, "identity.dpop_invalid")
    assert refused.private == private
    ((_, challenge),) = refused.headers
    assert challenge.startswith(b'DPoP realm="ringfence", error="invalid_dpop_proof"')


@pytest.mark.parametrize(
    "header",
    [
        {"typ": None},
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"alg": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": "ES384"},
        {"alg": "es256"},
        {"alg": "A" * 17},
        {"jwk": None},
        {"jwk": "text"},
        {"jwk": {}},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/keys"},
        {"x5c": ["MII"]},
        {"crit": ["b64"], "b64": False},
        {"zip": "DEF"},
    ],
)
def test_headers_that_say_something_else_are_refused(checks, header):
    """CVE-2025-59420, CVE-2026-27962 and their like."""
    proof = checks.proof(Key(), header=header.items())
    assert isinstance(checks.read(proof), ProofRefused)


def test_a_key_that_is_no_plain_public_key_is_refused(checks):
    key = Key()
    for wrong in (
        key.jwk | {"d": "AAAA"},
        key.jwk | {"k": "AAAA"},
        key.jwk | {"x": key.jwk["x"] + "="},
        key.jwk | {"x": key.jwk["x"][:-4]},
        key.jwk | {"x": b64(bytes(32)).decode(), "y": b64(bytes(32)).decode()},
        key.jwk | {"x": 7},
        key.jwk | {"x": "é" * 43},
        key.jwk | {"crv": "P-384"},
        key.jwk | {"kty": "OKP"},
        {"kty": "oct", "k": "AAAA"},
        {name: key.jwk[name] for name in ("kty", "crv", "x")},
    ):
        proof = checks.proof(key, header={"jwk": wrong}.items())
        assert isinstance(checks.read(proof), ProofRefused), wrong


def test_what_browsers_write_beside_a_key_is_no_matter(checks):
    key = Key()
    jwk = key.jwk | {"key_ops": ["verify"], "ext": True, "use": "sig", "alg": "ES256"}
    proof = checks.read(checks.proof(key, header={"jwk": jwk}.items()))
    assert proof.key == key.thumbprint


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_forged_signature_is_refused(checks, algorithm):
    key, thief = Key(algorithm), Key(algorithm)
    header = {"typ": "dpop+jwt", "alg": algorithm, "jwk": key.jwk}
    claims = {"jti": "1", "htm": "GET", "htu": HERE, "iat": int(checks.clock())}
    proof = thief.signed(header, claims)
    assert checks.read(proof, token=b"").private == "the signature is wrong"
    for mangled in (proof[:-4], proof.rpartition(".")[0] + ".", proof + "A"):
        assert isinstance(checks.read(mangled, token=b""), ProofRefused)


def test_a_public_key_is_no_secret(checks):
    """CVE-2024-37568's kind: HS256 keyed with what everybody can read."""
    key = Key()
    header = {"typ": "dpop+jwt", "alg": "HS256", "jwk": key.jwk}
    claims = {"jti": "1", "htm": "GET", "htu": HERE, "iat": int(checks.clock())}
    proof = hmac_proof(json.dumps(key.jwk).encode(), header, claims)
    assert isinstance(checks.read(proof, token=b""), ProofRefused)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a.b", "a.b.c.d", "é.é.é", "A" * 4097, "bnVsbA.bnVsbA.bnVsbA"],
)
def test_noise_is_refused(checks, text):
    exchange = request()
    exchange.headers[b"dpop"] = text.encode()
    assert isinstance(checks.proofs.read(exchange, TOKEN), ProofRefused)


def test_nesting_does_not_break_the_reader(checks):
    deep = b64(b'{"jwk":' + b"[" * 1500 + b"]" * 1500 + b"}")
    exchange = request()
    exchange.headers[b"dpop"] = deep + b".e30.AA"
    assert isinstance(checks.proofs.read(exchange, TOKEN), ProofRefused)


@pytest.mark.parametrize(
    ("path", "htu"),
    [
        ("/api/orders", "HTTPS://Shop.Example:443/api/orders"),
        ("/api/orders", f"{HERE}?q=2#part"),
        ("/a%7Eb/%c3%a9", f"{SHOP}/a~b/%C3%A9"),
        ("/", SHOP),
    ],
)
def test_spellings_of_one_address_are_one(checks, path, htu):
    proof = checks.proof(Key(), url=htu)
    assert isinstance(checks.read(proof, request(path=path)), Proof)


@pytest.mark.parametrize("path", ["/orders", "/api/orders"])
def test_behind_a_proxy_that_takes_the_prefix_away_it_is_the_whole_address(
    checks, path
):
    """Servers differ in whether they put it back."""
    proof = checks.proof(Key())
    found = checks.read(proof, request(path=path, root_path="/api"))
    assert isinstance(found, Proof)


def test_the_host_header_is_not_believed(checks):
    """Who forwards a proof made for their own site names that in the header."""
    exchange = request()
    exchange.host = "evil.example"
    proof = checks.proof(Key(), url="https://evil.example/api/orders")
    assert isinstance(checks.read(proof, exchange), ProofRefused)


def test_without_public_origins_it_is_where_the_request_came_in():
    checks = Checks(origins=())
    exchange = request()
    exchange.scheme, exchange.host = "http", "127.0.0.1:8000"
    proof = checks.proof(Key(), url="http://127.0.0.1:8000/api/orders")
    assert isinstance(checks.read(proof, exchange), Proof)
    assert isinstance(checks.read(checks.proof(Key())), Proof)
    other = checks.proof(Key(), url="http://127.0.0.1:9000/api/orders")
    assert isinstance(checks.read(other, exchange), ProofRefused)


def test_a_handshake_is_a_get(checks):
    exchange = request(kind="websocket", path="/feed")
    for scheme in ("wss", "https"):
        proof = checks.proof(Key(), url=f"{scheme}://shop.example/feed")
        assert isinstance(checks.read(proof, exchange), Proof)


@pytest.mark.parametrize(("age", "is_taken"), [(-11, 0), (-10, 1), (59, 1), (60, 0)])
def test_a_proof_lasts_a_minute(checks, age, is_taken):
    said = checks.read(checks.proof(Key(), iat=checks.clock() - age))
    assert isinstance(said, Proof) is bool(is_taken)
    if not is_taken:
        assert said.code == "identity.dpop_nonce_required"
        headers = dict(said.headers)
        assert b'error="use_dpop_nonce"' in headers[b"www-authenticate"]
        assert headers[b"dpop-nonce"] == checks.nonces.current()


def test_a_client_with_a_wrong_clock_is_helped_by_a_nonce(checks):
    nonce = checks.nonces.current().decode()
    said = checks.read(checks.proof(Key(), iat=3, nonce=nonce))
    assert isinstance(said, Proof)
    assert not said.is_stale


async def test_a_stale_nonce_is_taken_and_the_new_one_told(checks):
    nonce = checks.nonces.current().decode()
    checks.clock.now += 61
    exchange = request()
    proof = checks.read(checks.proof(Key(), nonce=nonce), exchange)
    assert await checks.proofs.take(proof, exchange) is None
    assert exchange.response_headers == [(b"dpop-nonce", checks.nonces.current())]


@pytest.mark.parametrize("nonce", ["x", "A" * 30, "é" * 30])
def test_a_nonce_of_somebody_else_is_refused(checks, nonce):
    said = checks.read(checks.proof(Key(), nonce=nonce))
    assert said.code == "identity.dpop_nonce_required"


def test_an_old_nonce_is_refused(checks):
    nonce = checks.nonces.current().decode()
    checks.clock.now += 300
    said = checks.read(checks.proof(Key(), nonce=nonce))
    assert said.code == "identity.dpop_nonce_required"


def test_where_a_nonce_is_needed_a_proof_made_ahead_is_worthless():
    """RFC 9449, section 11.2: code that ran in the client for a moment."""
    checks = Checks(nonce_needed=True)
    key = Key()
    assert checks.read(checks.proof(key)).code == "identity.dpop_nonce_required"
    nonce = checks.nonces.current().decode()
    assert isinstance(checks.read(checks.proof(key, nonce=nonce)), Proof)


async def test_a_proof_is_taken_once(checks):
    exchange = request()
    proof = checks.read(checks.proof(Key()), exchange)
    answers = await asyncio.gather(
        *(checks.proofs.take(proof, exchange) for _ in range(50))
    )
    assert answers.count(None) == 1
    assert {one.private for one in answers if one} == {"seen before"}


async def test_it_is_remembered_as_long_as_it_is_taken(checks):
    exchange, key = request(), Key()
    text = checks.proof(key, iat=checks.clock() + 10)
    assert await checks.proofs.take(checks.read(text), exchange) is None
    checks.clock.now += 69
    assert (await checks.proofs.take(checks.read(text), exchange)).private
    checks.clock.now += 1
    assert isinstance(checks.read(text), ProofRefused)


async def test_two_clients_may_choose_the_same_id(checks):
    for key in (Key(), Key()):
        proof = checks.read(checks.proof(key, jti="1"))
        assert await checks.proofs.take(proof, request()) is None


async def test_a_store_that_cannot_remember_lets_nobody_in(checks, monkeypatch):
    async def fails(*_):
        raise StoreError("down")

    monkeypatch.setattr(checks.replays, "first", fails)
    proof = checks.read(checks.proof(Key()))
    with pytest.raises(StoreError):
        await checks.proofs.take(proof, request())


def test_at_the_counter_it_is_a_bad_request(checks):
    refused = at_the_counter(checks.read(checks.proof(Key(), iat=0)))
    assert refused.status == 400
    assert [name for name, _ in refused.headers] == [b"dpop-nonce"]


def test_keys_are_kept_in_bounded_memory(checks):
    for number in range(1100):
        checks.proofs._known[b"%d" % number] = None
    checks.read(checks.proof(Key()))
    assert len(checks.proofs._known) == 1


# RFC 9449, figures 2 and 12: proofs that others have made.
AT_TOKEN = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik"
    "VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR"
    "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE"
    "QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj"
    "oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia"
    "WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg"
    "4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
AT_RESOURCE = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik"
    "VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR"
    "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE"
    "QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj"
    "oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z"
    "WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF"
    "c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E"
    "OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
THEIR_TOKEN = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
THEIR_KEY = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_the_examples_of_the_standard_are_read():
    checks = Checks(("https://server.example.com", "https://resource.example.org"))
    checks.clock.now = 1562262620.0
    proof = checks.read(AT_TOKEN, request("POST", "/token"), token=b"")
    assert isinstance(proof, Proof), proof
    assert proof.key == THEIR_KEY
    at_resource = request(path="/protectedresource")
    proof = checks.read(AT_RESOURCE, at_resource, token=THEIR_TOKEN)
    assert isinstance(proof, Proof), proof
    assert proof.key == THEIR_KEY
