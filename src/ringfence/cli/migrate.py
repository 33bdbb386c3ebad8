"""``ringfence migrate``: the guard's tables, by a role that may change them."""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import urlsplit

from ringfence.errors import SettingsError
from ringfence.settings import Settings, refuse_open_ways
from ringfence.stores.open import open_stores


def migrate() -> int:
    """Bring the tables up to date.

    Raises:
        SettingsError: the settings are wrong, name a database that keeps no tables, or
            in production one that is not reached over checked TLS.
        StoreError: the database cannot be used, or the role may not change it.
    """
    settings = Settings.load()
    if settings.database.startswith("memory:"):
        raise SettingsError(
            "a database in memory has no tables to bring up to date; set "
            "RINGFENCE_DATABASE"
        )
    asyncio.run(_open_once(settings))
    sys.stdout.write(f"The tables of {_place(settings.database)} are up to date.\n")
    return 0


def _place(database: str) -> str:
    """Return where the tables are, without a user, a password or parameters."""
    parts = urlsplit(database)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def _open_once(settings: Settings) -> None:
    stores = open_stores(settings.database)
    refuse_open_ways(settings)
    try:
        await stores.start()
    finally:
        await stores.stop()
