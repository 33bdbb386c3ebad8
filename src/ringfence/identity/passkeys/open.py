"""Opening the passkeys: the only place where their library is chosen."""

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
from ringfence.identity.passkeys.challenges import Challenges
from ringfence.identity.passkeys.relying_party import RelyingParties
from ringfence.identity.sessions import Sessions
from ringfence.identity.settings import IdentitySettings
from ringfence.secrets.keyring import Keyring
from ringfence.stores.contracts import Stores

if TYPE_CHECKING:
    from ringfence.identity.factors.verify import SecondFactors
    from ringfence.identity.passkeys.passkeys import Passkeys
    from ringfence.identity.routes.desk import Desk
    from ringfence.identity.routes.gatehouse import Subject


def open_passkeys(  # noqa: PLR0913 - what stands below them, each by its name
    settings: IdentitySettings,
    stores: Stores,
    attempts: Attempts,
    factors: SecondFactors | None,
    keyring: Keyring,
    *,
    public_origins: tuple[str, ...],
    development: bool,
    identifier: Callable[[str], str],
    record: Callable[[Event], None],
    clock: Clock,
) -> Passkeys | None:
    """Return the passkeys of a gatehouse, ``None`` where they are switched off.

    Args:
        settings: of the gatehouse.
        stores: where accounts and passkeys are kept.
        attempts: decides how often one may be tried.
        factors: sees to what belongs to each change of them; ``None`` for none.
        keyring: gives the keys of challenges.
        public_origins: where this service is reached.
        development: plain http on this machine.
        identifier: makes the keyed hash of an address.
        record: takes the events.
        clock: tells the time.

    Raises:
        SettingsError: no public origin is at or below ``passkey_domain``.
        MissingExtraError: a library of the extra ``mfa`` is not installed.
    """
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
            partial(keyring.derive_all, "identity.passkey"),
            stores.replays,
            development=development,
            clock=clock,
        ),
        parties=RelyingParties(
            public_origins,
            name=settings.site_name,
            domain=settings.passkey_domain,
            development=development,
        ),
        attempts=attempts,
        identifier=identifier,
        record=record,
        clock=clock,
    )


def open_passkey_routes(
    desk: Desk,
    accounts: Accounts,
    sessions: Sessions,
    entrance: Entrance,
    parts: tuple[SecondFactors | None, Passkeys | None],
) -> tuple[Subject, ...]:
    """Return the addresses of passkeys, none where they are switched off.

    Args:
        desk: answers.
        accounts: knows the owner.
        sessions: renews sessions.
        entrance: opens them.
        parts: second factors, and passkeys among them.
    """
    factors, passkeys = parts
    if factors is None or passkeys is None:
        return ()
    from ringfence.identity.routes.passkeys import PasskeyRoutes  # noqa: PLC0415 - late: optional starlette

    return (PasskeyRoutes(desk, accounts, factors, passkeys, sessions, entrance),)
