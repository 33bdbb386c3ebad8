"""The rooms that hold something open while the guard runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ringfence import access
from ringfence.audit.events import Stopped
from ringfence.audit.log import AuditLog, open_log
from ringfence.audit.redact import install_log_redaction
from ringfence.browser.cors import cors
from ringfence.clock import system_clock
from ringfence.guard.fetch import open_fetch
from ringfence.guard.key_watch import KeyWatch
from ringfence.identity.open import Identity, open_identity
from ringfence.secrets.keyring import Keyring
from ringfence.settings import Settings
from ringfence.stores.open import open_shared
from ringfence.traffic.blocklist import Blocklist

# What changes how an account is proved asks for a proof of its own: who has found an
# unlocked browser must not put a telephone of theirs in the owner's place. Source: ASVS
# 5.0 V7.5.1.
POLICIES = {
    "public": access.public,
    "signed_in": access.signed_in,
    "fresh": access.signed_in & access.fresh(minutes=10),
    "any_scope": access.any_scope,
}


class Rooms:
    """Keys, ledger, blocklist and identity of one guard. Made without I/O, opened at
    start-up.

    Args:
        settings: as loaded.

    Raises:
        MissingExtraError: a library that the settings ask for is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self.keyring = Keyring(settings.keys_path, create=settings.development)
        self._key_watch = KeyWatch(self.keyring)
        self.audit: AuditLog = open_log(settings.audit, data=settings.data)
        self.blocklist = Blocklist(settings.traffic, record=self.audit.record)
        self.shared = open_shared(settings.store)
        self.counters = self.shared.counters("limits")
        self.identity = self._identity(settings) if settings.identity.enabled else None
        # A proof was written down by the database's clock, and by no other is it fresh.
        self.clock = system_clock if self.identity is None else self.identity.clock
        self.named = None if self.identity is None else self.identity.sessions.named
        self._restore_logging: Callable[[], None] | None = None

    def _identity(self, settings: Settings) -> Identity:
        identity = open_identity(
            settings.identity,
            database=settings.database,
            development=settings.development,
            audit=self.audit,
            keyring=self.keyring,
            # On a shelf of their own: whoever fills the other one, with a long limit of
            # some route and the networks of two IPv6 sites, must not bring strangers
            # to share one budget of sign-ins.
            counters=self.shared.counters("identity"),
            copies=self.shared.copies,
            hinted=self.shared.ask is not None,
            tokens=settings.tokens,
            public_origins=settings.public_origins,
            mail=settings.mail,
            openid=settings.openid,
            fetch=open_fetch(settings),
            data=settings.data,
            measure=not settings.development,
        )
        # What is open to everybody's scripts is the application, not the sign-in.
        marks = (cors(),) if settings.browser.cors.is_for_anyone else ()
        for route in identity.routes:
            access.routes([route], POLICIES[route.identity_access], *marks)
        return identity

    async def open(self) -> None:
        """Open keys, ledger and stores; close again what was opened if one fails.

        Raises:
            SettingsError: the keys cannot be used.
            StoreError: the database or the store cannot be used.
        """
        self.keyring.open()
        self.audit.start()
        self._restore_logging = install_log_redaction()
        self._key_watch.start()
        try:
            await self.shared.start()
            await self.blocklist.start(self.shared.blocks)
            if self.identity is not None:
                await self.identity.start()
        except BaseException:  # cancelled or failed: what is open is closed
            await self.close()
            raise

    @contextmanager
    def job(self) -> Iterator[None]:
        """Open keys and ledger alone, for code outside requests.

        Raises:
            SettingsError: one of them cannot be used.
        """
        self.keyring.open()
        self.audit.start()
        try:
            yield
        finally:
            self.audit.close()

    async def close(self) -> None:
        """Close in reverse what ``open`` opened."""
        try:
            await self._key_watch.stop()
            if self.identity is not None:
                await self.identity.stop()
            await self.blocklist.stop()
            await self.shared.stop()
        finally:
            self.audit.record(Stopped())
            self.audit.close()
            if self._restore_logging is not None:
                self._restore_logging()
                self._restore_logging = None
