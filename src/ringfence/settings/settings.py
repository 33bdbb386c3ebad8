"""All settings of one guard, frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from ringfence.access.settings import AccessSettings
from ringfence.audit.settings import AuditSettings
from ringfence.browser.settings import BrowserSettings
from ringfence.errors import SettingsError
from ringfence.identity.mail.settings import MailSettings
from ringfence.identity.openid.settings import OpenIdSettings
from ringfence.identity.settings import IdentitySettings
from ringfence.identity.tokens.settings import TokenSettings
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.settings.load import load
from ringfence.traffic.settings import TrafficSettings

WATCHABLE = ("limits", "csrf", "csp", "sinks")
"""What a dry run may cover: checks that find out abuse. Which request this is, who sent
it and what it may do is always enforced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a guard needs to know. Use ``Settings.load()`` to read it from outside.

    In the environment a field is ``RINGFENCE_<FIELD>``, a field of a room
    ``RINGFENCE_<ROOM>_<FIELD>``; in ``ringfence.toml`` it stands at the top or in the
    table of its room.

    Raises:
        SettingsError: values that contradict each other.
    """

    env: Literal["production", "development"] = "production"
    """Development has to be asked for: it accepts this machine only, makes its own
    keys, and sends cookies without ``Secure``."""

    data: Path = Path("var")
    """The directory for what is written: the SQLite file, keys made in development,
    the ledger."""

    database: str = field(default="", repr=False)
    """URL of what must last: accounts, sessions, tickets that may be used once.
    ``sqlite:///`` or ``postgresql://`` (see the guide to stores); unset means the file
    ``ringfence.db`` in the data directory. Not shown: it may hold a password."""

    store: str = field(default="", repr=False)
    """URL of what must be fast and may be forgotten: counters of limits, blocked
    addresses, copies of sessions. ``redis://``, ``rediss://``, ``redis+sentinel://``,
    ``redis+cluster://``, ``sqlite:///`` or ``postgresql://``; unset means the memory of
    this process, which allows one worker. Not shown: it may hold a password."""

    keys_file: Path | None = None
    """The keys file that ``ringfence keys create`` makes. Required in production;
    unset in development means ``keys.json`` in the data directory, made if missing."""

    public_origins: tuple[str, ...] = ()
    """Where browsers reach the backend, ``https://shop.example`` say. Required in
    production; the first one is used in links. Never derived from a request."""

    proxies: tuple[str, ...] = ()
    """Networks of the proxies that may say who the client is, or ``none``. Required in
    production. The same as ``traffic.proxies``."""

    dry_run: tuple[str, ...] = ()
    """Checks that are only watched: ``limits``, ``csrf``, ``csp``, and ``sinks`` (text
    that reaches an interpreter). What they would have refused passes and is written to
    the ledger as ``request_would_be_refused``, or with ``watched``."""

    dry_run_until: str = ""
    """The day on which they refuse again, ``2027-01-31`` (at 0:00 UTC); at most 90 days
    ahead. Required with ``dry_run``."""

    traffic: TrafficSettings = field(default_factory=TrafficSettings)
    """Settings of the street."""

    browser: BrowserSettings = field(default_factory=BrowserSettings)
    """Settings of the window."""

    identity: IdentitySettings = field(default_factory=IdentitySettings)
    """Settings of the gatehouse."""

    tokens: TokenSettings = field(default_factory=TokenSettings)
    """Settings of access and refresh tokens."""

    mail: MailSettings = field(default_factory=MailSettings)
    """Settings of the mail that owners get."""

    openid: OpenIdSettings = field(default_factory=OpenIdSettings)
    """Settings of the sign-in with another provider."""

    access: AccessSettings = field(default_factory=AccessSettings)
    """Settings of the doors."""

    interpreters: InterpretersSettings = field(default_factory=InterpretersSettings)
    """Settings of the tools."""

    audit: AuditSettings = field(default_factory=AuditSettings)
    """Settings of the ledger."""

    def __post_init__(self) -> None:
        if not self.database:
            path = quote((self.data / "ringfence.db").as_posix())
            object.__setattr__(self, "database", f"sqlite:///{path}")
        self._agree_on_proxies()
        self._check_dry_run()

    @property
    def dry_run_ends(self) -> float:
        """Unix time at which the dry run ends, 0 where there is none."""
        return _midnight(self.dry_run_until).timestamp() if self.dry_run else 0.0

    @property
    def development(self) -> bool:
        """Whether this is development, which accepts loopback only."""
        return self.env == "development"

    @property
    def keys_path(self) -> Path:
        """Where the keys are, or will be made in development."""
        return self.keys_file or self.data / "keys.json"

    @classmethod
    def load(
        cls,
        toml: Path | str | None = None,
        environ: Mapping[str, str] = os.environ,
        **overrides: object,
    ) -> Settings:
        """Read the settings: code before environment before file.

        Args:
            toml: the file; ``None`` takes ``ringfence.toml`` of the current directory
                if there is one.
            environ: the environment; names that begin with ``RINGFENCE_`` count.
            overrides: fields by name; a room as its dataclass, or as a mapping of some
                of its fields.

        Raises:
            SettingsError: unknown names (with a guess) or wrong values (with what is
                expected), all of them at once, each with where it stands.
        """
        return load(cls, toml=toml, environ=environ, overrides=overrides)

    def _check_dry_run(self) -> None:
        for part in self.dry_run:
            if part not in WATCHABLE:
                message = (
                    f"dry_run has {part!r}; only {', '.join(WATCHABLE)} can be "
                    "watched, everything else always refuses"
                )
                raise SettingsError(message)
        if self.dry_run:
            _midnight(self.dry_run_until)
        if "csp" in self.dry_run and not self.browser.reports:
            message = (
                "dry_run has 'csp', but nobody would hear of what it finds; set "
                "RINGFENCE_BROWSER_REPORTS=true"
            )
            raise SettingsError(message)

    def _agree_on_proxies(self) -> None:
        inner = self.traffic.proxies
        if self.proxies and inner and self.proxies != inner:
            message = (
                "proxies and traffic.proxies say different things; set only "
                "RINGFENCE_PROXIES (or proxies at the top of the file)"
            )
            raise SettingsError(message)
        if self.proxies != inner:
            agreed = self.proxies or inner
            object.__setattr__(self, "proxies", agreed)
            object.__setattr__(self, "traffic", replace(self.traffic, proxies=agreed))


def _midnight(day: str) -> datetime:
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        message = (
            f"dry_run_until is {day!r}; write the day on which the checks refuse "
            "again, as in RINGFENCE_DRY_RUN_UNTIL=2027-01-31"
        )
        raise SettingsError(message) from error
