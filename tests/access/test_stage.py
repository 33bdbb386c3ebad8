import pytest

from ringfence import Principal, access
from ringfence.access.stage import enforce
from ringfence.exchange import Exchange


def exchange():
    return Exchange({"type": "http", "method": "GET", "path": "/", "headers": []}, None)


@pytest.mark.anyio
async def test_lets_through_and_notes_the_permission():
    request = exchange()
    request.principal = Principal("1", frozenset({"admin"}))
    assert await enforce(access.role("admin"), {})(request) is None
    assert request.permitted


@pytest.mark.anyio
async def test_refuses_and_permits_nothing():
    request = exchange()
    request.principal = Principal("1")
    denial = await enforce(access.role("admin"), {})(request)
    assert denial.code == "access.not_allowed"
    assert not request.permitted
