"""The guard at the shell: what becomes a program, or part of one, is not what a request
has brought (CWE-78, CWE-88; ASVS 5.0 V1.2.5).

Argument arrays pass: there an input is one argument, whatever stands in it. A script
is read as a shell reads it, and an input in it must be one word, or text within one
pair of quotes.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ringfence.interpreters.shell.commands import (
    CODE,
    PROGRAM,
    SCRIPT,
    name_of,
    parts,
    reads_again,
)
from ringfence.interpreters.shell.syntax import (
    DOUBLE,
    OPENING,
    SINGLE,
    WORD,
    Script,
    is_text,
    read_script,
)
from ringfence.interpreters.shell.syntax import Word as ScriptWord
from ringfence.interpreters.shell.written import Fixed, Span, is_within, written_in
from ringfence.interpreters.sink import Here, Sink
from ringfence.interpreters.untrusted import Found, Input, fold

OPTION = re.compile(r"--?[A-Za-z?@]")
"""What may be an option. What begins like a number is none (``-5``, ``-20 °C``)."""

_WORDS = re.compile(r"\w+")
_PHRASE = re.compile(r"[\w .,:+-]+")
# What a linker, a shell or an interpreter carries out before the program itself.
_DANGEROUS = re.compile(
    r"LD_.+|DYLD_.+|PATH|IFS|ENV|BASH_ENV|BASH_FUNC_.+|SHELLOPTS|PS4|PROMPT_COMMAND"
    r"|PYTHON(?:PATH|HOME|STARTUP|INSPECT|BREAKPOINT|WARNINGS)|PERL5?(?:LIB|OPT|DB)"
    r"|PERL5LIB|RUBY(?:LIB|OPT)|NODE_(?:OPTIONS|PATH)|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS"
    r"|GIT_.+|EDITOR|VISUAL|PAGER|BROWSER|LESSOPEN|MANPAGER|GCONV_PATH|SSH_ASKPASS"
)
_FUNCTION = "() {"  # CVE-2014-6271


@dataclass(frozen=True)
class Case:
    """One text that is judged: what stands in it, and what the application wrote."""

    text: str
    whom: Here

    @cached_property
    def written(self) -> list[Span]:
        return written_in(self.text)

    def found(self) -> Iterator[Found]:
        """Yield the inputs in it that the application has not written itself."""
        if isinstance(self.text, Fixed):
            return
        for found in self.whom.inputs.found_in(self.text):
            if not is_within(found.start, found.end, self.written):
                yield found

    def is_written(self) -> bool:
        """Return whether all of it stands in the code that has led here."""
        if isinstance(self.text, Fixed):
            return True
        return is_within(0, len(self.text), self.written)


Objection = tuple[str, Found]


def in_script(case: Case) -> Objection | None:
    """Return what speaks against a script of a shell."""
    script: Script | None = None
    for found in case.found():
        script = script or read_script(case.text)
        why = _why_not(script, case.text, found)
        if why and not _is_quoted_whole(case, script, found):
            return why, found
    return None


def _is_quoted_whole(case: Case, script: Script, found: Found) -> bool:
    """Return whether an input is part of an argument that was quoted well."""
    word = script.word_at(found.start)
    if word is None or word.place == "command":
        return False
    return is_within(found.start, found.end, _quoted(case, script))


def _quoted(case: Case, script: Script) -> Iterator[Span]:
    """Yield where ``shlex.quote`` has put a value with single quotes in it: what it
    makes of them looks like the end of a quotation to whoever finds only a part."""
    if not script.is_certain or _is_read_again(script):
        return
    text = fold(case.text)
    for value in case.whom.inputs.values:
        if "'" in value.text:
            quoted = fold(shlex.quote(value.text))
            start = text.find(quoted)
            while start >= 0:
                if script.marks[start] == OPENING:
                    yield start, start + len(quoted)
                start = text.find(quoted, start + 1)


def _why_not(script: Script, text: str, found: Found) -> str:
    if not script.is_certain:
        return "a script that shells read differently holds an input"
    kinds = script.kinds(found.start, found.end)
    given = text[found.start : found.end]
    word = script.word_at(found.start)
    if word is None or kinds not in ({WORD}, {SINGLE}, {DOUBLE}):
        return "an input is more than one word of a script"
    if _is_program(script, text, word, given):
        return "an input chooses the program"
    if kinds == {WORD}:
        if word.place == "assignment" and "=" in given:
            return "an input sets a variable"
    elif _is_read_again(script) and not all(map(is_text, given)):
        return "quoted text holds an input, and a second interpreter reads it"
    return _as_option(script, word, given)


def _is_program(script: Script, text: str, word: ScriptWord, given: str) -> bool:
    """Return whether an input decides what is carried out: as the command, behind a
    variable that may be empty, or behind ``timeout 5`` and the like."""
    if word.place == "command":
        raw = text[word.start : word.end]
        if "$" in raw or "`" in raw:
            return True
        start = word.text.rfind(given)
        return start < 0 or _chooses(word.text, start, start + len(given))
    started: list[ScriptWord] = []
    for each in script.words:
        if each.place == "command":
            started = [each]
        elif started:
            started.append(each)
        if each is word:
            break
    return any(
        part.kind == PROGRAM and part.text == word.text and word.place == "argument"
        for part in parts([each.text for each in started])
    )


def _as_option(script: Script, word: ScriptWord, given: str) -> str:
    """An input that begins a word with a minus turns into an option (CWE-88)."""
    if not _is_option(given) or not word.text.startswith(given):
        return ""
    before = [each for each in script.words if each.end <= word.start]
    return "" if any(each.text == "--" for each in before) else _OPTION


_OPTION = "an input turns into an option; write -- before it"


def _is_option(text: str) -> bool:
    return OPTION.match(text) is not None


def _is_read_again(script: Script) -> bool:
    return reads_again([(word.text, word.place == "command") for word in script.words])


def in_program(case: Case) -> Objection | None:
    """Return what speaks against the name of a program."""
    if case.text == sys.executable:
        return None  # ``language=python`` has not chosen the Python that we are
    for found in case.found():
        if found.input.place == "path" and found.input.text in _fixed(found):
            continue
        if _chooses(case.text, found.start, found.end):
            return "an input chooses the program", found
    return None


def _fixed(found: Found) -> list[str]:
    """Return the parts of the route's own pattern."""
    return found.input.route.split("/")


def _chooses(program: str, start: int, end: int) -> bool:
    """Return whether a part of a program's name decides which program it is: its whole
    last part, or folders."""
    base = program.rfind("/") + 1
    part = program[start:end]
    return (start <= base and end == len(program)) or (len(part) > 1 and "/" in part)


def in_code(case: Case) -> Objection | None:
    """Return what speaks against code of a language whose syntax is not read here: an
    input may be one word, or words within quotes."""
    for found in case.found():
        given = case.text[found.start : found.end]
        if _WORDS.fullmatch(given):
            continue
        if not (_PHRASE.fullmatch(given) and _is_quoted(case.text, found)):
            return "code holds an input", found
    return None


def _is_quoted(text: str, found: Found) -> bool:
    quote, place = "", 0
    while place < found.start:
        character = text[place]
        if character == "\\":
            place += 1
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        place += 1
    return bool(quote) and place == found.start


def in_plain(case: Case) -> Objection | None:
    """Return what speaks against a text of which nobody knows how it will be read."""
    for found in case.found():
        given = case.text[found.start : found.end]
        if not all(map(is_text, given)) or _is_option(given):
            return "a shell that is not known here reads an input", found
    return None


_RULES: Mapping[str, Callable[[Case], Objection | None]] = {
    PROGRAM: in_program,
    SCRIPT: in_script,
    CODE: in_code,
}


def judge_arguments(
    sink: Sink, program: str, arguments: Sequence[str], whom: Here
) -> None:
    """Judge what a program is started with.

    Args:
        sink: how it is started.
        program: the file that is carried out.
        arguments: its name for itself, then what it is given.
        whom: for whom.
    """
    taken = list(arguments) or [program]
    _judge_command_line(sink, taken, whom)
    readings = [taken]
    if name_of(program) != name_of(taken[0]):
        readings.append([program, *taken[1:]])
    way = "bound"
    for reading in readings:
        for part in parts(reading):
            judge_text(sink, part.kind, part.text, whom)
            if part.kind != PROGRAM:
                way = "escaped"
    _judge_options(sink, taken, whom)
    whom.reached(sink, way, *taken[1:])


def _judge_command_line(sink: Sink, arguments: Sequence[str], whom: Here) -> None:
    """Stop a program that is an input as a whole, taken apart at its blanks."""
    if len(arguments) < _LEAST:
        return
    for value in whom.inputs.values:
        text = value.text
        if (
            text.strip().startswith(arguments[0])
            and list(arguments) in (text.split(), _split(text))
            and not Case(text, whom).is_written()
        ):
            whom.refuse(sink, "an input chooses the program", value)


def judge_text(sink: Sink, kind: str, text: str, whom: Here) -> None:
    """Judge one text that is carried out."""
    case = Case(text, whom)
    objection = _RULES.get(kind, in_plain)(case)
    if objection is not None:
        why, found = objection
        whom.reached(sink, "raw", text)
        whom.refuse(sink, why, found.input)
    elif kind != PROGRAM and not whom.inputs.complete and not case.is_written():
        whom.refuse(sink, "not all of the request is known, and the script is composed")


def _judge_options(sink: Sink, arguments: Sequence[str], whom: Here) -> None:
    """Stop arguments that turn into options (CWE-88): one that is an input as a whole,
    begins with one, or is one of its words, and has a minus in front.

    What stands behind ``--`` or an ``=`` of the application's own (``--pattern=-x``) is
    no option. What the application wrote itself may happen
    to be an input, too.
    """
    for argument in arguments[1:]:
        if argument == "--":
            return
        if _is_option(argument) and not Case(argument, whom).is_written():
            given = _brought_as_option(argument, whom)
            if given is not None:
                whom.refuse(sink, _OPTION, given)


def _brought_as_option(argument: str, whom: Here) -> Input | None:
    given = whom.inputs.brings(argument)
    if given is not None:
        return given
    for found in Case(argument, whom).found():
        if found.start == 0 and _is_option(argument[: found.end]):
            return found.input  # ``f"{name}.txt"``
    for value in whom.inputs.values:  # ``shlex.split(f"tar xf {name}")``
        if argument in value.text and argument in _words_of(value.text):
            return value
    return None


def _words_of(text: str) -> list[str]:
    return [*text.split(), *_split(text)]


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote without its other half
        return []


def judge_environment(sink: Sink, environment: object, whom: Here) -> None:
    """Judge variables that are themselves programs, or choose one (CWE-454)."""
    if not isinstance(environment, Mapping):
        return
    for key, content in environment.items():
        name, value = as_text(key), as_text(content)
        if os.environ.get(name) == value:
            continue
        if value.startswith(_FUNCTION) and whom.inputs.brings(value) is not None:
            whom.refuse(sink, "an input defines a function of the shell")
        if _DANGEROUS.fullmatch(name):
            for found in Case(value, whom).found():
                if found.end - found.start > _LEAST:
                    whom.refuse(sink, f"an input stands in {name}", found.input)


_LEAST = 2  # characters that happen to stand in any path


def judge_folder(sink: Sink, program: str, folder: object, whom: Here) -> None:
    """Judge where a program is looked for that is named from the working directory on
    (CWE-426)."""
    if folder is None or program.startswith("/") or "/" not in program:
        return
    for found in Case(as_text(folder), whom).found():
        if found.end - found.start > _LEAST:
            whom.refuse(sink, "an input chooses where the program lies", found.input)


def as_text(value: object) -> str:
    """Return what a program or an argument is called."""
    if isinstance(value, (str, bytes, os.PathLike)):
        return os.fsdecode(value)
    return str(value)


def as_texts(values: object) -> list[str]:
    """Return arguments as text; a lone one is a list of one."""
    if isinstance(values, (list, tuple)):
        return [as_text(value) for value in values]
    return [as_text(values)]
