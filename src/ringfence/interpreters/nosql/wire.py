"""Commands as MongoDB receives them: what a driver is about to send, read back."""

from __future__ import annotations

import inspect
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import compression_support

_HEADER = struct.Struct("<iiii")  # length, request id, response to, operation
_COMPRESSED = struct.Struct("<iiB")  # operation, length, by what
_INT = struct.Struct("<i")
_FLAGS = 4  # bytes
_CHECKSUM_PRESENT = 1
_CHECKSUM = 4  # bytes
_OP_QUERY = 2004  # the first hello to a server of unknown age
_OP_COMPRESSED = 2012
_OP_MSG = 2013
_MOST = 256 * 1024 * 1024  # bytes; pymongo splits messages at 48 MiB

# Nothing in a document may make the reading of it fail: dates beyond Python's years and
# text that is no UTF-8 can be stored.
_AS_IT_IS: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS,
    unicode_decode_error_handler="replace",
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command, decoded when it is asked for.

    Args:
        body: its document, as BSON.
        sequences: documents that travel beside it (what to update, delete, insert).
    """

    body: bytes
    sequences: tuple[tuple[str, bytes], ...] = ()

    @property
    def name(self) -> str:
        """The first key: ``find``, ``aggregate``, ``update``, ..."""
        start = _INT.size + 1  # behind the length and the type of the first value
        return self.body[start : self.body.index(b"\0", start)].decode()

    def document(self) -> dict[str, Any]:
        """Return the whole command, sequences under their names."""
        found = bson.decode(self.body, _AS_IT_IS)
        for name, documents in self.sequences:
            found.setdefault(name, []).extend(bson.decode_all(documents, _AS_IT_IS))
        return found


def read(message: bytes) -> Command:
    """Read one message.

    Args:
        message: as it would go over the wire.

    Raises:
        ValueError: it is none that a command can be read from.

    Source: MongoDB wire protocol, OP_MSG and OP_COMPRESSED.
    """
    try:
        operation = _HEADER.unpack_from(message)[3]
        content = message[_HEADER.size :]
        if operation == _OP_COMPRESSED:
            operation, _, by = _COMPRESSED.unpack_from(content)
            content = _decompress(content[_COMPRESSED.size :], by)
        if operation == _OP_MSG:
            return _command(list(_sections(content)))
        if operation == _OP_QUERY:
            start = content.index(b"\0", _FLAGS) + 1 + 2 * _INT.size
            return Command(content[start:])
    except (struct.error, IndexError) as error:
        raise ValueError("a message to MongoDB is cut off") from error
    raise ValueError(f"operation {operation} is not known")


def _command(sections: list[tuple[str, bytes]]) -> Command:
    (body,) = (content for name, content in sections if not name)
    return Command(body, tuple(section for section in sections if section[0]))


def _sections(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the command's own document without a name, and sequences with theirs."""
    at, end = _FLAGS, len(content)
    if content[0] & _CHECKSUM_PRESENT:
        end -= _CHECKSUM
    while at < end:
        kind = content[at]
        at += 1
        (size,) = _INT.unpack_from(content, at)
        if size < _INT.size or kind > 1:
            raise ValueError(size)
        section = content[at : at + size]
        at += size
        if kind == 0:
            yield "", section
        else:
            name, _, documents = section[_INT.size :].partition(b"\0")
            yield name.decode(), documents


def _decompress(content: bytes, by: int) -> bytes:
    decompress: Callable[..., bytes] = compression_support.decompress
    if "max_message_size" in inspect.signature(decompress).parameters:
        return decompress(content, by, _MOST)
    return decompress(content, by)
