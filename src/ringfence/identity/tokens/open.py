"""Opening what hands out tokens and recognises them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ringfence.audit.events import Event
from ringfence.clock import Clock
from ringfence.errors import MissingExtraError
from ringfence.identity.fetch import Fetch
from ringfence.identity.tokens.access_token import AccessTokens
from ringfence.identity.tokens.bearer import Credentials, ForeignCheck, TokenCheck
from ringfence.identity.tokens.dpop import Proofs
from ringfence.identity.tokens.jwks import PublicKeys
from ringfence.identity.tokens.keys import TokenKeys
from ringfence.identity.tokens.nonces import Nonces
from ringfence.identity.tokens.refresh import RefreshLifetime, RefreshTokens, Told
from ringfence.identity.tokens.refresh_token import RefreshTokenForm
from ringfence.identity.tokens.settings import TokenSettings
from ringfence.identity.tokens.verify import TokenVerifier
from ringfence.secrets.keyring import Keyring
from ringfence.stores.contracts import Stores

if TYPE_CHECKING:
    from ringfence.identity.accounts import Accounts
    from ringfence.identity.entrance import Entrance
    from ringfence.identity.factors.verify import SecondFactors
    from ringfence.identity.routes.desk import Desk
    from ringfence.identity.routes.jwks import JwksRoutes
    from ringfence.identity.routes.tokens import TokenRoutes
    from ringfence.identity.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Tokens:
    """What there is where tokens are switched on.

    Args:
        settings: with issuer and audience filled in.
        keys: that access tokens are signed with.
        check: recognises tokens.
        form: writes and reads refresh tokens.
        stores: keep what was handed out, and taken back.
        clock: tells the time.
    """

    settings: TokenSettings
    keys: TokenKeys
    check: TokenCheck
    form: RefreshTokenForm
    stores: Stores
    clock: Clock

    def families(
        self,
        *,
        record: Callable[[Event], None],
        told: Told,
        ended: Callable[[str, str], None],
    ) -> RefreshTokens:
        """Return what hands tokens out.

        Args:
            record: takes the events.
            told: tells the owner of a token in two hands.
            ended: told of an account and a family of its that has ended.
        """
        settings = self.settings
        access = AccessTokens(
            self.keys,
            issuer=settings.issuer,
            audience=settings.audience,
            lifetime=settings.lifetime,
            clock=self.clock,
        )
        lifetime = RefreshLifetime(
            settings.refresh_idle, settings.refresh_absolute, settings.refresh_grace
        )
        return RefreshTokens(
            self.form,
            self.stores.grants,
            self.stores.revocations,
            access,
            lifetime,
            record=record,
            told=told,
            ended=ended,
            clock=self.clock,
        )


def open_tokens(
    settings: TokenSettings | None,
    stores: Stores,
    keyring: Keyring,
    *,
    public_origins: tuple[str, ...],
    clock: Clock,
) -> Tokens | None:
    """Return what there is of tokens, ``None`` where they are switched off.

    Args:
        settings: of tokens.
        stores: keep what was handed out, and taken back.
        keyring: gives the keys.
        public_origins: where this service is reached.
        clock: tells the time.
    """
    if settings is None or not settings.enabled:
        return None
    settings = settings.named(public_origins)
    keys = TokenKeys(keyring.derive_all, settings.algorithm)
    verifier = TokenVerifier(keys, issuer=settings.issuer, audience=settings.audience)
    proofs = None
    if settings.dpop != "off":
        proofs = Proofs(
            stores.replays,
            Nonces(partial(keyring.derive_all, "identity.dpop-nonce"), clock),
            public_origins,
            nonce_needed=settings.dpop_nonce,
            clock=clock,
        )
    check = TokenCheck(
        verifier, stores.revocations, proofs, is_bound=settings.dpop == "required"
    )
    form = RefreshTokenForm(partial(keyring.derive_all, "identity.refresh"))
    return Tokens(settings, keys, check, form, stores, clock)


def open_foreign(
    settings: TokenSettings | None, fetch: Fetch | None, *, clock: Clock
) -> ForeignCheck | None:
    """Return what recognises tokens of other issuers, ``None`` where none is trusted.

    Args:
        settings: of tokens.
        fetch: asks issuers for their keys.
        clock: tells the time.

    Raises:
        MissingExtraError: the extra ``tokens`` is not installed.
    """
    if settings is None or not settings.foreign or fetch is None:
        return None
    try:
        from ringfence.identity.tokens.foreign import ForeignTokens  # noqa: PLC0415 - late: optional joserfc
    except ImportError as error:
        raise MissingExtraError(
            error.name or "joserfc", "tokens", "accept tokens of other issuers"
        ) from error

    return ForeignTokens(settings.foreign, fetch, clock=clock)


def open_token_routes(  # noqa: PLR0913 - what their addresses decide with
    tokens: Tokens | None,
    desk: Desk,
    *,
    credentials: Credentials,
    families: RefreshTokens | None,
    accounts: Accounts,
    sessions: Sessions,
    entrance: Entrance,
    factors: SecondFactors | None,
) -> tuple[TokenRoutes | JwksRoutes, ...]:
    """Return the addresses of tokens, none where they are switched off.

    Args:
        tokens: what there is of them.
        desk: answers.
        credentials: reads cookies with tokens.
        families: hands tokens out.
        accounts: decides about accounts.
        sessions: ends the session that a browser gives up for tokens.
        entrance: knows what is still missing after a password.
        factors: checks codes; ``None`` where second factors are switched off.
    """
    if tokens is None or families is None or sessions.tokens is None:
        return ()
    from ringfence.identity.routes.jwks import JwksRoutes  # noqa: PLC0415 - late: optional starlette
    from ringfence.identity.routes.tokens import TokenDesk, TokenRoutes  # noqa: PLC0415 - late: optional starlette

    counter = TokenDesk(tokens.check, families, sessions.tokens, credentials.cookies)
    return (
        TokenRoutes(desk, counter, accounts, sessions, entrance, factors),
        JwksRoutes(desk, PublicKeys(tokens.keys)),
    )
