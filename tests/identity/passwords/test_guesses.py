"""How soon a password would be guessed."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.identity.passwords.common_passwords import ranks
from ringfence.identity.passwords.guesses import estimate


def bits(password, *context):
    return estimate(password, ranks=ranks(), context=frozenset(context)).bits


@pytest.mark.parametrize("seed", range(5))
def test_random_passwords_are_hard(seed):
    letters = string.ascii_letters + string.digits
    made = "".join(random.Random(seed).choices(letters, k=15))
    assert bits(made) > 40


def test_more_words_are_harder():
    assert bits("dragon") < bits("dragon monkey") < bits("dragon monkey velvet")


def test_the_cheapest_way_is_taken():
    assert bits("password1234") <= bits("password") + bits("1234")
    assert bits("shopper99", "shopper") < bits("shopper99")


@given(st.text(max_size=200), st.text(max_size=12))
def test_nothing_breaks_it(password, name):
    """Every text has a finite estimate, and a name makes none of them harder."""
    found = bits(password)
    assert 0 <= found <= 4 * 128
    assert bits(password, *([name] if name else [])) <= found


def test_a_long_password_costs_no_more_than_a_middling_one():
    """Judged are 128 characters, on the event loop: about a millisecond."""
    calls = []

    class Counting(dict):
        def get(self, word):
            calls.append(word)

    estimate("xq7!" * 64 + "z", ranks=Counting(), context=frozenset())
    assert len(calls) <= 3 * 128 * 32
