"""Route lists that refuse changes once the plans are made.

A route that is added while the server runs would have no plan. Worse, in FastAPI it
makes the framework rebuild its routes and so lose the bindings of all others.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ringfence.errors import PlanError


class Sealed(list[Any]):
    """A list that can be read, and that raises when somebody changes it."""

    __slots__ = ()

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        message = (
            "the route table is sealed: routes, mounts and included routers must be "
            "declared before the start-up is complete, at import or in the lifespan, "
            "so that each of them has a plan"
        )
        raise PlanError(message)

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse


class RouteList:
    """One attribute of a framework's object that holds a list of routes.

    Args:
        owner: the router.
        name: the attribute.
    """

    __slots__ = ("_current", "_name", "_owner")

    def __init__(self, owner: object, name: str) -> None:
        self._owner = owner
        self._name = name
        self._current = getattr(owner, name)

    def seal(self) -> None:
        """Put a sealed copy in the list's place. Idempotent.

        Raises:
            PlanError: the list was replaced, or changed, since it was read.
        """
        if not self.intact():
            message = (
                f"{type(self._owner).__name__}.{self._name} was replaced while the "
                "guard was starting; declare all routes before"
            )
            raise PlanError(message)
        if not isinstance(self._current, Sealed):
            self._current = Sealed(self._current)
            setattr(self._owner, self._name, self._current)

    def intact(self) -> bool:
        """Return whether the list is still the very object that was read."""
        return getattr(self._owner, self._name) is self._current
