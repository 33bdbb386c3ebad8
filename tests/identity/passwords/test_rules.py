"""What a new password must be."""

import pytest

from ringfence.identity.passwords.common_passwords import ranks
from ringfence.identity.passwords.rules import Rules
from ringfence.identity.passwords.text import is_too_long, normalize

EMAIL = "ann.smith@example.com"
LONG = "correct horse battery staple"


def fault(password, *, email=EMAIL, shortest=8, names=("Kale & Co", "ringfence")):
    return Rules(shortest=shortest, names=names).fault(password, email=email)


@pytest.mark.parametrize(
    "password",
    [
        "83619274506",
        "no digits or symbols at all",
        "ümläuteß",
        "密码是我的秘密花园",
        "a b c d e f g  h",
        "🔒🐎🔋📎🌵🎺🧲🪁",
        "h7!kQ" + "".join(chr(200 + n * 7) for n in range(251)),
        "' OR '1'='1",
        "nul\x00inside it",
        "alice's long pass phrase",
        " spaces at both ends ",
    ],
)
def test_no_kind_of_character_is_demanded_or_refused(password):
    """ASVS 5.0 V6.2.5, V6.2.9: at least 64 characters, here 256, and no composition."""
    assert fault(password) == ""


@pytest.mark.parametrize("password", ["", "1234567", "🔒" * 7, "e\u0301" * 7])
def test_short_passwords_are_refused(password):
    """Characters count, not bytes, and not the parts that a character is typed in."""
    assert "at least 8" in fault(password)


def test_the_shortest_length_can_be_raised():
    assert "at least 15" in fault(LONG[:14], shortest=15)
    assert not fault(LONG[:15], shortest=15)


@pytest.mark.parametrize("password", ["x" * 1025, "ü" * 513, "x" * 10_000_000])
def test_long_passwords_are_refused_before_any_work(password):
    assert is_too_long(password)
    assert "1024 bytes" in fault(password)


@pytest.mark.parametrize("password", [EMAIL, EMAIL.upper(), "ann.smith", "Ann.Smith"])
def test_the_address_is_no_password(password):
    assert "e-mail" in fault(password)


def test_common_passwords_words_and_names_are_known():
    """NIST SP 800-63B-4, section 3.1.1.2: also those that are in a dictionary."""
    known = ranks()
    assert len(known) > 40_000
    assert max(known[word] for word in ("123456", "password", "qwerty")) < 20
    assert {"basketball", "jennifer", "horse"} <= known.keys()


@pytest.mark.parametrize("word", ["1234567890", "basketball", "hello123", "changeme"])
@pytest.mark.parametrize("change", [str, str.upper, str.title])
def test_common_passwords_are_refused(word, change):
    assert "most common" in fault(change(word))


@pytest.mark.parametrize(
    "password",
    [
        "P@ssw0rd2024!",
        "passwordpassword",
        "password password password",
        "letmein!letmein!",
        "qwertyuiopasdfgh",
        "123456789012345",
        "zyxwvutsrqponmlk",
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabc",
        " " * 16,
        "🔒" * 16,
        "iloveyouprincess",
        "1qaz2wsx3edc4rfv5",
        "Summer2023Summer",
    ],
)
def test_variations_of_common_passwords_are_refused(password):
    """Case, leetspeak, digits behind, repetition, keys in a row: the first that
    programs for guessing try."""
    assert "little more than common" in fault(password)


@pytest.mark.parametrize(
    "password",
    [
        "ringfence123456",
        "Kale & Co 2026!",
        "kalecokaleco1",
        "ann.smith.2026!",
        "AnnSmith12345678",
        "smith@example.com",
    ],
)
def test_names_of_the_site_and_the_owner_are_no_passwords(password):
    """ASVS 5.0 V6.2.11: context-specific words."""
    assert "name of this site or your e-mail" in fault(password)


def test_a_name_within_more_is_no_fault():
    assert not fault("kale smith wonders about the moon")


@pytest.mark.parametrize(
    "password", ["P@ssw0rd2024!", "12345678", "secret7", "ann.smith.2026!"]
)
def test_no_sentence_repeats_the_password(password):
    """It would end up in logs and on screens."""
    sentence = fault(password)
    assert sentence
    assert password not in sentence


@pytest.mark.parametrize(
    "password", ["password1", "aaaaaaaaaaaa", "ann.smith.2026!", "short"]
)
def test_every_sentence_says_how_to_mend_it(password):
    assert "words" in fault(password)


def test_one_character_is_one_whatever_the_keyboard():
    """RFC 8265: composed and decomposed are the same; case and width are not."""
    assert normalize("e\u0301") == normalize("é") == "é"
    assert normalize("\uff21Bc ") == "\uff21Bc "


def test_odd_addresses_give_no_empty_names():
    """A name of no letters would be found everywhere, and everything refused."""
    for email in ("", "@", "a@b", "..@..", "日@本"):
        assert not fault(LONG, email=email, names=("", "-"))
