"""An access token in the wrong hands, bound to a key (RFC 9449; CWE-294).

Mallory has read Alice's requests in the log of a proxy, headers and all.
"""

import time

import pytest
from tests.attacks.tokens import CAFE, running_careful, running_careless
from tests.identity.tokens.programs import Key


@pytest.fixture(scope="module")
def off(tmp_path_factory):
    with running_careless(tmp_path_factory.mktemp("off")) as side:
        yield side


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    with running_careful(tmp_path_factory.mktemp("on"), dpop="required") as side:
        yield side


def bound_to(side, client, key):
    proof = key.proof("POST", f"{side.url}/auth/token", time.time())
    return side.sign_in(client, dpop=proof)


def proof_of(side, key, tokens, path="/orders", method="GET"):
    url, token = f"{side.url}{path}", tokens["access_token"]
    return key.proof(method, url, time.time(), token)


def test_a_stolen_token_is_worth_nothing_without_its_key(off, on):
    for side, succeeds in ((off, True), (on, False)):
        key, other = Key(), Key()
        with side.client() as alice, side.client(CAFE) as mallory:
            tokens = bound_to(side, alice, key)
            proof = proof_of(side, key, tokens)
            assert side.reads(alice, tokens, "DPoP", dpop=proof)
            assert side.reads(mallory, tokens) is succeeds  # as Bearer: a downgrade
            forged = proof_of(side, other, tokens)
            assert side.reads(mallory, tokens, "DPoP", dpop=forged) is succeeds


def test_an_overheard_proof_is_worth_nothing_again(off, on):
    for side, succeeds in ((off, True), (on, False)):
        key = Key()
        with side.client() as alice, side.client(CAFE) as mallory:
            tokens = bound_to(side, alice, key)
            proof = proof_of(side, key, tokens)
            assert side.reads(alice, tokens, "DPoP", dpop=proof)
            assert side.reads(mallory, tokens, "DPoP", dpop=proof) is succeeds


def test_nor_is_one_for_another_address_or_token(off, on):
    for side, succeeds in ((off, True), (on, False)):
        key = Key()
        with side.client() as alice, side.client(CAFE) as mallory:
            tokens, others = (bound_to(side, alice, key) for _ in range(2))
            for overheard in (
                proof_of(side, key, tokens, "/basket"),
                proof_of(side, key, tokens, method="POST"),
                proof_of(side, key, others),
            ):
                got = side.reads(mallory, tokens, "DPoP", dpop=overheard)
                assert got is succeeds


def test_a_stolen_refresh_token_gives_nothing_and_ends_nothing(off, on):
    for side, succeeds in ((off, True), (on, False)):
        key = Key()
        with side.client() as alice, side.client(CAFE, "Thief/1.0") as mallory:
            tokens = bound_to(side, alice, key)
            assert bool(side.refresh(mallory, tokens)) is succeeds
            proof = proof_of(side, key, tokens)
            assert side.reads(alice, tokens, "DPoP", dpop=proof)


def test_alice_goes_on_with_a_proof_a_request(on):
    key = Key("EdDSA")
    with on.client() as alice:
        tokens = bound_to(on, alice, key)
        for _ in range(3):
            proof = proof_of(on, key, tokens)
            assert on.reads(alice, tokens, "DPoP", dpop=proof)
