"""A new password for whoever has lost the old one, by a letter to the owner."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from ringfence.audit.events import (
    Event,
    FactorRemoved,
    PasswordReset,
    PasswordResetRequested,
)
from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.exchange import Exchange
from ringfence.identity import addresses
from ringfence.identity.addresses import email_key
from ringfence.identity.attempts import Attempts
from ringfence.identity.cause import Cause
from ringfence.identity.codes import digest, new_code
from ringfence.identity.mail.letter import Letter
from ringfence.identity.passwords.passwords import Passwords
from ringfence.identity.post import Post
from ringfence.identity.refusals import (
    CHANGED_MEANWHILE,
    LINK_VOID,
    invalid,
    unavailable,
)
from ringfence.stores.contracts import AccountRecord, Stores, Ticket

logger = logging.getLogger("ringfence.identity")

KIND = "password-reset"
LIFETIME = 1800  # seconds
_NOBODY = ""


class Recovery:
    """Sends links that set a new password, and takes them.

    The link proves that somebody reads the owner's mail, and nothing else. So it sets
    a password and signs nobody in: the second factor is asked for at the sign-in, as
    ever (CWE-304). It is random, kept as a hash, good once, for thirty minutes, and
    only as long as the account is at the epoch that it was made under: a change of
    the password makes it void, as does a newer link.

    Where addresses have to be proved, the link is the first word of the owner of one
    that was not. Whoever made the account before then is a stranger, and a passkey of
    theirs would go on opening it (a pre-hijacked account): second factors end as well.

    Args:
        stores: where accounts and tickets are kept.
        passwords: judges and hashes.
        attempts: forgets the guesses at the old password.
        post: takes the letters.
        record: takes the events.
        clock: tells the time.
        ended: told of an account whose sessions have all ended.
        is_proving: whether accounts have to prove their addresses.

    Source: OWASP Forgot Password Cheat Sheet; ASVS 5.0 V6.4.1, V6.4.3, V6.3.8; NIST SP
    800-63B-4 section 4.2.1; "Pre-hijacked accounts" (Sudhodanan and Paverd, USENIX
    Security 2022); CWE-640.

    Not covered: whoever reads the owner's mail. A second factor that a thief has added
    to an account whose address was proved stays, and a passkey signs in by itself:
    taking it away would make every second factor worth a mailbox.
    """

    def __init__(  # noqa: PLR0913 - what it decides with, each by its name
        self,
        stores: Stores,
        passwords: Passwords,
        attempts: Attempts,
        *,
        post: Post,
        record: Callable[[Event], None],
        clock: Clock,
        ended: Callable[[str], None],
        is_proving: bool = False,
    ) -> None:
        self._is_proving = is_proving
        self._stores = stores
        self._passwords = passwords
        self._attempts = attempts
        self._post = post
        self._record = record
        self._clock = clock
        self._ended = ended

    async def ask(self, email: str, exchange: Exchange) -> Denial | None:
        """Take a request for a link, and do not tell whether there is such an account.

        Whether there is one is found out after the answer, beside the requests: an
        answer that does not know cannot tell, neither by its words nor by its time
        (CWE-204, CWE-208).

        Args:
            email: as submitted. The letter goes to the address as it is stored.
            exchange: the request.
        """
        email = email.strip()
        if sentence := addresses.fault(email):
            return invalid(email=sentence)
        refused = await self._post.limits.ask(exchange)
        if refused is not None:
            return refused
        link = self._post.links.to("/auth/password/reset", exchange)
        errand = partial(self._write, email_key(email), link, Cause.of(exchange))
        if self._post.mailbox.write(errand, kind=KIND):
            return None
        return unavailable("too many letters wait")

    async def _write(self, key: str, link: str, cause: Cause) -> Letter | None:
        """Write the letter, if there is anybody to write to. The work for a stranger is
        the same up to there."""
        account = await self._stores.accounts.by_email(key)
        owner = _NOBODY if account is None or account.disabled else account.id
        wanted = await self._post.limits.may_have(owner, KIND) if owner else True
        code = new_code()
        epoch = 0 if account is None else account.epoch
        ticket = Ticket(KIND, digest(code), owner if wanted else _NOBODY, epoch)
        kept = await self._stores.tickets.issue(ticket, LIFETIME, most=1)
        if account is None or not kept:
            return None
        self._record(
            PasswordResetRequested(
                request_id=cause.request_id, client=cause.client, account=account.id
            )
        )
        return self._post.letters.write(
            "password-reset",
            kind=KIND,
            account=account.id,
            to=account.email,
            email=account.email,
            # Behind the sign that browsers keep to themselves: no log, no proxy and no
            # Referer ever has it.
            link=f"{link}#{code}",
            code=code,
            minutes=LIFETIME // 60,
        )

    async def reset(
        self, code: str, password: str, exchange: Exchange
    ) -> AccountRecord | Denial:
        """Set a new password, and end everything that the old one has opened.

        Of several at once exactly one sets its password. A password that is refused
        leaves the link as it was.

        Args:
            code: from the letter.
            password: the new one.
            exchange: the request.

        Returns:
            The account, which nobody is signed in to; or ``LINK_VOID``.

        Source: ASVS 5.0 V7.4.3, V6.2.3.
        """
        stores, token_hash = self._stores, digest(code)
        ticket = await stores.tickets.find(KIND, token_hash)
        account = ticket and await stores.accounts.by_id(ticket.account_id)
        if account is None:
            return LINK_VOID
        if sentence := self._passwords.fault(password, email=account.email):
            return invalid(new_password=sentence)
        cause = Cause.of(exchange)
        stored = await self._passwords.hash(password, network=cause.network)
        if await stores.tickets.redeem(KIND, token_hash) is None:
            return LINK_VOID
        if not await self._replace(account, stored, cause):
            return CHANGED_MEANWHILE
        await self._settle(account)
        self._record(
            PasswordReset(
                request_id=cause.request_id, client=cause.client, account=account.id
            )
        )
        return account

    async def _replace(self, account: AccountRecord, stored: str, cause: Cause) -> bool:
        """Set the password and end sessions, refresh tokens, keys, and half sign-ins.

        What holds is ended first: should the store fail in between, the owner is signed
        out with the old password, and not a thief signed in with it. What somebody
        makes with the old password in between ends with it.
        """
        store = self._stores.accounts
        epoch = await store.raise_epoch(account.id)
        if not epoch:
            return False
        await self._disconnect(account)
        if self._is_proving and not account.verified:
            await self._clear(account, epoch, cause)
        if not await store.set_password(account.id, stored, epoch=epoch):
            return False
        await self._stores.api_keys.end_all(account.id)
        await self._disconnect(account)
        self._ended(account.id)
        return True

    async def _disconnect(self, account: AccountRecord) -> None:
        """Take away what signs in through a provider: who had the account before could
        have connected theirs."""
        links = self._stores.links
        for link in await links.of_account(account.id):
            await links.remove(account.id, link.issuer, link.subject)

    async def _clear(self, account: AccountRecord, epoch: int, cause: Cause) -> None:
        """Take away the factors of an account whose address nobody has ever proved."""
        store = self._stores.factors
        kinds = {factor.kind for factor in await store.of_account(account.id)}
        for kind in sorted(kinds):
            if await store.replace(account.id, kind, (), epoch=epoch):
                self._record(
                    FactorRemoved(
                        request_id=cause.request_id,
                        client=cause.client,
                        account=account.id,
                        factor=kind,
                        by="recovery",
                    )
                )

    async def _settle(self, account: AccountRecord) -> None:
        """Note what the link has proved besides. The password is set by now, so a store
        that is down takes nothing of it back."""
        now = self._clock()
        try:
            await self._stores.accounts.verify(account.id, account.email_key, now)
            await self._attempts.lift(account.email_key)
        except StoreError as error:
            logger.warning("a lock outlives the new password: %s", error)
