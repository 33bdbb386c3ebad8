"""The second lock asks what the plan has not."""

import pytest

from ringfence import Principal, access
from ringfence.access.permit import Lock, Permit, parts_of
from ringfence.access.roles import expand
from ringfence.access.stage import enforce
from ringfence.errors import OutsideRequestError
from ringfence.exchange import Exchange, active

ADMIN, STAFF = access.role("admin"), access.role("staff")


async def request_of(policy, *roles, hierarchy=None):
    """Make a request of somebody, allowed by a policy; it is over with its test."""
    exchange = Exchange(
        {"type": "http", "method": "GET", "path": "/", "headers": []}, None
    )
    exchange.principal = Principal("1", frozenset(roles)) if roles else None
    assert await enforce(policy, hierarchy or {})(exchange) is None
    active.set(exchange)
    return exchange


@pytest.mark.anyio
async def test_what_the_plan_has_asked_is_not_asked_again():
    exchange = await request_of(STAFF & access.signed_in, "staff")
    lock = Lock("handler", access.signed_in & STAFF)
    exchange.principal = None  # would be refused if it were asked
    lock.check()
    lock.check()
    assert exchange.denial is None


@pytest.mark.anyio
async def test_what_the_plan_has_not_asked_is_asked():
    exchange = await request_of(access.public)
    with pytest.raises(OutsideRequestError, match="asks for role"):
        Lock("handler", ADMIN).check()
    assert exchange.denial.code == "access.not_signed_in"
    exchange = await request_of(access.public, "guest")
    with pytest.raises(OutsideRequestError):
        Lock("handler", ADMIN).check()
    assert exchange.denial.code == "access.not_allowed"


@pytest.mark.anyio
async def test_the_first_refusal_stays():
    exchange = await request_of(access.public, "guest")
    for policy in (ADMIN, STAFF):
        with pytest.raises(OutsideRequestError):
            Lock("handler", policy).check()
    assert exchange.denial.code == "access.not_allowed"


@pytest.mark.anyio
async def test_who_may_is_let_in_and_asked_each_time():
    lock = Lock("handler", ADMIN)
    exchange = await request_of(access.public, "admin")
    lock.check()
    exchange.principal = Principal("2", frozenset({"guest"}))
    with pytest.raises(OutsideRequestError):
        lock.check()


@pytest.mark.anyio
async def test_roles_that_include_others_are_known():
    await request_of(access.public, "admin", hierarchy=expand({"admin": {"staff"}}))
    Lock("handler", STAFF).check()


def test_a_permit_of_another_making_is_none():
    exchange = Exchange(
        {"type": "http", "method": "GET", "path": "/", "headers": []}, None
    )
    exchange.permitted = True
    token = active.set(exchange)
    try:
        with pytest.raises(OutsideRequestError, match="serve Guard"):
            Lock("handler", access.public).check()
    finally:
        active.reset(token)


def test_parts_are_what_all_must_allow():
    assert parts_of(ADMIN & (STAFF & access.signed_in)) == {
        ADMIN,
        STAFF,
        access.signed_in,
    }
    either = ADMIN | STAFF
    assert parts_of(either) == {either}
    assert Permit(frozenset({either}), {}).refuses(either, None) is None
