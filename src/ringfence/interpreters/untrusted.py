"""What a request has brought: every value that its sender could choose.

Nothing is parsed until a sink asks, and then once. A sink asks only about text that is
not known to be the application's own, so that most requests are never looked at.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import html
import json
import re
import unicodedata
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from typing import Any
from urllib.parse import unquote, unquote_plus

from ringfence.exchange import Exchange

_FEW = 64  # values that are looked for one by one
_SHORTEST_BINARY = 64  # bytes; less is read as text, whatever it is
_OF_NO_TEXT = bytes((*range(9), 11, 12, *range(14, 32), 127))
_WORDS = re.compile(rb"[\t\x20-\x7e]{4,4000}")
_MOST_WORDS = 20_000
_MANY_PAIRS = 5_000
_NO_PAIRS = re.compile("&&+")
_BEGINNING = 4  # characters by which the others are found
_MOST_VALUES = 250_000  # of one request; more than that is no honest form or document
_DEEPEST = 4  # encodings within encodings that are undone
_DEEPEST_TAIL = 16  # path segments before which one that takes the rest may begin
_LONGEST_WHOLE = 65_536  # characters of a body that count as one value, too
_SHORTEST_PIECE = 3  # characters; a part of a list that is shorter says nothing
_SHORTEST_ENCODED = 8  # characters; shorter words happen to be base64
_TEXT_IN_MARKUP = re.compile(r">([^<>]+)<")
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
# Takes what does not end up to the end: else each quote would be tried (CWE-1333).
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)("?)', re.DOTALL)
# Every browser says "gzip", which is the name of a program, too.
_CODINGS = re.compile(
    r"(?:(?:gzip|deflate|br|zstd|compress|identity|\*)(?:;q=[\d.]+)?(?:, *|$))*"
)
_QUOTED_ONCE = re.compile(r"'([^'<>]+)'")  # attributes in markup
_SEPARATORS = re.compile(r"[,;\r\n]")
_UNEVEN = re.compile(r"\s\s|[^\S ]")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}", re.ASCII)
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/_=-]+", re.ASCII)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_BOUNDARY = re.compile(
    r';\s*boundary=(?:"([^"\r\n]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE
)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE)
# Slow to read (quadratic), or no encodings of text at all.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape"})
_ALIKE = frozenset({"utf-8", "utf8", "ascii", "us-ascii"})
_FILE = re.compile(rb"filename", re.IGNORECASE)
_SIMPLE = re.compile(r"[\w.:+-]*")  # a number, a date, a word
_FORM = "application/x-www-form-urlencoded"
_GZIP = b"\x1f\x8b"
_MOST_MEMBERS = 64  # of a gzip file, which may be several one after the other
_LONGEST_UNPACKED = 2_097_152  # bytes, where no guard says how many
_BRACKETS = re.compile(r"[\[\].]+")
_PARAMETER = re.compile(
    r';\s*(name|filename)(\*?[\d*]*)\s*=\s*(?:"((?:[^"\\\r\n]|\\.)*+)"?|([^"\r\n]*))',
    re.IGNORECASE,
)
_QUOTED_CHARACTER = re.compile(r"\\(.)")
# As ``http.cookies`` writes and reads what stands within double quotes.
_COOKIE_ESCAPE = re.compile(r"\\(?:([0-3][0-7]{2})|(.))")
# What no handler hands to an interpreter and every browser sends alike.
_OF_THE_CONNECTION = frozenset(
    {b"connection", b"content-length", b"transfer-encoding", b"upgrade"}
)
_NEGOTIATING = (b"accept", b"if-")
# What a browser sends with each request, and no secrets: read once for many requests.
_ALIKE_EACH_TIME = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"content-type",
        b"host",
        b"origin",
        b"sec-ch-ua",
        b"sec-ch-ua-mobile",
        b"sec-ch-ua-platform",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"sec-fetch-user",
        b"upgrade-insecure-requests",
        b"user-agent",
    }
)
_LONGEST_ALIKE = 512  # bytes
_ANYTHING = frozenset({"*", "*/*"})


@dataclass(frozen=True, slots=True)
class Input:
    """One value that a sender has chosen.

    Args:
        text: as it would reach a handler, or what stands in it when it is decoded.
        place: ``query``, ``path``, ``header``, ``cookie``, ``body``, ``json``,
            ``form``, ``file`` or ``message``.
        name: of the field; JSON's with dots between.
        route: the path pattern that it came to; empty while that is not known.
    """

    text: str
    place: str
    name: str = ""
    route: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """An input, and where in a text it stands: from ``start`` up to ``end``."""

    input: Input
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Member:
    """A key that a sender has written where a handler may take it for an operator: one
    that begins with ``$``, or the first of an object (the name of a command).

    Args:
        key: as written.
        value: what stands behind it, objects as ``dict``; ``...`` where that is not
            known: a form has spread it over several fields, or it is nested too deep.
        place: as in ``Input``.
        name: of the field around it, with dots between; empty at the top.
    """

    key: str
    value: object
    place: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one request, or several, have brought.

    Args:
        values: each text once.
        complete: nothing is missing; else not even the absence of a value in a text
            shows that the text is the application's own.
        members: keys that a sender has written, of objects and of fields with brackets.
    """

    values: tuple[Input, ...] = ()
    complete: bool = True
    members: tuple[Member, ...] = ()
    _exact: dict[str, Input] = field(init=False, repr=False)
    _beginnings: dict[str, list[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        exact = {fold(value.text): value for value in reversed(self.values)}
        beginnings: dict[str, list[str]] = {}
        if len(exact) > _FEW:
            for value in exact:
                beginnings.setdefault(value[:_BEGINNING], []).append(value)
        object.__setattr__(self, "_exact", exact)
        object.__setattr__(self, "_beginnings", beginnings)

    def found_in(self, text: str, *, least: int = 1) -> Iterator[Found]:
        """Find every occurrence of every value in a text, without regard to case.

        Args:
            text: what reaches an interpreter.
            least: characters a value must have to count.
        """
        folded = fold(text)
        for value in self._candidates(folded):
            if len(value) < least:
                continue
            given = self._exact[value]
            start = folded.find(value)
            while start >= 0:
                yield Found(given, start, start + len(value))
                # From the next character on: occurrences may overlap (CWE-184).
                start = folded.find(value, start + 1)

    def _candidates(self, folded: str) -> Iterable[str]:
        """Return the values that may stand in a text.

        Few are all looked for. Of many (the lines of a file that is uploaded) those
        whose beginning stands in it: the work is that of the text, however much a
        request has brought.
        """
        if not self._beginnings:
            return self._exact
        parts = {
            folded[at : at + length]
            for length in range(1, _BEGINNING + 1)
            for at in range(len(folded) - length + 1)
        }
        if len(parts) < len(self._beginnings):
            lists = (self._beginnings.get(part, ()) for part in parts)
        else:
            lists = (
                values for part, values in self._beginnings.items() if part in parts
            )
        return [value for values in lists for value in values]

    def brings(self, text: str) -> Input | None:
        """Return the value that is this text, if one is."""
        return self._exact.get(fold(text))


NOTHING = Inputs()
UNKNOWN = Inputs(complete=False)


def fold(text: str) -> str:
    """Return text in which letters differ no more in case, each at its old place."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(
        small if len(small := letter.lower()) == 1 else letter for letter in text
    )


def inputs_of(exchange: Exchange) -> Inputs:
    """Return what a request has brought so far, read once.

    Every duplicate counts, names as well as values, and what values become when they
    are decoded: percent-encoding, base64, HTML entities, JSON within a string,
    compatibility forms of Unicode; the parts of a list as well.

    Not covered: values that the application changes otherwise before they reach an
    interpreter (cut, reversed, decrypted, decompressed, put together from several);
    the statement lock and the rules that hold without any input stand behind this.

    Source: ASVS 5.0 V1.2; CWE-74, CWE-180.
    """
    known = exchange.inputs
    amount = (
        len(exchange.received),
        len(exchange.scope.get("path_params") or ()),
        exchange.too_much,
    )
    if isinstance(known, tuple) and known[0] == amount:
        inputs: Inputs = known[1]
        return inputs
    reader = _Reader(getattr(exchange.plan, "path", ""))
    reader.request(exchange)
    inputs = Inputs(
        tuple(reader.values.values()), reader.complete, tuple(reader.members)
    )
    exchange.inputs = (amount, inputs)
    return inputs


def inputs_of_all(exchanges: Iterable[Exchange]) -> Inputs:
    """Return what several requests have brought, for code of which nobody knows which
    of them it works for."""
    each = [inputs_of(exchange) for exchange in exchanges]
    values = {value.text: value for inputs in each for value in inputs.values}
    members = tuple(member for inputs in each for member in inputs.members)
    complete = all(inputs.complete for inputs in each)
    return Inputs(tuple(values.values()), complete, members)


@lru_cache(maxsize=512)
def _inputs_of_header(
    name: bytes, value: bytes, route: str
) -> tuple[Input, ...] | None:
    """Return what one header brings, if these are values only."""
    reader = _Reader(route)
    reader.read_header(name, value)
    if reader.members or not reader.complete:
        return None
    return tuple(reader.values.values())


class _Reader:
    """Collects the values of one request."""

    def __init__(self, route: str) -> None:
        self.route = route
        self.values: dict[str, Input] = {}
        self.members: list[Member] = []
        self.complete = True
        # What a large file repeats, in its lines and in each of its readings.
        self.lines: set[str] = set()
        self.cut: set[str] = set()

    def request(self, exchange: Exchange) -> None:
        scope = exchange.scope
        self.path(scope)
        self.pairs(scope.get("query_string", b"").decode("latin-1"), "query")
        for name, value in scope["headers"]:
            self.header(name, value)
        for sub in scope.get("subprotocols") or ():
            self.add(sub, "header", "sec-websocket-protocol")
        if exchange.too_much:
            self.complete = False
        if exchange.kind == "websocket":
            for message in exchange.received:
                for text in _readings(message):
                    self.document(text, "message")
        elif exchange.received:
            content_type = exchange.headers.get(b"content-type", b"")
            body = b"".join(
                piece for piece in exchange.received if isinstance(piece, bytes)
            )
            self.body(body, content_type.decode("latin-1"))
            coding = exchange.headers.get(b"content-encoding", b"identity").lower()
            if coding != b"identity" or body.startswith(_GZIP):
                most = exchange.sinks.settings.max_input if exchange.sinks else None
                self.packed(body, content_type.decode("latin-1"), coding, most)

    def packed(
        self, body: bytes, content_type: str, coding: bytes, most: int | None
    ) -> None:
        """Read what a body is once the application has unpacked it."""
        unpacked = _unpacked(body, _LONGEST_UNPACKED if most is None else most)
        if unpacked is not None:
            self.body(unpacked, content_type)
        elif coding != b"identity":
            self.complete = False

    def path(self, scope: Any) -> None:
        raw = scope.get("raw_path") or b""
        for path in (scope["path"], _text(raw)):
            parts = [part for part in path.split("/") if part]
            for place, part in enumerate(parts[:64]):
                self.add(part, "path")
                if 0 < place < _DEEPEST_TAIL:  # what a catch-all parameter takes
                    self.add("/".join(parts[place:]), "path")
            self.add(path, "path")
        for name, value in (scope.get("path_params") or {}).items():
            if isinstance(value, str):
                self.add(value, "path", name)

    def header(self, name: bytes, value: bytes) -> None:
        if name in _OF_THE_CONNECTION:
            return
        if name in _ALIKE_EACH_TIME and len(value) <= _LONGEST_ALIKE:
            known = _inputs_of_header(name, value, self.route)
            if known is not None and len(self.values) < _MOST_VALUES - len(known):
                for one in known:
                    self.values.setdefault(one.text, one)
                return
        self.read_header(name, value)

    def read_header(self, name: bytes, value: bytes) -> None:
        text = value.decode("latin-1")
        if name == b"accept-encoding" and _CODINGS.fullmatch(text):
            return
        if text in _ANYTHING and name.startswith(_NEGOTIATING):
            return  # "I take anything": Node's fetch sends it with every request
        if name == b"cookie":
            for pair in text.split(";"):
                key, _, content = pair.strip().partition("=")
                self.add(content.strip('"'), "cookie", key)
                self.add(key, "cookie")
                if "\\" in content:
                    self.add(_of_cookie(content.strip('"')), "cookie", key)
            for quoted in _quoted(text):
                self.add(_of_cookie(quoted), "cookie")
            return
        self.add(text, "header", name.decode("latin-1"))
        utf8 = _text(value)
        if utf8 != text:
            self.add(utf8, "header", name.decode("latin-1"))

    def pairs(self, text: str, place: str) -> None:
        if not text:
            return
        if len(text) <= _LONGEST_WHOLE:
            self.add(text, place)
        text = _NO_PAIRS.sub("&", text)
        if place != "query" and text.count("&") > _MANY_PAIRS:
            # No form, these are bounded before; nor a query, which is short.
            for pair in text.split("&"):
                self.plain(unquote_plus(pair.partition("=")[2]), place, "")
            return
        for separator in "&;":
            for pair in text.split(separator):
                key, _, value = pair.partition("=")
                name = unquote_plus(key)
                self.add(name, place)
                self.brackets(name, unquote_plus(value), place)
                self.add(unquote_plus(value), place, name)
                self.add(unquote(value), place, name)
                try:
                    self.add(unquote_plus(value, "latin-1"), place, name)
                except LookupError:  # pragma: no cover - the codec is always there
                    return
            if ";" not in text:
                break

    def body(self, body: bytes, content_type: str) -> None:
        """Read a body as everything that a handler may take it for: what its type says
        is the sender's choice, and many handlers do not look."""
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type == "multipart/form-data":
            self.multipart(body, content_type)
        elif _is_binary(body):
            self.words(body, "body")
        for text in _readings(body):
            is_json = self.document(text, "json" if "json" in media_type else "body")
            # ``["&q=..."]`` is JSON and a form, too.
            if "=" in text and (not is_json or media_type == _FORM):
                self.pairs(text, "form")
        if not body.isascii() and b"=" in body and media_type != "multipart/form-data":
            self.pairs(body.decode("latin-1"), "form")  # as python-multipart does

    def document(self, text: str, place: str, name: str = "") -> bool:
        """Read a body or a message of which only the handler knows what it is; return
        whether it is JSON."""
        start = text.lstrip("\ufeff \t\r\n")[:1]
        if start and start in '{["' and self.json(text, place):
            return True
        if len(text) <= _LONGEST_WHOLE:
            self.add(text, place, name)
            for line in text.splitlines():
                self.add(line, place, name)
        else:
            self.many_lines(text, place, name)
        if start == "<":
            for found in (
                _TEXT_IN_MARKUP.findall(text),
                _QUOTED_ONCE.findall(text),
                _quoted(text),
                (part.partition(_CDATA_END)[0] for part in text.split(_CDATA)[1:]),
            ):
                for part in found:
                    self.add(part, place)
        return False

    def many_lines(self, text: str, place: str, name: str) -> None:
        """Add the lines of a large file, and their parts, all at once: each line by
        itself would take seconds."""
        lines = dict.fromkeys(text.splitlines())
        fresh = [line for line in lines if line not in self.lines]
        self.lines.update(fresh)
        for line in fresh:
            self.plain(line, place, name)
            self.plain(line.strip(), place, name)
            if '"' in line:  # they are closed within a line
                self.complex(_quoted(line), place, name)
        self.complex(_pieces("\n".join(fresh), self.cut), place, name)

    def words(self, raw: bytes, place: str, name: str = "") -> None:
        """Read the words of what is no text (a picture): the rest of it is nothing that
        an interpreter could be handed."""
        for word in islice(_WORDS.finditer(raw), _MOST_WORDS):
            self.plain(word[0].decode("ascii"), place, name)

    def cells(self, text: str, place: str, name: str) -> None:
        """Add the parts of a long list, as they are."""
        self.complex(_pieces(text, self.cut), place, name)
        self.complex(_quoted(text), place, name)

    def complex(self, pieces: Iterable[str], place: str, name: str) -> None:
        """Add what is more than a number, a date or a word."""
        for piece in pieces:
            if piece not in self.values and _SIMPLE.fullmatch(piece) is None:
                self.plain(piece, place, name)

    def plain(self, text: str, place: str, name: str) -> None:
        """Add a value as it is, in the time that a large file allows for a line."""
        if text and text not in self.values:
            if len(self.values) < _MOST_VALUES:
                self.values[text] = Input(text, place, name, self.route)
            else:
                self.complete = False

    def json(self, text: str, place: str, name: str = "") -> bool:
        """Read JSON with all its duplicates; return whether it is any."""
        try:
            parsed = json.loads(text.lstrip("\ufeff"), object_pairs_hook=_Pairs)
        except RecursionError:
            self.complete = False  # no value in it has been seen
            return False
        except ValueError:
            return False
        pending: list[tuple[object, str]] = [(parsed, name)]
        while pending:
            value, name = pending.pop()
            if isinstance(value, str):
                self.add(value, place, name)
            elif isinstance(value, _Pairs):
                for at, (key, inner) in enumerate(value.pairs):
                    self.add(key, place, name)
                    if at == 0 or key[:1] == "$":
                        self.member(Member(key, _plain_or_unknown(inner), place, name))
                    pending.append((inner, f"{name}.{key}" if name else key))
            elif isinstance(value, list):
                pending.extend((inner, name) for inner in value)
        return True

    def brackets(self, name: str, value: str, place: str) -> None:
        """Take down the operators in the name of a field, ``password[$ne]``."""
        if "$" not in name:
            return
        parts = [part for part in _BRACKETS.split(name) if part]
        for at, part in enumerate(parts[:_DEEPEST_TAIL]):
            if part[0] == "$":
                inner = value if at + 1 == len(parts) else ...
                self.member(Member(part, inner, place, ".".join(parts[:at])))

    def member(self, member: Member) -> None:
        if len(self.members) < _MOST_VALUES:
            self.members.append(member)
        else:
            self.complete = False

    def multipart(self, body: bytes, content_type: str) -> None:
        boundaries = {one or two for one, two in _BOUNDARY.findall(content_type)}
        if not boundaries:
            self.document(_text(body), "form")
            return
        charsets = _CHARSET.findall(content_type)
        for boundary in boundaries:
            for part in body.split(b"--" + boundary.encode("latin-1"))[1:]:
                self.part(part, charsets)

    def part(self, part: bytes, charsets: list[str]) -> None:
        head, _, content = part.partition(b"\r\n\r\n")
        charsets = [*charsets, *_CHARSET.findall(_text(head))]
        name = ""
        for text in self.in_charsets(head, charsets):
            name = self.parameters(text) or name
        content = content.removesuffix(b"\r\n")
        if _is_binary(content):
            self.words(content, "form", name)
        if not _FILE.search(head):  # a field is text, whatever its bytes are
            self.document(_text(content), "form", name)
        for text in self.in_charsets(content, charsets):
            self.document(text, "form", name)
            self.brackets(name, text, "form")

    def parameters(self, head: str) -> str:
        """Read what a part is called, and its file; return the name."""
        name, continued = "", []
        for key, star, quoted, bare in _PARAMETER.findall(head):
            written = quoted or bare
            plain = _QUOTED_CHARACTER.sub(r"\1", quoted) or bare
            if key.lower() == "name" and not star:
                name = plain
                self.add(written, "form")
                self.add(plain, "form")
                continue
            for value in (written, plain, written.replace("\\\\", "\\")):
                self.add(value.rpartition("'")[2], "file", name)
                self.add(value.rpartition("\\")[2], "file", name)
                self.add(value, "file", name)
                self.add(value.replace('\\"', '"'), "file", name)
            if any(letter.isdigit() for letter in star):  # RFC 2231, section 3
                continued.append(unquote(plain))
        self.add("".join(continued[:_MOST_MEMBERS]), "file", name)
        return name

    def in_charsets(self, raw: bytes, charsets: list[str]) -> Iterator[str]:
        """Yield what text becomes in the encodings that its sender names: Starlette
        and Litestar believe it, be it UTF-7 (CWE-838)."""
        yield from _readings(raw)
        if not charsets:
            return
        if not raw.isascii():
            yield raw.decode("latin-1")
        for charset in {charset.lower() for charset in charsets} - _ALIKE:
            try:
                known = codecs.lookup(charset).name.replace("-", "_")
                if known in _NO_CHARSETS:
                    self.complete = False
                else:
                    yield raw.decode(charset)
            except (LookupError, ValueError):
                continue

    def add(
        self,
        text: str,
        place: str,
        name: str = "",
        depth: int = 0,
        *,
        is_piece: bool = False,
    ) -> None:
        if not text or text in self.values:
            return
        if len(self.values) >= _MOST_VALUES:
            self.complete = False
            return
        self.values[text] = Input(text, place, name, self.route)
        self.add(text.strip(), place, name, depth, is_piece=is_piece)
        if depth < _DEEPEST:
            for decoded in _decoded(text):
                self.add(decoded, place, name, depth + 1)
            if text[0] in "{[" and text[-1] in "]}":
                self.json(text, place, name)
        if not is_piece:
            self.parts(text, place, name, max(depth, 1))

    def parts(self, text: str, place: str, name: str, depth: int) -> None:
        """Add the parts of a value that is a list."""
        if len(text) > _LONGEST_WHOLE:
            self.cells(text, place, name)
            return
        for piece in _pieces(text):
            self.add(piece, place, name, depth, is_piece=True)
        for quoted in _quoted(text):
            if len(quoted.strip()) >= _SHORTEST_PIECE:
                self.add(quoted, place, name, depth)


class _Pairs:
    """A JSON object with all that was written in it: keys may come twice."""

    __slots__ = ("pairs", "plain")

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        self.pairs = pairs
        self.plain: dict[str, object] | None = None  # made once, when it is asked for


def _plain_or_unknown(value: object) -> object:
    try:
        return _plain(value)
    except RecursionError:
        return ...


def _plain(value: object) -> object:
    """Return what a handler's parser makes of JSON: the last of several equal keys."""
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if not isinstance(value, _Pairs):
        return value
    if value.plain is None:
        value.plain = {key: _plain(inner) for key, inner in value.pairs}
    return value.plain


def _readings(raw: bytes | str) -> Iterator[str]:
    """Yield what a body or message is, and what parsers of JSON and XML make of it,
    which know UTF-16 and UTF-32 by their first bytes (RFC 4627 section 3)."""
    if not isinstance(raw, bytes) or not _is_binary(raw):
        yield _text(raw)
    if isinstance(raw, bytes) and (
        b"\0" in raw[:4] or raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    ):
        yield raw.decode(json.detect_encoding(raw), "replace")


def _is_binary(raw: bytes) -> bool:
    """Return whether this is no text in UTF-8 or in an encoding of single bytes."""
    if len(raw) < _SHORTEST_BINARY:
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return len(raw.translate(None, _OF_NO_TEXT)) < len(raw)
    return False


def _text(raw: bytes | str) -> str:
    if isinstance(raw, str):
        return raw
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _decoded(text: str) -> Iterator[str]:
    """Yield what a value becomes if a handler decodes it."""
    if "%" in text:
        yield unquote(text)
    if "+" in text:
        yield text.replace("+", " ")
    if "&" in text:
        yield html.unescape(text)
    if "\\" in text:
        with contextlib.suppress(ValueError):
            yield json.loads(f'"{text}"')
    if len(text) <= _LONGEST_WHOLE and _UNEVEN.search(text) is not None:
        yield " ".join(text.split())  # as searches do before they look
    if not text.isascii():
        yield unicodedata.normalize("NFKC", text)
    if len(text) >= _SHORTEST_ENCODED and text.isascii():
        for word in text.split(".")[:3]:  # a JWT has three
            yield from _from_base64(word)


def _from_base64(word: str) -> Iterator[str]:
    if _BASE64.fullmatch(word) is None:
        # ``base64.b64decode`` passes over what is no letter of its.
        word = _NO_BASE64.sub("", word)
        if len(word) < _SHORTEST_ENCODED:
            return
    padded = word.rstrip("=")
    padded += "=" * (-len(padded) % 4)
    with contextlib.suppress(binascii.Error, UnicodeDecodeError):
        yield base64.b64decode(padded.translate(_STANDARD)).decode()
    if _HEX.fullmatch(word) is not None:
        with contextlib.suppress(UnicodeDecodeError):
            yield bytes.fromhex(word).decode()


_STANDARD = str.maketrans("-_", "+/")


def _pieces(text: str, cut: set[str] | None = None) -> Iterator[str]:
    """Yield the parts of a value that is a list: lines, columns to sort by, names;
    each once, and not those that were ``cut`` out of another."""
    if _SEPARATORS.search(text) is None:
        return
    lines = text.replace("\r", "\n")
    lists = [lines.replace(";", "\n").replace(",", "\n").split("\n")]
    if "," in text and ";" in text:  # ``a,;id`` is two names for who splits at commas
        lists += [lines.replace(mark, "\n").split("\n") for mark in ",;"]
    pieces = dict.fromkeys(chain.from_iterable(lists))
    if cut is not None:
        pieces = dict.fromkeys([piece for piece in pieces if piece not in cut])
        cut.update(pieces)
    for piece in pieces:
        plain = piece.strip()
        # Of a short piece between quotes a quote makes code: ``'|,)=,OR,==,--``.
        said = plain.strip("'\"")
        if len(plain) >= _SHORTEST_PIECE or (said and said != plain):
            yield plain


def _quoted(text: str) -> Iterator[str]:
    """Yield what stands within double quotes."""
    return (match[1] for match in _QUOTED.finditer(text) if match[1] and match[2])


def _of_cookie(text: str) -> str:
    return _COOKIE_ESCAPE.sub(
        lambda match: chr(int(match[1], 8)) if match[1] else match[2], text
    )


def _unpacked(body: bytes, most: int) -> bytes | None:
    """Return what gzip or deflate has packed; ``None`` if it is neither, or more."""
    for bits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        unpacked = _inflated(body, bits, most)
        if unpacked is not None:
            return unpacked
    return None


def _inflated(body: bytes, bits: int, most: int) -> bytes | None:
    unpacked = b""
    for _ in range(_MOST_MEMBERS):
        reader = zlib.decompressobj(bits)
        try:
            unpacked += reader.decompress(body, most - len(unpacked) + 1)
        except zlib.error:
            return None
        if not reader.eof or len(unpacked) > most:
            return None
        body = reader.unused_data.lstrip(b"\0")
        if not body:
            return unpacked
    return None
