"""What is sealed is read by nobody without the key, and by nobody for somebody else."""

import pytest

from ringfence.secrets.sealed import Seal

OLD, NEW = b"o" * 32, b"n" * 32
SECRET = b"JBSWY3DPEHPK3PXP"


def seal(*keys):
    return Seal(lambda: keys)


def test_opens_what_it_has_sealed():
    assert seal(NEW).open(seal(NEW).seal(SECRET, b"ann"), b"ann") == SECRET


def test_hides_the_content_and_repeats_nothing():
    """Two seals of one secret tell neither the secret nor that it is the same."""
    once, twice = (seal(NEW).seal(SECRET, b"ann") for _ in range(2))
    assert SECRET not in once
    assert once[1:13] != twice[1:13]
    assert once[13:] != twice[13:]


def test_opens_for_nobody_else():
    """Who writes to the database cannot give one account the secret of another."""
    assert seal(NEW).open(seal(NEW).seal(SECRET, b"ann"), b"bob") is None


def test_opens_across_a_rotation_and_seals_with_the_newest():
    sealed = seal(OLD).seal(SECRET, b"ann")
    assert seal(NEW, OLD).open(sealed, b"ann") == SECRET
    assert seal(NEW).open(sealed, b"ann") is None
    assert seal(NEW).open(seal(NEW, OLD).seal(SECRET, b"ann"), b"ann") == SECRET


@pytest.mark.parametrize("place", range(-1, 45, 5))
def test_opens_nothing_that_was_changed(place):
    sealed = bytearray(seal(NEW).seal(SECRET, b"ann"))
    sealed[place] ^= 1
    assert seal(NEW).open(bytes(sealed), b"ann") is None


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" * 28, b"\x01" * 29, SECRET])
def test_opens_nothing_that_is_no_seal(sealed):
    assert seal(NEW).open(sealed, b"ann") is None
