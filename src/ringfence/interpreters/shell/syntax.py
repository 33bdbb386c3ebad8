"""What each character of a shell script is: text, quoted text, or syntax.

Written for the question whether a value that stands in a script is still one value:
what cannot be told for every shell alike (here-documents, ``$'...'``, quotes that do
not end) makes the whole script doubtful.

Source: POSIX.1-2024, Shell Command Language, sections 2.2 (quoting), 2.3 (token
recognition), 2.6 (word expansions).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SYNTAX, OPENING, WORD, SINGLE, DOUBLE = ".", "(", "w", "s", "d"

_TEXT = frozenset("_-./:,+@%=")
_BETWEEN = frozenset(" \t\n;&|()<>")
_WITH_PATTERNS = frozenset({"case", "esac", "function"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_QUOTING = re.compile(r"['\"\\]")
_DOUBTFUL_IN_BRACES = re.compile(r"['\"`$\\{]")
# Behind these a command follows, or its name does.
_BEFORE_COMMANDS = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "do",
        "while",
        "until",
        "!",
        "{",
        "time",
        "exec",
        "eval",
        "command",
        "builtin",
        "env",
        "sudo",
        "doas",
        "nohup",
        "nice",
        "ionice",
        "setsid",
        "stdbuf",
        "xargs",
    ]
)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a script.

    Args:
        start: where it begins.
        end: where it has ended.
        text: without its quotes.
        place: ``command``, ``assignment`` or ``argument``.
    """

    start: int
    end: int
    text: str
    place: str


@dataclass(slots=True)
class Script:
    """A script that has been looked through.

    Args:
        marks: for each character ``WORD``, ``SINGLE`` or ``DOUBLE`` (within such
            quotes), ``OPENING`` (the first of two single quotes) or ``SYNTAX``.
        words: in order; those in ``$(...)`` before the one around them.
        is_certain: whether every shell reads it so.
    """

    marks: list[str]
    words: list[Word] = field(default_factory=list)
    is_certain: bool = True

    def kinds(self, start: int, end: int) -> frozenset[str]:
        """Return what stands in a part of the script."""
        return frozenset(self.marks[start:end])

    def word_at(self, place: int) -> Word | None:
        """Return the innermost word that holds a character."""
        return next((w for w in self.words if w.start <= place < w.end), None)


def read_script(text: str) -> Script:
    """Look through a script."""
    reader = _Reader(text)
    reader.commands(closing="")
    return reader.script


def is_text(character: str) -> bool:
    """Return whether a character means nothing to a shell outside of quotes."""
    if character.isascii():
        return character.isalnum() or character in _TEXT
    return not character.isspace()


class _Reader:
    """Reads from left to right, one function for each way of quoting."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.script = Script([SYNTAX] * len(text))

    def commands(self, *, closing: str) -> None:
        """Read commands up to a closing parenthesis, or to the end."""
        expected, redirected = "command", False
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "#":
                self._skip_to("\n")
            elif character not in _BETWEEN:
                expected = self._word(expected, redirected=redirected)
                redirected = False
            else:
                self.at += 1
                if character == ")" and closing:
                    return
                redirected = self._between(character) or (
                    redirected and character in " \t"
                )
                if character not in " \t<>":
                    expected = "command"
        self._doubt(when=bool(closing))

    def _between(self, character: str) -> bool:
        """Read on after what separates words; return whether it redirects."""
        if character == "(":
            self.commands(closing=")")
        elif character == ")":
            self._doubt()  # the pattern of a ``case``, perhaps
        elif character in "<>":
            self._doubt(when=self.text.startswith("<<", self.at - 1))
            while self.text[self.at : self.at + 1] in {">", "&", "|"}:
                self.at += 1
            return True
        return False

    def _word(self, expected: str, *, redirected: bool) -> str:
        """Read a word; return what is expected next."""
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in _BETWEEN:
            self._piece(self.text[self.at])
        raw = self.text[start : self.at]
        text = _QUOTING.sub("", raw)
        place = "argument" if redirected else expected
        if place == "command" and _ASSIGNMENT.match(raw):
            place = "assignment"
        self.script.words.append(Word(start, self.at, text, place))
        self._doubt(when=place == "command" and text in _WITH_PATTERNS)
        if place == "command" and text not in _BEFORE_COMMANDS:
            return "argument"
        return expected

    def _piece(self, character: str) -> None:
        """Read the next part of a word."""
        if character == "'":
            self._single()
        elif character == '"':
            self._double()
        elif character == "\\":
            self.at += 2
        elif character == "$":
            self._dollar(quoted=False)
        elif character == "`":
            self._backticks()
        else:
            if is_text(character):
                self.script.marks[self.at] = WORD
            self.at += 1

    def _single(self) -> None:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            self._give_up()
            return
        self.script.marks[self.at] = OPENING
        self.script.marks[self.at + 1 : end] = [SINGLE] * (end - self.at - 1)
        self.at = end + 1

    def _double(self) -> None:
        self.at += 1
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == '"':
                self.at += 1
                return
            if character == "\\":
                self.at += 2
            elif character == "$":
                self._dollar(quoted=True)
            elif character == "`":
                self._backticks()
            else:
                self.script.marks[self.at] = DOUBLE
                self.at += 1
        self._give_up()

    def _dollar(self, *, quoted: bool) -> None:
        self.at += 1
        follows = self.text[self.at : self.at + 1]
        if follows == "(":
            self.at += 1
            self.commands(closing=")")
        elif follows == "{":
            end = self.text.find("}", self.at)
            inside = self.text[self.at + 1 : end]
            self._doubt(when=end < 0 or bool(_DOUBTFUL_IN_BRACES.search(inside)))
            self.at = len(self.text) if end < 0 else end + 1
        elif follows == "'" and not quoted:
            self._doubt()  # an escape to bash, a literal to dash
        elif match := _NAME.match(self.text, self.at):
            self.at = match.end()

    def _backticks(self) -> None:
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != "`":
            self.at += 2 if self.text[self.at] == "\\" else 1
        self._doubt(when=self.at >= len(self.text))
        self.at += 1

    def _skip_to(self, character: str) -> None:
        end = self.text.find(character, self.at)
        self.at = len(self.text) if end < 0 else end

    def _give_up(self) -> None:
        self._doubt()
        self.at = len(self.text)

    def _doubt(self, *, when: bool = True) -> None:
        if when:
            self.script.is_certain = False
