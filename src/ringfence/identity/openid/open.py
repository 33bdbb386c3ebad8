"""Opening the sign-in with other providers: where its optional library is chosen."""

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
from ringfence.identity.fetch import Fetch
from ringfence.identity.openid import attempt
from ringfence.identity.openid.settings import OpenIdSettings
from ringfence.identity.sessions import Sessions
from ringfence.secrets.keyring import Keyring
from ringfence.stores.contracts import CounterStore, Stores

if TYPE_CHECKING:
    from ringfence.identity.routes.desk import Desk
    from ringfence.identity.routes.gatehouse import Subject


def open_openid_routes(  # noqa: PLR0913 - what stands below, each by its name
    settings: OpenIdSettings,
    desk: Desk,
    *,
    accounts: Accounts,
    sessions: Sessions,
    entrance: Entrance,
    attempts: Attempts,
    stores: Stores,
    keyring: Keyring,
    counters: CounterStore,
    fetch: Fetch | None,
    public_origins: tuple[str, ...],
    development: bool,
    record: Callable[[Event], None],
    clock: Clock,
) -> tuple[Subject, ...]:
    """Return the addresses of the sign-in with other providers, none where there are
    no providers.

    Args:
        settings: of the providers.
        desk: answers.
        accounts: decides about accounts.
        sessions: renews and ends sessions.
        entrance: opens them.
        attempts: counts new accounts.
        stores: keep what lasts.
        keyring: gives the keys.
        counters: keep what is left of the limits.
        fetch: asks other services.
        public_origins: of this service.
        development: plain http on this machine.
        record: takes the events.
        clock: tells the time.

    Raises:
        SettingsError: a provider is reached without TLS in production.
        MissingExtraError: a library of the extra ``openid`` is not installed.
        TypeError: there are providers, and nothing to ask them with.
    """
    if not settings.providers:
        return ()
    if not development:
        settings.check_production()
    if fetch is None:
        raise TypeError("providers of OpenID Connect need something to ask them with")
    try:
        from ringfence.identity.openid.client import OpenIdClient  # noqa: PLC0415 - late: optional joserfc
        from ringfence.identity.openid.identities import Identities  # noqa: PLC0415 - late: optional joserfc
        from ringfence.identity.openid.provider import Provider  # noqa: PLC0415 - late: optional joserfc
        from ringfence.identity.routes.openid import OpenIdRoutes  # noqa: PLC0415 - late: optional joserfc
    except ImportError as error:
        raise MissingExtraError(
            error.name or "joserfc", "openid", "sign in with OpenID Connect"
        ) from error

    begun = attempt.Attempts(
        partial(keyring.derive_all, "identity.openid"),
        stores.replays,
        development=development,
        clock=clock,
    )
    client = OpenIdClient(
        {
            each.name: Provider(each, fetch, development=development, clock=clock)
            for each in settings.providers
        },
        begun,
        counters=counters,
        public_origins=public_origins,
        record=record,
    )
    identities = Identities(
        stores.links,
        accounts,
        attempts,
        registration=desk.registration,
        issuers=[each.issuer for each in settings.providers],
        record=record,
        clock=clock,
    )
    return (OpenIdRoutes(desk, client, identities, accounts, sessions, entrance),)
