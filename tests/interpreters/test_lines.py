"""What comes from outside stays on its line."""

from urllib.parse import urlencode

import pytest
from tests.interpreters.test_untrusted import exchange

from ringfence import lines
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.lines import judge_command, judge_mail
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Here, Sinks

TAIL = "x\r\nBcc: everybody@example.com"
HEADS = (
    b"From: shop@example.com\r\nSubject: %s\r\nTo: ann@example.com\r\n\r\n%s\r\n.\r\n"
)


def asked(**fields):
    """A request whose form brings these fields."""
    made = exchange(
        urlencode(fields).encode(),
        content_type=b"application/x-www-form-urlencoded",
    )
    made.sinks = Sinks(InterpretersSettings(), lambda _: None)
    return Here(made)


def send(subject, text="hello", /, **fields):
    """Send a mail whose subject and text are put together by hand."""
    message = HEADS % (subject.encode(), text.encode())
    judge_mail("smtplib.send", (None, message), asked(**fields))


@pytest.mark.parametrize(
    "subject",
    [
        *(TAIL, TAIL.replace("\r\n", "\n"), "x\r\n\r\n<h1>another text</h1>"),
        *("x\rBcc: everybody@example.com", "x\r\n y\r\nX-Evil: 1", "x\nBCC : a@b"),
    ],
)
def test_header_that_an_input_ends(subject):
    with pytest.raises(InjectionRefusedError) as refused:
        send(subject, subject=subject)
    assert refused.value.denial.code == "interpreters.line"


def test_input_within_a_line():
    """What stands before it on its line changes nothing."""
    with pytest.raises(InjectionRefusedError):
        send("order of " + TAIL + " confirmed", name=TAIL)


@pytest.mark.parametrize(
    "text",
    [
        "Dear shop,\r\n\r\nNote: the lamp is broken.\r\nBcc: is not what I mean.\r\n",
        "one\ntwo",
        TAIL,
        "\r\n",
    ],
)
def test_honest_texts(text):
    """Lines in the text of a mail are what a text has."""
    send("A letter", text, text=text, subject="A letter")


def test_subject_that_is_folded():
    """A library folds long lines; nobody's input does."""
    send("a very long\r\n subject", subject="a very long subject")
    send("a very long\r\n subject", subject="a very long\r\n subject")


def test_message_that_a_visitor_has_written_whole():
    text = "Note: no header at all\r\n\r\nbut this"
    judge_mail("smtplib.send", (None, text.encode()), asked(text=text))


def test_commands_of_smtp():
    judge_mail("smtplib.send", (None, "mail FROM:<ann@example.com>\r\n"), asked(a=TAIL))
    judge_mail("smtplib.send", (None, b"caf\xe9\r\nx\r\n\r\n"), asked(a=TAIL))


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ("imaplib.send", b"ABCD1 SELECT x\r\nABCD2 DELETE inbox\r\n"),
        ("poplib.putline", b"USER x\r\nABCD2 DELETE inbox\r\n"),
    ],
)
def test_commands_to_mail_servers(event, line):
    folder = "x\r\nABCD2 DELETE inbox"
    with pytest.raises(InjectionRefusedError):
        judge_command(event, (None, line), asked(folder=folder))
    judge_command(event, (None, line), asked(folder="x"))
    judge_command(event, (None, line.split(b"\n")[0] + b"\n"), asked(folder=folder))
    judge_command(event, (None, "text"), asked(folder=folder))


def test_texts_to_mail_servers():
    """A mail that is put into a folder has many lines."""
    text = "Dear shop,\r\n\r\nhello"
    judge_command("imaplib.send", (None, text.encode()), asked(text=text))


def test_one_line():
    assert lines.one_line("a\r\nb\x1b[2J\x00\u2028c\u202e") == (
        "a\\r\\nb\\x1b[2J\\x00\\u2028c\\u202e"
    )


@pytest.mark.parametrize(
    "text", ["O'Brien", "grüße\tan alle", "שלום", "👩‍👩‍👧", "100 %s {x} \\n", "日本"]
)
def test_honest_text_stays(text):
    assert lines.one_line(text) == text
