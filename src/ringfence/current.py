"""What a handler may ask about the request it is answering.

Every function can be called anywhere below a handler, and used as a FastAPI
dependency: ``Depends(current.principal)``.
"""

from __future__ import annotations

import secrets
from functools import cache
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ringfence.errors import OutsideRequestError
from ringfence.exchange import Exchange, active
from ringfence.principal import Principal

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

Model = TypeVar("Model")


def _exchange() -> Exchange:
    exchange = active.get()
    if exchange is None:
        message = (
            "no guarded request is running here: is the app served through "
            "Guard(app), and does a plain thread or executor call this?"
        )
        raise OutsideRequestError(message)
    return exchange


def principal() -> Principal:
    """Return who sent this request.

    Raises:
        OutsideRequestError: outside a guarded request, or nobody is signed in. A route
            that calls this needs a policy that includes ``access.signed_in``.
    """
    found = _exchange().principal
    if found is None:
        message = "nobody is signed in here; give the route access.signed_in"
        raise OutsideRequestError(message)
    return found


def visitor() -> Principal | None:
    """Return who sent this request, or ``None`` where nobody is signed in.

    For routes that are public and greet those who are known.

    Raises:
        OutsideRequestError: outside a guarded request.
    """
    return _exchange().principal


def csrf_token() -> str:
    """Return the token that forms send as ``csrf_token``, or scripts as X-CSRF-Token.

    It is bound to the session. Without a session there is nothing to forge and the
    text is empty.

    Raises:
        OutsideRequestError: outside a guarded request.
    """
    exchange = _exchange()
    mint = exchange.mint_csrf_token
    return "" if mint is None else mint(exchange)


def nonce() -> str:
    """Return this response's nonce, for ``<script nonce=...>`` in a page.

    128 random bits, fresh per response, and only made when a page asks for it.

    Raises:
        OutsideRequestError: outside a guarded request.

    Source: W3C Content Security Policy level 3, section 2.3.
    """
    exchange = _exchange()
    if not exchange.nonce:
        exchange.nonce = secrets.token_urlsafe(16)
    return exchange.nonce


def accepted(model: type[Model]) -> Model:
    """Return what this request has sent, as the model that ``accepts`` names::

        @accepts(Order)
        async def create(request):
            order = current.accepted(Order)

    Args:
        model: the very one that stands in ``accepts(...)``, for the body or the query.

    Raises:
        OutsideRequestError: outside a guarded request, or the route does not accept
            this model; a route that also answers GET has no body there.
    """
    for known, value in _exchange().accepted:
        if known == model:
            return cast("Model", value)
    name = getattr(model, "__qualname__", repr(model))
    message = (
        f"this request was not checked against {name}; put accepts({name}) beside the "
        "route, and ask only where a body was sent"
    )
    raise OutsideRequestError(message)


def request_id() -> str:
    """Return the id that events carry, and refusals with their ``X-Request-Id``.

    Raises:
        OutsideRequestError: outside a guarded request.
    """
    return _exchange().request_id


def database() -> AsyncSession:
    """Return the session in which this request finds its own rows and no others.

    One a request; opened at the first call, and closed when the request is over, with
    whatever was not committed taken back::

        @access.require(access.signed_in)
        async def read_order(
            order_id: str, db: AsyncSession = Depends(current.database)
        ): ...

    Raises:
        OutsideRequestError: outside a guarded request, or the guard was given no
            database.
        TypeError: its engine is synchronous: ``blocking_database``.

    Not covered: tasks that run beside each other in one request: SQLAlchemy's sessions
    are for one at a time. ``Database.session`` opens another.
    """
    return cast("AsyncSession", _opened(blocking=False))


def blocking_database() -> Session:
    """Return the same for a database that was opened with a synchronous engine, for
    handlers that are plain functions.

    Raises:
        OutsideRequestError: as in ``database``.
        TypeError: its engine is async: ``database``.
    """
    return cast("Session", _opened(blocking=True))


def _opened(*, blocking: bool) -> Any:
    exchange = _exchange()
    if exchange.opened is None:
        if not exchange.data:
            message = (
                "this guard was given no database; write Guard(app, data=database) "
                "with a Database of ringfence.access.sqlalchemy"
            )
            raise OutsideRequestError(message)
        opened = exchange.data[0].open()
        kind: Any = type(opened)
        if _is_of_other_kind(kind, blocking):
            message = (
                "the engine of this guard's database is async: take the session from "
                "current.database, in an async def"
                if blocking
                else "the engine of this guard's database is synchronous: take the "
                "session from current.blocking_database, in a plain def; or make the "
                "engine with create_async_engine"
            )
            raise TypeError(message)
        exchange.opened = opened
    return exchange.opened


@cache
def _is_of_other_kind(kind: type, blocking: bool) -> bool:  # noqa: FBT001 - cached by place
    """Return whether what was opened is awaited where it must not be, or the other way
    round; what commits nothing is neither."""
    commit = getattr(kind, "commit", None)
    return commit is not None and iscoroutinefunction(commit) is blocking
