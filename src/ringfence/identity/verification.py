"""Proving that mail to an account's address reaches whoever made the account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ringfence.audit.events import AddressVerified, Event, SignInFailed
from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.exchange import Exchange, active
from ringfence.identity.accounts import Accounts
from ringfence.identity.addresses import email_key
from ringfence.identity.cause import Cause
from ringfence.identity.codes import digest, new_code
from ringfence.identity.mail.letter import Letter
from ringfence.identity.post import Post
from ringfence.identity.refusals import LINK_VOID, SIGN_IN_FAILED
from ringfence.stores.contracts import AccountRecord, Stores, Ticket

KIND = "email-verify"
EXISTS = "account-exists"
LIFETIME = 86_400  # seconds
_UNVERIFIED = replace(SIGN_IN_FAILED, private="address not verified")


class Verification:
    """Sends links that prove an address, and takes them.

    An account that a stranger has made with somebody else's address (pre-hijacking)
    must not come to life when the owner of the address follows a link in a letter: the
    stranger knows its password. So the link alone proves nothing; the password that was
    chosen with the account goes with it. Whoever does not know it sets another one by
    ``Recovery``, which ends the stranger's.

    Until then the account answers every sign-in as if the password were wrong. An
    answer of its own would tell a stranger, who has just tried to register an address
    and signs in with the password of that attempt, whether the address was free.

    Args:
        stores: where accounts and tickets are kept.
        accounts: checks the password.
        post: takes the letters.
        record: takes the events.
        clock: tells the time.

    Source: ASVS 5.0 V6.3.8, V6.4.1; "Pre-hijacked accounts" (Sudhodanan and Paverd,
    USENIX Security 2022); CWE-204, CWE-287.
    """

    def __init__(
        self,
        stores: Stores,
        accounts: Accounts,
        *,
        post: Post,
        record: Callable[[Event], None],
        clock: Clock,
    ) -> None:
        self._stores = stores
        self._accounts = accounts
        self._post = post
        self._record = record
        self._clock = clock

    def registered(self, email: str, exchange: Exchange) -> None:
        """Have a letter written to whom an address belongs that somebody has just
        registered, or tried to: what it says depends on the account, and is found out
        after the answer."""
        self._send(email_key(email.strip()), exchange)

    async def unproven(self, account: AccountRecord) -> Denial:
        """Return why an account that has shown its password cannot be used yet, and
        have a fresh link sent."""
        exchange = active.get()
        self._send(account.email_key, exchange)
        cause = Cause() if exchange is None else Cause.of(exchange)
        self._record(
            SignInFailed(
                request_id=cause.request_id,
                client=cause.client,
                account=account.id,
                reason="address not verified",
            )
        )
        return _UNVERIFIED

    def _send(self, key: str, exchange: Exchange | None) -> None:
        # Which paths there are is known now, when there is a request to ask.
        link = partial(self._post.links.to, exchange=exchange)
        links = {
            "link": link("/auth/email/verify"),
            "sign_in": link("/auth/login"),
            "forgot": link("/auth/password/forgot"),
        }
        self._post.mailbox.write(partial(self._write, key, links), kind=KIND)

    async def _write(self, key: str, links: dict[str, str]) -> Letter | None:
        account = await self._stores.accounts.by_email(key)
        if account is None or account.disabled:
            return None
        kind = EXISTS if account.verified else KIND
        if not await self._post.limits.may_have(account.id, kind):
            return None
        write = partial(
            self._post.letters.write,
            kind=kind,
            account=account.id,
            to=account.email,
            email=account.email,
        )
        if account.verified:
            return write(EXISTS, sign_in=links["sign_in"], forgot=links["forgot"])
        code = new_code()
        ticket = Ticket(
            KIND, digest(code), account.id, account.epoch, account.email_key.encode()
        )
        if not await self._stores.tickets.issue(ticket, LIFETIME, most=1):
            return None
        return write(
            "email-verify",
            link=f"{links['link']}#{code}",
            code=code,
            hours=LIFETIME // 3600,
            forgot=links["forgot"],
        )

    async def prove(
        self, code: str, password: str, exchange: Exchange
    ) -> AccountRecord | Denial:
        """Note that the address is its owner's.

        A wrong password leaves the link as it was, and costs what it costs at the
        sign-in.

        Args:
            code: from the letter.
            password: that was chosen with the account.
            exchange: the request.

        Returns:
            The account; ``LINK_VOID``; or why the password was not taken.
        """
        token_hash = digest(code)
        ticket = await self._stores.tickets.find(KIND, token_hash)
        if ticket is None:
            return LINK_VOID
        account = await self._accounts.confirm(ticket.account_id, password, exchange)
        if isinstance(account, Denial):
            return account
        if await self._stores.tickets.redeem(KIND, token_hash) is None:
            return LINK_VOID
        now, key = self._clock(), ticket.payload.decode()
        if not await self._stores.accounts.verify(account.id, key, now):
            return LINK_VOID
        cause = Cause.of(exchange)
        self._record(
            AddressVerified(
                request_id=cause.request_id, client=cause.client, account=account.id
            )
        )
        return replace(account, verified=now)
