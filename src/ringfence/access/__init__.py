"""The doors: who may do what.

``access.public``, ``access.signed_in``, ``access.role("admin")``,
``access.scope("orders:read")``, ``access.fresh(minutes=10)`` and
``access.factor("passkey")`` are policies;
``&`` and ``|`` combine them; ``require``, ``depends``, ``guard`` and ``routes`` attach
them to routes.

``access.owner("owner_id")``, ``access.tenant("tenant_id")``,
``access.through("order")`` and ``access.matching(published=True)`` are rules about
rows; ``rows`` attaches them, and policies, to models. ``fields`` says who may read and
set which fields, ``request_of`` and ``response_of`` apply it to what comes and goes.
"""

from ringfence.access.fields.rules import fields
from ringfence.access.fields.shapes import readable, request_of, response_of
from ringfence.access.marks import depends, guard, require, routes
from ringfence.access.own import Own, OwnTenant
from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.refusals import found
from ringfence.access.ownership.rules import (
    Constant,
    Matching,
    Owner,
    Tenant,
    Through,
    rows,
)
from ringfence.access.policy import (
    FACTORS,
    SECOND_FACTORS,
    AnyScope,
    Factor,
    Fresh,
    Nobody,
    Policy,
    Public,
    Role,
    Scope,
    SignedIn,
)
from ringfence.principal import is_scope

__all__ = [
    "Policy",
    "acting_as",
    "any_scope",
    "depends",
    "factor",
    "fields",
    "found",
    "fresh",
    "guard",
    "matching",
    "nobody",
    "own",
    "own_tenant",
    "owner",
    "public",
    "readable",
    "request_of",
    "require",
    "response_of",
    "role",
    "routes",
    "rows",
    "scope",
    "signed_in",
    "tenant",
    "through",
]

_MOST_MINUTES = 24 * 60

public: Policy = Public()
"""Anybody, signed in or not."""

signed_in: Policy = SignedIn()
"""Anybody who has signed in."""


nobody: Policy = Nobody()
"""Nobody. On rows: only code that says ``unscoped``."""

any_scope: Policy = AnyScope()
"""Anybody who has signed in, and every program that works for them with an API key,
whatever its scopes: for what tells a key about itself."""


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


def factor(*names: str) -> Policy:
    """Return the policy that wants one of these factors to have been shown.

    Somebody who has signed in with less is asked for it, a browser on a page that leads
    back, a program by ``POST /auth/confirm`` or ``/auth/totp/verify``; somebody who has
    none is led to where one is set up. Combines with roles and with freshness::

        @access.require(access.role("admin") & access.factor())
        @access.require(access.factor("passkey") & access.fresh(minutes=5))

    Args:
        names: any one of ``totp``, ``passkey``, ``recovery-code``, ``password`` and
            ``openid``; without one, any second factor (the first three).

    Raises:
        ValueError: there is no such factor.

    Not covered: how long ago it was this very factor: ``fresh`` asks for the last proof
    of any kind.
    """
    unknown = sorted(set(names) - FACTORS)
    if unknown:
        message = (
            f"access.factor: there is no factor {unknown[0]!r}; there are "
            f"{', '.join(sorted(FACTORS))}"
        )
        raise ValueError(message)
    return Factor(frozenset(names) or SECOND_FACTORS)


def scope(*names: str) -> Policy:
    """Return the policy that also lets programs in whose API key has one of these
    scopes.

    Whoever has signed in is not limited by scopes. A key opens nothing but the routes
    whose policy names a scope of it. Combines with roles, which the account of a key
    must have as well::

        @access.require(access.role("clerk") & access.scope("orders:read"))

    Args:
        names: one scope or more.

    Raises:
        ValueError: no name was given, or one that a key cannot have.
    """
    if not names:
        message = 'access.scope needs at least one name, as in access.scope("a:read")'
        raise ValueError(message)
    for name in names:
        if not is_scope(name):
            message = (
                f"access.scope: {name!r} is no scope; write 1 to 64 of the characters "
                "a-z, A-Z, 0-9 and . _ : / -"
            )
            raise ValueError(message)
    return Scope(frozenset(names))


def owner(path: str) -> Policy:
    """Return the rule that shows rows to whom they belong.

    Args:
        path: the attribute of the model that holds the account's id: a column
            (``"owner_id"``), or one at the end of relationships, to one row or to many
            (``"order.owner_id"``, ``"members.account_id"``).

    Raises:
        ValueError: no path.
    """
    return Owner(_path(path, "owner"))


def own(name: str) -> Policy:
    """Return the policy that lets somebody in where the path says their own id::

        @app.get("/users/{user_id}/profile")
        @access.require(access.own("user_id") | access.role("staff"))
        async def read_profile(user_id: str): ...

    Everybody else gets what they would get for an id that there is not: 404.

    Args:
        name: of the parameter of the path. A route without it stops the start-up.

    Raises:
        ValueError: no name of a parameter.

    Not covered: ids in the query or the body: the rows have owners of their own
    (``access.rows``). An id is compared as it is written: ``007`` is not ``7``.
    """
    return Own(_parameter(name, "own"))


def own_tenant(name: str) -> Policy:
    """Return the policy that lets those in whose tenant stands in the path::

        @access.require(access.own_tenant("tenant_id") & access.role("operator"))

    Args:
        name: of the parameter of the path, as in ``own``.

    Raises:
        ValueError: no name of a parameter.
    """
    return OwnTenant(_parameter(name, "own_tenant"))


def _parameter(name: str, word: str) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        message = (
            f"access.{word} takes the name of a parameter of the path, as in "
            f'access.{word}("user_id"); not {name!r}'
        )
        raise ValueError(message)
    return name


def tenant(path: str) -> Policy:
    """Return the rule that shows rows to everybody of the tenant that they belong to;
    most often together with a role::

        access.owner("owner_id") | access.role("operator") & access.tenant("tenant_id")

    Args:
        path: the attribute that holds the tenant's id, as in ``owner``.

    Raises:
        ValueError: no path.
    """
    return Tenant(_path(path, "tenant"))


def through(path: str) -> Policy:
    """Return the rule that shows rows to whoever sees the row that they lead to: the
    lines of an order to whoever sees the order.

    Args:
        path: a relationship of the model (``"order"``), or several.

    Raises:
        ValueError: no path.
    """
    return Through(_path(path, "through"))


def matching(**values: Constant) -> Policy:
    """Return the rule that shows the rows in which attributes have these values::

        @access.rows(
            access.matching(published=True) | access.owner("author_id"),
            write=access.owner("author_id"),
        )

    Args:
        values: attributes of the model itself; constants of the application.

    Raises:
        ValueError: none.
    """
    if not values:
        message = "access.matching needs a value, as in access.matching(published=True)"
        raise ValueError(message)
    return Matching(tuple(sorted(values.items())))


def _path(path: str, name: str) -> str:
    if not isinstance(path, str) or not all(
        part.isidentifier() for part in path.split(".")
    ):
        message = (
            f"access.{name} takes the name of an attribute, or several with dots "
            f'between them, as in access.{name}("order.owner_id"); not {path!r}'
        )
        raise ValueError(message)
    return path
