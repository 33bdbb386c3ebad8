"""The net under ``eval``, ``exec`` and ``compile``: source in which an input is code.

Judged is what an input becomes when Python reads it: within a string or a comment it
is data, and numbers or a single word do nothing. Only names with a call, an attribute,
an assignment or a statement around them do.
"""

from __future__ import annotations

import ast
import io
import keyword
import token
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ringfence.interpreters.callers import (
    frames,
    is_constant,
    is_importing,
    is_standard,
)
from ringfence.interpreters.hook import Judge
from ringfence.interpreters.sink import Here, Sink
from ringfence.interpreters.untrusted import Found, Input, Inputs, fold

SINK = Sink("python", "eval")

_SHORTEST = 3  # characters: ``f()``
_LONGEST_TREE = 100_000  # characters of the source of a tree
# Parts of the standard library that read text as Python and carry out nothing of it,
# or only what they have written themselves. All others do as they are told: timers,
# debuggers, annotations, and pools, of which ``to_thread(eval, text)`` makes use.
_READERS = frozenset(
    {
        "ast",
        "collections",
        "dataclasses",
        "enum",
        "inspect",
        "linecache",
        "traceback",
        "tokenize",
        "zipimport",
    }
)
# They evaluate annotations, which may be anything: ``create_model(a=(text, ...))``.
_ANNOTATING = frozenset({"typing", "annotationlib"})
# Libraries that write Python themselves: for classes, templates, statements.
_GENERATORS = frozenset(
    {
        "attr",
        "beartype",
        "cattr",
        "cattrs",
        "cffi",
        "decorator",
        "jinja2",
        "mako",
        "numpy",
        "pydantic",
        "sqlalchemy",
        "typing_extensions",
        "wrapt",
    }
)
_DOES_NOTHING = frozenset(
    {"True", "False", "None", "and", "or", "not", "in", "is", "if", "else"}
)
_ARITHMETIC = frozenset(
    {
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "<",
        ">",
        "<=",
        ">=",
        "==",
        "!=",
        "&",
        "|",
        "^",
        "~",
        "<<",
        ">>",
        ",",
        ")",
        "]",
        "}",
    }
)
_STATEMENTS = frozenset(keyword.kwlist) - _DOES_NOTHING
_LAYOUT = frozenset(
    {
        token.NEWLINE,
        token.INDENT,
        token.DEDENT,
        token.ENDMARKER,
        tokenize.NL,
        tokenize.COMMENT,
        tokenize.ENCODING,
    }
)
_CHANGES_MEANING = frozenset("([.{=:@;\n\\")


def judge_compile(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``compile``: the source, and a file name.

    ``ast.parse`` and ``ast.literal_eval`` raise the event too and carry out nothing:
    it is the standard library that calls for them. A tree that comes out of it and is
    compiled comes here a second time.

    Raises:
        InjectionRefusedError: an input would be carried out.

    Source: CWE-94, CWE-95; ASVS 5.0 1.3.2.
    """
    source = args[0]
    if source is None or is_library(source):
        return
    if isinstance(source, ast.AST):
        judge_text(ast.unparse(source), whom, is_tree=True)
        return
    text = _text_of(source)
    if text is None:
        whom.refuse(SINK, "source in an encoding of its own choice")
    else:
        judge_text(text, whom)


def is_library(source: object = "(") -> bool:
    """Return whether code is compiled by those who write it themselves."""
    caller = next(frames(), None)
    if caller is None:
        return False
    module = caller.f_globals.get("__name__") or ""
    if is_standard(caller):
        return (
            module in _READERS
            or (module in _ANNOTATING and not _may_call(source))
            or module.partition(".")[0] == "importlib"
            or caller.f_code.co_filename.startswith("<frozen ")
            or is_importing()
        )
    return module.partition(".")[0] in _GENERATORS or is_importing()


def _may_call(source: object) -> bool:
    if isinstance(source, bytes):  # as ``eval`` tells of a text
        return b"(" in source
    return not isinstance(source, str) or "(" in source


def judge_text(text: str, whom: Here, *, is_tree: bool = False) -> None:
    """Refuse source in which an input is carried out."""
    inputs = whom.inputs
    found = _carried_out(text, inputs, is_tree=is_tree)
    if found is not None:
        if not is_constant(text):
            whom.refuse(SINK, "an input would be carried out", found)
    elif not inputs.complete and not is_constant(text):
        whom.refuse(SINK, "source, in a request that is not known in full")
    whom.reached(SINK, "raw", text)


def _text_of(source: object) -> str | None:
    """Return source as text; nothing where it names an encoding of its own."""
    if isinstance(source, str):
        return source
    raw = bytes(source) if isinstance(source, (bytes, bytearray, memoryview)) else b""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    except SyntaxError:
        return None
    if encoding not in {"utf-8", "utf-8-sig"}:
        return None
    return raw.decode(encoding, "replace")


def _carried_out(text: str, inputs: Inputs, *, is_tree: bool) -> Input | None:
    spans = [
        found
        for found in (_in_tree(text, inputs) if is_tree else _in_text(text, inputs))
        if not _CHANGES_MEANING.isdisjoint(text[found.start : found.end])
        or not _STATEMENTS.isdisjoint(text[found.start : found.end].split())
    ]
    if not spans:
        return None
    tokens = _tokens(text)
    if tokens is None:
        return spans[0].input if _is_python(text) else None
    return next((found.input for found in spans if is_code(text, found, tokens)), None)


def _is_python(text: str) -> bool:
    """Return whether Python can read a source at all: else it says so itself."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def _in_text(text: str, inputs: Inputs) -> Iterator[Found]:
    return inputs.found_in(text, least=_SHORTEST)


def _in_tree(text: str, inputs: Inputs) -> Iterator[Found]:
    """Find inputs in what a tree is written as, which knows one spelling only."""
    if len(text) > _LONGEST_TREE:
        return
    folded = fold(text)
    for given in inputs.values:
        if len(given.text) < _SHORTEST or _CHANGES_MEANING.isdisjoint(given.text):
            continue
        try:
            spelt = fold(ast.unparse(ast.parse(given.text.strip())))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        start = folded.find(spelt)
        if spelt and start >= 0:
            yield Found(given, start, start + len(spelt))


@dataclass(frozen=True, slots=True)
class Token:
    """One token of Python, and where it stands."""

    kind: int
    text: str
    start: int
    end: int


def _tokens(text: str) -> list[Token] | None:
    """Return the tokens of a source; nothing where they cannot be told apart."""
    starts = [0]
    lines = io.StringIO(text, newline="")

    def read_line() -> str:
        # What ends a line is for the reader to say: ``splitlines`` knows more ends.
        line = lines.readline()
        starts.append(starts[-1] + len(line))
        return line

    found = []
    try:
        for each in tokenize.generate_tokens(read_line):
            start = _offset(starts, each.start, len(text))
            end = _offset(starts, each.end, len(text))
            found.append(Token(each.type, each.string, start, end))
    except (tokenize.TokenError, SyntaxError):
        return None
    return found


def _offset(starts: list[int], place: tuple[int, int], most: int) -> int:
    line, column = place
    return min(starts[line - 1] + column, most) if line <= len(starts) else most


def is_code(text: str, found: Found, tokens: list[Token]) -> bool:
    """Return whether what stands there does anything when Python reads it."""
    covered = [
        each for each in tokens if each.start < found.end and each.end > found.start
    ]
    if len(covered) == 1:
        return _leaves_string(text[found.start : found.end], covered[0])
    covered = [each for each in covered if each.kind not in _LAYOUT]
    if any("FSTRING" in token.tok_name[each.kind] for each in covered):
        return any(each.kind in {token.NAME, token.OP} for each in covered)
    if any(_is_format(each) and "{" in each.text for each in covered):
        return True
    names = [each.text for each in covered if each.kind == token.NAME]
    if not names or all(name in _DOES_NOTHING for name in names):
        return False
    operators = {each.text for each in covered if each.kind == token.OP}
    return not operators <= _ARITHMETIC or not _STATEMENTS.isdisjoint(names)


def _is_format(each: Token) -> bool:
    """Return whether a string is an f-string; Python 3.12 takes these apart itself."""
    prefix = each.text[:2].lower()
    return (
        each.kind == token.STRING and "f" in prefix.partition("'")[0].partition('"')[0]
    )


def _leaves_string(part: str, each: Token) -> bool:
    """Return whether a part of one token is code within an f-string."""
    return _is_format(each) and any(letter in part for letter in "{}([.")


JUDGES: Mapping[str, Judge] = {"compile": judge_compile}
