"""Can the input change the meaning of the code? The answer for one statement.

An input may be the inside of one literal, a number, or a name that the application has
written itself. It may not be more than one token, nor a part of one that is no literal,
nor touch a quote or a comment: that is code.

Much honest input happens to stand in a statement: somebody searches for "name" or "e".
What stands within a longer piece of the application's own text is no input, if that
piece is long enough (``_Pieces``): to make use of this, an attacker would have to send
what, with the words before and after it, the developer has written word for word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from ringfence.interpreters.sql.constants import WORD, Constants
from ringfence.interpreters.sql.lexer import USUAL, Token, Tokens, read
from ringfence.interpreters.sql.parts import PARTS, Part
from ringfence.interpreters.sql.second_opinion import SECOND
from ringfence.interpreters.untrusted import Found, Input, Inputs, fold

_ESCAPING = "'\"\\"
_QUOTES = "'\"`["
_SPACE = " \t\n\r\f\v"
_NAME = r"[^\W\d][\w$]*(?:\.[^\W\d][\w$]*)*"
_COLUMN = rf"{_NAME}(?:\s+(?:asc|desc))?(?:\s+nulls\s+(?:first|last))?"
_COLUMNS = re.compile(rf"{_COLUMN}(?:\s*,\s*{_COLUMN})*", re.IGNORECASE)
_DIRECTIONS = frozenset({"asc", "desc", "nulls", "first", "last"})
_BEFORE_A_SIGN = re.compile(
    "select|where|and|or|not|limit|offset|between|then|else|when|values|like|in|by|is"
    "|having|returning|on|set|case",
    re.IGNORECASE,
)
_ESCAPED = frozenset({"doubled", "slashed"})
_LEAST_NAMED = 3  # characters of a placeholder that has a name: ``:a`` and more
_SECRETS = frozenset(
    [
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "token",
        "hash",
        "salt",
        "otp",
    ]
)
_IDENTIFIER = (
    "input stands in it as a name or keyword; let an allow-list choose it:"
    " ringfence.sql.identifier(name, allowed=...) or sql.order_by(...)"
)
_BEFORE_VALUES = re.compile(
    r"[=<>+/%|-]|==|!=|<>|<=|>=|<=>|\|\||i?like|rlike|regexp|glob|match|similar|between"
    r"|limit|offset",
    re.IGNORECASE,
)
_BIND = "; bind the value: ringfence.sql.query(...)"
_AS_VALUE = "input stands in it as a name, where a value belongs" + _BIND
_UNREADABLE = "input stands in it, and where its literals end is not certain" + _BIND


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a statement may not run, and which input is at fault."""

    why: str
    input: Input | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has been found in a statement.

    Args:
        objection: ``None`` if it may run.
        raw: inputs that stand in it as they came.
        escaped: inputs that stand in it with their quotes escaped.
    """

    objection: Objection | None = None
    raw: tuple[Input, ...] = ()
    escaped: tuple[Input, ...] = ()


_PASSED = Verdict()


def judge(  # noqa: PLR0913 - what is asked, and whom
    text: str,
    dialect: str,
    inputs: Inputs,
    known: Constants,
    approved: Callable[[str], bool],
    *,
    script: bool = False,
) -> Verdict:
    """Say whether a statement that is not static may run.

    Args:
        text: the statement.
        dialect: ``sqlite``, ``postgres`` or ``mysql``.
        inputs: what has been sent by whoever is being answered.
        known: what the application's code says itself.
        approved: whether an allow-list has let a name through.
        script: it is run as a script of several statements.

    Source: ASVS 5.0 V1.2.4; CWE-89; OWASP SQL Injection Prevention Cheat Sheet.

    Not covered: what the application changes before it reaches the statement, other
    than by escaping quotes; the statement lock stands behind that. PostgreSQL with
    ``standard_conforming_strings`` off, as it was before 2010.
    """
    if script:
        return Verdict(Objection("a script that is not a constant of the application"))
    if "\0" in text:
        return Verdict(Objection("a NUL, at which engines stop to read"))
    usual = USUAL[dialect]
    tokens: Tokens | None = None
    if ";" in text.rstrip("; \t\n\r"):
        tokens = read(text, dialect, backslash=usual)
        if _is_stacked(tokens):
            return Verdict(Objection("several statements at once"))
    parts = PARTS.of(inputs) if inputs.complete else None
    if parts is None:
        return Verdict(
            Objection("it is not static, and not all that was sent could be remembered")
        )
    whole = tuple(_found(text, inputs))
    found = (*whole, *_found_parts(text, parts, whole))
    if not found:
        return _PASSED
    tokens = tokens or read(text, dialect, backslash=usual)
    readings = [_Reading(tokens, dialect, usual, known, approved)]
    if "\\" in text and dialect == "mysql":  # NO_BACKSLASH_ESCAPES may be set, or not
        other = read(text, dialect, backslash=not usual)
        readings.append(_Reading(other, dialect, not usual, known, approved))
    return _weigh(found, readings, dialect)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an input stands, and how: ``raw`` as it came, ``doubled`` or ``slashed``
    with its quotes escaped, ``part`` for a part of it."""

    start: int
    end: int
    input: Input
    way: str


def _found(text: str, inputs: Inputs) -> Iterator[_Place]:
    for found in inputs.found_in(text):
        yield _Place(found.start, found.end, found.input, "raw")
    if "''" not in text and "\\" not in text and '""' not in text:
        return
    for given in inputs.values:
        for way, escaped in _escaped(given.text):
            for again in _everywhere(text, escaped, given):
                yield _Place(again.start, again.end, given, way)


def _found_parts(
    text: str, parts: tuple[Part, ...], whole: tuple[_Place, ...]
) -> Iterator[_Place]:
    """Yield where parts of inputs stand, but for those within the whole of one."""
    folded = fold(text)
    for part, given in parts:
        start = folded.find(part)
        while start >= 0:
            end = start + len(part)
            # The quote before or behind the whole is the statement's own by chance.
            first = start + (text[start] in "'\"")
            last = end - (text[end - 1] in "'\"")
            if not any(one.start <= first and last <= one.end for one in whole):
                yield _Place(start, end, given, "part")
            start = folded.find(part, start + 1)


def _escaped(value: str) -> Iterator[tuple[str, str]]:
    if "'" in value:
        yield "doubled", value.replace("'", "''")
    if '"' in value:
        yield "doubled", value.replace('"', '""')
    if "'" in value or "\\" in value:
        slashed = value.replace("\\", "\\\\")
        yield "slashed", slashed.replace("'", "''")  # as libpq and others write it
        slashed = slashed.replace("'", "\\'")
        yield "slashed", slashed
        yield "slashed", slashed.replace('"', '\\"')


def _everywhere(text: str, value: str, given: Input) -> Iterator[Found]:
    folded, value = fold(text), fold(value)
    start = folded.find(value)
    while start >= 0:
        yield Found(given, start, start + len(value))
        start = folded.find(value, start + 1)


def _weigh(
    found: tuple[_Place, ...], readings: list[_Reading], dialect: str
) -> Verdict:
    slashed = {
        (place.input.text, place.start, place.end)
        for place in found
        if place.way == "slashed"
    }
    covering = [(place.start, place.end) for place in found if place.way in _ESCAPED]
    seen: set[tuple[int, int, str]] = set()
    raw: dict[str, Input] = {}
    escaped: dict[str, Input] = {}
    quoted = False
    for place in found:
        key = (place.start, place.end, place.way)
        if key in seen:
            continue
        seen.add(key)
        # Back-slashes before quotes are read as the engine is delivered; who escapes
        # with them on an engine that is set otherwise is not covered.
        is_slashed = any(
            text == place.input.text and start <= place.start and place.end <= end
            for text, start, end in slashed
        )
        # Quotes alone carry no code: what they would set free is judged both ways.
        is_quotes = not place.input.text.strip(_ESCAPING)
        asked = readings[:1] if is_slashed or is_quotes else readings
        is_escaped = place.way in _ESCAPED or any(
            start <= place.start and place.end <= end for start, end in covering
        )
        for reading in asked:
            why = reading.objection(
                place.start, place.end, is_part=place.way == "part"
            ) or reading.objection_to_swallowing(
                place.start, place.end, is_escaped=is_escaped
            )
            if why:
                return Verdict(Objection(why, place.input))
        if readings[0].in_quotes(place.start, place.end):
            quoted = True
            kept = escaped if place.way in _ESCAPED else raw
            kept.setdefault(place.input.text, place.input)
    if quoted and not SECOND.agrees(readings[0].tokens, dialect):
        return Verdict(Objection(_UNREADABLE, found[0].input))
    return Verdict(None, tuple(raw.values()), tuple(escaped.values()))


def _is_stacked(tokens: Tokens) -> bool:
    code = [
        token for token in tokens.all if token.kind not in {"comment", "line_comment"}
    ]
    return any(
        one.kind == "mark" and tokens.of(one) == ";" and tokens.of(two) != ";"
        for one, two in pairwise(code)
    )


class _Pieces:
    """Which places of a statement are the application's own text."""

    def __init__(self, tokens: Tokens, known: Constants) -> None:
        self._tokens = tokens
        self._pieces = tuple(known.pieces_in(tokens.text))
        self._starts = {start for start, _ in self._pieces}
        self._ends = {end for _, end in self._pieces}

    def hold(self, start: int, end: int, *, both_sides: bool) -> bool:
        """Return whether a place stands within a longer piece: with a word of it on
        either side, or on both, or with the statement's own beginning or end."""
        for first, last in self._pieces:
            if first <= start and end <= last and (last - first) > (end - start):
                left = self._word(first, start) or (first == 0 and start == 0)
                right = self._word(end, last) or (end == last == len(self._tokens.text))
                if first == 0 and not both_sides:
                    return True
                if (left and right) if both_sides else (left or right):
                    return True
        return False

    def adjoin(self, start: int, end: int) -> bool:
        """Return whether a piece ends or begins just there, as around a value that was
        put between two pieces."""
        return start in self._ends or end in self._starts

    def quotes_at(self, start: int, end: int) -> tuple[bool, bool]:
        """Return whether pieces open or close a literal at the edges of a place: one
        that ends just before it, and one that begins just behind it, with a quote that
        is not doubled."""
        text = self._tokens.text
        before = behind = False
        for first, last in self._pieces:
            if start in {first, last} or end in {first, last}:
                piece = text[first:last]
                if _IN_NO_TEMPLATE.search(piece) is not None:
                    continue
                before |= last == start and _is_odd(piece, _LAST_QUOTES)
                behind |= first == end and _is_odd(piece, _FIRST_QUOTES)
        return before, behind

    def _word(self, start: int, end: int) -> bool:
        return WORD.search(self._tokens.text, start, end) is not None


class _Reading:
    """A statement as an engine in one mode reads it."""

    def __init__(
        self,
        tokens: Tokens,
        dialect: str,
        backslash: bool,  # noqa: FBT001 - as ``read`` takes it
        known: Constants,
        approved: Callable[[str], bool],
    ) -> None:
        self.tokens = tokens
        self._text = tokens.text
        self._dialect = dialect
        self._backslash = backslash
        self._known = known
        self._approved = approved
        self._pieces: _Pieces | None = None

    def in_quotes(self, start: int, end: int) -> bool:
        """Return whether a place touches a literal or a quoted name."""
        first, last = self.tokens.touched(start, end)
        return any(
            token.kind in {"string", "quoted"} for token in self.tokens.all[first:last]
        )

    def objection(self, start: int, end: int, *, is_part: bool = False) -> str:
        """Return why an input may not stand there; empty if it may. Part of an input
        is more often the application's own text by chance: a name, unless it has been
        put between two pieces, and words that the developer has written so."""
        if self._ends_comment(start, end) and not self._is_own(start, end):
            return "input ends a comment"
        while start < end and self._text[start] in _SPACE:
            start += 1
        while start < end and self._text[end - 1] in _SPACE:
            end -= 1
        first, last = self.tokens.touched(start, end)
        if first == last:
            return ""
        if last - first == 1:
            why = self._in_one(self.tokens.all[first], start, end)
            by_chance = why == _IDENTIFIER and is_part
            return "" if by_chance and not self._own.adjoin(start, end) else why
        if (
            self._is_signed_number(first, last, start)
            or self._is_list_of_numbers(first, last)
            or self._is_list_of_names(start, end)
            or self._is_own(start, end, both_sides=not is_part)
        ):
            return ""
        return "input covers more than one token" + _BIND

    def objection_to_swallowing(self, start: int, end: int, *, is_escaped: bool) -> str:
        """Return why an input may not stand within a literal as it does: it makes the
        quote that should end the literal one that is doubled or escaped, so that the
        statement's own text up to the next quote becomes a part of it.

        Args:
            start: of the input.
            end: of the input.
            is_escaped: its quotes are doubled or escaped.
        """
        first, last = self.tokens.touched(start, end)
        if last - first != 1 or self.tokens.all[first].kind != "string":
            return ""
        token = self.tokens.all[first]
        opening, closing = _inside(self._text, token)
        if start < opening or end > closing or self._is_own(start, end):
            return ""
        before, behind = self._own.quotes_at(start, end)
        if (before and start > opening) or (behind and end < closing):
            return "input hides where a literal ends" + _BIND
        if not is_escaped and self._is_loose(token, opening, start, end):
            return "input leaves a quote or back-slash without its other half" + _BIND
        return ""

    def _is_loose(self, token: Token, opening: int, start: int, end: int) -> bool:
        """Return whether what surrounds an input decides what its own quotes are."""
        quote, written = self._text[opening - 1], self._text[start:end]
        if quote == "$":
            return False
        if self._backslash or self._text[token.start] in "eE":
            written = _PAIR.sub("", written)
            if written.endswith("\\"):
                return True
        return quote in written and any(
            len(run) % 2 for run in re.findall(f"{quote}+", written)
        )

    def _in_one(self, token: Token, start: int, end: int) -> str:  # noqa: PLR0911 - one answer a kind
        match token.kind:
            case "number":
                return ""
            case "placeholder":
                return self._in_placeholder(start, end)
            case "string":
                return self._in_string(token, start, end)
            case "quoted":
                return self._in_quoted(token, start, end)
            case "line_comment" | "comment":
                return self._in_comment(token, start, end)
            case "word":
                return self._in_word(token, start, end)
            case "mark":
                return self._in_mark(start, end)
        if self._is_own(start, end):
            return ""
        return "input stands where a literal or comment does not end" + _BIND

    def _in_placeholder(self, start: int, end: int) -> str:
        """A value may look like a placeholder; one that was put in would name another
        of the bound values."""
        written = self._text[start:end]
        if len(written) < _LEAST_NAMED or not self._own.adjoin(start, end):
            return ""
        return "" if self._is_own(start, end, both_sides=False) else _IDENTIFIER

    def _in_string(self, token: Token, start: int, end: int) -> str:
        opening, closing = _inside(self._text, token)
        if opening <= start and end <= closing:
            return ""
        if not self._text[start:end].strip(_ESCAPING):  # nothing but quotes
            inner = self._text[opening:closing]
            is_empty = not inner.strip(_ESCAPING + _SPACE)
            if inner and is_empty and not self._is_continued(token):
                return ""  # ... escaped, and there is nothing else in the literal
            if self._is_own(start, end, both_sides=False):
                return ""
        return "" if self._is_own(start, end) else "input touches a quote" + _BIND

    def _is_continued(self, token: Token) -> bool:
        """Return whether a literal stands beside another, with which engines read it as
        one: what stood between two inputs, a condition say, would be in the middle."""
        first, last = self.tokens.touched(token.start, token.end)
        beside = self.tokens.all[max(first - 1, 0) : last + 1]
        return sum(one.kind == "string" for one in beside) > 1

    def _in_quoted(self, token: Token, start: int, end: int) -> str:
        opening, closing = _inside(self._text, token)
        if start < opening or end > closing:
            return "" if self._is_own(start, end) else "input touches a quote" + _BIND
        name = self._text[opening:closing]
        if self._approved(name) or self._approved(self._text[token.start : token.end]):
            return ""
        if self._dialect == "sqlite" and WORD.fullmatch(name) is None:
            return ""  # no column is named so: SQLite takes it for a text
        return self._as_name(name, start, end)

    def _in_comment(self, token: Token, start: int, end: int) -> str:
        closing = 2 if token.kind == "comment" else 0
        inside = token.start + 2 <= start and end <= token.end - closing
        around = self._text[start - 1 : end + 1]
        if inside and "*/" not in around and "/*" not in around:
            return ""
        return "" if self._is_own(start, end) else "input begins or ends a comment"

    def _in_word(self, token: Token, start: int, end: int) -> str:
        return self._as_name(self.tokens.of(token), start, end)

    def _as_name(self, name: str, start: int, end: int) -> str:
        """Judge a name of which input is the whole or a part.

        A name that is also a constant of the application is its own: it has been
        chosen by an allow-list in the code, or cannot be told from one that was. Names
        of secrets are no part of such lists: who sorts by a password learns it in time.
        """
        written = self._text[start:end]
        if self._approved(name) or self._is_own(start, end, both_sides=False):
            return ""
        is_column = written == name and self._text[end : end + 1] not in {".", "("}
        if is_column and self._is_where_values_belong(start):
            return _AS_VALUE
        adjoins = self._own.adjoin(start, end)
        if adjoins and _is_secret(name):
            return _IDENTIFIER
        if written in self._known.texts or name in self._known.texts:
            return ""
        # By chance: nothing says that anything was put in there.
        is_chance = not adjoins and (written != name or name in self._known.names)
        return "" if is_chance else _IDENTIFIER

    def _is_where_values_belong(self, start: int) -> bool:
        """Return whether what stands there is compared or calculated with: as a name
        it would make a condition that always holds, ``id=id``."""
        first, _ = self.tokens.touched(start, start + 1)
        before = [self.tokens.of(token) for token in self.tokens.all[:first][-2:]]
        if not before:
            return False
        if before[-1] == "(":
            return before[0].lower() in {"in", "values"}
        return _BEFORE_VALUES.fullmatch(before[-1]) is not None

    def _in_mark(self, start: int, end: int) -> str:
        if self._is_own(start, end, both_sides=False):
            return ""
        if self._own.adjoin(start, end):
            return "input stands in it as an operator" + _BIND
        return ""

    def _ends_comment(self, start: int, end: int) -> bool:
        first, last = self.tokens.touched(max(start - 1, 0), end)
        return any(
            token.kind == "line_comment" and start <= token.end < end
            for token in self.tokens.all[first:last]
        )

    def _is_signed_number(self, first: int, last: int, start: int) -> bool:
        sign, number = self.tokens.all[first], self.tokens.all[last - 1]
        if (
            last - first != 1 + 1
            or number.kind != "number"
            or self.tokens.of(sign) not in {"-", "+"}
            or sign.end != number.start
            or sign.start != start
        ):
            return False
        if first == 0:
            return False
        before = self.tokens.all[first - 1]
        written = self.tokens.of(before)
        if before.kind == "word":
            return _BEFORE_A_SIGN.fullmatch(written) is not None
        return before.kind == "mark" and written not in {")", "]"}

    def _is_list_of_numbers(self, first: int, last: int) -> bool:
        """Return whether tokens are numbers and commas within ``IN (...)``."""
        every = self.tokens.all

        def is_part(token: Token) -> bool:
            return token.kind in {"number", "string", "placeholder"} or (
                token.kind == "mark" and self._text[token.start] in ",-"
            )

        for place in range(first, last):
            written = self.tokens.of(every[place])
            if written == "-":
                if place == 0 or self.tokens.of(every[place - 1]) not in {",", "("}:
                    return False
            elif written != "," and every[place].kind != "number":
                return False
        while last < len(every) and is_part(every[last]):
            last += 1
        while first > 0 and is_part(every[first - 1]):
            first -= 1
        return (
            first > 1
            and last < len(every)
            and self.tokens.of(every[last]) == ")"
            and self.tokens.of(every[first - 1]) == "("
            and self.tokens.of(every[first - 2]).lower() == "in"
        )

    def _is_list_of_names(self, start: int, end: int) -> bool:
        """Return whether a place holds columns only, each of them a constant of the
        application or let through by an allow-list."""
        written = self._text[start:end]
        if _COLUMNS.fullmatch(written) is None or self._is_where_values_belong(start):
            return False
        return all(
            word.lower() in _DIRECTIONS
            or self._approved(word)
            or (word in self._known.texts and not _is_secret(word))
            for word in WORD.findall(written)
        )

    def _is_own(self, start: int, end: int, *, both_sides: bool = True) -> bool:
        return self._own.hold(start, end, both_sides=both_sides)

    @property
    def _own(self) -> _Pieces:
        if self._pieces is None:
            self._pieces = _Pieces(self.tokens, self._known)
        return self._pieces


def _is_secret(name: str) -> bool:
    return not _SECRETS.isdisjoint(name.lower().split("_"))


_FIRST_QUOTES = re.compile(r"\A(?:'+|\"+)")
_LAST_QUOTES = re.compile(r"(?:'+|\"+)\Z")
_PAIR = re.compile(r"\\.", re.DOTALL)
# Constants that show an attack begin like the rest of a template, and are none.
_IN_NO_TEMPLATE = re.compile(r";|--|/\*")


def _is_odd(piece: str, quotes: re.Pattern[str]) -> bool:
    match = quotes.search(piece)
    return match is not None and len(match[0]) % 2 == 1


def _inside(text: str, token: Token) -> tuple[int, int]:
    """Return where the content of a literal or a quoted name begins and ends."""
    if text[token.start] in _QUOTES:
        return token.start + 1, token.end - 1
    written = text[token.start : token.end]
    if written.startswith("$"):  # $tag$ ... $tag$
        width = written.index("$", 1) + 1
        return token.start + width, token.end - width
    quote = min(place for mark in _QUOTES if (place := written.find(mark)) >= 0)
    return token.start + quote + 1, token.end - 1
