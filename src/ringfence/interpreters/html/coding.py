"""The text of an answer, out of its content coding and its character encoding."""

from __future__ import annotations

import codecs
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';]+)""", re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Encodings that browsers and Python read alike. In others the same bytes are quotes and
# brackets for one and letters for the other (UTF-7, ISO-2022-JP).
_READABLE = re.compile(
    r"utf-?8|us-ascii|ascii|iso-?8859-?\d+|latin-?1|windows-125\d|cp125\d"
    r"|utf-16(?:le|be|-le|-be)?"
)
_AT_ONCE = 262_144  # bytes that are unpacked before they are looked at
_GZIP = 16 + zlib.MAX_WBITS

Unpack = Callable[[bytes], Iterator[bytes]]


class UnreadableError(ValueError):
    """An answer is written in a way that cannot be looked into."""


class Decoder:
    """Makes text of the pieces of an answer.

    Args:
        content_type: of the answer.
        codings: of Content-Encoding, in their order.

    Raises:
        UnreadableError: the coding or the encoding is not known here.

    Source: RFC 9110, section 8.4; WHATWG Encoding, sections 4 and 6.
    """

    def __init__(self, content_type: str, codings: list[str]) -> None:
        self._unpack = _unpacker(codings)
        match = _CHARSET.search(content_type)
        self._charset = match[1].lower() if match else ""
        if self._charset and _READABLE.fullmatch(self._charset) is None:
            message = f"the encoding {self._charset!r} is not read alike by everybody"
            raise UnreadableError(message)
        self._text: codecs.IncrementalDecoder | None = None

    def pieces(self, body: bytes) -> Iterator[str]:
        """Yield the text of one more piece, in parts of a bounded size.

        Raises:
            UnreadableError: it is not in the coding that it says.
        """
        try:
            for plain in self._unpack(body):
                if not self._charset and b"\x1b" in plain:
                    # Browsers guess, and ISO-2022-JP makes other signs of quotes.
                    message = "it has escape sequences and names no encoding"
                    raise UnreadableError(message)
                yield self._decoder(plain).decode(plain)
        except zlib.error as error:
            message = "it is not in its content coding"
            raise UnreadableError(message) from error

    def _decoder(self, plain: bytes) -> codecs.IncrementalDecoder:
        if self._text is None:
            self._text = self._open(plain)
        return self._text

    def _open(self, plain: bytes) -> codecs.IncrementalDecoder:
        for mark, charset in _BYTE_ORDER_MARKS:  # stronger than any header
            if plain.startswith(mark):
                return codecs.getincrementaldecoder(charset)("replace")
        charset = self._charset or "utf-8"
        if charset == "utf-16":
            charset = "utf-16-le"
        return codecs.getincrementaldecoder(charset)("replace")


def _unpacker(codings: list[str]) -> Unpack:
    packed = [coding for coding in codings if coding not in {"", "identity"}]
    if not packed:
        return _as_it_is
    if packed in (["gzip"], ["x-gzip"]):
        return _Zlib(_GZIP).unpack
    if packed == ["deflate"]:
        return _Deflate().unpack
    if len(packed) == 1:
        known = _LOADED.get(packed[0], lambda: None)()
        if known is not None:
            return known
    message = f"the content coding {', '.join(packed)!r} cannot be looked into"
    raise UnreadableError(message)


def _as_it_is(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _AT_ONCE):
        yield body[start : start + _AT_ONCE]


class _Zlib:
    """Unpacks in bounded parts: what unfolds without end fills no memory."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._packed = zlib.decompressobj(bits)

    def unpack(self, body: bytes) -> Iterator[bytes]:
        full = False
        while body or full:
            plain = self._packed.decompress(body, _AT_ONCE)
            full = len(plain) == _AT_ONCE  # there may be more to come of the same bytes
            body = self._packed.unconsumed_tail
            if self._packed.eof:  # browsers read a second member, too
                body = self._packed.unused_data
                self._packed = zlib.decompressobj(self._bits)
            if plain:
                yield plain


class _Deflate:
    """With zlib's frame, as the standard says, or without, as many write it."""

    def __init__(self) -> None:
        self._known: _Zlib | None = None

    def unpack(self, body: bytes) -> Iterator[bytes]:
        if self._known is None and body:
            framed = body[0] & 0x0F == zlib.DEFLATED
            self._known = _Zlib(zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)
        return iter(()) if self._known is None else self._known.unpack(body)


def _brotli() -> Unpack | None:
    """Use the library that has packed the answer in this very process, if one has."""
    library: Any = sys.modules.get("brotli") or sys.modules.get("brotlicffi")
    if library is None:
        return None
    packed = library.Decompressor()
    work = getattr(packed, "process", None) or packed.decompress

    def unpack(body: bytes) -> Iterator[bytes]:
        try:
            yield work(body)
        except library.error as error:
            message = "it is not in its content coding"
            raise UnreadableError(message) from error

    return unpack


def _zstd() -> Unpack | None:
    library: Any = sys.modules.get("zstandard")
    if library is None:
        return None
    packed = library.ZstdDecompressor().decompressobj()

    def unpack(body: bytes) -> Iterator[bytes]:
        try:
            yield packed.decompress(body)
        except library.ZstdError as error:
            message = "it is not in its content coding"
            raise UnreadableError(message) from error

    return unpack


_LOADED: dict[str, Callable[[], Unpack | None]] = {"br": _brotli, "zstd": _zstd}
