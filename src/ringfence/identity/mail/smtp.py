"""Handing letters to a mail server."""

from __future__ import annotations

import ssl
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib

from ringfence.errors import DeliveryError
from ringfence.identity.mail.server import MailServer

_PERMANENT = 500  # RFC 5321, section 4.2.1: what begins with 5 will not change


class SmtpCarrier:
    """Hands letters to a server, each over a connection of its own.

    Where TLS is asked for there is no way around it, and the certificate must be the
    server's: the letters hold links that open accounts.

    Args:
        server: takes them.
        ca_file: the authority of its certificate; ``None`` for those of this machine.
        timeout: seconds that one step may take.

    Raises:
        OSError: the file of the authority cannot be read.

    Source: RFC 5321; RFC 3207; RFC 8314; ASVS 5.0 V12.3.1, V12.3.2; CWE-295, CWE-319.

    Not covered: the way from that server to the owner's (MTA-STS and DANE are its
    business).
    """

    def __init__(
        self, server: MailServer, *, ca_file: Path | None, timeout: float
    ) -> None:
        self._server = server
        self._timeout = timeout
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2

    async def carry(self, message: EmailMessage) -> None:
        """Hand one over.

        Raises:
            DeliveryError: the server cannot be reached, is not who it should be, or
                does not take it.
        """
        server = self._server
        connection = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password or None,
            local_hostname=_own_name(message),
            timeout=self._timeout,
            use_tls=server.way == "tls",
            start_tls=server.way == "starttls",
            tls_context=self._tls,
        )
        try:
            await connection.connect()
            await connection.send_message(message)
            # What goes wrong with the goodbye must not send the letter once more.
            with suppress(aiosmtplib.SMTPException, OSError):
                await connection.quit()
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refused(error.recipients[0]) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refused(error) from error
        except aiosmtplib.SMTPNotSupported as error:
            reason = "the server does not know such letters"
            raise DeliveryError(reason, lasting=True) from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # Its words may hold what was sent: the ledger gets the kind alone.
            reason = f"the server could not be reached ({type(error).__name__})"
            raise DeliveryError(reason, lasting=False) from error
        finally:
            connection.close()  # whatever has failed, TLS too


def _refused(error: aiosmtplib.SMTPResponseException) -> DeliveryError:
    return DeliveryError(
        f"the server answered {error.code}", lasting=error.code >= _PERMANENT
    )


def _own_name(message: EmailMessage) -> str:
    """Return how we greet: with the domain that letters come from. The library would
    ask the network for the name of this machine."""
    return str(message["from"].addresses[0].domain)
