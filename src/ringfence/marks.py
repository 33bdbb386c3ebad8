"""What a developer says beside a route, besides its policy.

A mark (a limit, say, or headers that differ) is an ordinary value that can stand above
a handler, in ``access.routes([...], policy, mark)``, in ``access.depends(policy,
mark)``, or in a ``Rule``. It is read at start-up by ``frameworks`` and becomes part of
the route's plan; on a request nobody looks for marks.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

_MARKS = "__ringfence_marks__"

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


class Mark:
    """Base of every mark: used as a decorator, it is added to the handler.

    Subclasses are frozen dataclasses that check themselves when they are made, so that
    a wrong one stops the import of the module in which it stands.
    """

    __slots__ = ()

    def __call__(self, endpoint: Endpoint) -> Endpoint:
        """Add this mark to a handler, above or below ``access.require``.

        Raises:
            TypeError: what is marked is no function and no class.
        """
        add_marks(endpoint, self)
        return endpoint


def add_marks(carrier: object, *marks: Mark) -> None:
    """Give an object further marks, the outermost first.

    Raises:
        TypeError: the object cannot carry marks, or what is given is none.
    """
    must_be_marks(marks)
    if marks:
        try:
            setattr(carrier, _MARKS, (*marks, *own_marks(carrier)))
        except AttributeError as error:
            message = (
                f"{carrier!r} cannot carry a mark; put it above the def of the handler"
            )
            raise TypeError(message) from error


def must_be_marks(marks: Iterable[object]) -> None:
    """Refuse what is no mark.

    Raises:
        TypeError: one of them is none.
    """
    for mark in marks:
        if not isinstance(mark, Mark):
            message = f"{mark!r} is no mark such as limit(...) or headers(...)"
            raise TypeError(message)


def marks_of(carrier: object) -> tuple[Mark, ...]:
    """Return the marks of a handler or route, through partials, outermost first."""
    found = own_marks(carrier)
    while isinstance(carrier, functools.partial):
        carrier = carrier.func
        found += own_marks(carrier)
    return found


def own_marks(carrier: object) -> tuple[Mark, ...]:
    """Return the marks of this very object. A class does not inherit its base's: what
    a handler may do is written where the handler is."""
    if inspect.isclass(carrier):
        return cast("tuple[Mark, ...]", vars(carrier).get(_MARKS, ()))
    return cast("tuple[Mark, ...]", getattr(carrier, _MARKS, ()))
