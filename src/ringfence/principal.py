"""Who is there."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SCOPE = re.compile(r"[A-Za-z0-9._:/-]{1,64}", re.ASCII)
_TENANT = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


def is_scope(name: str) -> bool:
    """Return whether a text may be the name of a scope; a part of what RFC 6749
    allows, that needs quoting nowhere."""
    return _SCOPE.fullmatch(name) is not None


def is_tenant(name: str) -> bool:
    """Return whether a text may be the id of a tenant: of at most 64 characters, that
    need quoting nowhere and look like no others. Nothing is folded: ``Acme`` is not
    ``acme``."""
    return _TENANT.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Principal:
    """The identity behind a request, as proved by exactly one credential.

    Args:
        id: the account's id; a string, never an e-mail address.
        roles: the roles held, without those that a hierarchy adds.
        factors: how the identity was proved, for instance ``{"password"}``.
        signed_in_at: Unix time of the last proof, in seconds: the sign-in, or a
            confirmation since then; 0 where none counts any more.
        scopes: what a program that works for the account may do with it; ``None``: all
            that the account may. With an API key nothing else; with a token it is what
            ``access.scope`` asks for.
        credential: what was shown: ``session``, ``token`` or ``api-key``.
        tenant: the id of the customer, company or team that the account belongs to;
            empty where it belongs to none.

    Not covered: what the principal may do. That is ``access``.
    """

    id: str
    roles: frozenset[str] = frozenset()
    factors: frozenset[str] = frozenset()
    signed_in_at: float = 0.0
    scopes: frozenset[str] | None = None
    credential: str = "session"
    tenant: str = ""
