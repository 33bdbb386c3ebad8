"""Cuts a statement into tokens as its engine does, and writes it down again so plainly
that no two readers could take it for different things.

sqlglot and an engine may disagree on where a string, a comment or a name ends; whoever
finds such a place makes one of them see a filter that the other does not. So the text
is cut here, whatever engines or their settings read differently is refused, and what
sqlglot is given has no comments, no text of strings, and one kind of parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ringfence.access.statements.objection import ObjectionError
from ringfence.access.statements.verdicts import Key

MOST_CHARACTERS = 4_000_000  # of one statement: some 10 000 rows of one INSERT
STRING = re.compile("s[0-9]+")
"""What sqlglot is given instead of the text of a string."""
_LEAST_LIST = 2  # values in a list that is folded

_SHARED = r"""
  (?P<space>[ \t\n\r\f]+)
| (?P<line>--[^\n]*)
| (?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    (?![A-Za-z0-9_$]))
"""
_WORD = r"(?P<word>[A-Za-z_][A-Za-z0-9_$]*)"
_MARK = r"(?P<mark><=>|->>|->|\|\||<<|>>|&&|<=|<>|>=|==|!=|[-+*/%<>=~!@\#&|^(),.;])"
# PostgreSQL takes the longest run of these for one operator: `=@` is not `=` and `@`.
_RUN = (
    r"(?P<run>(?:(?!--|/\*|%[%(]|%s\b)[-+*/<>=~!@\#%^&|`?])+)|(?P<mark>::|[(),.;\[\]:])"
)


def _names(said: str) -> frozenset[str]:
    return frozenset(said.split())


_OPERATORS = _names(
    "+ - * / % ^ = < > <= >= <> != || -> ->> #> #>> @> <@ ? ?| ?& && @@ ~ ~* !~ "
    "!~* | & # << >> => <-> @"
)
_NAMED = r"(?<![:A-Za-z0-9_$\[]):(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
_FORMAT = r"(?P<format>%\((?P<formatted>[^()%]+)\)s|%s(?![A-Za-z0-9_]))|(?P<percent>%%)"

_PATTERNS = {
    "sqlite": re.compile(
        rf"""{_SHARED}
        | (?P<comment>/\*.*?\*/)
        | (?P<string>[xX]?'[^']*(?:''[^']*)*')
        | (?P<quoted>"[^"]*(?:""[^"]*)*"|`[^`]*`|\[[^\]]*\])
        | (?P<mark_>\?(?![0-9])) | {_NAMED}
        | {_WORD} | {_MARK}""",
        re.VERBOSE | re.DOTALL,
    ),
    "postgres": re.compile(
        rf"""{_SHARED}
        | (?P<open>/\*) | (?P<unicode>[uU]&(?=['"]))
        | (?P<string>[eExXbB]?'[^']*(?:''[^']*)*'
          | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag))
        | (?P<quoted>"[^"]*(?:""[^"]*)*")
        | \$(?P<dollar>[0-9]{{1,5}})(?![A-Za-z0-9_$]) | {_FORMAT} | {_NAMED}
        | {_WORD} | {_RUN}""",
        re.VERBOSE | re.DOTALL,
    ),
    "mysql": re.compile(
        rf"""{_SHARED}
        | (?P<comment>/\*(?![!+M]).*?\*/)
        | (?P<string>[xXbB]?'[^']*(?:''[^']*)*')
        | (?P<quoted>`[^`]*`)
        | (?P<mark_>\?(?![0-9])) | {_FORMAT} | {_NAMED}
        | @@(?P<setting>[A-Za-z_.]+)
        | {_WORD} | {_MARK}""",
        re.VERBOSE | re.DOTALL,
    ),
}
_PARAMETERS = frozenset({"mark_", "name", "dollar", "format", "formatted"})
_UNTRIMMED = re.compile(r"[~!@#%^&|`?]")
_ODD_BACKSLASH = re.compile(r"(?<!\\)(?:\\\\)*\\'")
_FORMAT_INSIDE = re.compile(r"%(?!%)")
_COMMENT_EDGE = re.compile(r"/\*|\*/")


class Token(NamedTuple):
    """A piece of a statement.

    Args:
        kind: ``word``, ``quoted``, ``string``, ``number``, ``param`` or ``mark``.
        text: as sqlglot gets it.
        value: of a string or a quoted name.
    """

    kind: str
    text: str
    value: str = ""


@dataclass(slots=True)
class Lexed:
    """A statement, cut and written down again.

    Args:
        tokens: without comments.
        keys: by number of the parameter, its key; several where rows of the same shape
            or the values of a list were folded into the first of them.
        strings: by number, what stood in quotes.
    """

    tokens: list[Token]
    keys: list[tuple[Key, ...]] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)

    @property
    def plain(self) -> str:
        """The statement, as sqlglot gets it."""
        return " ".join(token.text for token in self.tokens)


def lex(text: str, dialect: str) -> Lexed:
    """Cut a statement into tokens.

    Args:
        text: at most 4 000 000 characters.
        dialect: ``sqlite``, ``postgres`` or ``mysql``.

    Raises:
        ObjectionError: engines, or their settings, could read it differently.
    """
    if len(text) > MOST_CHARACTERS:
        raise ObjectionError("The statement is longer than 4 000 000 characters.")
    reader = _Reader(text, dialect)
    tokens = list(reader.tokens())
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if any(token.text == ";" for token in tokens):
        raise ObjectionError(
            "Several statements in one text are refused: send them apart."
        )
    return Lexed(_folded(tokens, reader.keys), reader.keys, reader.strings)


class _Reader:
    """Reads one text."""

    def __init__(self, text: str, dialect: str) -> None:
        self._text = text
        self._dialect = dialect
        self._styles: set[str] = set()
        self._formatted = False  # a percent sign stands inside quotes or a comment
        self.keys: list[tuple[Key, ...]] = []
        self.strings: list[str] = []

    def tokens(self) -> Iterator[Token]:
        text, match = self._text, _PATTERNS[self._dialect].match
        at, end = 0, len(text)
        last = ""
        while at < end:
            found = match(text, at)
            if found is None:
                raise ObjectionError(
                    f"The statement cannot be read at {text[at : at + 20]!r}."
                )
            at = found.end()
            kind = found.lastgroup or ""
            if kind == "space":
                continue
            if kind in ("line", "comment", "open"):
                at = self._comment(kind, found)
                continue
            if kind == "unicode":
                # U&"\006frders" is a name, too.
                raise ObjectionError("Text with U& cannot be read: write it plainly.")
            if kind == "mark" and text.startswith("/*", found.start()):
                # SQLite takes all that follows for a comment, sqlglot for a product.
                raise ObjectionError("A comment does not end.")
            if kind == "run":
                token, at = self._run(found)
            else:
                token = self._token(kind, found)
            if token.kind == "string" and last == "string":
                raise ObjectionError("Two strings stand side by side: write one.")
            if token.kind == "word" and last in ("number", "param"):
                self._apart(found)
            last = token.kind
            yield token
        self._agreed()

    def _apart(self, found: re.Match[str]) -> None:
        # `?1`, `1x`: what belongs together is not the same for every engine.
        before = self._text[found.start() - 1]
        if before.isalnum() or before in "_?$":
            raise ObjectionError("A name stands too close to a number or a parameter.")

    def _comment(self, kind: str, found: re.Match[str]) -> int:
        if kind == "open":
            return self._nested(found)
        body = found[0]
        if kind == "line" and self._dialect == "mysql" and body[2:3].strip():
            raise ObjectionError("MySQL needs a space after -- to see a comment.")
        if kind == "line" and "\r" in body.rstrip("\r"):
            # It ends a comment in PostgreSQL, and in no other engine.
            raise ObjectionError("A carriage return stands in a comment: leave it out.")
        self._note_format(body)
        return found.end()

    def _nested(self, found: re.Match[str]) -> int:
        depth, at = 1, found.end()
        while depth:
            edge = _COMMENT_EDGE.search(self._text, at)
            if edge is None:
                raise ObjectionError("A comment does not end.")
            depth += 1 if edge[0] == "/*" else -1
            at = edge.end()
        self._note_format(self._text[found.start() : at])
        return at

    def _note_format(self, body: str) -> None:
        # Drivers that format with % count what stands inside quotes and comments too:
        # '%s' in a string would move every later parameter by one.
        if "%" in body and _FORMAT_INSIDE.search(body.replace("%%", "")):
            self._formatted = True

    def _agreed(self) -> None:
        if len(self._styles) > 1:
            raise ObjectionError("Parameters are written in more than one style.")
        if self._formatted and self._styles & {"%", "%()"}:
            raise ObjectionError(
                "A percent sign stands in a string or a comment: write it twice."
            )

    def _token(self, kind: str, found: re.Match[str]) -> Token:
        text = found[0]
        if kind in _PARAMETERS:
            return self._param(kind, found)
        match kind:
            case "string" | "tag" | "setting":
                return self._string(text)
            case "quoted":
                return self._quoted(text)
            case "percent":
                return Token("mark", "%")
            case "mark":
                return self._mark(text)
            case _:
                return Token(kind, text)

    def _mark(self, text: str) -> Token:
        if self._dialect == "mysql" and text in ("||", "&&", "!", "#"):
            raise ObjectionError(
                f"What {text} means depends on MySQL's settings: write OR, AND, NOT or "
                "concat()."
            )
        if self._dialect == "sqlite" and text == "@":
            raise ObjectionError("Parameters are written ? or :name, and not @name.")
        return Token("mark", text)

    def _run(self, found: re.Match[str]) -> tuple[Token, int]:
        text = found[0]
        if text not in _OPERATORS and not _UNTRIMMED.search(text):
            text = text.rstrip("+-") or text[0]
        if text not in _OPERATORS:
            raise ObjectionError(f"The operator {found[0]!r} cannot be read.")
        if text == "%":
            self._formatted = True
        return Token("mark", text), found.start() + len(text)

    def _string(self, text: str) -> Token:
        if self._dialect != "sqlite" and _ODD_BACKSLASH.search(text[:-1] + "'"):
            raise ObjectionError(
                "A backslash stands before a quote in a string: bind the value instead."
            )
        self._note_format(text)
        body = text[text.index("'") + 1 : -1] if "'" in text else text
        plain = text.startswith("'")
        self.strings.append(body.replace("''", "'") if plain else "\0")
        return Token("string", f"'s{len(self.strings) - 1}'")

    def _quoted(self, text: str) -> Token:
        body = text[1:-1]
        if not body or any(sign in body for sign in '"`[]\\\0\n'):
            raise ObjectionError(f"The name {text} cannot be read.")
        self._note_format(body)
        quote = "`" if self._dialect == "mysql" else '"'
        return Token("quoted", f"{quote}{body}{quote}", body)

    def _param(self, kind: str, found: re.Match[str]) -> Token:
        number = len(self.keys)
        key: Key = number
        style = kind
        if kind == "dollar":
            key = int(found["dollar"]) - 1
        elif kind == "name":
            key = found["name"]
        elif kind in ("format", "formatted"):
            style = "%"
            if found["formatted"]:
                style, key = "%()", found["formatted"]
        self._styles.add(style)
        self.keys.append((key,))
        return Token("param", f":p{number}")


def _folded(tokens: Sequence[Token], keys: list[tuple[Key, ...]]) -> list[Token]:
    """Return the tokens with rows of one shape after VALUES, and parameters in a list
    after IN, folded into the first: a thousand rows are read as one."""
    kept: list[Token] = []
    at, end = 0, len(tokens)
    while at < end:
        token = tokens[at]
        kept.append(token)
        at += 1
        if token.kind != "word" or at >= end or tokens[at].text != "(":
            continue
        word = token.text.upper()
        if word == "VALUES":
            at = _rows(tokens, at, kept, keys)
        elif word == "IN":
            at = _list(tokens, at, kept, keys)
    return kept


def _closing(tokens: Sequence[Token], at: int) -> int:
    """Return the place after the bracket that closes the one at ``at``."""
    depth = 0
    for place in range(at, len(tokens)):
        text = tokens[place].text
        depth += (text == "(") - (text == ")")
        if not depth:
            return place + 1
    raise ObjectionError("A bracket does not close.")


def _number(token: Token) -> int:
    return int(token.text[2:])


def _rows(
    tokens: Sequence[Token],
    at: int,
    kept: list[Token],
    keys: list[tuple[Key, ...]],
) -> int:
    end = _closing(tokens, at)
    first = list(tokens[at:end])
    length = end - at
    rows: list[Sequence[Token]] = []
    while (
        end + 1 < len(tokens)
        and tokens[end].text == ","
        and tokens[end + 1].text == "("
    ):
        row = tokens[end + 1 : end + 1 + length]
        if not _alike(first, row):
            break
        rows.append(row)
        end += 1 + length
    for place, token in enumerate(first):
        if token.kind == "param":
            more = tuple(keys[_number(row[place])][0] for row in rows)
            keys[_number(token)] += more
        elif any(row[place].text != token.text for row in rows):
            # Values that differ from row to row: nothing may be concluded from them.
            first[place] = Token("string", "'differs'")
    kept.extend(first)
    return end


def _alike(first: Sequence[Token], row: Sequence[Token]) -> bool:
    return len(first) == len(row) and all(
        one.kind == other.kind
        and (one.kind in ("param", "number", "string") or one.text == other.text)
        for one, other in zip(first, row, strict=True)
    )


def _list(
    tokens: Sequence[Token],
    at: int,
    kept: list[Token],
    keys: list[tuple[Key, ...]],
) -> int:
    end = _closing(tokens, at)
    inside = tokens[at + 1 : end - 1]
    values, commas = inside[::2], inside[1::2]
    if (
        len(values) < _LEAST_LIST
        or len(values) != len(commas) + 1
        or any(token.kind != "param" for token in values)
        or any(token.text != "," for token in commas)
    ):
        return at
    first = _number(values[0])
    keys[first] = tuple(keys[_number(token)][0] for token in values)
    kept.extend((tokens[at], values[0], tokens[end - 1]))
    return end
