"""Addresses of what may be switched off, or need a library that may not be there."""

from __future__ import annotations

from ringfence.errors import MissingExtraError
from ringfence.identity.parts import Parts
from ringfence.identity.routes.desk import Desk
from ringfence.identity.routes.jwks import JwksRoutes
from ringfence.identity.routes.passkeys import PasskeyRoutes
from ringfence.identity.routes.recovery_codes import RecoveryCodeRoutes
from ringfence.identity.routes.route import Subject
from ringfence.identity.routes.second_factor import SecondFactorRoutes
from ringfence.identity.routes.tokens import TokenDesk, TokenRoutes
from ringfence.identity.tokens.jwks import PublicKeys


def open_factor_routes(desk: Desk, parts: Parts) -> tuple[Subject, ...]:
    """Return the addresses of second factors, none where they are switched off.

    Args:
        desk: answers.
        parts: decide.

    Raises:
        MissingExtraError: a library of the extra ``mfa`` is not installed.
    """
    factors = parts.factors
    if factors is None:
        return ()
    try:
        from ringfence.identity.routes.totp import TotpRoutes  # noqa: PLC0415 - late: optional segno
    except ImportError as error:
        raise MissingExtraError(
            error.name or "segno",
            "mfa",
            "set up authenticator apps (identity.second_factors)",
        ) from error

    accounts, sessions = parts.accounts, parts.sessions
    site_name = parts.ground.settings.site_name
    return (
        SecondFactorRoutes(desk, accounts, sessions, parts.entrance, factors),
        TotpRoutes(desk, accounts, sessions, factors),
        RecoveryCodeRoutes(desk, accounts, factors, site_name),
    )


def open_passkey_routes(desk: Desk, parts: Parts) -> tuple[Subject, ...]:
    """Return the addresses of passkeys, none where they are switched off.

    Args:
        desk: answers.
        parts: decide.
    """
    factors, passkeys = parts.factors, parts.passkeys
    if factors is None or passkeys is None:
        return ()
    return (
        PasskeyRoutes(
            desk, parts.accounts, factors, passkeys, parts.sessions, parts.entrance
        ),
    )


def open_token_routes(desk: Desk, parts: Parts) -> tuple[Subject, ...]:
    """Return the addresses of tokens, none where they are switched off.

    Args:
        desk: answers.
        parts: decide.
    """
    tokens, families, sessions = parts.tokens, parts.families, parts.sessions
    if tokens is None or families is None or sessions.tokens is None:
        return ()
    counter = TokenDesk(
        tokens.check, families, sessions.tokens, parts.credentials.cookies
    )
    return (
        TokenRoutes(
            desk, counter, parts.accounts, sessions, parts.entrance, parts.factors
        ),
        JwksRoutes(desk, PublicKeys(tokens.keys)),
    )
