"""Who somebody is here whom a provider has vouched for."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ringfence.audit.events import Event, IdentityLinked, IdentityUnlinked
from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.exchange import Exchange
from ringfence.identity.accounts import Accounts
from ringfence.identity.attempts import Attempts
from ringfence.identity.cause import Cause
from ringfence.identity.openid.id_token import Identity
from ringfence.identity.openid.refusals import (
    ADDRESS_TAKEN,
    LAST_WAY_IN,
    LINKED_ELSEWHERE,
    NO_ACCOUNT,
    NO_ADDRESS,
    NOT_LINKED,
)
from ringfence.identity.refusals import ADDRESS_TAKEN as TAKEN
from ringfence.identity.refusals import CHANGED_MEANWHILE, SIGN_IN_FAILED
from ringfence.stores.contracts import AccountRecord, Link, LinkStore


class Identities:
    """Finds, makes, links and unlinks accounts by issuer and subject, byte for byte.

    Never by an e-mail address: addresses change hands, providers let people claim them,
    and who could sign in by one would be whoever the provider says last
    (CVE-2026-22747, CVE-2025-65431).

    Args:
        links: where identities are kept.
        accounts: decides about accounts.
        attempts: counts new accounts.
        registration: whether somebody unknown gets an account.
        issuers: that can be signed in with.
        record: takes the events.
        clock: tells the time.

    Source: OpenID Connect Core 1.0, section 5.7; CWE-287, CWE-290.
    """

    def __init__(  # noqa: PLR0913 - what it decides with, each by its name
        self,
        links: LinkStore,
        accounts: Accounts,
        attempts: Attempts,
        *,
        registration: bool,
        issuers: Collection[str],
        record: Callable[[Event], None],
        clock: Clock,
    ) -> None:
        self._links = links
        self._accounts = accounts
        self._attempts = attempts
        self._registration = registration
        self._issuers = frozenset(issuers)
        self._record = record
        self._clock = clock

    async def account_of(
        self, identity: Identity, exchange: Exchange
    ) -> AccountRecord | Denial:
        """Return the account that is linked to an identity, or a new one if there is
        none and strangers may have one."""
        account = await self._linked(identity)
        if account is None and self._registration:
            return await self._welcome(identity, exchange)
        if account is None:
            return NO_ACCOUNT
        return SIGN_IN_FAILED if account.disabled else account

    async def _linked(self, identity: Identity) -> AccountRecord | None:
        link = await self._links.find(identity.issuer, identity.subject)
        return None if link is None else await self._accounts.by_id(link.account_id)

    async def _welcome(
        self, identity: Identity, exchange: Exchange
    ) -> AccountRecord | Denial:
        """Make an account for somebody new, at an address that is confirmed and free.

        An address that the provider does not vouch for would let anybody wait in an
        account for the owner of the address to arrive (pre-hijacking).
        """
        if not identity.email_verified:
            return NO_ADDRESS
        refused = await self._attempts.register(exchange)
        if refused is not None:
            return refused
        cause = Cause.of(exchange)
        made = await self._accounts.vouched(identity.email, cause)
        if isinstance(made, Denial):
            # The same person may have come in twice at once.
            known = await self._linked(identity) if made is TAKEN else None
            return known or (ADDRESS_TAKEN if made is TAKEN else NO_ADDRESS)
        try:
            added = await self._add(made, identity)
        except StoreError:
            await self._accounts.remove(made.email, cause)
            raise
        if added:
            self._tell(IdentityLinked, made.id, identity.issuer, cause)
            return made
        await self._accounts.remove(made.email, cause)
        return await self._linked(identity) or CHANGED_MEANWHILE

    async def _add(self, account: AccountRecord, identity: Identity) -> bool:
        link = Link(
            identity.issuer,
            identity.subject,
            account.id,
            identity.email,
            self._clock(),
        )
        return await self._links.add(link, epoch=account.epoch)

    async def link(
        self, account: AccountRecord, identity: Identity, exchange: Exchange
    ) -> Denial | None:
        """Let an identity sign in to this account from now on.

        Args:
            account: of who is signed in and has just proved it.
            identity: as the provider has said.
            exchange: of the request.
        """
        held = await self.of(account.id)
        if any(link.issuer == identity.issuer for link in held):
            return LINKED_ELSEWHERE
        if not await self._add(account, identity):
            return LINKED_ELSEWHERE
        self._tell(IdentityLinked, account.id, identity.issuer, Cause.of(exchange))
        return None

    async def unlink(
        self, account: AccountRecord, issuer: str, exchange: Exchange
    ) -> Denial | None:
        """Take the account's identity at a provider away, if another way in is left."""
        held = await self.of(account.id)
        here = [link for link in held if link.issuer == issuer]
        if not here:
            return NOT_LINKED
        if not self._has_another_way(account, held, issuer):
            return LAST_WAY_IN
        for link in here:
            await self._links.remove(account.id, link.issuer, link.subject)
        # Two at once may each have counted on what the other has just taken away.
        if not self._has_another_way(account, await self.of(account.id), issuer):
            await self._links.add(here[0], epoch=account.epoch)
            return LAST_WAY_IN
        self._tell(IdentityUnlinked, account.id, issuer, Cause.of(exchange))
        return None

    def _has_another_way(
        self, account: AccountRecord, held: Collection[Link], issuer: str
    ) -> bool:
        return bool(account.password_hash) or any(
            link.issuer != issuer and link.issuer in self._issuers for link in held
        )

    async def of(self, account_id: str) -> list[Link]:
        """Return the account's identities, the oldest first."""
        return await self._links.of_account(account_id)

    async def is_of(self, identity: Identity, account_id: str) -> bool:
        """Return whether an identity is this account's."""
        link = await self._links.find(identity.issuer, identity.subject)
        return link is not None and link.account_id == account_id

    def _tell(
        self,
        kind: type[IdentityLinked | IdentityUnlinked],
        account_id: str,
        issuer: str,
        cause: Cause,
    ) -> None:
        self._record(
            kind(
                request_id=cause.request_id,
                client=cause.client,
                account=account_id,
                issuer=issuer,
            )
        )
