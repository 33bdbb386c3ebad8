"""Opening the sign-in with other providers: where its optional library is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringfence.errors import MissingExtraError
from ringfence.identity.fetch import Fetch
from ringfence.identity.openid import attempt
from ringfence.identity.openid.settings import OpenIdSettings
from ringfence.identity.parts import Parts

if TYPE_CHECKING:
    from ringfence.identity.routes.desk import Desk
    from ringfence.identity.routes.route import Subject


def open_openid_routes(
    settings: OpenIdSettings, desk: Desk, parts: Parts, fetch: Fetch | None
) -> tuple[Subject, ...]:
    """Return the addresses of the sign-in with other providers; none where there are
    no providers.

    Args:
        settings: of the providers.
        desk: answers.
        parts: decide.
        fetch: asks other services.

    Raises:
        SettingsError: a provider is reached without TLS in production.
        MissingExtraError: a library of the extra ``openid`` is not installed.
        TypeError: there are providers, and nothing to ask them with.
    """
    ground = parts.ground
    stores, clock, development = ground.stores, ground.clock, ground.development
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
        ground.keys("identity.openid"),
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
        counters=ground.counters,
        public_origins=ground.public_origins,
        record=ground.record,
    )
    identities = Identities(
        stores.links,
        parts.accounts,
        parts.attempts,
        registration=desk.registration,
        issuers=[each.issuer for each in settings.providers],
        record=ground.record,
        clock=clock,
    )
    return (
        OpenIdRoutes(
            desk, client, identities, parts.accounts, parts.sessions, parts.entrance
        ),
    )
