"""A floor under the time of an answer."""

import pytest

from ringfence.errors import StoreBusyError
from ringfence.identity.passwords.evenly import Evenly

pytestmark = pytest.mark.anyio


class Time:
    """A clock that work and waiting move."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    async def work(self, seconds, result="done"):
        self.now += seconds
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def time():
    return Time()


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.27, 0.499])
async def test_every_answer_comes_at_the_same_moment(time, seconds):
    """bcrypt, Argon2id or no work at all: the same time (CWE-208)."""
    evenly = Evenly(0.5, clock=time, sleep=time.sleep)
    assert await evenly(time.work(seconds)) == "done"
    assert time.now == pytest.approx(100.5)


async def test_work_that_takes_longer_is_not_held_up(time):
    evenly = Evenly(0.5, clock=time, sleep=time.sleep)
    await evenly(time.work(0.7))
    assert time.slept == []
    assert time.now == pytest.approx(100.7)


async def test_a_full_queue_is_told_at_once(time):
    evenly = Evenly(0.5, clock=time, sleep=time.sleep)
    with pytest.raises(StoreBusyError):
        await evenly(time.work(0.0, StoreBusyError("full", retry_after=1)))
    assert time.slept == []


async def test_without_a_floor_nothing_waits(time):
    await Evenly(0.0, clock=time, sleep=time.sleep)(time.work(0.0))
    assert time.slept == []
