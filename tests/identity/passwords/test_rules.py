"""What a new password must be."""

import pytest

from ringfence.identity.passwords.rules import fault, is_too_long, normalize

EMAIL = "ann.smith@example.com"


@pytest.mark.parametrize(
    "password",
    [
        "12345678",
        "correct horse battery staple",
        "no digits or symbols at all",
        "ümläuteß",
        "密码密码密码密码",
        "        ",
        "🔒" * 8,
        "x" * 1024,
        "' OR '1'='1",
        "nul\x00inside it",
    ],
)
def test_no_kind_of_character_is_demanded_or_refused(password):
    """ASVS 5.0 V6.2.5, V6.2.9."""
    assert fault(password, email=EMAIL, shortest=8) == ""


@pytest.mark.parametrize("password", ["", "1234567", "🔒" * 7, "e\u0301" * 7])
def test_short_passwords_are_refused(password):
    """Characters count, not bytes, and not the parts that a character is typed in."""
    assert "at least 8" in fault(password, email=EMAIL, shortest=8)


def test_the_shortest_length_can_be_raised():
    assert fault("x" * 14, email=EMAIL, shortest=15)
    assert not fault("x" * 15, email=EMAIL, shortest=15)


@pytest.mark.parametrize("password", ["x" * 1025, "ü" * 513, "x" * 10_000_000])
def test_long_passwords_are_refused_before_any_work(password):
    assert is_too_long(password)
    assert "1024 bytes" in fault(password, email=EMAIL, shortest=8)


@pytest.mark.parametrize("password", [EMAIL, EMAIL.upper(), "ann.smith", "Ann.Smith"])
def test_the_address_is_no_password(password):
    assert "e-mail" in fault(password, email=EMAIL, shortest=8)


def test_one_character_is_one_whatever_the_keyboard():
    """RFC 8265: composed and decomposed are the same; case and width are not."""
    assert normalize("e\u0301") == normalize("é") == "é"
    assert normalize("\uff21Bc ") == "\uff21Bc "
