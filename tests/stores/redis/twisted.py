"""Budgets and copies in a Redis that something is done to."""

import asyncio

import pytest
from tests.contracts.shared_stores import REDIS

from ringfence.stores.contracts import Charge, counter_key
from ringfence.stores.redis.failures import LostError

NOW = 1_700_000_000.0
NAME, ANN, BOB = b"n" * 32, "YW5uYW5uYW5uYW5uYW5uYQ", "Ym9iYm9iYm9iYm9iYm9iYg"

both = pytest.mark.parametrize("make", REDIS, indirect=True)
single = pytest.mark.parametrize("make", ["redis"], indirect=True)
cluster = pytest.mark.parametrize("make", ["redis-cluster"], indirect=True)


def rate(name, amount=9, period=60.0, **more):
    return Charge(counter_key(name), amount, period, **more)


def exact(name, amount=3, period=60.0, **more):
    return Charge(counter_key(name), amount, period, exact=True, **more)


ADDRESS, EVERYBODY = rate("address", 9), rate("everybody", 900)
ACCOUNT, ROUTE = rate("account", 5, owner=ANN), exact("route", 3, owner=ANN)
CHARGES = (ADDRESS, EVERYBODY, ACCOUNT, ROUTE)


async def left(shared, charge):
    """Return how many a budget has left; taking one to know."""
    return (await shared.counters("limits").take([charge])).remaining + 1


async def sign_in(shared, owner=ANN, copy=b"copy"):
    told = await shared.copies.read(NAME, owner)
    assert await shared.copies.keep(NAME, told, copy, 7)


async def ready_to_return(shared, *charges):
    """Have the nodes of these budgets know the script that gives back. Nobody waits for
    it, and a node that does not know it yet is sent it behind what comes next."""
    await shared.counters("limits").give_back(charges, NOW)


class Twisted:
    """A keyspace that something is done to."""

    def __init__(self, keyspace):
        self._keyspace = keyspace
        self.is_cluster = keyspace.is_cluster
        self.call = keyspace.call
        self.life = b""
        self.broken = ()
        self.runs = []

    def identity(self, key):
        return self.life or self._keyspace.identity(key)

    def run(self, script, keys, args):
        self.runs.append((script.name, keys))
        if any(key in self.broken for key in keys):
            future = asyncio.get_running_loop().create_future()
            future.set_exception(LostError("lost"))
            return future
        return self._keyspace.run(script, keys, args)


def twisted(make, clock=None):
    """Return a store, and the keyspace to twist."""
    made = []

    def wrap(keyspace):
        made.append(Twisted(keyspace))
        return made[0]

    return make(clock, wrap=wrap), made[0]
