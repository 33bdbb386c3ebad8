"""Runs actors step by step, in every order there is."""

import asyncio
from collections import Counter
from contextvars import ContextVar
from itertools import count

from ringfence.stores.contracts import CopyStore

_TURNS = 200  # of the event loop, after which an actor must be waiting for a server
_PATIENCE = 10.0  # seconds
_actor = ContextVar("actor", default=None)


class Steps:
    """Lets each actor go on only when it is its turn. Who is none goes on at once."""

    def __init__(self):
        self._waiting = {}
        self._actors = {}

    async def __call__(self):
        actor = _actor.get()
        if actor is not None:
            turn = self._waiting[actor] = asyncio.get_running_loop().create_future()
            await turn

    async def start(self, name, doing):
        """Start an actor, up to its first step."""

        async def act():
            _actor.set(name)
            return await doing

        self._actors[name] = asyncio.create_task(act())
        await self._settle()

    async def advance(self, name):
        """Let an actor take one step, unless it has ended."""
        turn = self._waiting.pop(name, None)
        if turn is not None:
            turn.set_result(None)
            await self._settle()

    async def ended(self, name):
        """Let an actor go on to its end; return what has come of it."""
        while not self._actors[name].done():
            await self.advance(name)
        return await self._actors[name]

    async def _settle(self):
        async with asyncio.timeout(_PATIENCE):
            for turn in count():
                if all(
                    task.done() or name in self._waiting
                    for name, task in self._actors.items()
                ):
                    return
                await asyncio.sleep(0 if turn < _TURNS else 0.001)


def gated(store, steps, *names):
    """Return a store whose methods of these names are steps."""
    return _Gated(store, steps, names)


class _Gated:
    def __init__(self, store, steps, names):
        self._store = store
        self._steps = steps
        self._names = names

    def __getattr__(self, name):
        method = getattr(self._store, name)
        if name not in self._names:
            return method

        async def step(*args, **kwargs):
            await self._steps()
            return await method(*args, **kwargs)

        return step


def orders(**steps):
    """Yield each order in which actors can take so many steps."""
    left = Counter(steps)

    def following(order):
        if not left.total():
            yield tuple(order)
        for name in steps:
            if left[name]:
                left[name] -= 1
                yield from following([*order, name])
                left[name] += 1

    return following([])


COPY_STEPS = tuple(
    name for name in vars(CopyStore) if not name.startswith("_") and name != "drop"
)
