"""Opening second factors: the only place where their optional libraries are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringfence.errors import MissingExtraError
from ringfence.identity.attempts import Attempts
from ringfence.identity.factors.recovery_codes import RecoveryCodes
from ringfence.identity.ground import Ground
from ringfence.secrets.sealed import Seal

if TYPE_CHECKING:
    from ringfence.identity.factors.verify import SecondFactors


def open_factors(ground: Ground, attempts: Attempts) -> SecondFactors:
    """Return what decides about second factors.

    Args:
        ground: what it stands on.
        attempts: decides how often a code may be tried.

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

    store, clock = ground.stores.factors, ground.clock
    seal = Seal(ground.kept_keys("identity.totp"))
    codes = RecoveryCodes(
        store, ground.kept_keys("identity.recovery-codes"), clock=clock
    )
    return SecondFactors(
        store,
        attempts,
        Totp(store, seal, issuer=ground.settings.site_name, clock=clock),
        codes,
        record=ground.record,
        identifier=ground.identifier,
    )
