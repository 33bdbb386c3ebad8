"""The doors: who may do what.

``access.public``, ``access.signed_in`` and ``access.role("admin")`` are policies;
``&`` and ``|`` combine them; ``require``, ``depends``, ``guard`` and ``routes`` attach
them.
"""

from ringfence.access.marks import depends, guard, require, routes
from ringfence.access.policy import Policy, Public, Role, SignedIn

__all__ = [
    "Policy",
    "depends",
    "guard",
    "public",
    "require",
    "role",
    "routes",
    "signed_in",
]

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
