"""API keys: made for programs, recognised with each request, ended by their owners."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from ringfence.audit.events import ApiKeyEnded, ApiKeyMade, Event
from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.exchange import Exchange
from ringfence.identity.api_key import digest, hint, is_key, new_key
from ringfence.identity.cause import Cause
from ringfence.identity.refusals import CHANGED_MEANWHILE, invalid, unavailable
from ringfence.principal import Principal
from ringfence.stores.contracts import AccountStore, ApiKeyRecord, ApiKeyStore

logger = logging.getLogger("ringfence.identity")

LONGEST_DAYS = 365
USUAL_DAYS = 90
_DAY = 86_400.0
_LONGEST_LABEL = 64
_MOST_KEYS = 64
_ID_BYTES = 16
_TOUCH_SECONDS = 60.0
_REMEMBERED = 8192

API_KEY_INVALID = Denial(
    401,
    "identity.api_key_invalid",
    "This API key is not valid, or no longer.",
    headers=(
        (b"www-authenticate", b'Bearer realm="ringfence", error="invalid_token"'),
    ),
)
"""One text for an unknown key, an expired one and one of a disabled account; the ledger
says which it was. Source: RFC 6750, section 3.1."""

NO_SUCH_KEY = Denial(
    404, "identity.no_such_api_key", "There is no such API key, or no longer."
)
TOO_MANY_KEYS = Denial(
    409,
    "identity.too_many_api_keys",
    f"An account has at most {_MOST_KEYS} API keys; end one first.",
)

_MISTYPED = replace(API_KEY_INVALID, private="its checksum is wrong")
_UNKNOWN = replace(API_KEY_INVALID, private="it is unknown, or was ended")
_EXPIRED = replace(API_KEY_INVALID, private="it has expired")


class NewApiKey(NamedTuple):
    """A key that was just made.

    Args:
        key: to be shown once, and never again.
        record: what is known of it from now on.
    """

    key: str
    record: ApiKeyRecord

    def __repr__(self) -> str:
        return f"NewApiKey({self.record.id!r})"


class ApiKeys:
    """Makes, recognises and ends the keys that programs sign their requests with.

    What a key opens is what its scopes say, and nothing else: see ``access.scope``. It
    works for an account, and has that account's roles and tenant at the time of the
    request.

    Args:
        store: where keys are kept.
        accounts: where their owners are.
        scopes: that keys may have; one that is taken out of the settings is taken from
            all keys. Empty: there are no keys.
        record: takes the events.
        clock: tells the time.

    Source: ASVS 5.0 V6.3, V13.2; CWE-522, CWE-613; OWASP REST Security Cheat Sheet.

    Not covered: where a program keeps its key; that a copied key is used by somebody
    else. Bind tokens to a key of the program's own (DPoP) where that matters.
    """

    def __init__(
        self,
        store: ApiKeyStore,
        accounts: AccountStore,
        scopes: Iterable[str],
        *,
        record: Callable[[Event], None],
        clock: Clock,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self.scopes = frozenset(scopes)
        self._record = record
        self._clock = clock
        self._seen: dict[bytes, float] = {}
        self._marked: dict[bytes, float] = {}
        self._writing: asyncio.Task[None] | None = None

    async def make(
        self,
        account_id: str,
        label: str,
        scopes: Iterable[str],
        cause: Cause,
        *,
        days: int = USUAL_DAYS,
    ) -> NewApiKey | Denial:
        """Make a key.

        Args:
            account_id: for whom the program will work.
            label: what its owner calls it, 1 to 64 characters.
            scopes: what it opens, at least one of those that the settings name.
            cause: of the request.
            days: until it ends, 1 to 365.

        Raises:
            StoreError: the accounts cannot be reached.
        """
        label, wanted = label.strip(), frozenset(scopes)
        refusal = self._refuse(label, wanted, days)
        if refusal is not None:
            return refusal
        account = await self._accounts.by_id(account_id)
        if account is None or account.disabled:
            return CHANGED_MEANWHILE
        if len(await self._store.of_account(account_id)) >= _MOST_KEYS:
            return TOO_MANY_KEYS
        now, key = self._clock(), new_key()
        made = ApiKeyRecord(
            id=secrets.token_urlsafe(_ID_BYTES),
            token_hash=digest(key.encode()),
            account_id=account_id,
            label=label,
            hint=hint(key),
            scopes=wanted,
            created=now,
            expires=now + days * _DAY,
            roles=account.roles,
            tenant=account.tenant,
        )
        if not await self._store.add(made, epoch=account.epoch, most=_MOST_KEYS):
            return CHANGED_MEANWHILE
        self._record(
            ApiKeyMade(
                request_id=cause.request_id,
                client=cause.client,
                account=account_id,
                key=made.id,
                label=label,
                scopes=tuple(sorted(wanted)),
                days=days,
            )
        )
        return NewApiKey(key, made)

    def _refuse(self, label: str, scopes: frozenset[str], days: int) -> Denial | None:
        faults = {}
        if not (0 < len(label) <= _LONGEST_LABEL and label.isprintable()):
            faults["label"] = f"Give it a name of 1 to {_LONGEST_LABEL} characters."
        if not scopes or not scopes <= self.scopes:
            offered = ", ".join(sorted(self.scopes))
            faults["scopes"] = f"Name at least one of: {offered}."
        if not 1 <= days <= LONGEST_DAYS:
            faults["days"] = f"From 1 to {LONGEST_DAYS} days."
        return invalid(**faults) if faults else None

    async def of(self, account_id: str) -> list[ApiKeyRecord]:
        """Return the account's keys that have not expired, the latest first.

        Raises:
            StoreError: the keys cannot be reached.
        """
        now = self._clock()
        found = await self._store.of_account(account_id)
        return [key for key in found if key.expires > now]

    async def end(self, account_id: str, key_id: str, cause: Cause) -> bool:
        """End a key of this account at once; return whether it had such a key.

        Raises:
            StoreError: the keys cannot be reached; it may go on.
        """
        ended = await self._store.end(account_id, key_id)
        if ended:
            self._record(
                ApiKeyEnded(
                    request_id=cause.request_id,
                    client=cause.client,
                    account=account_id,
                    key=key_id,
                )
            )
        return ended

    async def authenticate(self, key: bytes, exchange: Exchange) -> Denial | Principal:
        """Return who a request comes from that carries a key, or why it is refused.

        Args:
            key: the credential, as it came.
            exchange: of the request.
        """
        if not self.scopes or not is_key(key):
            return _MISTYPED
        try:
            found = await self._store.read(digest(key))
        except StoreError as error:
            return unavailable(str(error))
        if found is None:
            return _UNKNOWN
        now = self._clock()
        if now >= found.expires:
            return _EXPIRED
        if now - found.used >= _TOUCH_SECONDS:
            self._mark(found.token_hash, now)
        exchange.api_key = found
        return Principal(
            found.account_id,
            found.roles,
            scopes=found.scopes & self.scopes,
            credential="api-key",
            tenant=found.tenant,
        )

    async def holds(self, key: ApiKeyRecord) -> bool:
        """Return whether what was opened with a key may stay open; what was opened with
        other roles, or in another tenant, may show what its owner no longer may see.

        Raises:
            StoreError: the keys cannot be reached.
        """
        found = await self._store.read(key.token_hash)
        return (
            found is not None
            and self._clock() < found.expires
            and found.roles == key.roles
            and found.tenant == key.tenant
        )

    def _mark(self, name: bytes, now: float) -> None:
        """Have a use written down beside the request, once a minute."""
        if 0 <= now - self._marked.get(name, 0.0) < _TOUCH_SECONDS:
            return
        if len(self._marked) >= _REMEMBERED:
            self._marked.clear()
        self._marked[name] = self._seen[name] = now
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_seen())

    async def _write_seen(self) -> None:
        while self._seen:
            seen, self._seen = self._seen, {}
            try:
                await self._store.touch(seen)
            except StoreError as error:
                logger.warning("API keys could not be marked as used: %s", error)

    async def stop(self) -> None:
        """Write what is still to be written. Idempotent."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing
