"""Settings of the mail that owners get."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address, AddressHeader
from email.policy import SMTP
from pathlib import Path

from ringfence.errors import SettingsError
from ringfence.identity import addresses
from ringfence.identity.mail.server import MailServer, parse_server

_MOST_A_DAY = 1000
_LONGEST_TIMEOUT = 300


@dataclass(frozen=True, slots=True)
class MailSettings:
    """How letters to owners leave. Without a server there are none: in development
    they are printed, in production recovery by mail is off.

    Raises:
        SettingsError: a value is out of its range, or no address.
    """

    server: str = field(default="", repr=False)
    """``smtp://user:password@host:587`` (with STARTTLS), ``smtps://host:465`` (TLS from
    the first byte); on this machine also ``smtp://127.0.0.1:25`` in clear text. Not
    shown: it may hold a password."""

    sender: str = ""
    """The address that letters come from, ``shop@example.com`` or ``The shop
    <shop@example.com>``. Required with ``server``."""

    ca_file: Path | None = None
    """The authority that the server's certificate is checked with, in PEM; unset means
    those that this machine trusts."""

    timeout: int = 10
    """Seconds that one step of handing over a letter may take, 1 to 300."""

    queue: int = 1000
    """Letters that may wait to be sent, 1 to 100,000. More are dropped, and the ledger
    is told."""

    letters_per_account: int = 5
    """Letters of one kind that an account gets in any hour, 1 to 1,000: nobody's
    mailbox can be flooded by asking in their name."""

    requests_per_address: int = 30
    """Requests for letters in any hour from one address (IPv6: /64), 1 to 1,000,000."""

    verify: bool = True
    """Whether an account that strangers can make must prove its address before it can
    be used. Holds where ``server`` is set."""

    def __post_init__(self) -> None:
        _in_range("timeout", self.timeout, 1, _LONGEST_TIMEOUT)
        _in_range("queue", self.queue, 1, 100_000)
        _in_range("letters_per_account", self.letters_per_account, 1, _MOST_A_DAY)
        _in_range("requests_per_address", self.requests_per_address, 1, 1_000_000)
        if self.server:
            self.where()
            self.origin()
        if self.ca_file is not None and not self.ca_file.is_file():
            message = f"mail.ca_file is {self.ca_file}, which is no file"
            raise SettingsError(message)

    def where(self) -> MailServer:
        """Return the server that letters are handed to.

        Raises:
            SettingsError: it is none.
        """
        return parse_server(self.server)

    def origin(self) -> Address:
        """Return whom letters come from.

        Raises:
            SettingsError: it is no address.
        """
        found = _addresses(self.sender)
        if len(found) != 1 or addresses.fault(found[0].addr_spec):
            message = (
                f"mail.sender is {self.sender!r}; write the address that letters come "
                'from, as in RINGFENCE_MAIL_SENDER="The shop <shop@example.com>"'
            )
            raise SettingsError(message)
        return found[0]


def _addresses(text: str) -> tuple[Address, ...]:
    """Return the addresses of a header; none where the text has a line break, which
    would begin another header (CWE-93)."""
    if not text.isprintable():
        return ()
    try:
        header = SMTP.header_factory("from", text)
    except (MessageError, ValueError):
        return ()
    if header.defects or not isinstance(header, AddressHeader):
        return ()
    return tuple(header.addresses)


def _in_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        message = f"mail.{name} is {value}; it must be from {low} to {high}"
        raise SettingsError(message)
