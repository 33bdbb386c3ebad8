"""Which parts of an argument array are carried out: the program, and texts that it
takes for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PROGRAM, SCRIPT, CODE, PLAIN = "program", "script", "code", "plain"

SHELLS = frozenset(
    [
        "sh",
        "bash",
        "dash",
        "zsh",
        "ksh",
        "mksh",
        "ash",
        "fish",
        "csh",
        "tcsh",
        "busybox",
    ]
)
# What may be in capitals, and quotes otherwise or not at all.
_OTHER_SHELLS = frozenset({"cmd", "powershell", "pwsh"})
# Letters and words of the options that take code; letters behind which none follow.
_LANGUAGES = {
    "python": ("c", (), "m"),
    "pypy": ("c", (), "m"),
    "perl": ("eE", (), ""),
    "ruby": ("e", (), ""),
    "node": ("ep", ("--eval", "--print"), ""),
    "nodejs": ("ep", ("--eval", "--print"), ""),
    "deno": ("", ("eval",), ""),
    "php": ("rBRE", ("--run",), ""),
    "lua": ("e", (), ""),
    "rscript": ("e", (), ""),
    "osascript": ("e", (), ""),
    "gdb": ("", ("-ex", "--eval-command"), ""),
}
# Their arguments, put together, are a script.
_JOINING = frozenset({"ssh", "watch", "eval"})
# They run the program that is named in their arguments.
_LAUNCHING = frozenset(
    [
        "env",
        "sudo",
        "doas",
        "nohup",
        "nice",
        "ionice",
        "setsid",
        "stdbuf",
        "timeout",
        "time",
        "xargs",
        "chroot",
        "unshare",
        "nsenter",
        "runuser",
        "strace",
        "command",
        "exec",
    ]
)
# They run one that stands somewhere among their arguments, or a script behind ``-c``.
_CARRYING = frozenset(
    ["find", "parallel", "flock", "su", "script", "docker", "podman", "kubectl"]
)
_AWK = frozenset({"awk", "gawk", "mawk"})
_READING = SHELLS | _OTHER_SHELLS | frozenset(_LANGUAGES)
# Commands of a script that read text once more, as code.
_READING_AGAIN = (
    _JOINING
    | _AWK
    | _OTHER_SHELLS
    | frozenset(
        {"xargs", "trap", "alias", "source", ".", "su", "script", "flock", "parallel"}
    )
)

_VERSION = re.compile(r"(?<=[a-z])[\d.]+$|\.exe$")
_NO_PROGRAM = re.compile(r"[-+]|[A-Za-z_]\w*=|[\d.]+[smhdk]?$|\{\}$")
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One text that will be carried out.

    Args:
        kind: ``program``, ``script`` (of a shell), ``code`` (of a language) or
            ``plain`` (of something that is not known well enough to be read).
        text: as it is.
    """

    kind: str
    text: str


def name_of(program: str) -> str:
    """Return what a program is called, without folder, version and suffix."""
    base = program.replace("\\", "/").rpartition("/")[2].lower()
    return _VERSION.sub("", base)


def reads_again(words: Sequence[tuple[str, bool]]) -> bool:
    """Return whether a script hands text to something that reads it as code.

    Args:
        words: each word, and whether it stands where a command does.
    """
    for place, (text, is_command) in enumerate(words):
        name = name_of(text)
        if is_command and name in _READING_AGAIN:
            return True
        follows, is_next = words[place + 1] if place + 1 < len(words) else ("", True)
        if name in _READING and follows.startswith("-"):
            return True
        if is_command and name in _READING and is_next:
            return True  # ``echo ... | sh``: it reads its standard input
    return False


def parts(arguments: Sequence[str], depth: int = 0) -> Iterator[Part]:
    """Yield what of an argument array is carried out.

    Not covered: programs that take code in ways of their own (``sed``, ``vim -c``,
    ``git -c core.pager=...``, ``tar --to-command``): there an input is stopped only
    where it turns into an option.
    """
    if not arguments or depth > _DEEPEST:
        return
    yield Part(PROGRAM, arguments[0])
    name, rest = name_of(arguments[0]), arguments[1:]
    if name == "busybox":
        yield from parts(rest, depth + 1)
    elif name in SHELLS:
        yield from _of_shell(rest)
    elif name in _OTHER_SHELLS:
        yield from (Part(PLAIN, text) for text in rest)
    elif name in _LANGUAGES:
        yield from _of_language(rest, *_LANGUAGES[name])
    elif name in _JOINING:
        yield Part(SCRIPT, " ".join(rest))
    elif name in _AWK:
        yield from _of_awk(rest)
    elif name in _LAUNCHING or name in _CARRYING:
        yield from _of_launcher(rest, depth, named=name in _LAUNCHING)


def _of_shell(rest: Sequence[str]) -> Iterator[Part]:
    """``sh -c SCRIPT NAME ARGUMENTS...`` carries out one text, and takes the others as
    text: that is the way to hand an input to a script."""
    takes_script, skip = False, False
    for text in rest:
        if skip:
            skip = False
        elif text[:1] in {"-", "+"} and text not in {"-", "--"}:
            if text.startswith("--"):
                skip = text in {"--rcfile", "--init-file"}
            else:
                takes_script = takes_script or "c" in text
                skip = text[-1] in "oO"
        elif text != "--":
            yield Part(SCRIPT if takes_script else PROGRAM, text)
            return


def _of_language(
    rest: Sequence[str], letters: str, words: tuple[str, ...], last: str
) -> Iterator[Part]:
    follows = taken = False
    for text in rest:
        code = text if follows else ""
        if not follows:
            if not text.startswith("-") and text not in words:
                if letters and not taken:
                    yield Part(PROGRAM, text)
                return
            if text == "-":
                return  # the program comes by standard input
            flags, flag, code = _read_option(text, letters, words)
            if last and last in flags:
                return  # ``python -m``: what follows is the module's
            follows = bool(flag) and not code
        if code:
            yield Part(CODE, code)
            follows, taken = False, True
            if last:
                return  # what follows is the program's own


def _read_option(
    text: str, letters: str, words: tuple[str, ...]
) -> tuple[str, str, str]:
    """Return the options before the one that takes code, that one, and the code that
    is joined to it."""
    word, _, value = text.partition("=")
    if word in words:
        return "", word, value
    return ("", "", "") if text.startswith("--") else _split_at(text, letters)


def _split_at(text: str, letters: str) -> tuple[str, str, str]:
    """Read a cluster of options of one letter."""
    for place, letter in enumerate(text):
        if letter in letters:
            return text[:place], letter, text[place + 1 :]
    return text, "", ""


def _of_awk(rest: Sequence[str]) -> Iterator[Part]:
    skip = False
    for text in rest:
        if skip:
            skip = False
        elif text in {"-f", "--file"}:
            return
        elif text in {"-F", "-v"}:
            skip = True
        elif not text.startswith("-") or text == "-":
            yield Part(CODE, text)
            return


def _of_launcher(rest: Sequence[str], depth: int, *, named: bool) -> Iterator[Part]:
    for place, text in enumerate(rest):
        if text in {"-c", "--command"} and place + 1 < len(rest):
            yield Part(SCRIPT, rest[place + 1])
        if named and not _NO_PROGRAM.match(text):
            yield Part(PROGRAM, text)
            named = False
        if name_of(text) in _READING | _JOINING | _AWK | _LAUNCHING:
            yield from parts(rest[place:], depth + 1)
            return
