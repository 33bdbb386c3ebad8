"""Everything in the gatehouse that decides, put together."""

from __future__ import annotations

from ringfence.identity.accounts import Accounts
from ringfence.identity.api_keys import ApiKeys
from ringfence.identity.attempts import Attempts
from ringfence.identity.entrance import Entrance
from ringfence.identity.factors.open import open_factors
from ringfence.identity.fetch import Fetch
from ringfence.identity.ground import Ground
from ringfence.identity.housekeeping import Housekeeping
from ringfence.identity.known_device import KnownDevices
from ringfence.identity.notices import Notices
from ringfence.identity.passkeys.open import open_passkeys
from ringfence.identity.passwords.passwords import Passwords
from ringfence.identity.pending import PendingSignIns
from ringfence.identity.recovery import Recovery
from ringfence.identity.session_cookie import SessionCookie
from ringfence.identity.session_hint import SessionHints
from ringfence.identity.sessions import Lifetime, Sessions
from ringfence.identity.tokens.ambient import CookieTokens
from ringfence.identity.tokens.bearer import Credentials
from ringfence.identity.tokens.cookies import TokenCookies
from ringfence.identity.tokens.open import open_foreign, open_tokens
from ringfence.identity.tokens.refresh import RefreshTokens
from ringfence.identity.tokens.settings import TokenSettings
from ringfence.identity.verification import Verification


class Parts:
    """Makes each part of those that stand before it. What is switched off is ``None``.

    Args:
        ground: what they all stand on.
        passwords: hashes and verifies.
        notices: tells owners what happens to their accounts.
        tokens: settings of access and refresh tokens; ``None`` for none.
        verifies: accounts that strangers make prove their address by mail.
        fetch: asks other services.
        hinted: session cookies say whose they are.

    Raises:
        SettingsError: what is set cannot be.
        MissingExtraError: what is switched on needs a library that is not installed.
    """

    def __init__(  # noqa: PLR0913 - what they are made of, each by its name
        self,
        ground: Ground,
        passwords: Passwords,
        notices: Notices,
        *,
        tokens: TokenSettings | None,
        verifies: bool,
        fetch: Fetch | None,
        hinted: bool,
    ) -> None:
        stores, settings, clock = ground.stores, ground.settings, ground.clock
        self.ground = ground
        self.passwords = passwords
        self.post = notices.post
        self.devices = KnownDevices(
            ground.keys("identity.device"),
            development=ground.development,
            clock=clock,
        )
        self.attempts = Attempts(
            ground.counters,
            settings,
            self.devices,
            epoch_of=ground.epoch_of,
            identifier=ground.identifier,
            record=ground.record,
            clock=clock,
        )
        self.api_keys = ApiKeys(
            stores.api_keys,
            stores.accounts,
            settings.api_key_scopes,
            record=ground.record,
            clock=clock,
        )
        self.tokens = open_tokens(tokens, ground)
        self.credentials = Credentials(
            None if self.tokens is None else self.tokens.check,
            TokenCookies(development=ground.development),
            clock=clock,
            api_keys=self.api_keys if self.api_keys.scopes else None,
            foreign=open_foreign(tokens, fetch, clock=clock),
        )
        self.sessions = self._sessions(hinted=hinted)
        self.families = self._families(notices)
        self.accounts = Accounts(
            stores.accounts,
            passwords,
            self.attempts,
            record=ground.record,
            identifier=ground.identifier,
            clock=clock,
            ended=self.sessions.live.end_account,
        )
        self.verification = self._verification() if verifies else None
        self.recovery = self._recovery()
        self.entrance = self._entrance()
        self.factors = (
            open_factors(ground, self.attempts) if settings.second_factors else None
        )
        self.passkeys = open_passkeys(ground, self.attempts, self.factors)
        self.housekeeping = Housekeeping(
            {
                "refresh tokens": stores.grants.forget_expired,
                "API keys": stores.api_keys.forget_expired,
            },
            clock=clock,
        )

    def _sessions(self, *, hinted: bool) -> Sessions:
        ground, settings = self.ground, self.ground.settings
        return Sessions(
            ground.stores.sessions,
            SessionCookie(development=ground.development),
            SessionHints(ground.keys("identity.session-hint"), written=hinted),
            Lifetime(idle=settings.session_idle, absolute=settings.session_absolute),
            on_move=settings.session_moved,
            record=ground.record,
            clock=ground.clock,
            credentials=self.credentials,
        )

    def _families(self, notices: Notices) -> RefreshTokens | None:
        if self.tokens is None:
            return None
        families = self.tokens.families(
            record=self.ground.record,
            told=notices.told,
            ended=self.sessions.live.end_family,
        )
        self.sessions.tokens = CookieTokens(
            self.credentials, families, clock=self.ground.clock
        )
        return families

    def _verification(self) -> Verification | None:
        if self.post is None:
            return None
        return Verification(
            self.ground.stores,
            self.accounts,
            post=self.post,
            record=self.ground.record,
            clock=self.ground.clock,
        )

    def _recovery(self) -> Recovery | None:
        if self.post is None:
            return None
        return Recovery(
            self.ground.stores,
            self.passwords,
            self.attempts,
            post=self.post,
            record=self.ground.record,
            clock=self.ground.clock,
            ended=self.sessions.live.end_account,
            is_proving=self.verification is not None,
        )

    def _entrance(self) -> Entrance:
        ground, verification = self.ground, self.verification
        pending = PendingSignIns(
            ground.keys("identity.pending"),
            ground.stores.replays,
            development=ground.development,
            clock=ground.clock,
        )
        return Entrance(
            ground.stores.accounts,
            ground.stores.factors,
            self.sessions,
            self.devices,
            pending,
            unproven=None if verification is None else verification.unproven,
        )
