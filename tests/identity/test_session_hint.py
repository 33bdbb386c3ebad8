"""What a session cookie says of whose session it is."""

import base64
import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.identity.session_hint import SessionHints, SessionName

KEY, OLDER, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
TOKEN = "A" * 43
HASH = sha256(TOKEN.encode()).digest()
ACCOUNT = "b-_9" * 5 + "xy"


@pytest.fixture
def hints():
    return SessionHints(lambda: (KEY, OLDER), written=True)


def test_what_is_written_is_read(hints):
    value = hints.write(TOKEN, ACCOUNT).encode()
    assert hints.read(value) == SessionName(HASH, ACCOUNT)


def test_the_value_is_token_account_and_mac(hints):
    """The mac is HMAC-SHA-256 of the token's hash and the account, cut to 16 bytes."""
    mac = hmac.digest(KEY, HASH + ACCOUNT.encode(), "sha256")[:16]
    text = base64.urlsafe_b64encode(mac).decode().rstrip("=")
    assert hints.write(TOKEN, ACCOUNT) == f"{TOKEN}.{ACCOUNT}.{text}"


def test_without_a_store_in_the_network_cookies_stay_as_they_were():
    assert SessionHints(lambda: (KEY,), written=False).write(TOKEN, ACCOUNT) == TOKEN


def test_hints_are_read_where_none_are_written(hints):
    """Cookies from a time with such a store."""
    value = hints.write(TOKEN, ACCOUNT).encode()
    read = SessionHints(lambda: (KEY,), written=False).read(value)
    assert read == SessionName(HASH, ACCOUNT)


@pytest.mark.parametrize("value", [TOKEN.encode(), b"", b"x", b"\xe9" * 43])
def test_older_cookies_have_none(hints, value):
    assert hints.read(value) == SessionName(sha256(value).digest(), "")


def test_keys_rotate(hints):
    """What the last key has signed is still good; what one has that is not known here,
    as another machine's newer one, says nothing, and signs nobody out."""
    older = SessionHints(lambda: (OLDER,), written=True)
    other = SessionHints(lambda: (OTHER,), written=True)
    value = older.write(TOKEN, ACCOUNT).encode()
    assert hints.read(value) == SessionName(HASH, ACCOUNT)
    for reader, writer in [(hints, other), (older, hints)]:
        value = writer.write(TOKEN, ACCOUNT).encode()
        assert reader.read(value) == SessionName(HASH, "")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token, account, mac: f"{token}..{mac}",
        lambda token, account, mac: f"{token}.{account}",
        lambda token, account, mac: f"{token}.{account}.",
        lambda token, account, mac: f"{token}.{account}.{mac[:-1]}",
        lambda token, account, mac: f"{token}.{account}.{mac}A",
        lambda token, account, mac: f"{token}.{account}.{mac}==",
        lambda token, account, mac: f"{token}.{account}.{mac}.",
        lambda token, account, mac: f"{token}.{account}.{mac}.{mac}",
        lambda token, account, mac: f"{token}.{account}.é",
        lambda token, account, mac: f"{token}.{account}\x00.{mac}",
        lambda token, account, mac: f"{token}.{'x' * 65}.{mac}",
        lambda token, account, mac: f"{token}. {account}.{mac}",
        lambda token, account, mac: f"{token}.",
        lambda token, account, mac: "...",
    ],
)
def test_a_spoiled_hint_is_none_of_ours(hints, spoil):
    """Nor is there a session whose cookie looks so."""
    value = spoil(*hints.write(TOKEN, ACCOUNT).split("."))
    assert hints.read(value.encode("latin-1")) is None


@pytest.mark.parametrize(
    "forge",
    [
        lambda token, account, mac: f"{token}.another.{mac}",
        lambda token, account, mac: f"{'B' * 43}.{account}.{mac}",
        lambda token, account, mac: f".{account}.{mac}",
        lambda token, account, mac: f"{token}.{account}.{mac.swapcase()}",
    ],
)
def test_a_forged_hint_names_no_account(hints, forge):
    """Else somebody else's limits would be charged (CWE-345)."""
    value = forge(*hints.write(TOKEN, ACCOUNT).split(".")).encode()
    token_hash = sha256(value.partition(b".")[0]).digest()
    assert hints.read(value) == SessionName(token_hash, "")


def test_a_cut_off_hint_is_none_of_ours(hints):
    value = hints.write(TOKEN, ACCOUNT).encode()
    for end in range(len(TOKEN) + 1, len(value)):
        assert hints.read(value[:end]) is None


@pytest.mark.parametrize("account", ["", "a.b", "a b", "a;b", "é", "x" * 65, "a\r\nb"])
def test_an_id_that_cannot_stand_in_a_cookie_is_left_out(hints, account):
    """Such a session is looked up as ever."""
    assert hints.write(TOKEN, account) == TOKEN


@given(st.binary(max_size=200))
def test_any_value_is_read_or_refused(value):
    name = SessionHints(lambda: (KEY,), written=True).read(value)
    expected = None if b"." in value else SessionName(sha256(value).digest(), "")
    assert name == expected
