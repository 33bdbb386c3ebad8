"""Stages are asked in order, whether one waits or not, and what fails refuses."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringfence import access
from ringfence.denial import Denial
from ringfence.errors import StoreError

pytestmark = pytest.mark.anyio
NO = Denial(418, "test.no", "No.")


def application():
    async def home(_request):
        return PlainTextResponse("home")

    return Starlette(routes=access.routes([Route("/", home)], access.public))


def steps_of(asked):
    """Two of the street, of which the first waits, and two of the plan likewise."""

    def noting(name):
        def step(_exchange):
            asked.append(name)

        return step

    def waiting(name):
        async def step(_exchange):
            await asyncio.sleep(0)
            asked.append(name)

        return step

    return (waiting("a"), noting("b")), (waiting("c"), noting("d"))


def put(guard, street, steps):
    guard._street = guard._answers.street = (*guard._street, *street)
    (plan,) = (plan for plan in guard.plan if plan.path == "/")
    object.__setattr__(plan, "steps", (*plan.steps, *steps))


async def test_all_are_asked_once_and_in_order(guarded):
    asked = []
    async with guarded(application()) as started, started.client() as client:
        put(started.guard, *steps_of(asked))
        assert (await client.get("/")).text == "home"
    assert asked == ["a", "b", "c", "d"]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("place", [0, 1])
async def test_nobody_is_asked_after_a_refusal(guarded, waits, place):
    asked = []

    async def refuse_later(_exchange):
        return NO

    ways = [list(steps) for steps in steps_of(asked)]
    ways[place].insert(1, refuse_later if waits else lambda _: NO)
    async with guarded(application()) as started, started.client() as client:
        put(started.guard, *ways)
        assert (await client.get("/")).json()["code"] == "test.no"
    assert asked == (["a"] if place == 0 else ["a", "b", "c"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ZeroDivisionError(), "guard.stage_failed"),
        (StoreError("gone"), "guard.store_unavailable"),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("place", [0, 1])
async def test_what_fails_refuses(guarded, waits, place, error, code):
    async def fail_later(_exchange):
        raise error

    def fail(_exchange):
        raise error

    ways = [list(steps) for steps in steps_of([])]
    ways[place].insert(1, fail_later if waits else fail)
    async with guarded(application()) as started, started.client() as client:
        put(started.guard, *ways)
        assert (await client.get("/")).json()["code"] == code
