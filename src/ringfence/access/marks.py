"""Ways to say, beside a route, which policy it has.

A mark is read at start-up by ``frameworks`` and becomes part of the route's plan. It
is a second lock too: a marked function that is reached without a plan that allowed the
request (the bare app served instead of ``Guard(app)``, say) refuses to run, and one
whose plan has asked for less asks its own policy (see ``permit``).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ringfence.access.permit import Lock
from ringfence.access.policy import Policy
from ringfence.errors import MissingExtraError
from ringfence.marks import Mark, add_marks, must_be_marks

if TYPE_CHECKING:
    from fastapi.params import Depends

MARK = "__ringfence_policy__"

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])
RouteObject = TypeVar("RouteObject")


def require(policy: Policy) -> Callable[[Endpoint], Endpoint]:
    """Give a handler its policy. The innermost decorator, next to ``def``.

    Works on ``def``, ``async def``, generators of both kinds, and on class-based
    handlers. Several marks on one handler must all allow.

    Args:
        policy: who may use the routes of this handler.

    Raises:
        TypeError: ``policy`` is not a policy, or what is below is no function.

    Not covered: a class-based handler carries the mark only; without ``Guard`` in
    front nothing stops it.
    """
    _must_be_policy(policy)

    def mark(endpoint: Endpoint) -> Endpoint:
        _must_be_handler(endpoint)
        earlier = policy_of(endpoint)
        combined = policy if earlier is None else earlier & policy
        marked = endpoint if inspect.isclass(endpoint) else _locked(endpoint, combined)
        setattr(marked, MARK, combined)
        return marked

    return mark


def depends(policy: Policy, *marks: Mark) -> Depends:
    """Give a FastAPI router, route or include its policy, among its ``dependencies``.

    Args:
        policy: who may use the routes.
        marks: what else holds for them: limits, headers that differ.

    Raises:
        TypeError: ``policy`` is not a policy, or a mark none.
        MissingExtraError: FastAPI is not installed.
    """
    _must_be_policy(policy)
    try:
        from fastapi.params import Depends as FastAPIDepends  # noqa: PLC0415 - late: an adapter
    except ImportError as error:
        raise MissingExtraError("fastapi", "fastapi", "use access.depends") from error
    return FastAPIDepends(PolicyDependency(policy, marks))


def guard(policy: Policy, *marks: Mark) -> PolicyGuard:
    """Give a Litestar application, router, controller or handler its policy, among its
    ``guards``.

    Every policy between the application and the handler must allow.

    Args:
        policy: who may use the routes.
        marks: what else holds for them: limits, headers that differ.

    Raises:
        TypeError: ``policy`` is not a policy, or a mark none.
    """
    _must_be_policy(policy)
    return PolicyGuard(policy, marks)


def routes(
    route_objects: Sequence[RouteObject], policy: Policy, *marks: Mark
) -> list[RouteObject]:
    """Give Starlette routes and mounts their policy, and return them as a list.

    For what cannot carry a decorator, ``Mount("/static", StaticFiles(...))`` say.
    A policy that the handler has by ``require`` must allow as well.

    Args:
        route_objects: what gets the policy.
        policy: who may use them.
        marks: what else holds for them: limits, headers that differ.

    Raises:
        TypeError: ``policy`` is not a policy, or a mark none.
    """
    _must_be_policy(policy)
    for route in route_objects:
        add_marks(route, *marks)
        earlier = getattr(route, MARK, None)
        setattr(route, MARK, policy if earlier is None else earlier & policy)
    return list(route_objects)


class PolicyDependency:
    """A FastAPI dependency that carries a policy and checks that it was asked."""

    __slots__ = ("_check", "marks", "policy")

    def __init__(self, policy: Policy, marks: tuple[Mark, ...] = ()) -> None:
        must_be_marks(marks)
        self.policy = policy
        self.marks = marks
        self._check = Lock("a route with access.depends", policy).check

    async def __call__(self) -> None:
        self._check()


class PolicyGuard:
    """A Litestar guard that carries a policy and checks that it was asked."""

    __slots__ = ("_check", "marks", "policy")

    def __init__(self, policy: Policy, marks: tuple[Mark, ...] = ()) -> None:
        must_be_marks(marks)
        self.policy = policy
        self.marks = marks
        self._check = Lock("a route with access.guard", policy).check

    async def __call__(self, connection: object, handler: object) -> None:
        self._check()

    def __deepcopy__(self, memo: object) -> PolicyGuard:
        """Stay one: Litestar copies routers, and a mark counts once."""
        return self


def policy_of(endpoint: object) -> Policy | None:
    """Return the policy that ``require`` or ``routes`` gave, through partials."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    return cast("Policy | None", getattr(endpoint, MARK, None))


def _must_be_handler(endpoint: object) -> None:
    """Litestar's own word for what is no longer a function would lead astray."""
    if hasattr(type(endpoint), "ownership_layers"):
        message = (
            f"{endpoint} is a route of Litestar's already; write access.require below "
            "@get, next to def, or guards=[access.guard(...)] in @get(...)"
        )
        raise TypeError(message)


def _must_be_policy(policy: object) -> None:
    if not isinstance(policy, Policy):
        message = (
            f"{policy!r} is not a policy; write access.public, access.signed_in or "
            'access.role("name"), combined with & and |'
        )
        raise TypeError(message)


def _locked(endpoint: Endpoint, policy: Policy) -> Endpoint:
    name = getattr(endpoint, "__qualname__", repr(endpoint))
    check = Lock(name, policy).check
    locked: Callable[..., Any]
    if inspect.iscoroutinefunction(endpoint):

        @functools.wraps(endpoint)
        async def locked(*args: object, **kwargs: object) -> object:
            check()
            return await endpoint(*args, **kwargs)

    elif inspect.isasyncgenfunction(endpoint):

        @functools.wraps(endpoint)
        async def locked(*args: object, **kwargs: object) -> AsyncIterator[object]:
            check()
            async for item in endpoint(*args, **kwargs):
                yield item

    elif inspect.isgeneratorfunction(endpoint):

        @functools.wraps(endpoint)
        def locked(*args: object, **kwargs: object) -> Iterator[object]:
            check()
            yield from endpoint(*args, **kwargs)

    else:

        @functools.wraps(endpoint)
        def locked(*args: object, **kwargs: object) -> object:
            check()
            return endpoint(*args, **kwargs)

    return cast("Endpoint", locked)
