"""All the addresses together."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.routing import Router

from ringfence.identity.fetch import Fetch
from ringfence.identity.openid.open import open_openid_routes
from ringfence.identity.openid.settings import OpenIdSettings
from ringfence.identity.pages.render import Pages
from ringfence.identity.parts import Parts
from ringfence.identity.routes.account import AccountRoutes
from ringfence.identity.routes.api_keys import ApiKeyRoutes
from ringfence.identity.routes.assets import AssetRoutes
from ringfence.identity.routes.confirm import ConfirmRoutes
from ringfence.identity.routes.desk import Desk, Voucher
from ringfence.identity.routes.open import (
    open_factor_routes,
    open_passkey_routes,
    open_token_routes,
)
from ringfence.identity.routes.recovery import RecoveryRoutes, VerificationRoutes
from ringfence.identity.routes.route import Subject
from ringfence.identity.routes.sessions import SessionRoutes
from ringfence.identity.routes.sign_in import SignInRoutes


def gatehouse(parts: Parts, openid: OpenIdSettings, fetch: Fetch | None) -> Router:
    """Return the application that answers under ``/auth``.

    Args:
        parts: decide.
        openid: providers that people sign in with.
        fetch: asks them.

    Raises:
        SettingsError: a provider is reached without TLS in production.
        MissingExtraError: what is switched on needs a library that is not installed.
    """
    subjects = _subjects(parts, openid, fetch)
    return Router(routes=[route for subject in subjects for route in subject.routes()])


def _subjects(
    parts: Parts, openid: OpenIdSettings, fetch: Fetch | None
) -> Iterator[Subject]:
    desk = _desk(parts, openid)
    accounts, sessions, entrance = parts.accounts, parts.sessions, parts.entrance
    yield ConfirmRoutes(
        desk, accounts, sessions, parts.factors, parts.ground.stores.links
    )
    yield from open_factor_routes(desk, parts)
    yield from open_passkey_routes(desk, parts)
    yield SignInRoutes(desk, accounts, sessions, entrance, parts.verification)
    yield AccountRoutes(desk, accounts, sessions, entrance, parts.families)
    yield SessionRoutes(desk, sessions)
    yield from open_token_routes(desk, parts)
    yield from open_openid_routes(openid, desk, parts, fetch)
    if parts.api_keys.scopes:
        yield ApiKeyRoutes(desk, parts.api_keys, accounts, parts.factors)
    yield AssetRoutes(desk)
    if parts.recovery is not None:
        yield RecoveryRoutes(desk, parts.recovery)
    if parts.verification is not None:
        yield VerificationRoutes(desk, parts.verification)


def _desk(parts: Parts, openid: OpenIdSettings) -> Desk:
    settings = parts.ground.settings
    features = {
        "two-step": parts.factors is not None,
        "passkeys": parts.passkeys is not None,
        "recovery": parts.recovery is not None,
        "api-keys": bool(parts.api_keys.scopes),
        "verification": parts.verification is not None,
    }
    return Desk(
        Pages(site_name=settings.site_name, templates=settings.templates),
        after_sign_in=settings.after_sign_in,
        registration=settings.registration,
        shortest_password=parts.accounts.shortest_password,
        features=frozenset(name for name, is_on in features.items() if is_on),
        providers=tuple(
            Voucher(each.name, each.label, each.issuer) for each in openid.providers
        ),
    )
