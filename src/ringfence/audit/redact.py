"""What is written down loses its secrets and stays on its line.

``redact`` does it to one text, ``install_log_redaction`` to every record that anybody
in the process logs through ``logging``, whatever handler writes it.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any

from ringfence.audit.hide import hide_secrets, is_sensitive
from ringfence.secrets.secret import MASK

_CONTROL = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Ends a line, moves a terminal's cursor, turns the reading direction, or cannot be
encoded. Tabs, joiners and direction marks of honest scripts are not among them."""

_ACCESS_LOGS = (
    *("uvicorn", "hypercorn", "gunicorn", "granian", "_granian", "daphne"),
    *("httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "urllib3", "requests"),
)
_SERVER_LOG = "uvicorn.error"
"""Tells why a start-up failed, in lines; what clients send comes as arguments."""

_DATABASE_LOGS = ("sqlalchemy", "aiosqlite", "asyncpg", "psycopg", "pymongo")

_QUERY = re.compile(r"(?<=\?)[^\s\"'<>#]++")
_SQL_TEXT = re.compile(r"'(?:[^']|'')*+'?")
_MONGO_DOCUMENT = re.compile(
    r'("(?:command|reply|failure|documents?|filter|update)"[ ]*+:[ ]*+)'
    r'(?:"(?:[^"\\]|\\.)*+"?|\{.*+)',
    re.DOTALL,
)
_HIDDEN = "[hidden]"
_FRAME = re.compile(r"[\s|+-]*+File \"")

_Factory = Callable[..., logging.LogRecord]
_Clean = Callable[[str], str]


def redact(text: str) -> str:
    """Return the text without secrets, on one line.

    Secrets become ``[secret]`` (``hide_secrets`` says which), control characters
    become visible escapes. All else stays. Redacting twice changes nothing more.

    Args:
        text: of any length; the time taken is linear in it.

    Source: ASVS 5.0 V16.2.5, V16.4.1; CWE-117, CWE-532; CVE-2020-7694.

    Not covered: a secret that nothing marks as one, a password in a sentence say.
    """
    return escape_controls(hide_secrets(text))


def escape_controls(text: str) -> str:
    """Return the text with control characters as visible escapes.

    Stops forged log lines and terminal escape sequences.

    Source: CWE-117, CWE-150; CVE-2021-42574 (bidirectional overrides).
    """
    return _CONTROL.sub(_escaped, text)


def install_log_redaction() -> Callable[[], None]:
    """Redact every record that is logged in this process, from now on.

    It sits where records are made, so that handlers and formatters that the
    application adds later cannot be forgotten. Messages, their arguments, extra fields
    and tracebacks are redacted; access logs lose the values of query strings; database
    libraries lose the parameters and literals of their statements.

    Returns:
        A function that ends it. Installing twice redacts once, until both have ended.

    Not covered: ``print``, handlers that read locals out of a traceback, and loggers
    that do not build on ``logging``.
    """
    current = logging.getLogRecordFactory()
    if isinstance(current, _RedactingFactory):
        factory = current
    else:
        factory = _RedactingFactory(current)
        logging.setLogRecordFactory(factory)
    factory.users += 1
    ended = False

    def end() -> None:
        nonlocal ended
        if not ended:
            ended = True
            factory.release()

    return end


class _RedactingFactory:
    """Makes records as the factory before it did, and cleans them."""

    def __init__(self, previous: _Factory) -> None:
        self._previous = previous
        self.users = 0

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._previous(*args, **kwargs)
        if self.users:
            _clean_message(record)
            _clean_trace(record)
            record.__dict__ = _Fields(record.__dict__)
        return record

    def release(self) -> None:
        self.users -= 1
        # Another factory may stand on this one; then it stays and hands on only.
        if not self.users and logging.getLogRecordFactory() is self:
            logging.setLogRecordFactory(self._previous)


class _Fields(dict[str, Any]):
    """A record's attributes; cleans what ``extra=`` adds after the record is made."""

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(value, str):
            if is_sensitive(name):
                value = MASK
            elif name == "color_message":  # uvicorn's template, coloured by escapes
                value = hide_secrets(value)
            else:
                value = redact(value)
        super().__setitem__(name, value)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    known = {0x0A: "\\n", 0x0D: "\\r"}.get(code)
    return known or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")  # noqa: PLR2004 - one byte


def _clean_message(record: logging.LogRecord) -> None:
    """Clean each argument, then the sentence that they make together.

    Arguments stay what they are where that is enough: formatters such as uvicorn's
    read them one by one.
    """
    logger = record.name or ""
    is_database = _belongs(logger, _DATABASE_LOGS)
    clean = _cleaner(logger, is_database=is_database)
    args = _clean_args(record.args, clean, hide_objects=is_database)
    if args and logger == "uvicorn.access":
        record.args = args
        return
    try:
        template = str(record.msg)
        text = template % args if args else template
    except Exception:  # noqa: BLE001 - foreign __str__; its arguments must not be printed
        record.msg = f"{redact(repr(record.msg))} [its arguments do not fit]"
        record.args = ()
        return
    own_lines = bool(args) or logger == _SERVER_LOG
    if own_lines and text.count("\n") == template.count("\n"):
        cleaned = "\n".join(map(clean, text.split("\n")))  # the developer's own lines
    else:
        cleaned = clean(text.rstrip("\r\n"))
    if cleaned == text:
        record.args = args
    else:
        record.msg, record.args = cleaned, ()


def _belongs(logger: str, families: tuple[str, ...]) -> bool:
    return logger.partition(".")[0] in families


def _cleaner(logger: str, *, is_database: bool) -> _Clean:
    if is_database:
        return _without_data
    return _without_query if _belongs(logger, _ACCESS_LOGS) else redact


def _without_query(text: str) -> str:
    """Keep the names of a query string: its values are what people typed."""
    if "?" in text:
        text = _QUERY.sub(_blank_query, text)
    return redact(text)


def _blank_query(found: re.Match[str]) -> str:
    pairs = (part.partition("=") for part in found[0].split("&"))
    return "&".join(f"{name}={MASK}" if mark else MASK for name, mark, _ in pairs)


def _without_data(text: str) -> str:
    """Keep a statement, on one line, without its literals."""
    text = _MONGO_DOCUMENT.sub(rf'\1"{_HIDDEN}"', text)
    text = _SQL_TEXT.sub(_without_literal, text)
    return redact(" ".join(text.split("\n")))


def _without_literal(found: re.Match[str]) -> str:
    return found[0] if found[0] == f"'{_HIDDEN}'" else "'?'"


def _clean_args(args: Any, clean: _Clean, *, hide_objects: bool) -> Any:
    if isinstance(args, Mapping):
        return {
            name: MASK
            if is_sensitive(str(name)) and not isinstance(value, Number)
            else _clean_arg(value, clean, hide_objects=hide_objects)
            for name, value in args.items()
        }
    if not args:
        return ()
    return tuple(_clean_arg(value, clean, hide_objects=hide_objects) for value in args)


def _clean_arg(value: object, clean: _Clean, *, hide_objects: bool) -> object:
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, Number) or not hide_objects:
        return value
    return _HIDDEN


def _clean_trace(record: logging.LogRecord) -> None:
    if record.stack_info:
        record.stack_info = _clean_lines(record.stack_info, "\n")
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return
    pieces = traceback.format_exception(error)
    record.exc_text = "".join(map(_clean_piece, pieces)).rstrip("\n")
    if record.exc_text != "".join(pieces).rstrip("\n"):
        # A handler with an own way to print it would print what was just hidden.
        record.exc_info = None


def _clean_piece(piece: str) -> str:
    """Clean a frame or a message of a traceback.

    The lines of a frame are Python's; those of a message may be an attacker's, and
    are indented so that none of them passes for a log line of its own.
    """
    body = piece.strip("\n")
    before, _, after = piece.partition(body)
    joint = "\n" if _FRAME.match(body) else "\n    | "
    return before + _clean_lines(body, joint) + after


def _clean_lines(text: str, joint: str) -> str:
    return joint.join(map(escape_controls, hide_secrets(text).split("\n")))
