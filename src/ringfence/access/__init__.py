"""The doors: who may do what.

``access.public``, ``access.signed_in``, ``access.role("admin")`` and
``access.fresh(minutes=10)`` are policies;
``&`` and ``|`` combine them; ``require``, ``depends``, ``guard`` and ``routes`` attach
them.
"""

from ringfence.access.marks import depends, guard, require, routes
from ringfence.access.policy import Fresh, Policy, Public, Role, SignedIn

__all__ = [
    "Policy",
    "depends",
    "fresh",
    "guard",
    "public",
    "require",
    "role",
    "routes",
    "signed_in",
]

_MOST_MINUTES = 24 * 60

public: Policy = Public()
"""Anybody, signed in or not."""

signed_in: Policy = SignedIn()
"""Anybody who has signed in."""


def role(*names: str) -> Policy:
    """Return the policy that allows whoever holds one of these roles.

    Args:
        names: one role or more; each also allows the roles that include it.

    Raises:
        ValueError: no name was given.
    """
    if not names:
        message = 'access.role needs at least one name, as in access.role("admin")'
        raise ValueError(message)
    return Role(frozenset(names))


def fresh(minutes: float = 10) -> Policy:
    """Return the policy that wants a recent proof of who somebody is.

    For what cannot be undone: transfers, a new e-mail address, deleting. Somebody whose
    sign-in was longer ago is asked for the password once more, a browser on a page that
    leads back, a program by ``POST /auth/confirm``. Combines with roles::

        @access.require(access.role("admin") & access.fresh(minutes=5))

    Args:
        minutes: the greatest age of the sign-in or confirmation, 1 to 1440.

    Raises:
        ValueError: out of range.

    Not covered: what happens within these minutes; ask for the password in the very
    form where that matters.
    """
    if not 1 <= minutes <= _MOST_MINUTES:
        message = f"access.fresh: minutes is {minutes}; it must be from 1 to 1440"
        raise ValueError(message)
    return Fresh(minutes * 60.0)
