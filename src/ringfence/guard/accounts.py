"""The accounts of a backend, opened beside it: for commands and for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ringfence.audit.log import AuditLog, open_log
from ringfence.errors import SettingsError
from ringfence.identity.accounts import Accounts
from ringfence.identity.open import Identity, open_identity
from ringfence.secrets.keyring import Keyring
from ringfence.settings import Settings, refuse_open_ways
from ringfence.stores.contracts import SharedStore
from ringfence.stores.open import open_shared


@asynccontextmanager
async def open_accounts(settings: Settings) -> AsyncIterator[Accounts]:
    """Open accounts and ledger as the settings say, without an application.

    The application may be running meanwhile: what is changed here holds there at once.

    Raises:
        SettingsError: the settings cannot be used, or in production name a store that
            is not reached over checked TLS.
        StoreError: the database or the store cannot be used.
    """
    if settings.database.startswith("memory:"):
        raise SettingsError(
            "accounts in memory are known to the serving process alone; set "
            "RINGFENCE_DATABASE=sqlite:///var/ringfence.db to look after them beside it"
        )
    audit = open_log(settings.audit, data=settings.data)
    shared = open_shared(settings.store)
    identity = _identity(settings, audit, shared)
    refuse_open_ways(settings)
    async with AsyncExitStack() as opened:
        audit.start()
        opened.callback(audit.close)
        opened.push_async_callback(shared.stop)
        await shared.start()
        opened.push_async_callback(identity.stop)
        await identity.start()
        yield identity.accounts


def judging_accounts(settings: Settings) -> Accounts:
    """Return accounts that can only judge: nothing is opened, read or written.

    Raises:
        SettingsError: the settings cannot be used.
    """
    audit = open_log(settings.audit, data=settings.data)
    return _identity(settings, audit, open_shared("")).accounts


def _identity(settings: Settings, audit: AuditLog, shared: SharedStore) -> Identity:
    return open_identity(
        settings.identity,
        database=settings.database,
        development=settings.development,
        audit=audit,
        keyring=Keyring(settings.keys_path, create=False),
        counters=shared.counters("identity"),
        data=settings.data,
        copies=shared.copies,
        tokens=settings.tokens,
        public_origins=settings.public_origins,
        mail=settings.mail,
    )
