"""A real mail server for tests: aiosmtpd in a thread, on a port of loopback.

It keeps what it gets, and can do what mail servers do: refuse for now, refuse for good,
say nothing at all, hang up, and speak TLS with a certificate of its own making.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATIENCE = 20.0  # seconds that a busy machine may take
_TICK = 0.005
_DAY = timedelta(days=1)
_CODE = re.compile(r"#([A-Za-z0-9_-]{43})\b")


@dataclass(slots=True)
class Got:
    """A letter as it has arrived.

    Args:
        to: the addresses of the envelope.
        message: as a mail program reads it.
        over_tls: whether the way here was closed to others.
        user: who has handed it over, empty for nobody.
    """

    to: list[str]
    message: EmailMessage
    over_tls: bool
    user: str = ""

    @property
    def text(self) -> str:
        """The part for programs that show no HTML."""
        body = self.message.get_body(("plain",))
        return "" if body is None else str(body.get_content())

    @property
    def html(self) -> str:
        """The part for the others."""
        body = self.message.get_body(("html",))
        return "" if body is None else str(body.get_content())

    @property
    def code(self) -> str:
        """The code of its link."""
        found = _CODE.search(self.text)
        return "" if found is None else found[1]

    @property
    def link(self) -> str:
        """The first link in it."""
        found = re.search(r"https?://\S+", self.text)
        return "" if found is None else found[0]


@dataclass(slots=True)
class MailServer:
    """A running server.

    Args:
        port: where it listens.
        certificate: file of its authority, where it speaks TLS.
        letters: what it has taken.
        answers: how it answers the next letters, before it takes any: a line of SMTP,
            ``hang`` to say nothing, ``drop`` to hang up.
        asked: how many letters were offered.
        open: the connections of this moment.
    """

    port: int = 0
    certificate: Path | None = None
    letters: list[Got] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    asked: int = 0
    open: set[object] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it is, in clear text."""
        return f"smtp://127.0.0.1:{self.port}"

    def clear(self) -> None:
        """Forget everything."""
        self.letters.clear()
        self.answers.clear()
        self.asked = 0

    def to(self, address: str) -> list[Got]:
        """Return the letters to an address."""
        return [got for got in self.letters if address in got.to]

    def wait_for(self, count: int) -> list[Got]:
        """Wait until there are so many letters, from outside of its loop."""
        until = time.monotonic() + PATIENCE
        while len(self.letters) < count and time.monotonic() < until:
            time.sleep(_TICK)
        assert len(self.letters) >= count
        return self.letters

    def wait_for_one_to(self, address: str) -> None:
        """Wait until there is a letter to an address, from outside of its loop."""
        until = time.monotonic() + PATIENCE
        while not self.to(address) and time.monotonic() < until:
            time.sleep(_TICK)

    async def until(self, count: int) -> list[Got]:
        """Wait until there are so many letters, without holding up the loop."""
        return await asyncio.to_thread(self.wait_for, count)

    async def at_rest(self) -> None:
        """Wait until nobody is connected any more, and both sides know: TLS takes its
        leave by several turns of the loop."""
        async with asyncio.timeout(PATIENCE):
            while self.open:  # noqa: ASYNC110 - the other loop sets no event of this one
                await asyncio.sleep(_TICK)
        await asyncio.sleep(_TICK)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name for it
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a letter, or do what was asked for."""
        self.asked += 1
        if self.answers:
            answer = self.answers.pop(0)
            if answer == "hang":
                await asyncio.Event().wait()
            if answer == "drop":
                server.transport.abort()
                return "421 gone"
            return answer
        content = envelope.content
        raw = content if isinstance(content, bytes) else str(content).encode()
        message = message_from_bytes(raw, policy=default)
        user = session.auth_data or b""
        self.letters.append(
            Got(
                list(envelope.rcpt_tos),
                message,
                over_tls=session.ssl is not None,
                user=user.decode() if isinstance(user, bytes) else str(user),
            )
        )
        return "250 taken"


def _authenticate(_server, _session, _envelope, _mechanism, data) -> AuthResult:
    fits = data.login == b"shop" and data.password == b"correct: horse"
    return AuthResult(success=fits, handled=fits, auth_data=data.login)


@contextmanager
def running_mail_server(
    folder: Path | None = None, *, starttls: bool = False, tls: bool = False
) -> Iterator[MailServer]:
    """Serve until the block ends.

    Args:
        folder: where its certificate is written, where it speaks TLS.
        starttls: it offers TLS, and takes passwords then alone.
        tls: TLS from the first byte.
    """
    mail = MailServer()
    context = None
    if starttls or tls:
        context, mail.certificate = make_certificate(folder or Path())
    options = {"tls_context": context, "auth_require_tls": True} if starttls else {}

    kept: list[asyncio.BaseTransport] = []

    class Server(SMTP):
        """Lets go of every connection at the end, those that TLS has failed on too."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            kept.append(transport)
            mail.open.add(self)
            super().connection_made(transport)

        def connection_lost(self, error: Exception | None) -> None:
            mail.open.discard(self)
            super().connection_lost(error)

    def protocol() -> SMTP:
        return Server(
            mail,
            hostname="localhost",
            enable_SMTPUTF8=True,
            authenticator=_authenticate,
            **options,
        )

    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def serve() -> asyncio.Server:
        server = await loop.create_server(
            protocol, "127.0.0.1", 0, ssl=context if tls else None
        )
        mail.port = server.sockets[0].getsockname()[1]
        return server

    def run() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(serve())
        ready.set()
        loop.run_forever()
        server.close()
        for transport in kept:
            if not transport.is_closing():
                transport.abort()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(_TICK))  # transports end a turn later
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield mail
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)


def make_certificate(
    folder: Path, name: str = "localhost"
) -> tuple[ssl.SSLContext, Path]:
    """Return a server's side of TLS, and the file that its clients check it with.

    Args:
        folder: where files are written.
        name: whose certificate it is, besides 127.0.0.1.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    whose = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name == "localhost":
        names.append(x509.IPAddress(ip_address("127.0.0.1")))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(whose)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    authority, both = folder / f"{name}.pem", folder / f"{name}.both.pem"
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    both.write_bytes(secret + authority.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, authority
