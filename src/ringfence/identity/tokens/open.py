"""Opening what hands out tokens and recognises them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ringfence.audit.events import Event
from ringfence.clock import Clock
from ringfence.errors import MissingExtraError
from ringfence.identity.fetch import Fetch
from ringfence.identity.ground import Ground
from ringfence.identity.tokens.access_token import AccessTokens
from ringfence.identity.tokens.bearer import ForeignCheck, TokenCheck
from ringfence.identity.tokens.dpop import Proofs
from ringfence.identity.tokens.keys import TokenKeys
from ringfence.identity.tokens.nonces import Nonces
from ringfence.identity.tokens.refresh import RefreshLifetime, RefreshTokens, Told
from ringfence.identity.tokens.refresh_token import RefreshTokenForm
from ringfence.identity.tokens.settings import TokenSettings
from ringfence.identity.tokens.verify import TokenVerifier
from ringfence.stores.contracts import Stores


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


def open_tokens(settings: TokenSettings | None, ground: Ground) -> Tokens | None:
    """Return what there is of tokens, ``None`` where they are switched off.

    Args:
        settings: of tokens.
        ground: what they stand on.
    """
    if settings is None or not settings.enabled:
        return None
    settings = settings.named(ground.public_origins)
    stores, clock = ground.stores, ground.clock
    keys = TokenKeys(ground.keyring.derive_all, settings.algorithm)
    verifier = TokenVerifier(keys, issuer=settings.issuer, audience=settings.audience)
    proofs = None
    if settings.dpop != "off":
        proofs = Proofs(
            stores.replays,
            Nonces(ground.keys("identity.dpop-nonce"), clock),
            ground.public_origins,
            nonce_needed=settings.dpop_nonce,
            clock=clock,
        )
    check = TokenCheck(
        verifier, stores.revocations, proofs, is_bound=settings.dpop == "required"
    )
    form = RefreshTokenForm(ground.keys("identity.refresh"))
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
