"""The bytes that a request has brought, also those within its text."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
import zlib
from collections.abc import Iterator

from ringfence.exchange import Exchange, live
from ringfence.interpreters.sink import Here

_SHORTEST = 8  # characters of a word that may be encoded bytes
_MOST_WORDS = 16  # of one value
_MOST_UNPACKED = 4_194_304  # bytes
_WORD = re.compile(r"[A-Za-z0-9+/_-]{8,}", re.ASCII)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){8,}", re.ASCII)
_OTHER = re.compile(r"[^A-Za-z0-9+/_-]+", re.ASCII)
_STANDARD = str.maketrans("-_", "+/")
_ZLIB, _GZIP = b"\x78", b"\x1f\x8b"
_EITHER_HEADER = 32 + zlib.MAX_WBITS


def blobs_of(whom: Here) -> tuple[bytes, ...]:
    """Return the bytes that a request, or all that are in progress, have brought: the
    body as it came, every value, and what is base64, hexadecimal or compressed in
    them."""
    found: dict[bytes, None] = {}
    exchanges = [whom.exchange] if whom.exchange is not None else list(live)
    for exchange in exchanges:
        for raw in _received(exchange):
            found.setdefault(raw)
    for value in whom.inputs.values:
        for raw in _bytes_of(value.text):
            found.setdefault(raw)
    for raw in tuple(found):
        if raw.startswith((_ZLIB, _GZIP)):
            found.setdefault(_unpacked(raw))
    return tuple(found)


def _received(exchange: Exchange) -> Iterator[bytes]:
    pieces = [piece for piece in exchange.received if isinstance(piece, bytes)]
    if exchange.kind == "websocket":
        yield from pieces
    elif pieces:
        yield b"".join(pieces)


def _bytes_of(text: str) -> Iterator[bytes]:
    yield text.encode("utf-8", "surrogatepass")
    with contextlib.suppress(UnicodeEncodeError):
        yield text.encode("latin-1")  # bytes that were sent as text
    if len(text) < _SHORTEST or not text.isascii():
        return
    for count, match in enumerate(_WORD.finditer(text)):
        if count == _MOST_WORDS:
            return
        word = match[0]
        try:
            yield base64.b64decode(_padded(word.translate(_STANDARD)), validate=True)
        except binascii.Error:
            continue
        if _HEX.fullmatch(word):
            yield bytes.fromhex(word)
    if _OTHER.search(text) is not None:  # b64decode passes over the rest
        with contextlib.suppress(binascii.Error):
            yield base64.b64decode(_padded(_OTHER.sub("", text).translate(_STANDARD)))


def _padded(word: str) -> str:
    return word + "=" * (-len(word) % 4)


def _unpacked(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj(_EITHER_HEADER).decompress(raw, _MOST_UNPACKED)
    except zlib.error:
        return b""
