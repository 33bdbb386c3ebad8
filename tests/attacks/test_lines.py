"""Lines that an input begins: in headers of mail, of answers and of requests, in logs
(CWE-93, CWE-113, CWE-117)."""

import asyncio
import email
import email.message
import io
import logging
import smtplib
import socketserver
import threading
from email.mime.text import MIMEText
from urllib.request import Request, urlopen

import aiohttp
import httpx2
import pytest
import requests
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.attacks.serving import NO_TLS, served

from ringfence import Guard, Settings, access, lines

SUBJECT = "Hello\r\nBcc: everybody@example.com"
SHOP, ANN = "shop@example.com", "ann@example.com"


class Mailbox(socketserver.ThreadingTCPServer):
    """A mail server on loopback that keeps what it gets."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Session)
        self.port = self.server_address[1]
        self.messages = []


class Session(socketserver.StreamRequestHandler):
    """One client: what SMTP needs at least (RFC 5321)."""

    def handle(self):
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                self.take()
            elif line.upper().startswith(b"QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")

    def take(self):
        """Keep a message once its last line is there; a client may hang up before."""
        taken = []
        for line in self.rfile:
            if line == b".\r\n":
                self.server.messages.append(b"".join(taken).decode())
                return
            taken.append(line)


@pytest.fixture(scope="module")
def mailbox():
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def by_hand(subject, text):
    return f"From: {SHOP}\r\nTo: {ANN}\r\nSubject: {subject}\r\n\r\n{text}"


def by_message(subject, text):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = SHOP, ANN, subject
    message.set_content(text)
    return message.as_string()


def by_mime(subject, text):
    message = MIMEText(text)
    message["From"], message["To"], message["Subject"] = SHOP, ANN, subject
    return message.as_string()


MAKERS = {"hand": by_hand, "message": by_message, "mime": by_mime}


async def write(request):
    """A contact form."""
    form = await request.form()
    make = MAKERS[request.path_params["way"]]

    def send():
        with smtplib.SMTP("127.0.0.1", request.app.state.mailbox) as server:
            server.sendmail(SHOP, ANN, make(form["subject"], form["text"]))

    await run_in_threadpool(send)
    return PlainTextResponse("sent")


async def address(request):
    """A command of SMTP, with an address from outside."""

    def send():
        with smtplib.SMTP("127.0.0.1", request.app.state.mailbox) as server:
            server.docmd("RCPT", f"TO:<{request.query_params['to']}>")

    await run_in_threadpool(send)
    return PlainTextResponse("sent")


async def name(request):
    """A header that is put together by hand."""
    disposition = f'attachment; filename="{request.query_params["name"]}"'
    return PlainTextResponse("x", headers={"content-disposition": disposition})


def application(mailbox):
    made = Starlette(
        routes=access.routes(
            [
                Route("/write/{way}", write, methods=["POST"]),
                Route("/address", address),
                Route("/name", name),
            ],
            access.public,
        )
    )
    made.state.mailbox = mailbox.port
    return made


@pytest.fixture(scope="module")
def bare(mailbox):
    with served(lambda port: application(mailbox)) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(mailbox, tmp_path_factory):
    def make(port):
        settings = Settings.load(
            environ={},
            env="development",
            data=tmp_path_factory.mktemp("lines"),
            public_origins=(f"http://127.0.0.1:{port}",),
        )
        return Guard(application(mailbox), settings)

    with served(make) as server:
        yield server


def post(server, way, subject, text="The lamp is broken.\n\nNote: it was new."):
    return httpx2.post(
        f"{server.url}/write/{way}",
        data={"subject": subject, "text": text},
        headers={"origin": server.url},
        verify=NO_TLS,
    )


def test_without_the_guard_a_subject_adds_a_recipient(bare, mailbox):
    assert post(bare, "hand", SUBJECT).text == "sent"
    assert "\nBcc: everybody@example.com" in mailbox.messages[-1].replace("\r", "")


def test_behind_the_guard_no_mail_leaves(guarded, mailbox):
    before = len(mailbox.messages)
    answer = post(guarded, "hand", SUBJECT)
    assert answer.status_code == 403
    assert answer.json()["code"] == "interpreters.line"
    assert len(mailbox.messages) == before


@pytest.mark.parametrize("way", ["message", "mime"])
def test_what_the_library_refuses_itself(bare, guarded, mailbox, way):
    """The email package lets no header end: that much stands without a guard."""
    before = len(mailbox.messages)
    for server in (bare, guarded):
        assert post(server, way, SUBJECT).status_code >= 400
    assert len(mailbox.messages) == before


@pytest.mark.parametrize("way", MAKERS)
@pytest.mark.parametrize("subject", ["O'Brien: a question", "Re: order 7", "x" * 200])
def test_honest_mail(bare, guarded, mailbox, way, subject):
    """Letters of several paragraphs arrive as they were written, on both sides."""
    for server in (bare, guarded):
        assert post(server, way, subject).text == "sent"
    assert mailbox.messages[-1] == mailbox.messages[-2]
    assert "Note: it was new." in mailbox.messages[-1]


def test_address_with_a_line_break(bare, guarded, mailbox):
    """The library refuses it itself, in commands."""
    before = len(mailbox.messages)
    for server in (bare, guarded):
        answer = httpx2.get(
            f"{server.url}/address", params={"to": f"{ANN}>\r\nDATA"}, verify=NO_TLS
        )
        assert answer.status_code >= 400
    assert len(mailbox.messages) == before


@pytest.mark.parametrize("text", ["x\r\nset-cookie: a=b", "x\nset-cookie: a=b", "x\ry"])
def test_header_of_an_answer(bare, guarded, text):
    """The guard refuses it, whatever server there is; this one hangs up instead."""
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(f"{bare.url}/name", params={"name": text}, verify=NO_TLS)
    answer = httpx2.get(f"{guarded.url}/name", params={"name": text}, verify=NO_TLS)
    assert answer.status_code == 500
    assert "set-cookie" not in answer.headers
    good = {"name": lines.one_line(text)}
    answer = httpx2.get(f"{guarded.url}/name", params=good, verify=NO_TLS)
    assert answer.status_code == 200


EVIL = {"x-name": "x\r\nx-evil: 1"}


@pytest.mark.parametrize(
    "send",
    [
        lambda url: urlopen(Request(url, headers=EVIL)),
        lambda url: requests.get(url, headers=EVIL, timeout=9),
        lambda url: httpx2.get(url, headers=EVIL, verify=NO_TLS),
        lambda url: asyncio.run(by_aiohttp(url)),
    ],
)
def test_headers_of_requests_that_we_send(bare, send):
    """Clients refuse a line break in a header of theirs: nothing is left to do."""
    with pytest.raises((ValueError, httpx2.LocalProtocolError), match=r"(?i)header"):
        send(f"{bare.url}/name?name=x")


async def by_aiohttp(url):
    async with aiohttp.ClientSession() as client:
        await client.get(url, headers=EVIL)


@pytest.mark.parametrize(
    "text", ["x\nadmin signed in", "x\x1b[2K\x1b[1Aadmin", "x\u2028admin", "x\x00y"]
)
def test_lines_of_logs(guarded, text):
    """As long as a guard runs, each record stays on its line, in every log."""
    stream = io.StringIO()
    log = logging.getLogger("lines-of-logs")
    handler = logging.StreamHandler(stream)
    log.addHandler(handler)
    try:
        log.warning("sign-in of %s", text)
        log.warning("two\nlines of %s", "the developer")
    finally:
        log.removeHandler(handler)
    written = stream.getvalue()
    assert written.splitlines()[0] == f"sign-in of {lines.one_line(text)}"
    assert written.splitlines()[1:] == ["two", "lines of the developer"]
