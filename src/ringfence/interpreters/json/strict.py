"""Read JSON strictly: what two parsers could read differently is refused.

The common case is decided without looking at single characters in Python: the document
is decoded, encoded again, and the quotation marks of both are counted.
"""

from __future__ import annotations

import re

import msgspec.json
import msgspec.msgpack

from ringfence.denial import Denial

DEEPEST = 32  # lists and objects in each other; no honest document needs more

MALFORMED = Denial(
    400, "interpreters.json_malformed", "The body is not well-formed JSON."
)
ENCODING = Denial(
    400,
    "interpreters.json_encoding",
    "JSON is sent as UTF-8, without a byte order mark and without half characters.",
)
DUPLICATE = Denial(
    400,
    "interpreters.json_duplicate_key",
    "An object in the body has the same key twice.",
)
NUMBER = Denial(
    400,
    "interpreters.json_number",
    "A number in the body is too large, or is none.",
)
TOO_DEEP = Denial(400, "interpreters.json_too_deep", "The body is nested too deeply.")

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_BYTE = re.compile(r"\(byte (\d+)\)")
_NO_NUMBER = re.compile(rb"-?(?:NaN|Infinity)")
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_HIDDEN_QUOTE = b"\\u0022"
_MARKS = (b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")


def read(body: bytes, *, deepest: int = DEEPEST) -> object:  # noqa: PLR0911 - one a refusal
    """Return what a JSON document says, or a ``Denial`` where parsers may differ.

    Two services behind each other read ``{"role": "user", "role": "admin"}``
    differently: one checks the first, the other acts on the last (CWE-436). Python's
    own parser takes ``NaN``, numbers that become infinite and half surrogate pairs,
    which fail, or pass every comparison, further inside.

    Args:
        body: the whole document, one byte or more.
        deepest: lists and objects that may stand in each other, 1 or more.

    Returns:
        Built-in types, or the denial; a denial is never JSON.

    Not covered: integers beyond 2**53, which JavaScript rounds; keys that differ only
    in case or in their Unicode form.

    Source: RFC 8259, sections 4, 6 and 8; RFC 7493 (I-JSON); ASVS 5.0 V1.5.3, V15.3.6;
    CWE-20, CWE-674.
    """
    try:
        value = _decode(body)
    except RecursionError:
        return TOO_DEEP
    except ValueError as error:
        return _why(body, error)
    kind = type(value)
    if kind is not dict and kind is not list:
        return NUMBER if _beyond_64_bits(value) else value
    if body.count(b"{") + body.count(b"[") > deepest and _is_deeper(value, deepest):
        return TOO_DEEP
    try:
        _pack(value)
    except OverflowError:  # more than 64 bits, which MessagePack does not have either
        return NUMBER
    if body.count(b'"') != _encode(value).count(b'"') or (
        b"\\" in body and _HIDDEN_QUOTE in body
    ):
        return _look_for_duplicates(body, value)
    # Each string of the document, keys too, brings its quotation marks; so none of
    # them was dropped for another of the same name.
    return value


def _beyond_64_bits(value: object) -> bool:
    return type(value) is int and not -(2**63) <= value < 2**64


def _is_deeper(value: object, deepest: int) -> bool:
    level = [value]
    for _ in range(deepest):
        inner: list[object] = []
        for one in level:
            if type(one) is dict:
                inner += one.values()
            elif type(one) is list:
                inner += one
        level = [one for one in inner if type(one) is dict or type(one) is list]
        if not level:
            return False
    return True


def _look_for_duplicates(body: bytes, value: object) -> object:
    """Count the pairs one by one: a quotation mark was written in another way."""
    written = _pairs_written(body)
    level = [value]
    kept = 0
    while level:
        inner: list[object] = []
        for one in level:
            if type(one) is dict:
                kept += len(one)
                inner += one.values()
            elif type(one) is list:
                inner += one
        level = inner
    return value if kept == written else DUPLICATE


_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def _pairs_written(body: bytes) -> int:
    """Outside strings, a colon stands in each pair and nowhere else."""
    return _STRINGS.sub(b"", body).count(b":")


def _why(body: bytes, error: ValueError) -> Denial:
    text = str(error)
    if _is_in_another_encoding(body, error) or "surrogate" in text:
        return ENCODING
    if "out of range" in text or _is_no_number(body, text):
        return NUMBER
    return MALFORMED


def _is_in_another_encoding(body: bytes, error: ValueError) -> bool:
    return (
        body.startswith(_MARKS)
        or b"\x00" in body[:4]
        or isinstance(error, UnicodeDecodeError)
        or _HALF_PAIR.search(body) is not None
    )


def _is_no_number(body: bytes, text: str) -> bool:
    """Look where the decoder stopped, which is behind the sign if there is one."""
    found = _BYTE.search(text)
    if found is None:
        return False
    place = int(found[1])
    starts = (max(place - 1, 0), place)
    return any(_NO_NUMBER.match(body, start) for start in starts)
