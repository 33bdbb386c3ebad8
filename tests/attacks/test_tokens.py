"""Tokens that Mallory makes herself (guide: "JSON Web Token Cheat Sheet"; CWE-347,
CWE-345, CWE-598).

She has an account and its tokens, and everybody's public key; she wants to be the
administrator. The careless backend verifies tokens as many tutorials do: by what the
token says of itself.
"""

import base64
import hashlib
import hmac
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.serving import NO_TLS, served

from ringfence import Guard, Settings, access, current
from ringfence.identity.tokens.keys import TokenKeys
from ringfence.secrets.keyring import Keyring

MALLORY = {"email": "mallory@example.com", "password": "correct horse battery"}
ISSUER = "http://localhost"  # what development calls itself
PUBLIC = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def b64(value):
    if not isinstance(value, bytes):
        value = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def token_of(header, claims, sign=lambda message: b""):
    message = f"{b64(header)}.{b64(claims)}"
    return f"{message}.{b64(sign(message.encode()))}"


def public_key(jwk):
    return Ed25519PublicKey.from_public_bytes(unb64(jwk["x"]))


def trusting(public):
    """Return the usual verifier: the header decides how, and with what."""

    def verify(token):
        head, payload, signature = token.split(".")
        header, message = json.loads(unb64(head)), f"{head}.{payload}".encode()
        key = public_key(header["jwk"]) if "jwk" in header else public
        if header["alg"] == "HS256":
            secret = key.public_bytes(*PUBLIC)
            expected = hmac.digest(secret, message, "sha256")
            if not hmac.compare_digest(expected, unb64(signature)):
                return None
        elif header["alg"] != "none":
            try:
                key.verify(unb64(signature), message)
            except InvalidSignature:
                return None
        return json.loads(unb64(payload))

    return verify


def careless(port):
    """A backend that hands out tokens and verifies them so."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    verify = trusting(public)
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)

    async def sign_in(request):
        claims = {"sub": "mallory", "role": ["customer"], "exp": time.time() + 600}
        claims |= {"aud": (await request.json()).get("aud", ISSUER)}
        header = {"alg": "EdDSA", "typ": "at+jwt"}
        return JSONResponse({"access_token": token_of(header, claims, private.sign)})

    async def keys(request):
        return JSONResponse({"keys": [{"kty": "OKP", "x": b64(raw)}]})

    def for_role(role):
        async def endpoint(request):
            shown = request.headers.get("authorization", "").removeprefix("Bearer ")
            claims = verify(shown or request.query_params.get("access_token", ".."))
            is_allowed = claims and (not role or role in claims["role"])
            return JSONResponse({}, 200 if is_allowed else 403)

        return endpoint

    return Starlette(
        routes=[
            Route("/auth/token", sign_in, methods=["POST"]),
            Route("/.well-known/jwks.json", keys),
            Route("/me", for_role("")),
            Route("/admin", for_role("admin")),
        ]
    )


def careful(folder):
    """The same behind a guard."""

    def make(port):
        async def answer(request: Request) -> JSONResponse:
            return JSONResponse({"id": current.principal().id})

        api = Starlette(
            routes=[
                *access.routes([Route("/me", answer)], access.signed_in),
                *access.routes([Route("/admin", answer)], access.role("admin")),
            ]
        )
        settings = Settings.load(
            environ={}, env="development", data=folder, tokens={"enabled": True}
        )
        return Guard(api, settings)

    return make


@dataclass(frozen=True)
class Side:
    """One of the two backends."""

    client: httpx2.Client
    data: object = None

    def token(self):
        answer = self.client.post("/auth/token", json=MALLORY)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def jwk(self):
        return self.client.get("/.well-known/jwks.json").json()["keys"][0]

    def status(self, path, token):
        headers = {"authorization": f"Bearer {token}"}
        return self.client.get(path, headers=headers).status_code

    def opens(self, token):
        """Return whether the administrator's door opens."""
        status = self.status("/admin", token)
        assert status in {200, 401, 403}
        return status == 200


@contextmanager
def side_of(make, data=None):
    with (
        served(make) as server,
        httpx2.Client(base_url=server.url, verify=NO_TLS, timeout=60) as client,
    ):
        yield Side(client, data)


@pytest.fixture(scope="module")
def off():
    with side_of(careless) as side:
        yield side


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    folder = tmp_path_factory.mktemp("on")
    with side_of(careful(folder), folder) as side:
        answer = side.client.post("/auth/register", json=MALLORY)
        assert answer.status_code < 300, answer.text
        side.client.cookies.clear()
        yield side


def promoted(token):
    """Return header and claims of a token, and the role that is wanted in them."""
    header, claims, _ = token.split(".")
    return json.loads(unb64(header)), json.loads(unb64(claims)) | {"role": ["admin"]}


def test_an_honest_token_is_taken(off, on):
    for side in (off, on):
        token = side.token()
        assert side.status("/me", token) == 200
        assert not side.opens(token)
        content, _, signature = token.rpartition(".")
        assert side.status("/me", f"{content}.{signature[::-1]}") in {401, 403}


@pytest.mark.parametrize("name", ["none", "None", "NONE"])
def test_a_token_that_says_it_needs_no_signature(off, on, name):
    for side in (off, on):
        header, claims = promoted(side.token())
        forged = token_of(header | {"alg": name}, claims)
        if side is off and name != "none":
            continue  # not even the careless one knows these
        assert side.opens(forged) is (side is off)


def test_the_public_key_as_a_secret(off, on):
    """CVE-2022-29217, CVE-2024-37568: HS256, with the key that everybody can fetch."""
    for side in (off, on):
        secret = public_key(side.jwk()).public_bytes(*PUBLIC)
        header, claims = promoted(side.token())

        def sign(message, secret=secret):
            return hmac.new(secret, message, hashlib.sha256).digest()

        forged = token_of(header | {"alg": "HS256"}, claims, sign)
        assert side.opens(forged) is (side is off)


def test_a_key_of_ones_own_in_the_token(off, on):
    """CVE-2026-27962: whoever believes it believes anybody."""
    own = Ed25519PrivateKey.generate()
    raw = own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
    for side in (off, on):
        header, claims = promoted(side.token())
        forged = token_of(header | {"jwk": jwk}, claims, own.sign)
        assert side.opens(forged) is (side is off)


def test_a_token_for_another_service(off, on):
    """One key signs for many services: what the newsletter is told opens no door of the
    bank."""
    theirs = off.client.post("/auth/token", json={"aud": "newsletter"}).json()
    assert off.status("/me", theirs["access_token"]) == 200
    ring = Keyring(on.data / "keys.json", create=False)
    ring.open()
    key = TokenKeys(ring.derive_all, "EdDSA").current().signing
    _, claims, _ = on.token().split(".")

    def signed(aud):
        said = json.loads(unb64(claims)) | {"aud": aud}
        message = key.header + b"." + b64(said).encode()
        return (message + b"." + key.sign(message)).decode()

    assert on.status("/me", signed(ISSUER)) == 200
    assert on.status("/me", signed("newsletter")) == 401


def test_a_token_in_the_address(off, on):
    """CWE-598: addresses stand in logs, histories and Referer headers."""
    for side in (off, on):
        path = f"/me?access_token={side.token()}"
        opened = side.client.get(path).status_code == 200
        assert opened is (side is off)


def test_a_token_without_an_end(off, on):
    """Mallory keeps what she has copied from a log a day ago."""
    for side in (off, on):
        claims = promoted(side.token())[1]
        assert claims["exp"] - time.time() <= 900
    old = {"sub": "mallory", "role": ["admin"], "exp": 1}
    assert off.opens(token_of({"alg": "none"}, old))  # nobody looks at it
    ring = Keyring(on.data / "keys.json", create=False)
    ring.open()
    key = TokenKeys(ring.derive_all, "EdDSA").current().signing
    claims = promoted(on.token())[1]
    for change in ({"exp": claims["exp"] + 86_400}, {"exp": None}, {"exp": 1}):
        message = key.header + b"." + b64(claims | change).encode()
        assert not on.opens((message + b"." + key.sign(message)).decode())
