"""Opening the passkeys: the only place where their library is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringfence.errors import MissingExtraError
from ringfence.identity.attempts import Attempts
from ringfence.identity.ground import Ground
from ringfence.identity.passkeys.challenges import Challenges
from ringfence.identity.passkeys.relying_party import RelyingParties

if TYPE_CHECKING:
    from ringfence.identity.factors.verify import SecondFactors
    from ringfence.identity.passkeys.passkeys import Passkeys


def open_passkeys(
    ground: Ground, attempts: Attempts, factors: SecondFactors | None
) -> Passkeys | None:
    """Return what decides about passkeys, ``None`` where they are switched off.

    Args:
        ground: what it stands on.
        attempts: decides how often one may be tried.
        factors: sees to what belongs to each change of them; ``None`` for none.

    Raises:
        SettingsError: no public origin is at or below ``passkey_domain``.
        MissingExtraError: a library of the extra ``mfa`` is not installed.
    """
    settings, stores, development = ground.settings, ground.stores, ground.development
    if factors is None or not settings.passkeys:
        return None
    try:
        from ringfence.identity.passkeys.passkeys import Passkeys  # noqa: PLC0415 - late: optional webauthn
    except ImportError as error:
        raise MissingExtraError(
            error.name or "webauthn", "mfa", "sign in with passkeys (identity.passkeys)"
        ) from error

    return Passkeys(
        stores.accounts,
        stores.factors,
        factors,
        challenges=Challenges(
            ground.keys("identity.passkey"),
            stores.replays,
            development=development,
            clock=ground.clock,
        ),
        parties=RelyingParties(
            ground.public_origins,
            name=settings.site_name,
            domain=settings.passkey_domain,
            development=development,
        ),
        attempts=attempts,
        identifier=ground.identifier,
        record=ground.record,
        clock=ground.clock,
    )
