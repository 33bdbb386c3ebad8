"""The corpus is what it says: large, varied, each value once."""

import unicodedata

from tests.honest.corpus import values


def test_there_are_two_thousand():
    assert len(values()) == len(set(values())) >= 2_000


def test_all_kinds_of_characters():
    """Every ASCII punctuation mark, and letters of at least thirty scripts."""
    letters = set("".join(values()))
    assert set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") <= letters
    named = (
        unicodedata.name(each, "").split(" ")[0] for each in letters if each > "\x7f"
    )
    assert len(set(named)) >= 30
