"""Letters reach a real server, over a way that nobody else reads, or not at all."""

import asyncio
import ssl
from email.headerregistry import Address

import pytest
from tests.servers.mail import make_certificate, running_mail_server

from ringfence.errors import DeliveryError
from ringfence.identity.mail.letter import Letter
from ringfence.identity.mail.server import MailServer
from ringfence.identity.mail.smtp import SmtpCarrier

pytestmark = pytest.mark.anyio

SENDER = Address("The shop", "shop", "example.com")
LETTER = Letter("notice", "id-ann", "ann@example.com", "Hello", "text", "<p>page</p>")


@pytest.fixture(scope="module")
def server():
    with running_mail_server() as mail:
        yield mail


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """One that speaks TLS after STARTTLS, and asks for a password."""
    with running_mail_server(
        tmp_path_factory.mktemp("starttls"), starttls=True
    ) as mail:
        yield mail


@pytest.fixture(autouse=True)
async def at_rest(server, closed, anyio_backend):
    """Leave no connection to the next test."""
    yield
    for mail in (server, closed):
        mail.clear()
        await mail.at_rest()


def carrier(mail, way="plain", *, timeout=10.0, ca_file=None, host="127.0.0.1", **more):
    server = MailServer(host, mail.port, way, **more)
    return SmtpCarrier(server, ca_file=ca_file or mail.certificate, timeout=timeout)


async def test_a_letter_arrives(server):
    """With both parts, to whom it is for, and marked as nobody's to answer."""
    await carrier(server).carry(LETTER.message(SENDER))
    (got,) = server.letters
    assert got.to == ["ann@example.com"]
    assert got.message["to"] == "ann@example.com"
    assert got.message["from"] == "The shop <shop@example.com>"
    assert got.message["subject"] == "Hello"
    assert got.message["auto-submitted"] == "auto-generated"
    assert got.message["message-id"].endswith("@example.com>")
    assert got.text.strip() == "text"
    assert got.html.strip() == "<p>page</p>"


@pytest.mark.parametrize(
    ("to", "envelope"),
    [("ann@bücher.example", "ann@xn--bcher-kva.example"), ("jürgen@example.com",) * 2],
)
async def test_letters_beyond_ascii_arrive(server, to, envelope):
    """Domains in ASCII, which every server knows; names as they are (RFC 6531)."""
    letter = Letter("notice", "id", to, "Grüße", "schön", "<p>schön</p>")
    await carrier(server).carry(letter.message(SENDER))
    (got,) = server.letters
    assert got.to == [envelope]
    assert got.message["subject"] == "Grüße"
    assert got.text.strip() == "schön"


@pytest.mark.parametrize(
    ("answer", "lasting"), [("451 later", False), ("550 no", True)]
)
async def test_a_refusal_says_whether_it_lasts(server, answer, lasting):
    server.answers.append(answer)
    with pytest.raises(DeliveryError, match=f"answered {answer[:3]}") as refused:
        await carrier(server).carry(LETTER.message(SENDER))
    assert refused.value.lasting is lasting


@pytest.mark.parametrize("fault", ["hang", "drop"])
async def test_a_server_that_hangs_or_hangs_up_is_tried_again(server, fault):
    """And holds nothing up for longer than the timeout."""
    server.answers.append(fault)
    with pytest.raises(DeliveryError) as failed:
        async with asyncio.timeout(10):
            await carrier(server, timeout=0.2).carry(LETTER.message(SENDER))
    assert not failed.value.lasting


async def test_a_server_that_is_not_there_is_tried_again(server):
    gone = MailServer("127.0.0.1", 1, "plain")
    with pytest.raises(DeliveryError, match="could not be reached") as failed:
        await SmtpCarrier(gone, ca_file=None, timeout=5).carry(LETTER.message(SENDER))
    assert not failed.value.lasting


async def test_a_closed_way_is_used(closed):
    """TLS after STARTTLS, and the password only then."""
    sent = carrier(closed, "starttls", user="shop", password="correct: horse")
    await sent.carry(LETTER.message(SENDER))
    (got,) = closed.letters
    assert got.over_tls
    assert got.user == "shop"


async def test_a_wrong_password_lasts(closed):
    """And the error does not show it."""
    sent = carrier(closed, "starttls", user="shop", password="hunter2")
    with pytest.raises(DeliveryError, match="answered 535") as failed:
        await sent.carry(LETTER.message(SENDER))
    assert failed.value.lasting
    assert "hunter2" not in str(failed.value)


async def test_tls_from_the_first_byte(tmp_path):
    with running_mail_server(tmp_path, tls=True) as mail:
        await carrier(mail, "tls").carry(LETTER.message(SENDER))
        assert len(mail.letters) == 1
        await mail.at_rest()


async def test_a_server_without_tls_gets_nothing(server):
    """Whoever cuts the offer of STARTTLS out gets no link (CWE-757)."""
    with pytest.raises(DeliveryError):
        await carrier(server, "starttls").carry(LETTER.message(SENDER))
    assert not server.letters
    assert not server.asked


async def test_a_server_that_is_another_gets_nothing(closed, tmp_path):
    """Its certificate is of nobody we know (CWE-295)."""
    _, stranger = make_certificate(tmp_path)
    with pytest.raises(DeliveryError):
        await carrier(closed, "starttls", ca_file=stranger).carry(
            LETTER.message(SENDER)
        )
    assert not closed.letters


async def test_a_certificate_for_another_name_is_none(tmp_path):
    """Good, and somebody else's."""
    context, authority = make_certificate(tmp_path, "mail.example")
    with running_mail_server(tmp_path / "own", starttls=True) as mail:
        mail.certificate = authority
        with pytest.raises(DeliveryError):
            await carrier(mail, "starttls").carry(LETTER.message(SENDER))
        assert not mail.letters
        await mail.at_rest()
    assert context.verify_mode is ssl.CERT_NONE  # of clients, that is
