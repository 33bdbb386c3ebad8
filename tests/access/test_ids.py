"""Ids that nobody guesses."""

import re
import time
import uuid
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BeforeValidator
from starlette.testclient import TestClient

from ringfence import Guard, Secret, Settings, access
from ringfence.access import ids
from ringfence.errors import OwnershipRefusedError

NUMBERS = st.integers(min_value=0, max_value=2**63 - 1)
WORDS = st.from_regex(r"\A[A-Za-z0-9._~-]{1,128}\Z")
KEY = Secret("k" * 32)


def keys_of(*masters):
    """As a keyring derives them, the signing one first."""
    return lambda purpose: tuple(master + purpose.encode() for master in masters)


ORDERS = ids.Signed(keys_of(b"one"), "orders")
INVOICES = ids.Signed(keys_of(b"one"), "invoices")


def test_fresh_is_a_uuid_of_version_7():
    """RFC 9562: the time in front, version and variant in their places."""
    before = time.time_ns() // 1_000_000
    made = [uuid.UUID(ids.fresh()) for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert {each.version for each in made} == {7}
    assert {each.variant for each in made} == {uuid.RFC_4122}
    assert all(before <= each.int >> 80 <= after for each in made)
    assert all(str(each) == str(uuid.UUID(str(each))) for each in made)


def test_fresh_has_74_random_bits():
    """Each bit that is not the time's or the version's is set half of the time, and
    two of one moment have nothing in common."""
    made = [uuid.UUID(ids.fresh()).int for _ in range(2000)]
    free = [bit for bit in range(80) if bit not in (62, 63, 76, 77, 78, 79)]
    assert len(free) == 74
    for bit in free:
        assert 800 < sum(each >> bit & 1 for each in made) < 1200
    assert len({each & (1 << 62) - 1 for each in made}) == 2000


@given(NUMBERS)
def test_numbers_come_back(number):
    """What was signed is read, and fits into an address as it is."""
    text = ORDERS.sign(number)
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", text)
    assert len(text) == len(str(number)) + 23
    found = ORDERS.read(text)
    assert found == number
    assert type(found) is int


@given(WORDS)
def test_words_come_back(word):
    """Ids that are text, dots and all."""
    signed = ids.Signed(KEY, "files", of=str)
    assert signed.read(signed.sign(word)) == word


@given(NUMBERS, NUMBERS)
def test_another_number_has_another_signature(one, other):
    """The signature of one is worth nothing behind another."""
    if one == other:
        return
    mac = ORDERS.sign(one).rpartition(".")[2]
    with pytest.raises(OwnershipRefusedError):
        ORDERS.read(f"{other}.{mac}")


@given(NUMBERS, st.integers(min_value=0), st.characters())
def test_a_changed_character_is_refused(number, place, put):
    """No character of a signed id can be another one: not the last bits of the base64,
    and no digit of another script."""
    text = ORDERS.sign(number)
    place %= len(text)
    changed = text[:place] + put + text[place + 1 :]
    if changed == text:
        return
    with pytest.raises(OwnershipRefusedError):
        ORDERS.read(changed)


@given(st.text() | st.integers() | st.none() | st.binary())
def test_nonsense_is_not_found(text):
    """Whatever is sent is answered as a row that is not there."""
    with pytest.raises(OwnershipRefusedError) as refused:
        ORDERS.read(text)
    assert refused.value.denial.status == 404
    assert refused.value.denial.code == "access.not_found"


@pytest.mark.parametrize(
    "text",
    [
        "1002",
        "1002.",
        ".",
        "01002." + ORDERS.sign(1002).partition(".")[2],
        "+1002." + ORDERS.sign(1002).partition(".")[2],
        " " + ORDERS.sign(1002),
        ORDERS.sign(1002) + "\n",
        ORDERS.sign(1002) + "=",
        INVOICES.sign(1002),
        ids.Signed(keys_of(b"two"), "orders").sign(1002),
        ids.Signed(keys_of(b"one"), "orders", of=str).sign("1002"),
        "9" * 10_000 + "." + "A" * 22,
    ],
)
def test_what_was_signed_otherwise_is_refused(text):
    """Another purpose, key or kind, and other ways to write the same number."""
    with pytest.raises(OwnershipRefusedError):
        ORDERS.read(text)


def test_a_secret_of_ones_own_binds_the_purpose_as_well():
    """One key for both: an order's id is no invoice's all the same."""
    orders, invoices = ids.Signed(KEY, "orders"), ids.Signed(KEY, "invoices")
    assert orders.read(orders.sign(7)) == 7
    with pytest.raises(OwnershipRefusedError):
        invoices.read(orders.sign(7))


def test_keys_rotate():
    """The first key signs; all of them are read, until one is gone."""
    before = ids.Signed(keys_of(b"old"), "orders")
    during = ids.Signed(keys_of(b"new", b"old"), "orders")
    after = ids.Signed(keys_of(b"new"), "orders")
    assert during.read(before.sign(1)) == 1
    assert after.read(during.sign(1)) == 1
    with pytest.raises(OwnershipRefusedError):
        after.read(before.sign(1))


@pytest.mark.parametrize("value", [-1, 2**63])
def test_numbers_that_no_column_holds_are_not_signed(value):
    """They could not be read back."""
    with pytest.raises(ValueError, match="read back"):
        ORDERS.sign(value)


@pytest.mark.parametrize("value", ["1", 1.0, True, None])
def test_another_kind_is_not_signed(value):
    """A text that looks like the number is another row's."""
    with pytest.raises(TypeError):
        ORDERS.sign(value)


@pytest.mark.parametrize("word", ["", "a b", "a/b", "ä", "a" * 129])
def test_words_that_do_not_fit_into_an_address_are_not_signed(word):
    """They could not be read back."""
    with pytest.raises(ValueError, match="read back"):
        ids.Signed(KEY, "files", of=str).sign(word)


@pytest.mark.parametrize(
    ("keys", "purpose", "of", "error"),
    [
        (Secret("short"), "orders", int, ValueError),
        (b"k" * 32, "orders", int, TypeError),
        (KEY, "", int, ValueError),
        (KEY, "a\x00b", int, ValueError),
        (KEY, "orders", float, TypeError),
    ],
)
def test_what_cannot_sign_is_refused(keys, purpose, of, error):
    """At start-up, and not on the first request."""
    with pytest.raises(error):
        ids.Signed(keys, purpose, of=of)


def test_in_the_path_of_a_route(tmp_path):
    """A validator of pydantic's or a dependency reads it: 404 for what is not signed,
    with the guard's own keys."""

    def keys(purpose: str) -> tuple[bytes, ...]:
        return app.keys_for(purpose)  # made below, around these routes

    orders = ids.Signed(keys, "orders")
    api = FastAPI()

    @api.get("/orders/{order_id}")
    @access.require(access.public)
    async def read(order_id: Annotated[int, BeforeValidator(orders.read)]) -> int:
        return order_id

    def by_path(order_id: str) -> int:
        return orders.read(order_id)

    @api.get("/mine/{order_id}")
    @access.require(access.public)
    async def mine(order: Annotated[int, Depends(by_path)]) -> int:
        return order

    @api.get("/links/{number}")
    @access.require(access.public)
    async def link(number: int) -> str:
        return orders.sign(number)

    app = Guard(api, Settings.load(environ={}, env="development", data=tmp_path))
    here = ("127.0.0.1", 50000)
    with TestClient(app, base_url="http://localhost", client=here) as client:
        signed = client.get("/links/1002").json()
        assert client.get(f"/orders/{signed}").json() == 1002
        assert client.get(f"/mine/{signed}").json() == 1002
        for path in ("/orders/1002", f"/mine/1003{signed[4:]}"):
            answer = client.get(path)
            assert answer.status_code == 404
            assert answer.json()["code"] == "access.not_found"


def test_the_guards_own_keys_are_not_handed_out(tmp_path):
    """What an application signs could never be a token or a cookie of the guard's."""
    app = Guard(FastAPI(), Settings.load(environ={}, env="development", data=tmp_path))
    with pytest.raises(ValueError, match="purpose"):
        app.keys_for("")
    with TestClient(app):
        keyring = app._rooms.keyring
        assert app.keys_for("browser.csrf") != keyring.derive_all("browser.csrf")
        assert [len(key) for key in app.keys_for("orders")] == [32]
