"""Second factors as a whole: proving one, and what happens when they change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ringfence.audit.events import (
    Event,
    FactorAdded,
    FactorFailed,
    FactorRemoved,
    RecoveryCodesRenewed,
    RecoveryCodeUsed,
)
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.attempts import Attempts
from ringfence.identity.cause import Cause
from ringfence.identity.entrance import PASSKEY, RECOVERY_CODE, SECOND, TOTP
from ringfence.identity.factors.recovery_codes import (
    CHARACTERS,
    RecoveryCodes,
    normalised,
)
from ringfence.identity.factors.refusals import (
    CODE_WRONG,
    ENROLMENT_OVER,
    FIRST_CODE_WRONG,
)
from ringfence.identity.factors.totp import DIGITS, Totp
from ringfence.identity.refusals import LOCKED
from ringfence.stores.contracts import AccountRecord, Factor, FactorStore

_MOST_TYPED = 64  # characters; no code has more, however it is spaced


class Held(NamedTuple):
    """What an account has.

    Args:
        totp: its apps.
        passkeys: its passkeys.
        recovery_codes: those that are left.
    """

    totp: tuple[Factor, ...]
    passkeys: tuple[Factor, ...]
    recovery_codes: tuple[Factor, ...]

    @property
    def is_guarded(self) -> bool:
        """Whether a password alone is not enough for it."""
        return bool(self.totp or self.passkeys)

    @property
    def kinds(self) -> frozenset[str]:
        """The names of what it has."""
        return frozenset(factor.kind for factors in self for factor in factors[:1])


class SecondFactors:
    """Checks second proofs, and sees to what belongs to each change of them.

    Args:
        store: keeps the factors.
        attempts: decides how often a code may be tried.
        totp: checks the codes of apps.
        recovery_codes: checks and makes those.
        record: takes the events.
        identifier: makes the keyed hash of an address.

    Source: ASVS 5.0 V6.3.1, V6.3.7, V6.5; NIST SP 800-63B-4, sections 3.2.2, 4.6.
    """

    def __init__(  # noqa: PLR0913 - what it decides with, each by its name
        self,
        store: FactorStore,
        attempts: Attempts,
        totp: Totp,
        recovery_codes: RecoveryCodes,
        *,
        record: Callable[[Event], None],
        identifier: Callable[[str], str],
    ) -> None:
        self._store = store
        self._attempts = attempts
        self._record = record
        self._identifier = identifier
        self.totp = totp
        self.recovery_codes = recovery_codes

    async def held(self, account_id: str) -> Held:
        """Return what an account has."""
        found = await self._store.of_account(account_id)
        return Held(*(_of_kind(found, kind) for kind in (TOTP, PASSKEY, RECOVERY_CODE)))

    async def prove(
        self,
        account: AccountRecord,
        code: str,
        exchange: Exchange,
        *,
        among: frozenset[str] = SECOND,
    ) -> str | Denial:
        """Use up a one-time code or a recovery code of this account.

        Draws from the budgets of the sign-in, and from one of its own that no right
        password gives back: six digits are few (CWE-307).

        Args:
            account: whose second proof this is to be.
            code: as typed.
            exchange: of the request.
            among: which factors would do.

        Returns:
            The name of the factor; ``CODE_WRONG``, also while it is locked; or 429.
        """
        attempt = await self._attempts.begin(account.email_key, exchange, second=True)
        if isinstance(attempt, Denial) and attempt is not LOCKED:
            return attempt
        if isinstance(attempt, Denial):
            return self._failed(account, "", "locked", exchange)
        held = await self.held(account.id)
        factor = _factor_of(code) if held.is_guarded else ""
        is_right = factor in among and await self._use(factor, held, code)
        if not is_right:
            await attempt.failed()
            return self._failed(account, factor, "wrong or used code", exchange)
        await attempt.succeeded()
        if factor == RECOVERY_CODE:
            self._used_recovery_code(account, len(held.recovery_codes) - 1, exchange)
        return factor

    async def confirm_app(
        self,
        account: AccountRecord,
        enrolment: str,
        code: str,
        *,
        label: str,
    ) -> Denial | None:
        """Make a factor of an app that has shown its first code.

        Guesses are no use: who has the enrolment has the secret in it on the page.

        Args:
            account: of the owner.
            enrolment: as ``Totp.enrol`` made it.
            code: as typed.
            label: what the owner calls the app.
        """
        if self.totp.again(account, enrolment) is None:
            return ENROLMENT_OVER
        made = None
        if _factor_of(code) == TOTP:
            made = await self.totp.confirm(
                account, enrolment, _digits(code), label=label
            )
        return None if made else FIRST_CODE_WRONG

    async def added(
        self, account: AccountRecord, factor: str, exchange: Exchange
    ) -> tuple[str, ...]:
        """Tell of a new factor, and make recovery codes if the account has none.

        Args:
            account: that has it now.
            factor: ``totp`` or ``passkey``.
            exchange: of the request.

        Returns:
            The codes, to be shown once; none where there are some already.
        """
        cause = Cause.of(exchange)
        self._record(FactorAdded(**_where(account, cause), factor=factor))
        held = await self.held(account.id)
        if held.recovery_codes:
            return ()
        codes = await self.recovery_codes.make(account)
        if codes:
            where = _where(account, cause)
            self._record(FactorAdded(**where, factor=RECOVERY_CODE))
        return codes

    async def remove(
        self, account: AccountRecord, factor: str, factor_id: bytes, exchange: Exchange
    ) -> bool:
        """Take a factor away, with the recovery codes if it was the last one, and tell
        of it; return whether there was one."""
        if not await self._store.remove(account.id, factor, factor_id):
            return False
        cause = Cause.of(exchange)
        self._record(FactorRemoved(**_where(account, cause), factor=factor))
        held = await self.held(account.id)
        if held.recovery_codes and not held.is_guarded:
            await self._store.replace(
                account.id, RECOVERY_CODE, (), epoch=account.epoch
            )
        return True

    async def remove_all(self, account: AccountRecord, cause: Cause) -> bool:
        """Take every factor away, for an owner who has lost all of them and whom an
        operator knows by other means; return whether any went: none does if the account
        has changed meanwhile.

        Args:
            account: whose.
            cause: the operator's request.
        """
        held, gone = await self.held(account.id), False
        for kind in sorted(held.kinds):
            if await self._store.replace(account.id, kind, (), epoch=account.epoch):
                where = _where(account, cause)
                self._record(FactorRemoved(**where, factor=kind, by=cause.by))
                gone = True
        return gone

    async def renew_codes(
        self, account: AccountRecord, exchange: Exchange
    ) -> tuple[str, ...]:
        """Return new recovery codes in the place of the old ones, to be shown once;
        none if the account has changed meanwhile."""
        codes = await self.recovery_codes.make(account)
        if codes:
            where = _where(account, Cause.of(exchange))
            self._record(RecoveryCodesRenewed(**where))
        return codes

    async def _use(self, factor: str, held: Held, code: str) -> bool:
        if factor == TOTP:
            return await self.totp.verify(held.totp, _digits(code))
        return await self.recovery_codes.use(held.recovery_codes, normalised(code))

    def _used_recovery_code(
        self, account: AccountRecord, left: int, exchange: Exchange
    ) -> None:
        where = _where(account, Cause.of(exchange))
        self._record(RecoveryCodeUsed(**where, left=left))

    def _failed(
        self, account: AccountRecord, factor: str, reason: str, exchange: Exchange
    ) -> Denial:
        self._record(
            FactorFailed(
                **_where(account, Cause.of(exchange)),
                identifier=self._identifier(account.email_key),
                factor=factor,
                reason=reason,
            )
        )
        # 401 would tell a program that its session has ended.
        status = CODE_WRONG.status if exchange.principal is None else 403
        return replace(CODE_WRONG, status=status, private=reason)


def _factor_of(code: str) -> str:
    """Return which factor a text looks like a proof of, the empty text if of none."""
    if len(code) > _MOST_TYPED:
        return ""
    digits = _digits(code)
    if len(digits) == DIGITS and digits.isascii() and digits.isdigit():
        return TOTP
    return RECOVERY_CODE if len(normalised(code)) == CHARACTERS else ""


def _digits(code: str) -> str:
    return "".join(code.split())


def _of_kind(factors: Sequence[Factor], kind: str) -> tuple[Factor, ...]:
    return tuple(factor for factor in factors if factor.kind == kind)


def _where(account: AccountRecord, cause: Cause) -> dict[str, str]:
    return {
        "request_id": cause.request_id,
        "client": cause.client,
        "account": account.id,
    }
