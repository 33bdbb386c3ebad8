"""What a proof is worth: a session, or the question for one more proof."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.known_device import KnownDevices
from ringfence.identity.pending import Pending, PendingSignIns
from ringfence.identity.refusals import SIGN_IN_FAILED
from ringfence.identity.sessions import Sessions
from ringfence.stores.contracts import AccountRecord, AccountStore, FactorStore

PASSWORD = "password"  # noqa: S105 - the name of a factor
TOTP = "totp"
PASSKEY = "passkey"
RECOVERY_CODE = "recovery-code"
OPENID = "openid"

SECOND = frozenset({TOTP, PASSKEY, RECOVERY_CODE})
"""What counts as a second factor. A passkey that has verified its user is two at
once: something that is owned, and what unlocks it."""

_GUARDING = frozenset({TOTP, PASSKEY})
"""Who has one of these needs it. Recovery codes only stand in for them."""


@dataclass(frozen=True, slots=True)
class SecondFactorNeeded(Denial):
    """The first proof was good, and is not enough for this account.

    Args:
        factors: any one of these would do, sorted.
        pending: the proof of the first half, for programs; browsers have a cookie.
    """

    factors: tuple[str, ...] = ()
    pending: str = ""


class Entrance:
    """Lets people in: the one place where a session begins.

    Whatever the first proof was (a password, another provider, a link), nobody gets
    past an account's second factor (CWE-304, CWE-308).

    Args:
        accounts: where accounts are kept.
        factors: where second factors are kept.
        sessions: opens sessions.
        devices: makes the browser known to who has signed in with it.
        pending: keeps the first half of a sign-in.
        unproven: returns why an account must prove its address first, if it must;
            asked only once a password was right, so that it tells strangers nothing.

    Source: ASVS 5.0 V6.3.3, V6.3.4; NIST SP 800-63B-4 section 2.2.
    """

    def __init__(  # noqa: PLR0913 - what it decides with, each by its name
        self,
        accounts: AccountStore,
        factors: FactorStore,
        sessions: Sessions,
        devices: KnownDevices,
        pending: PendingSignIns,
        *,
        unproven: Callable[[AccountRecord], Awaitable[Denial | None]] | None = None,
    ) -> None:
        self._accounts = accounts
        self._factors = factors
        self._sessions = sessions
        self._devices = devices
        self.pending = pending
        self._unproven = unproven

    async def weigh(
        self, account: AccountRecord, factors: frozenset[str]
    ) -> Denial | None:
        """Return what is still missing after these proofs, ``None`` if nothing is.

        Args:
            account: that has given them.
            factors: what was proved.
        """
        if self._unproven is not None and not account.verified:
            refused = await self._unproven(account)
            if refused is not None:
                return refused
        if factors & SECOND:
            return None
        held = {factor.kind for factor in await self._factors.of_account(account.id)}
        if not held & _GUARDING:
            return None
        return SecondFactorNeeded(
            401,
            "identity.second_factor_required",
            "The sign-in needs one more proof.",
            factors=tuple(sorted(held & SECOND)),
            pending=self.pending.issue(account, factors),
        )

    async def admit(
        self, account: AccountRecord, exchange: Exchange, factors: frozenset[str]
    ) -> Denial | None:
        """Open a session if these proofs are enough, and know this device from now on;
        else say what is missing, and have the browser keep what was proved."""
        refused = await self.weigh(account, factors)
        if isinstance(refused, SecondFactorNeeded):
            self.pending.write(exchange, refused.pending)
        if refused is not None:
            return refused
        refused = await self._sessions.begin(account, exchange, factors=factors)
        if refused is None:
            # What somebody has begun here before is over: it must not take what is
            # proved from now on for the other half of that.
            self.pending.give_up(exchange)
            self._devices.remember(exchange, account.email_key, account.epoch)
        return refused

    def remember(self, exchange: Exchange, account: AccountRecord) -> None:
        """Know this device from now on."""
        self._devices.remember(exchange, account.email_key, account.epoch)

    async def account_of(self, pending: Pending) -> AccountRecord | None:
        """Return the account of half a sign-in, unless it has changed since."""
        account = await self._accounts.by_id(pending.account_id)
        if account is None or account.disabled or account.epoch != pending.epoch:
            return None
        return account

    async def complete(
        self, pending: Pending, account: AccountRecord, exchange: Exchange, factor: str
    ) -> Denial | None:
        """Open the session of a sign-in whose second proof has been checked.

        Args:
            pending: as read; good once.
            account: of ``account_of``, from before the proof was checked.
            exchange: of the request.
            factor: what was proved now.
        """
        if not await self.pending.redeem(pending):
            return SIGN_IN_FAILED
        self.pending.expire(exchange)
        proved = frozenset(pending.factors) | {factor}
        return await self.admit(account, exchange, proved)
