"""The time of a database, told without asking it."""

import pytest

from ringfence.stores.clock import StoreClock, steady_clock

HOUR = 3600.0


class Steady:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def steady():
    return Steady()


def test_until_it_has_heard_the_machine_has_the_say(steady):
    assert StoreClock(steady, lambda: 1000.0)() == 1000.0


def test_it_tells_what_the_database_has_said_and_counts_on(steady):
    """The machine is an hour late: that is forgotten with the first answer."""
    clock = StoreClock(steady, lambda: 5000.0 - HOUR)
    clock.hear(5000.0, steady.now, steady.now)
    assert clock() == 5000.0
    steady.now += 30
    assert clock() == 5030.0


def test_an_answer_that_took_long_says_little(steady):
    """What is known well is not given up for what is known badly."""
    clock = StoreClock(steady, lambda: 0.0)
    clock.hear(5000.0, 50.0, 50.0)
    steady.now = 60.0
    clock.hear(5002.0, 50.0, 60.0)
    assert clock() == 5010.0


def test_it_goes_with_the_database(steady):
    """A failover to a machine whose clock is another: all who have it go along."""
    clock = StoreClock(steady, lambda: 0.0)
    clock.hear(5000.0, 50.0, 50.0)
    clock.hear(5000.0 - HOUR, 50.0, 50.5)
    assert 5000.0 - HOUR <= clock() <= 5000.5 - HOUR


def test_the_steady_clock_goes_on():
    first = steady_clock()
    assert steady_clock() >= first
