"""A letter to an owner."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import localtime, make_msgid

from ringfence.errors import DeliveryError
from ringfence.identity import addresses

_UTF8 = SMTPUTF8.clone(cte_type="8bit")


@dataclass(frozen=True, slots=True)
class Letter:
    """What one owner is told. Not shown as a whole: it may hold a link that whoever
    reads it can use.

    Args:
        kind: of letter, ``password-reset`` say.
        account: id of whose it is, for the ledger.
        to: the address as it is stored, never as it was submitted.
        subject: one line.
        text: for programs that show no HTML.
        html: the same as a page.
    """

    kind: str
    account: str
    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)

    def message(self, sender: Address) -> EmailMessage:
        """Return the letter in its envelope.

        A line break in an address or a subject would begin a header of its own, and
        with it a letter in our name to whomever (CWE-93). The standard library refuses
        that; so nothing is escaped or cut here.

        Args:
            sender: whom it comes from.

        Raises:
            DeliveryError: it cannot be sent to such an address.

        Source: RFC 5322; RFC 6532; RFC 3834, section 5.
        """
        try:
            recipient = mail_address(self.to)
            message = EmailMessage(SMTP if recipient.addr_spec.isascii() else _UTF8)
            message["From"] = sender
            message["To"] = recipient
            message["Subject"] = self.subject
            message["Date"] = localtime()
            message["Message-ID"] = make_msgid(domain=sender.domain)
            # No machine answers it: a holiday notice would tell that there is somebody.
            message["Auto-Submitted"] = "auto-generated"
            message.set_content(self.text)
            message.add_alternative(self.html, subtype="html")
        except (ValueError, IndexError) as error:
            reason = "nothing can be sent to such an address"
            raise DeliveryError(reason, lasting=True) from error
        return message


def mail_address(text: str) -> Address:
    """Return an address as servers take it: the domain in ASCII, since few of them
    know the others; the part before it as it is.

    Raises:
        ValueError: it is none.

    Source: RFC 5890, section 2.3.2.1.
    """
    if wrong := addresses.fault(text):
        raise ValueError(wrong)
    local, _, domain = text.rpartition("@")
    return Address(username=local, domain=domain.encode("idna").decode("ascii"))
