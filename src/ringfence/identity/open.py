"""Opening the gatehouse: the only place where its optional libraries are chosen."""

from __future__ import annotations

import hmac
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ringfence.audit.log import AuditLog
from ringfence.clock import Clock
from ringfence.errors import MissingExtraError
from ringfence.exchange import at_once
from ringfence.identity.accounts import Accounts
from ringfence.identity.api_keys import ApiKeys
from ringfence.identity.attempts import Attempts
from ringfence.identity.entrance import Entrance
from ringfence.identity.factors.open import open_factor_routes, open_factors
from ringfence.identity.fetch import Fetch
from ringfence.identity.housekeeping import Housekeeping
from ringfence.identity.known_device import KnownDevices
from ringfence.identity.links import Links
from ringfence.identity.mail.open import open_post
from ringfence.identity.mail.settings import MailSettings
from ringfence.identity.notices import Notices
from ringfence.identity.openid.open import open_openid_routes
from ringfence.identity.openid.settings import OpenIdSettings
from ringfence.identity.passkeys.open import open_passkey_routes, open_passkeys
from ringfence.identity.passwords.open import open_passwords
from ringfence.identity.passwords.passwords import Passwords
from ringfence.identity.pending import PendingSignIns
from ringfence.identity.post import Post
from ringfence.identity.recovery import Recovery
from ringfence.identity.session_cookie import SessionCookie
from ringfence.identity.session_hint import SessionHints
from ringfence.identity.sessions import Lifetime, Sessions
from ringfence.identity.settings import IdentitySettings
from ringfence.identity.tokens.ambient import CookieTokens
from ringfence.identity.tokens.bearer import Credentials
from ringfence.identity.tokens.cookies import TokenCookies
from ringfence.identity.tokens.open import (
    open_foreign,
    open_token_routes,
    open_tokens,
)
from ringfence.identity.tokens.settings import TokenSettings
from ringfence.identity.verification import Verification
from ringfence.secrets.keyring import Keyring
from ringfence.stores.contracts import CopyStore, CounterStore, Stores
from ringfence.stores.open import open_stores

if TYPE_CHECKING:
    from starlette.routing import Router

    from ringfence.identity.factors.verify import SecondFactors
    from ringfence.identity.routes.gatehouse import Subject
    from ringfence.identity.routes.route import IdentityRoute

_IDENTIFIER_BYTES = 16
_NO_MAIL = MailSettings()
_NO_OPENID = OpenIdSettings()


class Identity:
    """The gatehouse of one application.

    Args:
        stores: where accounts and sessions are kept.
        passwords: hashes and verifies.
        accounts: decides about accounts; also for ``ringfence accounts``.
        sessions: opens, recognises and ends sessions.
        attempts: decides how often a password may be tried.
        devices: recognises the devices that accounts have signed in from.
        api_keys: makes, recognises and ends the keys of programs.
        factors: decides about second factors; ``None`` where they are off.
        housekeeping: deletes what has expired.
        app: answers the addresses under ``/auth``.
        clock: tells the time by which all this is judged.
        post: takes letters to owners, if there is a way to send any.
    """

    def __init__(  # noqa: PLR0913 - its parts, each by its name
        self,
        stores: Stores,
        passwords: Passwords,
        *,
        accounts: Accounts,
        sessions: Sessions,
        attempts: Attempts,
        devices: KnownDevices,
        api_keys: ApiKeys,
        factors: SecondFactors | None,
        housekeeping: Housekeeping,
        app: Router,
        clock: Clock,
        post: Post | None = None,
    ) -> None:
        self._stores = stores
        self._passwords = passwords
        self.accounts = accounts
        self.sessions = sessions
        self.attempts = attempts
        self.devices = devices
        self.api_keys = api_keys
        self.factors = factors
        self._housekeeping = housekeeping
        self.app = app
        self.clock = clock
        self.post = post
        self.authenticate = at_once(sessions.authenticate)  # the session stage
        self.watch = sessions.live.watch  # for what stays open

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
        await self._passwords.start()
        await self.sessions.start()
        await self._housekeeping.start()
        if self.post is not None:
            await self.post.mailbox.start()

    async def stop(self) -> None:
        """Close what ``start`` opened, in reverse. Idempotent."""
        if self.post is not None:
            await self.post.mailbox.stop()
        await self._housekeeping.stop()
        await self.api_keys.stop()
        await self.sessions.stop()
        self._passwords.stop()
        await self._stores.stop()


def open_identity(  # noqa: PLR0913, PLR0915 - the settings, and what stands below this room, put together one after the other
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
        from ringfence.identity.pages.render import Pages  # noqa: PLC0415 - late: optional jinja2
        from ringfence.identity.routes.account import AccountRoutes  # noqa: PLC0415 - late: optional starlette
        from ringfence.identity.routes.api_keys import ApiKeyRoutes  # noqa: PLC0415 - late: optional starlette
        from ringfence.identity.routes.assets import AssetRoutes  # noqa: PLC0415 - late: optional starlette
        from ringfence.identity.routes.confirm import ConfirmRoutes  # noqa: PLC0415 - late: optional starlette
        from ringfence.identity.routes.desk import Desk, Voucher  # noqa: PLC0415 - late: optional starlette
        from ringfence.identity.routes.gatehouse import gatehouse  # noqa: PLC0415 - late: optional starlette
        from ringfence.identity.routes.recovery import (  # noqa: PLC0415 - late: optional starlette
            RecoveryRoutes,
            VerificationRoutes,
        )
        from ringfence.identity.routes.sessions import SessionRoutes  # noqa: PLC0415 - late: optional starlette
        from ringfence.identity.routes.sign_in import SignInRoutes  # noqa: PLC0415 - late: optional starlette
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
    record = notices.hear(audit.record)
    passwords = open_passwords(settings, data=data, measure=measure, clock=clock)

    def identifier(email_key: str) -> str:
        key = keyring.derive("identity.identifier")
        return hmac.digest(key, email_key.encode(), "sha256")[:_IDENTIFIER_BYTES].hex()

    async def epoch_of(email_key: str) -> int | None:
        account = await stores.accounts.by_email(email_key)
        return None if account is None else account.epoch

    devices = KnownDevices(
        partial(keyring.derive_all, "identity.device"),
        development=development,
        clock=clock,
    )
    attempts = Attempts(
        counters,
        settings,
        devices,
        epoch_of=epoch_of,
        identifier=identifier,
        record=record,
        clock=clock,
    )
    api_keys = ApiKeys(
        stores.api_keys,
        stores.accounts,
        settings.api_key_scopes,
        record=record,
        clock=clock,
    )
    programs = open_tokens(
        tokens, stores, keyring, public_origins=public_origins, clock=clock
    )
    credentials = Credentials(
        None if programs is None else programs.check,
        TokenCookies(development=development),
        clock=clock,
        api_keys=api_keys if api_keys.scopes else None,
        foreign=open_foreign(tokens, fetch, clock=clock),
    )
    sessions = Sessions(
        stores.sessions,
        SessionCookie(development=development),
        SessionHints(
            partial(keyring.derive_all, "identity.session-hint"), written=hinted
        ),
        Lifetime(idle=settings.session_idle, absolute=settings.session_absolute),
        on_move=settings.session_moved,
        record=record,
        clock=clock,
        credentials=credentials,
    )
    families = None
    if programs is not None:
        families = programs.families(
            record=record, told=notices.told, ended=sessions.live.end_family
        )
        sessions.tokens = CookieTokens(credentials, families, clock=clock)
    accounts = Accounts(
        stores.accounts,
        passwords,
        attempts,
        record=record,
        identifier=identifier,
        clock=clock,
        ended=sessions.live.end_account,
    )
    housekeeping = Housekeeping(
        {
            "refresh tokens": stores.grants.forget_expired,
            "API keys": stores.api_keys.forget_expired,
        },
        clock=clock,
    )
    pending = PendingSignIns(
        partial(keyring.derive_all, "identity.pending"),
        stores.replays,
        development=development,
        clock=clock,
    )
    verification = None
    if post is not None and mail.server and mail.verify:
        verification = Verification(
            stores, accounts, post=post, record=record, clock=clock
        )
    entrance = Entrance(
        stores.accounts,
        stores.factors,
        sessions,
        devices,
        pending,
        unproven=None if verification is None else verification.unproven,
    )
    features = {
        "two-step": settings.second_factors,
        "passkeys": settings.second_factors and settings.passkeys,
        "recovery": post is not None,
        "api-keys": bool(api_keys.scopes),
        "verification": verification is not None,
    }
    desk = Desk(
        Pages(site_name=settings.site_name, templates=settings.templates),
        after_sign_in=settings.after_sign_in,
        registration=settings.registration,
        shortest_password=accounts.shortest_password,
        features=frozenset(name for name, is_on in features.items() if is_on),
        providers=tuple(
            Voucher(each.name, each.label, each.issuer) for each in openid.providers
        ),
    )
    by_mail: list[Subject] = []
    if post is not None:
        recovery = Recovery(
            stores,
            passwords,
            attempts,
            post=post,
            record=record,
            clock=clock,
            ended=sessions.live.end_account,
        )
        by_mail.append(RecoveryRoutes(desk, recovery))
    if verification is not None:
        by_mail.append(VerificationRoutes(desk, verification))
    factors = None
    if settings.second_factors:
        factors = open_factors(
            stores.factors,
            attempts,
            keyring,
            issuer=settings.site_name,
            record=record,
            identifier=identifier,
            clock=clock,
        )
    passkeys = open_passkeys(
        settings,
        stores,
        attempts,
        factors,
        keyring,
        public_origins=public_origins,
        development=development,
        identifier=identifier,
        record=record,
        clock=clock,
    )
    subjects: tuple[Subject, ...] = (
        ConfirmRoutes(desk, accounts, sessions, factors, stores.links),
        *open_factor_routes(
            desk, accounts, sessions, entrance, factors, site_name=settings.site_name
        ),
        *open_passkey_routes(desk, accounts, sessions, entrance, (factors, passkeys)),
        SignInRoutes(desk, accounts, sessions, entrance, verification),
        AccountRoutes(desk, accounts, sessions, entrance, families),
        SessionRoutes(desk, sessions),
        *open_token_routes(
            programs,
            desk,
            credentials=credentials,
            families=families,
            accounts=accounts,
            sessions=sessions,
            entrance=entrance,
            factors=factors,
        ),
        *open_openid_routes(
            openid,
            desk,
            accounts=accounts,
            sessions=sessions,
            entrance=entrance,
            attempts=attempts,
            stores=stores,
            keyring=keyring,
            counters=counters,
            fetch=fetch,
            public_origins=public_origins,
            development=development,
            record=record,
            clock=clock,
        ),
        *((ApiKeyRoutes(desk, api_keys),) if api_keys.scopes else ()),
        AssetRoutes(desk),
        *by_mail,
    )
    return Identity(
        stores,
        passwords,
        accounts=accounts,
        sessions=sessions,
        attempts=attempts,
        devices=devices,
        api_keys=api_keys,
        factors=factors,
        housekeeping=housekeeping,
        app=gatehouse(subjects),
        clock=clock,
        post=post,
    )
