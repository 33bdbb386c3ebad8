"""A command as a template: words of the application with gaps for values, and no shell.

``command("ffmpeg -i input.mp4 {filename}")`` is as short as the f-string that it takes
the place of. It is split into words once, before any value is known; each value then
stays within its word.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import cast

from ringfence.interpreters.objection import object_to
from ringfence.interpreters.shell.commands import PROGRAM, parts
from ringfence.interpreters.shell.judge import OPTION
from ringfence.interpreters.shell.syntax import SYNTAX, read_script
from ringfence.interpreters.shell.written import Fixed
from ringfence.interpreters.sink import Sink

SINK = Sink("shell", "ringfence.shell")
RESERVED = frozenset({"stdin"})

Value = str | int | float | os.PathLike[str]
"""What one gap takes."""

_LONGEST = 131_071  # bytes of one argument: MAX_ARG_STRLEN of Linux, less its NUL
_OF_A_SHELL = frozenset("|&;<>()$`*?~\n")
_PLACE = "\ue000"  # of no script and no program
_SURROGATE = re.compile("[\ud800-\udfff]")


class Lines(str):
    """A text that may have several lines, such as a commit message."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Word:
    """One argument: literal text and names of gaps in turn, the text first."""

    literals: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def is_gap(self) -> bool:
        """Whether it is one gap and nothing else."""
        return self.literals == ("", "")

    def fill(self, values: Sequence[str]) -> str:
        """Put values into the gaps."""
        filled = [self.literals[0]]
        for value, literal in zip(values, self.literals[1:], strict=True):
            filled += (value, literal)
        return "".join(filled)


@dataclass(frozen=True, slots=True)
class Template:
    """The words of a command."""

    words: tuple[Word, ...]

    @property
    def program(self) -> str:
        """What is started."""
        return self.words[0].literals[0]

    @property
    def gaps(self) -> frozenset[str]:
        """The names of all gaps."""
        return frozenset(name for word in self.words for name in word.gaps)

    def arguments(self, values: Mapping[str, Value | Sequence[Value]]) -> list[str]:
        """Return the argument array, program first.

        Args:
            values: one for each gap; several, as a list, for a gap that is a word.

        Raises:
            TypeError: a gap without a value, a value without a gap, or one of a type
                that is no text.
            InjectionRefusedError: a value that would turn into an option, names a file
                of further arguments, is empty, or holds NUL or a line break.
        """
        if self.gaps != values.keys():
            wrong = ", ".join(sorted(self.gaps ^ values.keys()))
            raise TypeError(f"gaps and values do not fit each other: {wrong}")
        made: list[str] = []
        for word in self.words:
            given = [values[name] for name in word.gaps]
            guarded = "--" not in made
            if word.is_gap and isinstance(given[0], (list, tuple)):
                made += [_checked(each, option=guarded) for each in given[0]]
                continue
            starts = word.literals[0] == ""
            texts = [
                _checked(cast("Value", each), option=guarded and starts and place == 0)
                for place, each in enumerate(given)
            ]
            made.append(word.fill(texts) if word.gaps else Fixed(word.literals[0]))
        return made


def read_template(text: str) -> Template:
    """Split a template into words.

    Raises:
        ValueError: it needs a shell, leaves the program open, or has a gap in a script.
    """
    script = read_script(text)
    for character, mark in zip(text, script.marks, strict=True):
        if mark == SYNTAX and character in _OF_A_SHELL:
            message = (
                f"there is no shell that would read {character!r}: write one command; "
                "quote what is meant as text; a pipe is two commands, the output of "
                "the first as stdin of the second"
            )
            raise ValueError(message)
    words = tuple(map(_read_word, shlex.split(text)))
    if not words or words[0].gaps or not words[0].literals[0]:
        raise ValueError("a command begins with its program, which cannot be a gap")
    for part in parts([word.fill([_PLACE] * len(word.gaps)) for word in words]):
        if _PLACE in part.text:
            what = "the program" if part.kind == PROGRAM else "a script"
            message = (
                f"a value cannot be {what}, or part of it; pass it to a script as an "
                "argument: sh -c 'convert \"$1\"' sh {filename}"
            )
            raise ValueError(message)
    taken = RESERVED & {name for word in words for name in word.gaps}
    if taken:
        raise ValueError(f"call the gap otherwise: {', '.join(taken)} means another")
    return Template(words)


def _read_word(text: str) -> Word:
    literals, gaps = [""], []
    for literal, name, form, conversion in Formatter().parse(text):
        literals[-1] += literal
        if name is None:
            continue
        if not name.isidentifier() or form or conversion:
            raise ValueError(
                f"{{{name}}} is no gap; write a name only, as {{filename}}"
            )
        gaps.append(name)
        literals.append("")
    return Word(tuple(literals), tuple(gaps))


def _checked(value: Value, *, option: bool) -> str:
    """Return a value as text that stays what it is."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise TypeError(f"a value is text, a number or a path, not {type(value)}")
    why = _why_not(text, option=option, lines=isinstance(value, Lines))
    if why:
        object_to(SINK, why)
    return str(text)


def _why_not(text: str, *, option: bool, lines: bool) -> str:
    """Return why a text is no value, if it is none."""
    objections = (
        (not text, "an empty value; {folder}/ would become /"),
        ("\0" in text, "a value holds NUL, where it would end"),
        (
            not lines and ("\n" in text or "\r" in text),
            "a value holds a line break; pass shell.lines(...) where one is meant",
        ),
        (
            text.startswith("@"),
            "a value names a file of arguments; write shell.file(...) for a name",
        ),
        (
            option and OPTION.match(text) is not None,
            "a value turns into an option; write -- before it, or shell.file(...)",
        ),
        (
            len(text.encode(errors="replace")) > _LONGEST,
            "a value is longer than an argument can be",
        ),
        (_SURROGATE.search(text) is not None, "a value is no Unicode text"),
    )
    return next((why for applies, why in objections if applies), "")
