"""Find one field in the beginning of a form, and give the body back unread."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from ringfence.exchange import Exchange, Message, Receive

_BOUNDARY = re.compile(
    rb';\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE
)
_FIELD_NAME = re.compile(rb';\s*name="([^"\r\n]*)"', re.IGNORECASE)
_FILE_NAME = re.compile(rb";\s*filename\*?=", re.IGNORECASE)
_MOST_FIELDS = 1_000


async def read_field(exchange: Exchange, name: bytes, *, within: int) -> bytes | None:
    """Return a form field's value, or ``None`` if it is absent, doubled or too late.

    Reads no more than ``within`` bytes (and the rest of the last chunk); whoever reads
    the body next gets all of it.

    Args:
        exchange: its ``receive`` is replaced by one that replays.
        name: of the field.
        within: bytes of the body in which the whole field must stand.

    Raises:
        BodyRefusedError: the body is too large, too slow or not well-formed.

    Source: RFC 7578; WHATWG URL, application/x-www-form-urlencoded parsing.
    """
    content_type = exchange.headers.get(b"content-type", b"")
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type not in {b"application/x-www-form-urlencoded", b"multipart/form-data"}:
        return None
    start, complete = await _read_start(exchange, within)
    if media_type == b"multipart/form-data":
        values = _multipart_values(start, content_type, name)
    else:
        values = _urlencoded_values(start, name, complete=complete)
    found = list(values)
    return found[0] if len(found) == 1 else None


async def _read_start(exchange: Exchange, within: int) -> tuple[bytes, bool]:
    """Return the beginning of the body, and whether that is all of it.

    What was read is given back as one message: a client may send single bytes, and a
    message for each would take hundreds of times their room (CWE-770).
    """
    receive = exchange.receive
    read = bytearray()
    more = True
    while more and len(read) < within:
        message = await receive()
        if message["type"] != "http.request":
            exchange.receive = _replay([*_messages(read, more=True), message], receive)
            return bytes(read), False
        read += message.get("body", b"")
        more = message.get("more_body", False)
    exchange.receive = _replay(_messages(read, more=more), receive)
    return bytes(read[:within]), not more and len(read) <= within


def _messages(read: bytearray, *, more: bool) -> list[Message]:
    if more and not read:
        return []
    return [{"type": "http.request", "body": bytes(read), "more_body": more}]


def _replay(messages: list[Message], receive: Receive) -> Receive:
    pending = iter(messages)

    async def replayed() -> Message:
        message = next(pending, None)
        return await receive() if message is None else message

    return replayed


def _urlencoded_values(start: bytes, name: bytes, *, complete: bool) -> Iterator[bytes]:
    pairs = start.split(b"&", _MOST_FIELDS)
    if not complete or len(pairs) > _MOST_FIELDS:
        pairs.pop()  # may have been cut
    for pair in pairs:
        key, _, value = pair.partition(b"=")
        if unquote_to_bytes(key.replace(b"+", b" ")) == name:
            yield unquote_to_bytes(value.replace(b"+", b" "))


def _multipart_values(
    start: bytes, content_type: bytes, name: bytes
) -> Iterator[bytes]:
    match = _BOUNDARY.search(content_type)
    if match is None:
        return
    delimiter = b"\r\n--" + (match[1] or match[2])
    # The first piece is the preamble, the last one is the epilogue or was cut.
    for part in (b"\r\n" + start).split(delimiter, _MOST_FIELDS)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if not line.lower().startswith(b"content-disposition:"):
                continue
            field = _FIELD_NAME.search(line)
            if field is not None and field[1] == name and not _FILE_NAME.search(line):
                yield value
