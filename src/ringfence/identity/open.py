"""Opening the gatehouse: the only place where its optional libraries are chosen."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ringfence.audit.log import AuditLog
from ringfence.clock import Clock
from ringfence.errors import MissingExtraError
from ringfence.exchange import at_once
from ringfence.identity.fetch import Fetch
from ringfence.identity.ground import Ground
from ringfence.identity.links import Links
from ringfence.identity.mail.open import open_post
from ringfence.identity.mail.settings import MailSettings
from ringfence.identity.notices import Notices
from ringfence.identity.openid.settings import OpenIdSettings
from ringfence.identity.parts import Parts
from ringfence.identity.passwords.open import open_passwords
from ringfence.identity.settings import IdentitySettings
from ringfence.identity.tokens.settings import TokenSettings
from ringfence.secrets.keyring import Keyring
from ringfence.stores.contracts import CopyStore, CounterStore
from ringfence.stores.open import open_stores

if TYPE_CHECKING:
    from starlette.routing import Router

    from ringfence.identity.routes.route import IdentityRoute

_NO_MAIL = MailSettings()
_NO_OPENID = OpenIdSettings()


class Identity:
    """The gatehouse of one application.

    Args:
        parts: decide; ``accounts``, ``sessions``, ``attempts``, ``devices``,
            ``api_keys``, ``factors`` and ``post`` are here as well.
        app: answers the addresses under ``/auth``.
    """

    def __init__(self, parts: Parts, app: Router) -> None:
        self._parts = parts
        self._stores = parts.ground.stores
        self.accounts = parts.accounts
        self.sessions = parts.sessions
        self.attempts = parts.attempts
        self.devices = parts.devices
        self.api_keys = parts.api_keys
        self.factors = parts.factors
        self.post = parts.post
        self.clock = parts.ground.clock  # by which all this is judged
        self.app = app
        self.authenticate = at_once(parts.sessions.authenticate)  # the session stage
        self.watch = parts.sessions.live.watch  # for what stays open

    @property
    def routes(self) -> list[IdentityRoute]:
        """The addresses under ``/auth``; each carries ``identity_access``."""
        return cast("list[IdentityRoute]", list(self.app.routes))

    async def start(self) -> None:
        """Open the database (and make or migrate it), start the threads.

        Raises:
            SettingsError: the measured cost of a password hash is damaged.
            StoreError: the database cannot be used.
        """
        await self._stores.start()
        await self._parts.passwords.start()
        await self.sessions.start()
        await self._parts.housekeeping.start()
        if self.post is not None:
            await self.post.mailbox.start()

    async def stop(self) -> None:
        """Close what ``start`` opened, in reverse. Idempotent."""
        if self.post is not None:
            await self.post.mailbox.stop()
        await self._parts.housekeeping.stop()
        await self.api_keys.stop()
        await self.sessions.stop()
        self._parts.passwords.stop()
        await self._stores.stop()


def open_identity(  # noqa: PLR0913 - the settings, and what stands below this room
    settings: IdentitySettings,
    *,
    database: str,
    development: bool,
    audit: AuditLog,
    keyring: Keyring,
    counters: CounterStore,
    clock: Clock | None = None,
    data: Path | None = None,
    measure: bool = False,
    copies: CopyStore | None = None,
    hinted: bool = False,
    tokens: TokenSettings | None = None,
    public_origins: tuple[str, ...] = (),
    mail: MailSettings = _NO_MAIL,
    openid: OpenIdSettings = _NO_OPENID,
    fetch: Fetch | None = None,
) -> Identity:
    """Return the gatehouse. Nothing is read or written before ``start``.

    Args:
        settings: of this room.
        database: URL of the database, ``sqlite:///var/ringfence.db`` say.
        development: plain http on this machine.
        audit: takes the events.
        keyring: gives the keys; opened before ``start``.
        counters: keeps what is left of the limits on sign-ins.
        clock: tells the time; without one the database does, so that processes whose
            clocks differ judge alike.
        data: the folder with the measured cost of a password hash.
        measure: whether to measure it if nobody has.
        copies: keeps copies of sessions nearer than the database.
        hinted: session cookies say whose they are, signed, so that what is known of
            the account can be asked for before the session is found.
        tokens: of access and refresh tokens; ``None`` for none.
        public_origins: where this service is reached, ``https://shop.example`` say.
        mail: how letters to owners leave.
        openid: providers that people sign in with.
        fetch: asks other services.

    Raises:
        SettingsError: the database is none that this version knows.
        MissingExtraError: a library of the extra ``identity`` is not installed.
    """
    try:
        from ringfence.identity.routes.gatehouse import gatehouse  # noqa: PLC0415 - late: optional starlette and jinja2
    except ImportError as error:
        raise MissingExtraError(
            error.name or "starlette", "identity", "serve accounts and sign-in"
        ) from error

    stores = open_stores(
        database,
        settings.sessions,
        copies,
        partial(keyring.derive_all, "identity.session-copy"),
    )
    clock = stores.clock if clock is None else clock
    post = open_post(
        mail,
        settings,
        Links(public_origins, development=development),
        counters,
        development=development,
        record=audit.record,
    )
    notices = Notices(stores.accounts, post, clock=clock)
    ground = Ground(
        settings,
        stores,
        counters,
        keyring,
        notices.hear(audit.record),
        clock,
        public_origins,
        development,
    )
    parts = Parts(
        ground,
        open_passwords(settings, data=data, measure=measure, clock=clock),
        notices,
        tokens=tokens,
        verifies=bool(mail.server) and mail.verify,
        fetch=fetch,
        hinted=hinted,
    )
    return Identity(parts, gatehouse(parts, openid, fetch))
