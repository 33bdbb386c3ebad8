"""Protocols that end what they say with a line: text must not begin another one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ringfence.audit.redact import escape_controls
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.hook import Judge
from ringfence.interpreters.sink import Here, Sink
from ringfence.interpreters.untrusted import Found, Input, Inputs

MAIL = Sink("line", "smtplib")
COMMAND = Sink("line", "mail client")

_BREAKS = re.compile(r"\r\n|\r|\n")
_FIELD = re.compile(r"[!-9;-~]+[ \t]*:")  # of a header, RFC 5322 section 2.2
_COMMAND = re.compile(rb"[A-P]{4}\d+ ")  # as imaplib begins one; else it is a text


def one_line(text: str) -> str:
    """Return a text that stays on its line, for logs, headers and terminals.

    Line breaks, escape sequences, NUL, characters that turn the reading direction and
    other control characters become visible escapes; everything else stays. What is
    written through ``logging`` behind a guard is treated so without being asked.

    Args:
        text: of any length.

    Source: ASVS 5.0 V16.4.1; CWE-117, CWE-93, CWE-150.

    Not covered: separators within a line: quote fields of a log that is read by fields.
    """
    return escape_controls(text)


def judge_mail(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Refuse a mail in whose header an input has begun a line of its own: another
    ``Bcc:`` say, or the text itself (CWE-93)."""
    del event
    message = _text(args[1])
    if "\n" not in message:
        return
    whom.reached(MAIL, "raw", message)
    plain = _BREAKS.sub("\n", message)
    head_ends = plain.find("\n\n")
    head_ends = len(plain) if head_ends < 0 else head_ends
    for found in _with_breaks(plain, whom.inputs):
        # What stands at the very beginning is a message that somebody else wrote whole.
        if 0 < found.start <= head_ends and _begins_a_line(plain, found, head_ends):
            try:
                whom.refuse(
                    MAIL, "an input begins a line in a mail's header", found.input
                )
            except InjectionRefusedError:
                _hang_up(args[0])
                raise
            return


def _hang_up(client: object) -> None:
    """End a session in which the server waits for a mail: the client would say QUIT,
    which the server would take for the mail, and both would wait for ever."""
    close = getattr(client, "close", None)
    if close is not None:
        close()


def judge_command(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Refuse a command to a mail server in which an input begins another one
    (CVE-2025-15366, CVE-2025-15367)."""
    line = args[1]
    if not isinstance(line, bytes):
        return
    if event == "imaplib.send" and _COMMAND.match(line) is None:
        return
    text = _BREAKS.sub("\n", _text(line)).rstrip("\n")
    if "\n" in text:
        for found in _with_breaks(text, whom.inputs):
            whom.refuse(COMMAND, "an input begins another command", found.input)
            return


def _with_breaks(text: str, inputs: Inputs) -> Iterator[Found]:
    """Yield where inputs of several lines stand in a text."""
    broken = {
        plain: Input(plain, given.place, given.name, given.route)
        for given in inputs.values
        if (plain := _BREAKS.sub("\n", given.text).rstrip("\n")).count("\n")
    }
    yield from Inputs(tuple(broken.values())).found_in(text)


def _begins_a_line(message: str, found: Found, head_ends: int) -> bool:
    """Return whether a line that an input begins is one of the header, or ends it."""
    place = message.find("\n", found.start, min(found.end, head_ends + 1))
    while place >= 0:
        if place == head_ends or _FIELD.match(message, place + 1):
            return True
        place = message.find("\n", place + 1, min(found.end, head_ends + 1))
    return False


def _text(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return value if isinstance(value, str) else ""


JUDGES: Mapping[str, Judge] = {
    "smtplib.send": judge_mail,
    "imaplib.send": judge_command,
    "poplib.putline": judge_command,
}
