"""Accounts: registration, sign-in, change of password, administration."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ringfence.audit.events import (
    AccountCreated,
    AccountRemoved,
    AccountUnlocked,
    Event,
    PasswordChanged,
    PasswordChangeFailed,
    SessionsEnded,
    SignInFailed,
    TenantChanged,
)
from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.errors import StoreBusyError, WrongPasswordError
from ringfence.exchange import Exchange
from ringfence.identity import addresses
from ringfence.identity.addresses import email_key
from ringfence.identity.attempts import Attempt, Attempts
from ringfence.identity.cause import Cause
from ringfence.identity.passwords.passwords import Passwords
from ringfence.identity.passwords.stored import Verified
from ringfence.identity.passwords.wrapped import Digest, SaltPlace
from ringfence.identity.refusals import (
    ADDRESS_TAKEN,
    CHANGED_MEANWHILE,
    LOCKED,
    NO_SUCH_ACCOUNT,
    PASSWORD_WRONG,
    SIGN_IN_FAILED,
    Invalid,
    invalid,
)
from ringfence.principal import is_tenant
from ringfence.stores.contracts import AccountRecord, AccountStore

_ROLE = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")
_ID_BYTES = 16
_UNKNOWN = Cause()


@dataclass(frozen=True, slots=True)
class _Given:
    """What an operator gives to a new account."""

    roles: frozenset[str] = frozenset()
    tenant: str = ""

    def faults(self) -> dict[str, str]:
        """Return what is wrong with it, by fields."""
        faults = {
            "roles": _wrong_role(self.roles),
            "tenant": _wrong_tenant(self.tenant),
        }
        return {field: sentence for field, sentence in faults.items() if sentence}


_NOTHING = _Given()


class Accounts:
    """Decide about accounts, and tell the ledger.

    A method that can refuse returns a ``Denial``; each may raise ``StoreError``, and
    ``StoreBusyError`` when too many passwords wait to be hashed.

    Args:
        store: where accounts are kept.
        passwords: hashes and verifies.
        attempts: decides how often a password may be tried.
        record: takes the events.
        identifier: makes the keyed hash of an address that failed sign-ins carry.
        clock: tells the time.
        ended: told of an account whose sessions have all ended.
    """

    def __init__(  # noqa: PLR0913 - what it decides with, each by its name
        self,
        store: AccountStore,
        passwords: Passwords,
        attempts: Attempts,
        *,
        record: Callable[[Event], None],
        identifier: Callable[[str], str],
        clock: Clock,
        ended: Callable[[str], None],
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._attempts = attempts
        self._record = record
        self._identifier = identifier
        self._clock = clock
        self._ended = ended

    @property
    def shortest_password(self) -> int:
        """The fewest characters of a new password."""
        return self._passwords.shortest

    async def register(
        self, email: str, password: str, exchange: Exchange
    ) -> Denial | None:
        """Make an account if the address is free, and do not tell whether it was.

        Both ways hash the password and write to the disk, so that neither the answer
        nor its time is an oracle for which addresses are known.

        Source: ASVS 5.0 V6.3.8; CWE-204, CWE-208.
        """
        faults = self._faults(email, password)
        if faults:
            return invalid(**faults)
        refused = await self._attempts.register(exchange)
        if refused is not None:
            return refused
        cause = Cause.of(exchange)
        stored = await self._passwords.hash(password, network=cause.network)
        made = await self._make(email, stored, cause)
        return (
            None if made is ADDRESS_TAKEN or isinstance(made, AccountRecord) else made
        )

    async def create(
        self,
        email: str,
        password: str,
        roles: Iterable[str] = (),
        cause: Cause = _UNKNOWN,
        *,
        tenant: str = "",
    ) -> AccountRecord | Denial:
        """Make an account with roles, for an operator, who is told if it exists.

        Args:
            email: as its owner writes it.
            password: kept as a hash only.
            roles: lower-case names of at most 64 characters.
            cause: who asks.
            tenant: the id of the tenant that it belongs to: letters, digits and
                ``. _ : -``, 64 at most; empty for none.
        """
        given = _Given(frozenset(roles), tenant)
        if faults := given.faults():
            return invalid(**faults)
        faults = self._faults(email, password)
        if faults:
            return invalid(**faults)
        stored = await self._passwords.hash(password, network=cause.network)
        return await self._make(email, stored, cause, given, vouched=True)

    async def adopt(
        self,
        email: str,
        password_hash: str,
        roles: Iterable[str] = (),
        cause: Cause = _UNKNOWN,
        *,
        tenant: str = "",
    ) -> AccountRecord | Denial:
        """Make an account with a hash that another program has made, for an operator.

        Args:
            email: as its owner writes it.
            password_hash: of a scheme that is known, or from ``wrap``.
            roles: lower-case names of at most 64 characters.
            cause: who asks.
            tenant: as in ``create``.
        """
        given = _Given(frozenset(roles), tenant)
        refused = self.adoptable(email, password_hash, given.roles, tenant=tenant)
        if refused is not None:
            return refused
        return await self._make(email, password_hash, cause, given, vouched=True)

    def adoptable(
        self,
        email: str,
        password_hash: str,
        roles: Iterable[str] = (),
        *,
        tenant: str = "",
    ) -> Invalid | None:
        """Return why ``adopt`` would refuse these, whoever there is already. Asks and
        changes nothing."""
        faults = {
            "email": addresses.fault(email.strip()),
            "password_hash": self._passwords.fault_of_hash(password_hash),
        }
        found = {field: sentence for field, sentence in faults.items() if sentence}
        found |= _Given(frozenset(roles), tenant).faults()
        return invalid(**found) if found else None

    async def vouched(
        self, email: str, cause: Cause = _UNKNOWN
    ) -> AccountRecord | Denial:
        """Make an account without a password, at an address that another service has
        confirmed, for somebody who signs in through that service.

        Args:
            email: as that service says it.
            cause: who asks.

        Returns:
            The account; ``ADDRESS_TAKEN``, which tells only whom that service has shown
            to own the address.
        """
        sentence = addresses.fault(email.strip())
        if sentence:
            return invalid(email=sentence)
        return await self._make(email, "", cause, vouched=True)

    async def wrap(
        self,
        digest: str,
        name: Digest,
        *,
        salt: bytes = b"",
        place: SaltPlace = "before",
    ) -> str:
        """Return an old digest inside a hash of today's cost; see ``wrap_legacy``.

        Raises:
            ValueError: the digest is none of this function's.
        """
        return await self._passwords.wrap(digest, name, salt=salt, place=place)

    async def _make(
        self,
        email: str,
        stored: str,
        cause: Cause,
        given: _Given = _NOTHING,
        *,
        vouched: bool = False,
    ) -> AccountRecord | Denial:
        """Make an account. Who makes one for another vouches for the address."""
        email = email.strip()
        now = self._clock()
        account = AccountRecord(
            id=secrets.token_urlsafe(_ID_BYTES),
            email=email,
            email_key=email_key(email),
            password_hash=stored,
            roles=given.roles,
            disabled=False,
            created=now,
            verified=now if vouched else 0.0,
            tenant=given.tenant,
        )
        if not await self._store.add(account):
            return ADDRESS_TAKEN
        self._record(
            AccountCreated(
                request_id=cause.request_id,
                client=cause.client,
                account=account.id,
                roles=tuple(sorted(given.roles)),
                tenant=given.tenant,
                by=cause.by or "registration",
            )
        )
        return account

    def _faults(self, email: str, password: str) -> dict[str, str]:
        email = email.strip()
        faults = {
            "email": addresses.fault(email),
            "password": self._passwords.fault(password, email=email),
        }
        return {field: sentence for field, sentence in faults.items() if sentence}

    async def authenticate(
        self, email: str, password: str, exchange: Exchange
    ) -> AccountRecord | Denial:
        """Return the account whose address and password these are.

        An unknown, a disabled and a password-less account cost the same hashing as a
        wrong password and get the same answer, after the same time (CVE-2026-22746,
        CVE-2025-13473). So does a locked one, but for the hashing.

        Args:
            email: as submitted.
            password: as submitted.
            exchange: the request; where it comes from decides how often this may be.
        """
        key = email_key(email.strip()[: addresses.MOST_CHARACTERS + 1])
        attempt = await self._attempts.begin(key, exchange)
        if isinstance(attempt, Denial) and attempt is not LOCKED:
            return attempt
        cause = Cause.of(exchange)
        return await self._passwords.evenly(
            self._authenticate(key, password, attempt, cause)
        )

    async def _authenticate(
        self, key: str, password: str, attempt: Attempt | Denial, cause: Cause
    ) -> AccountRecord | Denial:
        account = await self._store.by_email(key)
        if isinstance(attempt, Denial):
            return self._sign_in_failed(key, account, "locked", cause)
        stored = "" if account is None else account.password_hash
        try:
            proof = await self._verify(stored, password, attempt, cause)
        except WrongPasswordError as error:
            reason = str(error) or "wrong password"
            reason = "unknown account" if account is None else reason
            return self._sign_in_failed(key, account, reason, cause)
        if account is None or account.disabled:
            return self._sign_in_failed(key, account, "disabled account", cause)
        await attempt.succeeded()
        better = await self._passwords.better(
            proof, password, network=cause.network, known=attempt.is_known
        )
        if better:
            await self._store.upgrade_hash(account.id, stored, better)
        return account

    async def _verify(
        self, stored: str, password: str, attempt: Attempt, cause: Cause
    ) -> Verified:
        """Return the proof that the password fits.

        Raises:
            WrongPasswordError: it does not, and the attempt is used up.
            StoreBusyError: it was not looked at, and the attempt is given back.
        """
        try:
            return await self._passwords.verify(
                stored, password, network=cause.network, known=attempt.is_known
            )
        except WrongPasswordError:
            await attempt.failed()
            raise
        except StoreBusyError:
            await attempt.withdrawn()
            raise

    def _sign_in_failed(
        self, key: str, account: AccountRecord | None, reason: str, cause: Cause
    ) -> Denial:
        self._record(
            SignInFailed(
                request_id=cause.request_id,
                client=cause.client,
                account="" if account is None else account.id,
                identifier=self._identifier(key),
                reason=reason,
            )
        )
        return SIGN_IN_FAILED

    async def confirm(
        self, account_id: str, password: str, exchange: Exchange
    ) -> AccountRecord | Denial:
        """Return a signed-in account if this is its present password.

        Draws from the budgets of the sign-in: who has stolen a session must not be
        able to guess here what could not be guessed there.

        Returns:
            The account; ``PASSWORD_WRONG``, also while it is locked; or 429.
        """
        account = await self._store.by_id(account_id)
        if account is None:
            return CHANGED_MEANWHILE
        attempt = await self._attempts.begin(account.email_key, exchange)
        if isinstance(attempt, Denial) and attempt is not LOCKED:
            return attempt
        cause = Cause.of(exchange)
        confirmed = await self._passwords.evenly(
            self._confirm(account, password, attempt, cause)
        )
        if isinstance(confirmed, Denial):
            reason = f"confirmation: {confirmed.private}"
            self._sign_in_failed(account.email_key, account, reason, cause)
        return confirmed

    async def _confirm(
        self,
        account: AccountRecord,
        password: str,
        attempt: Attempt | Denial,
        cause: Cause,
    ) -> AccountRecord | Denial:
        if isinstance(attempt, Denial):
            return replace(PASSWORD_WRONG, private="locked")
        try:
            await self._verify(account.password_hash, password, attempt, cause)
        except WrongPasswordError as error:
            return replace(PASSWORD_WRONG, private=str(error) or "wrong password")
        await attempt.succeeded()
        return account

    async def change_password(
        self, account_id: str, *, current: str, new: str, exchange: Exchange
    ) -> AccountRecord | Denial:
        """Change a password and end every session of the account.

        The present password is asked for: who finds a signed-in browser, or steals a
        session, must not be able to take the account over.

        Returns:
            The account at its new epoch, for a fresh session.

        Source: ASVS 5.0 V6.2.3, V7.4.3.
        """
        account = await self._store.by_id(account_id)
        if account is None:
            return CHANGED_MEANWHILE
        sentence = self._passwords.fault(new, email=account.email)
        if sentence:
            return invalid(new_password=sentence)
        attempt = await self._attempts.begin(account.email_key, exchange)
        if isinstance(attempt, Denial) and attempt is not LOCKED:
            return attempt
        return await self._passwords.evenly(
            self._change_password(account, (current, new), attempt, Cause.of(exchange))
        )

    async def _change_password(
        self,
        account: AccountRecord,
        passwords: tuple[str, str],
        attempt: Attempt | Denial,
        cause: Cause,
    ) -> AccountRecord | Denial:
        current, new = passwords
        confirmed = await self._confirm(account, current, attempt, cause)
        if isinstance(confirmed, Denial):
            self._record(
                PasswordChangeFailed(
                    request_id=cause.request_id,
                    client=cause.client,
                    account=account.id,
                    reason=confirmed.private,
                )
            )
            return confirmed
        known = isinstance(attempt, Attempt) and attempt.is_known
        new_hash = await self._passwords.hash(new, network=cause.network, known=known)
        epoch = await self._store.set_password(
            account.id, new_hash, epoch=account.epoch
        )
        if not epoch:
            return CHANGED_MEANWHILE
        self._ended(account.id)
        self._record(
            PasswordChanged(
                request_id=cause.request_id, client=cause.client, account=account.id
            )
        )
        return replace(account, password_hash=new_hash, epoch=epoch)

    async def unlock(self, account_id: str, cause: Cause = _UNKNOWN) -> Denial | None:
        """End the locks that failed sign-ins and second factors have put on an account,
        for an operator."""
        account = await self._store.by_id(account_id)
        if account is None:
            return NO_SUCH_ACCOUNT
        await self._attempts.lift(account.email_key, second=True)
        self._record(
            AccountUnlocked(
                request_id=cause.request_id,
                client=cause.client,
                account=account.id,
                by=cause.by,
            )
        )
        return None

    async def set_tenant(
        self, account_id: str, tenant: str, cause: Cause = _UNKNOWN
    ) -> Denial | None:
        """Move an account to another tenant, for an operator. Its access tokens end,
        since they name the old one; its sessions and refresh tokens go on in the new.

        Args:
            account_id: of the account.
            tenant: as in ``create``; empty takes the account out of its tenant.
            cause: who asks.
        """
        if wrong := _wrong_tenant(tenant):
            return invalid(tenant=wrong)
        account = await self._store.by_id(account_id)
        if account is None or not await self._store.set_tenant(account.id, tenant):
            return NO_SUCH_ACCOUNT
        self._record(
            TenantChanged(
                request_id=cause.request_id,
                client=cause.client,
                account=account.id,
                before=account.tenant,
                after=tenant,
                by=cause.by,
            )
        )
        return None

    async def revoke_all(self, account_id: str, cause: Cause = _UNKNOWN) -> None:
        """Take back everything of an account from before now: sessions, tokens of
        programs, API keys.

        Source: ASVS 5.0 V7.4.3; CWE-613.
        """
        await self._store.raise_epoch(account_id)
        self._ended(account_id)
        self._record(
            SessionsEnded(
                request_id=cause.request_id,
                client=cause.client,
                account=account_id,
                reason="everything from before now",
            )
        )

    async def by_email(self, email: str) -> AccountRecord | None:
        """Return an account by the address that its owner signs in with."""
        return await self._store.by_email(email_key(email))

    async def by_id(self, account_id: str) -> AccountRecord | None:
        """Return an account, if it is there."""
        return await self._store.by_id(account_id)

    async def page(self, *, after: str = "", limit: int = 100) -> list[AccountRecord]:
        """Return up to ``limit`` accounts, ordered by id, after the id ``after``."""
        return await self._store.page(after=after, limit=limit)

    async def remove(self, email: str, cause: Cause = _UNKNOWN) -> Denial | None:
        """Remove an account with its sessions."""
        account = await self._store.by_email(email_key(email.strip()))
        if account is None or not await self._store.remove(account.id):
            return NO_SUCH_ACCOUNT
        self._ended(account.id)
        self._record(
            AccountRemoved(
                request_id=cause.request_id,
                client=cause.client,
                account=account.id,
                by=cause.by,
            )
        )
        return None


def _wrong_role(roles: frozenset[str]) -> str:
    wrong = sorted(role for role in roles if not _ROLE.fullmatch(role))
    if not wrong:
        return ""
    return (
        f"{wrong[0][:64]!r} is no role: lower-case letters, digits and _ . : - after "
        "the first character, 64 at most."
    )


def _wrong_tenant(tenant: str) -> str:
    if not tenant or is_tenant(tenant):
        return ""
    return (
        f"{tenant[:64]!r} is no id of a tenant: letters, digits and . _ : - only, 64 "
        "at most."
    )
