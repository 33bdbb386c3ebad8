"""Opening the mailbox: the only place where its library is chosen."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from email.headerregistry import Address

from ringfence.audit.events import Event
from ringfence.errors import MissingExtraError, SettingsError
from ringfence.identity.letter_limits import LetterLimits
from ringfence.identity.links import Links
from ringfence.identity.mail.console import ConsoleCarrier
from ringfence.identity.mail.letters import Letters
from ringfence.identity.mail.mailbox import Carrier, Mailbox
from ringfence.identity.mail.settings import MailSettings
from ringfence.identity.post import Post
from ringfence.identity.settings import IdentitySettings
from ringfence.stores.contracts import CounterStore

_NOBODY = Address(username="ringfence", domain="localhost")


def open_post(  # noqa: PLR0913 - the settings, and what stands below this room
    settings: MailSettings,
    identity: IdentitySettings,
    links: Links,
    counters: CounterStore,
    *,
    development: bool,
    record: Callable[[Event], None],
) -> Post | None:
    """Return the way letters go, ``None`` where there is none.

    Args:
        settings: of mail.
        identity: of the room, whose site writes.
        links: makes the links in letters.
        counters: keeps what is left of the limits.
        development: letters are printed where no server is set.
        record: takes the events.

    Raises:
        SettingsError: the server, the sender or the name of the site cannot be used.
        MissingExtraError: a library is not installed.
    """
    mailbox = open_mailbox(settings, development=development, record=record)
    if mailbox is None or not links.known:
        return None
    try:
        from ringfence.identity.mail.render import LetterTemplates  # noqa: PLC0415 - late: optional jinja2
    except ImportError as error:
        raise MissingExtraError(
            error.name or "jinja2", "identity", "write letters"
        ) from error
    if not identity.site_name.isprintable():
        message = f"identity.site_name is {identity.site_name!r}; letters need one line"
        raise SettingsError(message)
    templates = LetterTemplates(
        site_name=identity.site_name, templates=identity.templates
    )
    limits = LetterLimits(
        counters,
        per_account=settings.letters_per_account,
        per_network=settings.requests_per_address,
        record=record,
    )
    return Post(mailbox, Letters(templates.fill), links, limits)


def open_mailbox(
    settings: MailSettings, *, development: bool, record: Callable[[Event], None]
) -> Mailbox | None:
    """Return what takes letters, ``None`` where there is no way to send any.

    Nothing is sent before ``start``.

    Args:
        settings: of mail.
        development: letters are printed where no server is set.
        record: takes the events.

    Raises:
        SettingsError: the server or the sender is none.
        MissingExtraError: the library of the extra ``mail`` is not installed.
    """
    if not settings.server and not development:
        return None
    sender = settings.origin() if settings.sender else _NOBODY
    carrier = open_smtp(settings) if settings.server else ConsoleCarrier()
    return Mailbox(carrier, sender, record=record, size=settings.queue)


def open_smtp(settings: MailSettings) -> Carrier:
    """Return what hands letters to the server of these settings.

    Raises:
        SettingsError: the file of the authority holds none.
        MissingExtraError: the library of the extra ``mail`` is not installed.
    """
    try:
        from ringfence.identity.mail.smtp import SmtpCarrier  # noqa: PLC0415 - late: optional aiosmtplib
    except ImportError as error:
        raise MissingExtraError(
            error.name or "aiosmtplib", "mail", "send letters"
        ) from error
    try:
        return SmtpCarrier(
            settings.where(), ca_file=settings.ca_file, timeout=settings.timeout
        )
    except (OSError, ssl.SSLError) as error:
        message = f"mail.ca_file is {settings.ca_file}, which holds no certificate"
        raise SettingsError(message) from error
