"""Count what a form is made of while it passes by, without parsing it."""

from __future__ import annotations

import re
from typing import Protocol
from urllib.parse import unquote_to_bytes

from ringfence.denial import Denial
from ringfence.traffic.settings import TrafficSettings

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"

# One way to write the header, so that nobody can read another boundary out of it: no
# parameter twice, none in pieces or in a character set (RFC 2231), no escapes, and
# quotes around what is no token: a parser that stops at "=" sees the half of it.
_PARAMETER = (
    rb"[ \t]*+;[ \t]*+(?P<name>[a-z0-9_-]++)="
    rb"(?:\"(?P<quoted>[0-9a-z'()+_,./:=?-]*+)\"|(?P<bare>[0-9a-z'+_.-]*+))"
)
_PARAMETERS = re.compile(_PARAMETER, re.IGNORECASE)
_LONGEST_BOUNDARY = 70  # RFC 2046, 5.1.1
_MOST_SEMICOLONS = 64  # of one part's header, those in names of files among them
_FILE_NAME = re.compile(
    rb";\s*+filename(?:\*[0-9]*+\*?)?\s*+=\s*+"
    rb"(?:\"(?P<quoted>(?:[^\"\\]|\\.)*+)|(?P<bare>[^;\r\n]*+))",
    re.IGNORECASE | re.DOTALL,
)
_LINE = b"\r\n"
_HEAD_END = b"\r\n\r\n"

BAD_BOUNDARY = Denial(
    400, "traffic.bad_boundary", "The form does not say how its parts are separated."
)
BAD_FORM = Denial(400, "traffic.bad_form", "The form is not well-formed.")
TOO_MANY_FIELDS = Denial(
    413, "traffic.too_many_fields", "The form has too many fields."
)
TOO_MANY_FILES = Denial(413, "traffic.too_many_files", "The form has too many files.")
PART_HEADER_TOO_LARGE = Denial(
    413, "traffic.part_header_too_large", "A part of the form has too large a header."
)
FILE_NAME_TOO_LONG = Denial(
    400, "traffic.file_name_too_long", "A file of the form has too long a name."
)


class Form(Protocol):
    """Sees a form pass, piece by piece."""

    def feed(self, piece: bytes) -> Denial | None:
        """Count a piece; return why the form is refused, if it is."""

    def end(self) -> Denial | None:
        """Judge the whole, once the last piece has passed."""


def form_of(content_type: bytes, settings: TrafficSettings) -> Form | Denial | None:
    """Return what counts a body of this type, why it is refused, or ``None`` where
    there is nothing to count."""
    if content_type == b"application/json":
        return None  # what scripts send, without a further look
    # As text: frameworks strip that, and so take more for a blank than bytes have.
    media_type = content_type.decode("latin-1").partition(";")[0].strip().lower()
    if media_type.startswith(_MULTIPART):
        boundary = read_boundary(content_type)
        return BAD_BOUNDARY if boundary is None else MultipartForm(boundary, settings)
    if media_type.startswith(_URLENCODED):
        return UrlencodedForm(settings)
    return None


def read_boundary(content_type: bytes) -> bytes | None:
    """Return the boundary, or ``None`` unless there is just one way to read it.

    Source: RFC 7578, 4.1; RFC 2046, 5.1.1.
    """
    rest = content_type[len(_MULTIPART) :]
    position = 0
    found: dict[bytes, bytes] = {}
    while position < len(rest):
        match = _PARAMETERS.match(rest, position)
        if match is None or match["name"].lower() in found:
            return None
        value = match["bare"] if match["quoted"] is None else match["quoted"]
        found[match["name"].lower()] = value
        position = match.end()
    boundary = found.get(b"boundary", b"")
    return boundary if 0 < len(boundary) <= _LONGEST_BOUNDARY else None


class UrlencodedForm:
    """Counts the fields of an urlencoded form.

    A thousand honest fields are a few kilobytes; a megabyte of ``&`` is a million
    fields, which parsers keep as so many objects (CWE-770).
    """

    __slots__ = ("_left",)

    def __init__(self, settings: TrafficSettings) -> None:
        self._left = settings.max_fields - 1  # separators

    def feed(self, piece: bytes) -> Denial | None:
        """Count separators; some parsers take ``;`` for one."""
        self._left -= piece.count(b"&") + piece.count(b";")
        return TOO_MANY_FIELDS if self._left < 0 else None

    def end(self) -> Denial | None:
        """Nothing is missing in a form that ends."""
        return None


class MultipartForm:
    """Counts the parts of a multipart form and measures their headers.

    Stops what its parsers were flooded with: parts without number (CVE-2023-30798),
    text before the first and after the last boundary, which one of them logged byte by
    byte (CVE-2024-53981), endless part headers, and headers of semicolons, for which
    Starlette's parser takes quadratic time (CVE-2024-24762 was of this kind). Looks at
    each byte a fixed number of times, however the body is cut into pieces.

    Args:
        boundary: of the parts, as ``read_boundary`` returned it.
        settings: ``max_fields``, ``max_files``, ``max_part_header``, ``max_file_name``.

    Not covered: forms inside of a form (``multipart/mixed``), which browsers no longer
    send; what a part's content becomes when it is decoded.

    Source: RFC 7578; RFC 2046, 5.1.1; CWE-770.
    """

    __slots__ = (
        "_delimiter",
        "_fields_left",
        "_files_left",
        "_max_file_name",
        "_max_header",
        "_rest",
        "_step",
    )

    def __init__(self, boundary: bytes, settings: TrafficSettings) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._fields_left = settings.max_fields
        self._files_left = settings.max_files
        self._max_header = settings.max_part_header
        self._max_file_name = settings.max_file_name
        self._rest = b""
        self._step = self._at_start

    def feed(self, piece: bytes) -> Denial | None:
        """Go through a piece as far as it decides anything, and keep the rest."""
        text = self._rest + piece if self._rest else piece
        position, waits = 0, False
        while not waits:
            said = self._step(text, position)
            if isinstance(said, Denial):
                return said
            position, waits = said
        self._rest = text[position:]
        return None

    def end(self) -> Denial | None:
        """Refuse a form that was cut off: its parsers take what is there for all."""
        nothing_came = self._step == self._at_start and not self._rest
        return None if nothing_came or self._step == self._at_end else BAD_FORM

    # Each step returns how far it got, and whether it waits for more.

    def _at_start(self, text: bytes, position: int) -> tuple[int, bool] | Denial:
        start = text if text.startswith(_LINE) else _LINE + text
        if len(start) < len(self._delimiter):
            fits = self._delimiter.startswith(start) or len(text) < len(_LINE)
            return (0, True) if fits else BAD_FORM
        if not start.startswith(self._delimiter):
            return BAD_FORM
        self._step = self._after_delimiter
        return len(self._delimiter) - (len(start) - len(text)), False

    def _after_delimiter(self, text: bytes, position: int) -> tuple[int, bool] | Denial:
        mark = text[position : position + 2]
        if mark == b"--":
            self._step = self._at_end
            return position + 2, False
        if mark == _LINE:
            self._fields_left -= 1
            if self._fields_left < 0:
                return TOO_MANY_FIELDS
            self._step = self._in_header
            return position, False  # a part without any header ends at this very line
        return (position, True) if mark in {b"", b"-", b"\r"} else BAD_FORM

    def _in_header(self, text: bytes, position: int) -> tuple[int, bool] | Denial:
        most = position + self._max_header + len(_HEAD_END)
        end = text.find(_HEAD_END, position, most)
        if end < 0:
            return (position, True) if len(text) < most else PART_HEADER_TOO_LARGE
        denial = self._judge_header(text[position:end])
        if denial is not None:
            return denial
        self._step = self._in_content
        return end + len(_HEAD_END), False

    def _judge_header(self, header: bytes) -> Denial | None:
        # Python's parser of parameters counts the quotes anew at each semicolon.
        if header.count(b";") > _MOST_SEMICOLONS:
            return PART_HEADER_TOO_LARGE
        is_file = False
        for match in _FILE_NAME.finditer(header):
            is_file = True
            name = match["bare"] if match["quoted"] is None else match["quoted"]
            if len(unquote_to_bytes(name)) > self._max_file_name:
                return FILE_NAME_TOO_LONG
        self._files_left -= is_file
        return TOO_MANY_FILES if self._files_left < 0 else None

    def _in_content(self, text: bytes, position: int) -> tuple[int, bool] | Denial:
        found = text.find(self._delimiter, position)
        if found < 0:
            # All but a delimiter that may have begun.
            return max(position, len(text) - len(self._delimiter) + 1), True
        self._step = self._after_delimiter
        return found + len(self._delimiter), False

    def _at_end(self, text: bytes, position: int) -> tuple[int, bool] | Denial:
        return BAD_FORM if text[position:].strip(_LINE) else (len(text), True)
