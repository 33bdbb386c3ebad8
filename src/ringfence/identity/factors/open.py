"""Opening second factors: the only place where their optional libraries are chosen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ringfence.audit.events import Event
from ringfence.clock import Clock
from ringfence.errors import MissingExtraError
from ringfence.identity.accounts import Accounts
from ringfence.identity.attempts import Attempts
from ringfence.identity.entrance import Entrance
from ringfence.identity.factors.recovery_codes import RecoveryCodes
from ringfence.identity.sessions import Sessions
from ringfence.secrets.keyring import Keyring
from ringfence.secrets.sealed import Seal
from ringfence.stores.contracts import FactorStore

if TYPE_CHECKING:
    from ringfence.identity.factors.verify import SecondFactors
    from ringfence.identity.routes.desk import Desk
    from ringfence.identity.routes.gatehouse import Subject


def open_factors(  # noqa: PLR0913 - what stands below, each by its name
    store: FactorStore,
    attempts: Attempts,
    keyring: Keyring,
    *,
    issuer: str,
    record: Callable[[Event], None],
    identifier: Callable[[str], str],
    clock: Clock,
) -> SecondFactors:
    """Return what checks one-time and recovery codes.

    Args:
        store: keeps the factors.
        attempts: decides how often a code may be tried.
        keyring: gives the keys of the seals and hashes.
        issuer: what apps call this site.
        record: takes the events.
        identifier: makes the keyed hash of an address.
        clock: tells the time.

    Raises:
        MissingExtraError: a library of the extra ``mfa`` is not installed.
    """
    try:
        from ringfence.identity.factors.totp import Totp  # noqa: PLC0415 - late: optional pyotp
        from ringfence.identity.factors.verify import SecondFactors  # noqa: PLC0415 - late: optional pyotp
    except ImportError as error:
        raise MissingExtraError(
            error.name or "pyotp",
            "mfa",
            "set up authenticator apps (identity.second_factors)",
        ) from error

    # What lies in the database outlives the time in which a key verifies.
    seal = Seal(partial(keyring.derive_kept, "identity.totp"))
    return SecondFactors(
        store,
        attempts,
        Totp(store, seal, issuer=issuer, clock=clock),
        open_recovery_codes(store, keyring, clock=clock),
        record=record,
        identifier=identifier,
    )


def open_recovery_codes(
    store: FactorStore, keyring: Keyring, *, clock: Clock
) -> RecoveryCodes:
    """Return what makes and checks recovery codes, whatever they stand in for."""
    keys = partial(keyring.derive_kept, "identity.recovery-codes")
    return RecoveryCodes(store, keys, clock=clock)


def open_factor_routes(  # noqa: PLR0913 - what stands below, each by its name
    desk: Desk,
    accounts: Accounts,
    sessions: Sessions,
    entrance: Entrance,
    factors: SecondFactors | None,
    *,
    site_name: str,
) -> tuple[Subject, ...]:
    """Return the addresses of second factors, none where they are switched off.

    Raises:
        MissingExtraError: a library of the extra ``mfa`` is not installed.
    """
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
    from ringfence.identity.routes.recovery_codes import RecoveryCodeRoutes  # noqa: PLC0415 - late: optional starlette
    from ringfence.identity.routes.second_factor import SecondFactorRoutes  # noqa: PLC0415 - late: optional starlette

    return (
        SecondFactorRoutes(desk, accounts, sessions, entrance, factors),
        TotpRoutes(desk, accounts, sessions, factors),
        RecoveryCodeRoutes(desk, accounts, factors, site_name),
    )
