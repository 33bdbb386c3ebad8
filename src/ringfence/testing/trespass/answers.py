"""Answers, without what differs each time, and how two of them are compared."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from ringfence.testing.trespass.parties import Answered

_TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_NONCES = re.compile(r"""(nonce=["']?)[\w+/=-]+""")
_WORDS = re.compile(r"[\w-]+|[^\w\s]")
_TOKENS = re.compile(r"[\w-]{60,}")  # sealed anew for each answer, as CSRF tokens are
_GZIP = b"\x1f\x8b"
_LARGEST = 5_000_000  # bytes of an answer that are looked at
_OK, _REDIRECT, _ERROR = 200, 300, 400
_SHOWN = 90  # characters of an answer in a finding


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Args:
        status: of the response.
        kind: its media type.
        text: its body and where it redirects to, as they came.
        plain: the same, without what differs each time.
        headers: all of its headers, as they came.
    """

    status: int
    kind: str
    text: str
    plain: str
    headers: str

    @property
    def succeeded(self) -> bool:
        return _OK <= self.status < _REDIRECT

    @property
    def was_heard(self) -> bool:
        """Whether the application did what it was asked, a redirect included."""
        return _OK <= self.status < _ERROR

    @property
    def is_page(self) -> bool:
        return self.kind == "text/html"

    def holds(self, mark: str) -> bool:
        return mark in self.text or mark in self.headers

    def masked(self, volatile: Mapping[str, str]) -> Answer:
        """Return the answer without further texts that differ each time."""
        return replace(self, plain=_masked(self.plain, volatile))

    def __str__(self) -> str:
        start = " ".join(self.text.split())[:_SHOWN]
        return f"{self.status} {start}".strip()


def read(response: Answered, volatile: Mapping[str, str]) -> Answer:
    """Return a response as an answer.

    Args:
        response: of the client.
        volatile: texts that were sent or are fresh each time, with what takes their
            place; without empty ones.
    """
    headers = response.headers
    text = f"{headers.get('location', '')}\n{_body(response.content)}".strip()
    plain = _masked(text, volatile)
    request_id = headers.get("x-request-id", "")
    if request_id:
        plain = plain.replace(request_id, "{request}")
    plain = _NONCES.sub(r"\1{nonce}", _TIMES.sub("{time}", plain))
    plain = _TOKENS.sub("{token}", plain)
    kind = headers.get("content-type", "").partition(";")[0].strip()
    plain = _without_request_ids(plain, kind)
    said = "\n".join(headers.values())
    return Answer(response.status_code, kind, text, plain, said)


def _masked(text: str, volatile: Mapping[str, str]) -> str:
    if not volatile:
        return text
    # The longest first, and never a part of a word: a row's id may be 4 as well.
    ordered = sorted(volatile, key=len, reverse=True)
    any_of_them = "|".join(map(re.escape, ordered))
    pattern = rf"(?<![\w-])(?:{any_of_them})(?![\w-])"
    return re.sub(pattern, lambda found: volatile[found[0]], text)


def _body(content: bytes) -> str:
    if content.startswith(_GZIP):
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
        with suppress(zlib.error):
            content = unpack.decompress(content, _LARGEST)
    return content[:_LARGEST].decode(errors="replace")


def _without_request_ids(text: str, kind: str) -> str:
    if not kind.endswith("json"):
        return text
    try:
        document = json.loads(text)
    except ValueError:
        return text
    if isinstance(document, dict):
        document.pop("request_id", None)
    return json.dumps(document, sort_keys=True)


def differ(one: Answer, other: Answer, *, bodies: bool = True) -> bool:
    """Return whether two answers can be told apart."""
    if (one.status, one.kind) != (other.status, other.kind):
        return True
    return bodies and one.plain != other.plain


def differ_beyond(one: Answer, other: Answer, again: Answer) -> bool:
    """Return whether two answers can be told apart by more than what differs between
    two answers of the same sort: numbers of requests, names made up each time.

    Args:
        one: to be told from the others.
        other: what it is compared with.
        again: another of the second sort.
    """
    if differ(one, other, bodies=False):
        return True
    words = [_WORDS.findall(answer.plain) for answer in (one, other, again)]
    if len({len(some) for some in words[1:]}) > 1:
        return False  # nothing to go by
    if len(words[0]) != len(words[1]):
        return True
    return any(b == c != a for a, b, c in zip(*words, strict=True))


def difference(before: Answer, after: Answer) -> str:
    """Say how an answer has changed, for people."""
    if before.status != after.status:
        return f"{before.status} became {after.status}"
    for old, new in zip(_pieces(before), _pieces(after), strict=False):
        if old != new:
            return f"{old[:_SHOWN]!r} became {new[:_SHOWN]!r}"
    return f"{len(before.plain)} characters became {len(after.plain)}"


def _pieces(answer: Answer) -> Iterator[str]:
    yield from re.split(r"(?<=[,>\n{}])", answer.plain)


def marks_in(answer: Answer, marks: Collection[str], sent: str) -> list[str]:
    """Return which marks an answer holds that it was not sent."""
    return sorted(mark for mark in marks if answer.holds(mark) and mark not in sent)
