"""The text of a key."""

import re

import pytest

from ringfence.identity.api_key import digest, hint, is_key, new_key

KEY = "rfk_00000000000000000000000000000000000000000004TD91r"


def test_a_new_key_is_a_key():
    """Of the shape that the guide tells secret scanners, and no two alike."""
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert re.fullmatch(r"rfk_[0-9A-Za-z]{49}", key)
        assert is_key(key.encode())


def test_the_checksum_is_what_the_guide_says():
    """CRC-32 of all before it, in base 62: so that a scanner can do the same."""
    assert is_key(KEY.encode())


@pytest.mark.parametrize("place", [0, 3, 4, 20, 46, 47, 52])
def test_a_mistyped_key_is_none(place):
    """Whichever character it is; in the checksum, too."""
    key = new_key()
    other = "x" if key[place] != "x" else "y"
    assert not is_key((key[:place] + other + key[place + 1 :]).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1],
        lambda key: key + b"0",
        lambda key: key + b"\n",
        lambda key: b" " + key,
        lambda key: key.swapcase(),
        lambda key: key.replace(b"rfk_", b"rfr_"),
        lambda key: b"",
        lambda key: b"rfk_" + b"\xff" * 49,
        lambda key: b"rfk_" + "ä".encode() * 24 + b"0",
    ],
)
def test_what_only_looks_like_a_key_is_none(change):
    assert not is_key(change(KEY.encode()))


def test_what_is_kept_and_shown_is_not_the_key():
    """A hash, and eight of its characters."""
    assert digest(KEY.encode()) != digest(new_key().encode())
    assert len(digest(KEY.encode())) == 32
    assert hint(KEY) == "rfk_0000...D91r"
