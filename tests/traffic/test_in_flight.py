"""One client cannot take every place."""

import pytest

from ringfence.exchange import Exchange
from ringfence.traffic.in_flight import InFlight


def asking(network):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    exchange = Exchange(scope, receive=None)
    exchange.network = network
    return exchange


@pytest.mark.anyio
async def test_one_client_has_so_many_and_another_its_own():
    places = InFlight(2)
    stage = places.stage()
    first, second, third = asking("192.0.2.1"), asking("192.0.2.1"), asking("192.0.2.1")
    assert await stage(first) is None
    assert await stage(second) is None
    refused = await stage(third)
    assert (refused.status, refused.code) == (429, "traffic.too_many_open")
    assert not third.in_flight
    assert await stage(asking("192.0.2.2")) is None
    places.leave(first)
    assert await stage(third) is None


@pytest.mark.anyio
async def test_who_has_nothing_open_is_forgotten():
    places = InFlight(5)
    stage = places.stage()
    exchanges = [asking(f"192.0.2.{number}") for number in range(50)]
    for exchange in exchanges:
        await stage(exchange)
    assert places.clients == 50
    for exchange in exchanges:
        places.leave(exchange)
    assert places.clients == 0


def test_without_a_bound_nothing_is_counted():
    assert InFlight(0).stage() is None
