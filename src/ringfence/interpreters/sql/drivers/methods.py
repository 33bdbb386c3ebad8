"""Put a question before the methods of a driver's classes, for the whole process.

Drivers in Python have no place to object from: what they offer (listeners, loggers,
adapters) hears of a statement when it is under way, or cannot refuse it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ringfence.errors import SettingsError

Question = Callable[[Any, Any, object], None]
"""Asks whether an object (a cursor, a connection) may send a statement with these
parameters: raises or returns."""

ConnectionOf = Callable[[Any], object]
"""Returns the connection over which an object sends."""

Method = Callable[..., Any]

_vouched: ContextVar[object] = ContextVar("ringfence_judged_on", default=None)


def ask_before(
    owner: type,
    statements: Mapping[str, str] | Iterable[str],
    question: Question,
    *,
    connection_of: ConnectionOf | None = None,
) -> None:
    """Ask before each of these methods does anything.

    Args:
        owner: the class that defines them.
        statements: names of methods, each with that of the argument which is, or
            becomes part of, a statement; without these, it is the first.
        question: called with the object, the statement, and what else was given. Not
            asked where the argument is left out.
        connection_of: where a method sends what it makes of the statement by other
            methods that ask: the connection over which these need not ask again.

    Raises:
        SettingsError: the methods are not what they were in known releases.
    """
    named = statements if isinstance(statements, Mapping) else {}
    for name in statements:
        original = _method_of(owner, name)
        if _is_ours(original):
            continue
        place, argument = _place_of(owner, name, named.get(name))
        sending = _vouching(original, connection_of) if connection_of else original
        replace(owner, name, _asking(original, sending, place, argument, question))


def vouch_for(owner: type, names: Iterable[str], connection_of: ConnectionOf) -> None:
    """Let these methods send what a driver itself writes: ``BEGIN``, ``SAVEPOINT``,
    a reset. An input that is one of its words would be found there else.

    Args:
        owner: the class that defines them.
        names: of the methods.
        connection_of: returns the connection of such an object.

    Raises:
        SettingsError: there are no such methods.
    """
    for name in names:
        original = _method_of(owner, name)
        if not _is_ours(original):
            replace(owner, name, _vouching(original, connection_of))


def is_vouched(connection: object) -> bool:
    """Tell whether what is being sent over this connection has been judged before."""
    return _vouched.get() is connection


@contextmanager
def _vouched_for(connection: object) -> Iterator[None]:
    token = _vouched.set(connection)
    try:
        yield
    finally:
        _vouched.reset(token)


def _is_ours(method: Method) -> bool:
    return hasattr(method, "ringfence_asks")


def replace(owner: type, name: str, method: Method) -> None:
    """Put a method into a class for good, marked as ours."""
    method.ringfence_asks = vars(owner)[name]  # type: ignore[attr-defined]  # a mark
    setattr(owner, name, method)


def _method_of(owner: type, name: str) -> Method:
    found: Method | None = vars(owner).get(name)
    if found is None or not callable(found):
        raise unknown(owner, name)
    return found


def _place_of(owner: type, name: str, argument: str | None) -> tuple[int | None, str]:
    """Return at which place a method takes an argument, and its name. No place: it is
    taken by its name only; no name: the first is meant."""
    parameters = list(inspect.signature(vars(owner)[name]).parameters.values())
    for place, parameter in enumerate(parameters[1:]):
        if argument in {None, parameter.name}:
            by_name = parameter.kind is parameter.KEYWORD_ONLY
            return None if by_name else place, parameter.name
    raise unknown(owner, name)


def unknown(owner: type, name: str) -> SettingsError:
    """Return what stops a start-up with a release of a driver that is not known."""
    library = owner.__module__.partition(".")[0]
    return SettingsError(
        f"{owner.__qualname__}.{name} of {library} is not what ringfence knows, so "
        f"that its statements could not be judged; install a release of {library} "
        "that this release of ringfence was tested with"
    )


def _asking(
    original: Method,
    sending: Method,
    place: int | None,
    argument: str,
    question: Question,
) -> Method:
    def ask(who: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        statement, others = named.get(argument), given
        if place is not None and len(given) > place:
            statement, others = given[place], given[:place] + given[place + 1 :]
        if statement is not None:
            question(who, statement, (*others, *named.values()))

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
            ask(self, args, kwargs)
            return await sending(self, *args, **kwargs)

    else:

        @functools.wraps(original)
        def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
            ask(self, args, kwargs)
            return sending(self, *args, **kwargs)

    return asked


def _vouching(original: Method, connection_of: ConnectionOf) -> Method:
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def covered(self: Any, *args: Any, **kwargs: Any) -> Any:
            with _vouched_for(connection_of(self)):
                return await original(self, *args, **kwargs)

    else:

        @functools.wraps(original)
        def covered(self: Any, *args: Any, **kwargs: Any) -> Any:
            with _vouched_for(connection_of(self)):
                sent = original(self, *args, **kwargs)
            # asyncpg hides that methods are coroutines behind a decorator of its own.
            if inspect.iscoroutine(sent):
                return _covering(connection_of(self), sent)
            return sent

    return covered


async def _covering(connection: object, sending: Coroutine[Any, Any, Any]) -> Any:
    with _vouched_for(connection):
        return await sending
