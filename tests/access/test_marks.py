import functools
import inspect

import pytest
from starlette.routing import Mount

from ringfence import access
from ringfence.access.marks import PolicyDependency, policy_of
from ringfence.access.permit import Permit
from ringfence.errors import OutsideRequestError
from ringfence.exchange import Exchange, active

ADMIN = access.role("admin")


@pytest.fixture
def permitted():
    exchange = Exchange(
        {"type": "http", "method": "GET", "path": "/", "headers": []}, None
    )
    exchange.permitted = Permit(frozenset({ADMIN}), {})
    token = active.set(exchange)
    yield exchange
    active.reset(token)


@access.require(ADMIN)
def plain(number: int) -> int:
    return number


@access.require(ADMIN)
async def awaited(number: int) -> int:
    return number


@access.require(ADMIN)
def items(number: int):
    yield number


@access.require(ADMIN)
async def stream(number: int):
    yield number


@pytest.mark.anyio
async def test_a_marked_handler_refuses_to_run_without_a_guard():
    """The bare app served by mistake must not answer."""
    with pytest.raises(OutsideRequestError, match="serve Guard"):
        plain(1)
    with pytest.raises(OutsideRequestError):
        await awaited(1)
    with pytest.raises(OutsideRequestError):
        list(items(1))
    with pytest.raises(OutsideRequestError):
        [item async for item in stream(1)]
    with pytest.raises(OutsideRequestError):
        await PolicyDependency(ADMIN)()


@pytest.mark.anyio
async def test_a_marked_handler_refuses_a_request_nobody_permitted(permitted):
    permitted.permitted = None
    with pytest.raises(OutsideRequestError):
        plain(1)
    with pytest.raises(OutsideRequestError):
        await PolicyDependency(ADMIN)()


@pytest.mark.anyio
@pytest.mark.usefixtures("permitted")
async def test_a_marked_handler_runs_when_permitted():
    assert plain(1) == 1
    assert await awaited(2) == 2
    assert list(items(3)) == [3]
    assert [item async for item in stream(4)] == [4]
    assert await PolicyDependency(ADMIN)() is None


def test_a_mark_keeps_the_signature_and_the_kind():
    assert list(inspect.signature(plain).parameters) == ["number"]
    assert inspect.iscoroutinefunction(awaited)
    assert inspect.isasyncgenfunction(stream)
    assert inspect.isgeneratorfunction(items)


def test_marks_are_found_through_partials_and_on_classes():
    assert policy_of(functools.partial(functools.partial(plain), 1)) == ADMIN

    @access.require(ADMIN)
    class Handler:
        pass

    assert policy_of(Handler) == ADMIN
    assert inspect.isclass(Handler)


def test_two_marks_on_one_handler_must_both_allow():
    marked = access.require(access.signed_in)(plain)
    assert str(policy_of(marked)) == "role(admin) & signed_in"


def test_routes_marks_each_route_and_adds_up():
    mount = Mount("/static", routes=[])
    (marked,) = access.routes([mount], access.public)
    assert marked is mount
    access.routes([mount], access.signed_in)
    assert str(policy_of(mount)) == "public & signed_in"


def test_depends_carries_the_policy_into_fastapi():
    assert access.depends(ADMIN).dependency.policy == ADMIN


@pytest.mark.parametrize("attach", [access.require, access.depends])
def test_what_is_no_policy_is_refused_with_the_cure(attach):
    with pytest.raises(TypeError, match=r"access\.public"):
        attach("admin")
    with pytest.raises(TypeError, match=r"access\.public"):
        access.routes([], lambda: True)


def test_what_is_no_mark_is_refused_where_it_stands():
    """A limit that is forgotten in silence would be none."""
    with pytest.raises(TypeError, match="'30/minute' is no mark"):
        access.routes([Mount("/", routes=[])], ADMIN, "30/minute")
