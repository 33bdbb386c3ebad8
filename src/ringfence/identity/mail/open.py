"""Opening the mailbox: the only place where its library is chosen."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from email.headerregistry import Address

from ringfence.audit.events import Event
from ringfence.errors import MissingExtraError, SettingsError
from ringfence.identity.mail.console import ConsoleCarrier
from ringfence.identity.mail.mailbox import Carrier, Mailbox
from ringfence.identity.mail.settings import MailSettings

_NOBODY = Address(username="ringfence", domain="localhost")


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
    carrier = _smtp(settings) if settings.server else ConsoleCarrier()
    return Mailbox(carrier, sender, record=record, size=settings.queue)


def _smtp(settings: MailSettings) -> Carrier:
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
