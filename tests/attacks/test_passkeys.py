"""Passkeys that are phished, replayed, copied, found and swapped (guide: "Multi-Factor
Authentication"; WebAuthn Level 3, section 13; CWE-287, CWE-294, CWE-346, CWE-352).

The bare side checks what a passkey is about, the signature, and believes the rest.
"""

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from secrets import token_bytes, token_urlsafe

import cbor2
import httpx2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.ledgers import settled
from tests.attacks.serving import NO_TLS, RAISED, served
from tests.identity.passkeys.authenticator import UP, Authenticator, raw, text

from ringfence import Guard, Settings, access

PASSWORD = "correct horse battery"
_people = (f"person-{n}@example.com" for n in count())


async def me(request):
    return JSONResponse({"signed": "in"})


@dataclass(frozen=True)
class Side:
    """One of the two backends, which have the same addresses."""

    url: str
    data: object = None

    @contextmanager
    def browser(self):
        headers = {"origin": self.url}
        with httpx2.Client(
            base_url=self.url, headers=headers, timeout=60, verify=NO_TLS
        ) as client:
            yield client

    def somebody(self):
        """Make an account with a passkey."""
        person = {"email": next(_people), "password": PASSWORD}
        key = Authenticator(origin=self.url)
        with self.browser() as client:
            client.post("/auth/register", json=person)
            client.post("/auth/login", json=person)
            options = client.post("/auth/passkeys/register/options", json={}).json()
            credential = {"credential": key.create(options)}
            made = client.post("/auth/passkeys/register", json=credential)
            assert made.status_code == 201
        return key

    def begins(self, client):
        return client.post("/auth/passkeys/login/options", json={}).json()

    def enters(self, client, assertion):
        """Return whether this signs somebody in."""
        client.post("/auth/passkeys/login", json={"credential": assertion})
        return client.get("/me").status_code == 200

    def ledger(self, name):
        with self.browser() as client:
            events = settled(self.data, client)
        return [event for event in events if event["event"] == name]


class Careless:
    """A backend that verifies signatures, and nothing around them."""

    def __init__(self, port):
        self.keys, self.sessions = {}, {}
        posts = {
            "/auth/register": self.register,
            "/auth/login": self.register,
            "/auth/passkeys/register/options": self.options,
            "/auth/passkeys/register": self.make,
            "/auth/passkeys/login/options": self.options,
            "/auth/passkeys/login": self.login,
        }
        self.app = Starlette(
            routes=[
                Route("/me", self.me),
                *(Route(path, post, methods=["POST"]) for path, post in posts.items()),
            ]
        )

    async def register(self, request):
        answer = JSONResponse({}, 202)
        answer.set_cookie("account", (await request.json())["email"])
        return answer

    async def options(self, request):
        return JSONResponse(
            {
                "challenge": text(token_bytes(32)),
                "rp": {"id": "localhost"},
                "rpId": "localhost",
                "user": {"id": text(request.cookies.get("account", "").encode())},
            }
        )

    async def make(self, request):
        response = (await request.json())["credential"]["response"]
        data = cbor2.loads(raw(response["attestationObject"]))["authData"]
        size = int.from_bytes(data[53:55], "big")
        point = cbor2.loads(data[55 + size :])
        curve = ec.SECP256R1()
        x, y = (int.from_bytes(point[label], "big") for label in (-2, -3))
        numbers = ec.EllipticCurvePublicNumbers(x, y, curve)
        self.keys[data[55 : 55 + size]] = numbers.public_key()
        return JSONResponse({}, 201)

    async def login(self, request):
        credential = (await request.json())["credential"]
        response = {name: raw(said) for name, said in credential["response"].items()}
        signed = (
            response["authenticatorData"] + sha256(response["clientDataJSON"]).digest()
        )
        try:
            self.keys[raw(credential["id"])].verify(
                response["signature"], signed, ec.ECDSA(hashes.SHA256())
            )
        except (KeyError, InvalidSignature):
            return JSONResponse({}, 401)
        token = token_urlsafe(32)
        self.sessions[token] = response["userHandle"].decode()  # whose it says it is
        answer = JSONResponse({})
        answer.set_cookie("session", token, httponly=True)
        return answer

    async def me(self, request):
        owner = self.sessions.get(request.cookies.get("session"))
        if owner is None:
            return JSONResponse({}, 401)
        return JSONResponse({"account": owner})


@pytest.fixture(scope="module")
def off():
    with served(lambda port: Careless(port).app) as server:
        yield Side(server.other_site)


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    data = tmp_path_factory.mktemp("passkeys")

    def make(port):
        api = Starlette(routes=access.routes([Route("/me", me)], access.signed_in))
        return Guard(api, Settings.load(environ=RAISED, env="development", data=data))

    with served(make) as server:
        yield Side(server.other_site, data)


def test_the_owner_signs_in(off, on):
    """With nothing but the passkey, as often as she likes."""
    for side in (off, on):
        key = side.somebody()
        for _ in range(3):
            with side.browser() as hers:
                assert side.enters(hers, key.get(side.begins(hers)))


def test_a_page_of_mallory_gets_nothing_that_is_good_here(off, on):
    """She passes the challenge on to a page of hers (phishing, real-time relay). What
    comes back says where it was made."""
    for side, works in ((off, True), (on, False)):
        key = side.somebody()
        with side.browser() as mallory:
            options = side.begins(mallory)
            for lure in ("https://localhost.evil.example", side.url + "1"):
                phished = replace(key, origin=lure).get(options)
                assert side.enters(mallory, phished) is works


def test_a_page_around_the_page_gets_nothing(off, on):
    """The sign-in stands in an invisible frame on her page (clickjacking, CWE-1021)."""
    for side, works in ((off, True), (on, False)):
        key = side.somebody()
        with side.browser() as hers:
            framed = replace(key, client={"crossOrigin": True})
            assert side.enters(hers, framed.get(side.begins(hers))) is works


def test_an_assertion_that_was_caught_is_worth_nothing(off, on):
    """Neither again nor elsewhere (CWE-294)."""
    for side, works in ((off, True), (on, False)):
        key = side.somebody()
        with side.browser() as hers, side.browser() as mallory:
            side.begins(mallory)
            caught = key.get(side.begins(hers))
            assert side.enters(mallory, caught) is works
            assert side.enters(hers, caught)
            mallory.cookies.clear()
            assert side.enters(mallory, caught) is works


def test_an_assertion_of_mallory_signs_nobody_else_in(off, on):
    """She makes a visitor's browser sign in as her, and reads along what the visitor
    does there (login CSRF, CWE-352)."""
    for side, works in ((off, True), (on, False)):
        hers = side.somebody()
        with side.browser() as mallory, side.browser() as visitor:
            side.begins(visitor)
            assert side.enters(visitor, hers.get(side.begins(mallory))) is works


def test_a_copy_of_a_passkey_is_noticed(off, on):
    """Whoever has read it out of a device signs in until the owner has."""
    for side, works in ((off, True), (on, False)):
        key = side.somebody()
        copy = key.copied()
        with side.browser() as hers, side.browser() as thief:
            assert side.enters(hers, key.get(side.begins(hers)))
            assert side.enters(thief, copy.get(side.begins(thief))) is works
    assert len(on.ledger("authn_passkey_copied")) == 1


def test_a_device_that_was_found_is_no_key(off, on):
    """Nobody has touched its sensor with the right finger: no user verification."""
    for side, works in ((off, True), (on, False)):
        key = side.somebody()
        with side.browser() as finder:
            found = replace(key, flags=UP).get(side.begins(finder))
            assert side.enters(finder, found) is works


def test_a_passkey_of_mallory_does_not_open_alices_account(off, on):
    """Hers signs, and says that it is Alice's."""
    for side, works in ((off, True), (on, False)):
        alice, mallory = side.somebody(), side.somebody()
        mallory.user_handle = alice.user_handle
        with side.browser() as browser:
            swapped = mallory.get(side.begins(browser))
            assert side.enters(browser, swapped) is works


def test_a_passkey_of_alice_cannot_be_registered_by_mallory(on):
    """And what she has of it opens nothing under her account."""
    alice = on.somebody()
    person = {"email": next(_people), "password": PASSWORD}
    with on.browser() as mallory:
        mallory.post("/auth/register", json=person)
        mallory.post("/auth/login", json=person)
        options = mallory.post("/auth/passkeys/register/options", json={}).json()
        hers = replace(alice, key=None)  # the name of Alice's, and a key of her own
        taken = {"credential": hers.create(options)}
        answer = mallory.post("/auth/passkeys/register", json=taken)
        assert answer.json()["code"] == "identity.passkey_taken"
    with on.browser() as browser:
        assert not on.enters(browser, hers.get(on.begins(browser)))
        assert on.enters(browser, alice.get(on.begins(browser)))


def test_options_tell_strangers_nothing(on):
    """Neither who has an account nor who has a passkey (CWE-204)."""
    on.somebody()
    with on.browser() as stranger:
        options = on.begins(stranger)
        assert options["allowCredentials"] == []
        refused = stranger.post("/auth/passkeys/verify/options", json={})
        assert refused.json()["code"] == "identity.pending_over"
        assert "credentials" not in json.dumps(refused.json()).lower()
