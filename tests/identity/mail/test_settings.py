"""Which servers and senders are taken, and that nobody is shown a password."""

import sys

import pytest
from tests.identity.gatehouse import Ledger, gatehouse

from ringfence import Settings
from ringfence.errors import MissingExtraError, SettingsError
from ringfence.identity.mail import open as opening
from ringfence.identity.mail.console import ConsoleCarrier
from ringfence.identity.mail.open import open_mailbox
from ringfence.identity.mail.server import parse_server
from ringfence.identity.mail.settings import MailSettings
from ringfence.settings.profiles import refuse_unsafe

FROM = "The shop <shop@example.com>"


@pytest.mark.parametrize(
    ("url", "host", "port", "way"),
    [
        ("smtp://mail.example", "mail.example", 587, "starttls"),
        ("smtp://mail.example:2525", "mail.example", 2525, "starttls"),
        ("smtps://mail.example", "mail.example", 465, "tls"),
        ("smtp://127.0.0.1", "127.0.0.1", 25, "plain"),
        ("smtp://[::1]:2525", "::1", 2525, "plain"),
        ("smtp://localhost:25", "localhost", 25, "plain"),
        ("smtp+starttls://127.0.0.1:25", "127.0.0.1", 25, "starttls"),
        ("smtp+plain://mailpit:1025", "mailpit", 1025, "plain"),
    ],
)
def test_a_url_says_how_the_server_is_reached(url, host, port, way):
    server = parse_server(url)
    assert (server.host, server.port, server.way) == (host, port, way)


def test_a_password_is_decoded_and_not_shown():
    server = parse_server("smtps://shop:correct%3A%20horse@mail.example")
    assert (server.user, server.password) == ("shop", "correct: horse")
    assert "horse" not in repr(server)
    settings = MailSettings(server="smtps://shop:horse@mail.example", sender=FROM)
    assert "horse" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example",
        "http://shop:hunter2@mail.example",
        "smtp://",
        "smtp://:hunter2@",
        "smtp://shop:hunter2@mail.example:port",
        "smtp://shop:hunter2@mail.example:99999",
        "smtp://shop:hunter2@mail.example/path",
        "smtp://shop:hunter2@mail.example?tls=no",
        "smtp://shop:hunter2@[mail",
        "smtp://mail.example\r\nhunter2",
    ],
)
def test_what_is_no_server_stops_the_start(url):
    """And the message never has the password."""
    with pytest.raises(SettingsError, match="write smtp://") as refused:
        MailSettings(server=url, sender=FROM)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "shop",
        "shop@example.com, eve@example.com",
        "Shop\r\nBcc: eve@example.com <shop@example.com>",
        "Shop\nBcc: eve@example.com",
        "The shop <shop@example.com",
        "<>",
    ],
)
def test_what_is_no_sender_stops_the_start(sender):
    with pytest.raises(SettingsError, match=r"mail\.sender"):
        MailSettings(server="smtps://mail.example", sender=sender)


@pytest.mark.parametrize("sender", ["shop@example.com", FROM, '"A, B" <a@example.com>'])
def test_a_sender_may_have_a_name(sender):
    origin = MailSettings(server="smtps://mail.example", sender=sender).origin()
    assert origin.addr_spec.endswith("@example.com")


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": 0},
        {"timeout": 301},
        {"queue": 0},
        {"letters_per_account": 0},
        {"requests_per_address": 0},
    ],
)
def test_values_have_ranges(wrong):
    (name,) = wrong
    with pytest.raises(SettingsError, match=f"mail.{name}"):
        MailSettings(**wrong)


def test_a_missing_authority_stops_the_start(tmp_path):
    missing = tmp_path / "missing.pem"
    with pytest.raises(SettingsError, match="no file"):
        MailSettings(ca_file=missing)
    missing.write_text("nothing")
    settings = MailSettings(server="smtps://mail.example", sender=FROM, ca_file=missing)
    with pytest.raises(SettingsError, match="no certificate"):
        open_mailbox(settings, development=False, record=Ledger().record)


def test_without_a_server_only_development_has_a_mailbox():
    """Which prints."""
    record = Ledger().record
    assert open_mailbox(MailSettings(), development=False, record=record) is None
    mailbox = open_mailbox(MailSettings(), development=True, record=record)
    assert isinstance(mailbox._carrier, ConsoleCarrier)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiosmtplib", None)
    monkeypatch.delitem(sys.modules, "ringfence.identity.mail.smtp", raising=False)
    settings = MailSettings(server="smtps://mail.example", sender=FROM)
    with pytest.raises(MissingExtraError, match=r"ringfence\[mail\]"):
        opening.open_mailbox(settings, development=False, record=Ledger().record)


def settings_of(tmp_path, server):
    return Settings.load(
        environ={},
        data=tmp_path,
        keys_file=tmp_path / "keys",
        public_origins=("https://shop.example",),
        proxies=("none",),
        mail={"server": server, "sender": FROM},
    )


@pytest.mark.parametrize(
    "server", ["smtp+plain://mail.example", "smtp+plain://10.0.0.5"]
)
def test_production_sends_nothing_in_clear_text(tmp_path, server):
    """Whoever reads along would have every link (CWE-319)."""
    with pytest.raises(SettingsError, match="in clear text"):
        refuse_unsafe(settings_of(tmp_path, server))


@pytest.mark.parametrize(
    "server",
    [
        "smtp://mail.example",
        "smtps://mail.example",
        "smtp://127.0.0.1",
        "smtp+plain://[::1]",
    ],
)
def test_production_takes_closed_ways(tmp_path, server):
    refuse_unsafe(settings_of(tmp_path, server))


@pytest.mark.anyio
async def test_a_name_of_two_lines_writes_no_letters(tmp_path):
    with pytest.raises(SettingsError, match="one line"):
        async with gatehouse(tmp_path, site_name="Shop\r\nBcc: eve@example.com"):
            pass
