"""The accounts of a backend, opened beside it: for commands and for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ringfence.audit.log import open_log
from ringfence.errors import SettingsError
from ringfence.identity.accounts import Accounts
from ringfence.identity.open import open_identity
from ringfence.secrets.keyring import Keyring
from ringfence.settings import Settings
from ringfence.stores.open import open_shared


@asynccontextmanager
async def open_accounts(settings: Settings) -> AsyncIterator[Accounts]:
    """Open accounts and ledger as the settings say, without an application.

    The application may be running meanwhile.

    Raises:
        SettingsError: the settings cannot be used.
        StoreError: the database cannot be used.
    """
    if settings.database.startswith("memory:"):
        raise SettingsError(
            "accounts in memory are known to the serving process alone; set "
            "RINGFENCE_DATABASE=sqlite:///var/ringfence.db to look after them beside it"
        )
    audit = open_log(settings.audit, data=settings.data)
    identity = open_identity(
        settings.identity,
        database=settings.database,
        development=settings.development,
        audit=audit,
        keyring=Keyring(settings.keys_path, create=False),
        counters=open_shared("").counters("identity"),
        data=settings.data,
    )
    audit.start()
    try:
        await identity.start()
        try:
            yield identity.accounts
        finally:
            await identity.stop()
    finally:
        audit.close()
