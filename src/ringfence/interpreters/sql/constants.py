"""What the application's code says itself: its string constants.

Proof that a statement is static is where it comes from, never that it ran before
without an alarm: what was stored or sent encoded would become static that way.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType

_OURS = "ringfence"
_MOST_CODE = 200_000  # code objects that are looked at
_MOST_FRAMES = 200  # of the stack, from the driver up
_LONGEST = 100_000  # characters of a constant
_SHORTEST_PIECE = 4  # characters
_STATEMENT = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:select|insert|update|delete|replace|with|values"
    r"|create|alter|drop|truncate|pragma|begin|start|commit|end|rollback|savepoint"
    r"|release|set|show|explain|analyze|vacuum|reindex|attach|detach|call|do|merge"
    r"|grant|revoke|copy|lock|listen|notify|unlisten|declare|fetch|close|prepare"
    r"|execute|deallocate|table|refresh|comment|use)\b",
    re.IGNORECASE | re.DOTALL,
)
_IN_STATEMENTS = re.compile(
    r"\b(?:select|from|where|and|or|order|group|by|set|values|into|insert|update|delete"
    r"|join|on|limit|offset|having|like|ilike|in|union|returning|as|table|create|alter"
    r"|pragma|between|is|not|null|asc|desc|case|when|then|else|end|exists|distinct"
    r"|with|using|conflict)\b",
    re.IGNORECASE,
)
# As ``id``, which raises an audit event for each frame that is looked at.
_identity = object.__hash__
_LONG_WORD = re.compile(r"[^\W\d]\w{2,}")
WORD = re.compile(r"[^\W\d][\w$]*")
# Where values and pieces are put into a template: what is written around it is code.
_HOLES = re.compile(r"\{[^{}]*\}|%\(\w+\)[sdr]|%[sdr]|(?<![:\w]):\w+|\?\d*|\$\d+")


@dataclass(slots=True)
class Constants:
    """The constants of the code that has been looked at; there is one, ``KNOWN``.

    Grows with the code that is loaded, and with nothing else: what a request brings
    never gets in.
    """

    statements: set[str] = field(default_factory=set)
    """Whole statements: one of these runs as it stands in the code."""
    texts: set[str] = field(default_factory=set)
    """Constants of the application itself: what an allow-list can hold."""
    names: set[str] = field(default_factory=set)
    """Names in its code: columns of object mappers are attributes."""
    _pieces: dict[str, set[str]] = field(default_factory=dict)
    _derived: set[str] = field(default_factory=set)
    _code: dict[int, CodeType] = field(default_factory=dict)
    _modules: set[str] = field(default_factory=set)
    _loaded: tuple[int, str] = (0, "")
    _adopted: set[str] = field(default_factory=set)
    _roots: set[str] = field(default_factory=lambda: {_OURS})

    def add(self, code: CodeType, *, of_application: bool = True) -> None:
        """Take in the constants of code, and of the code within it."""
        pending = [code]
        while pending and len(self._code) < _MOST_CODE:
            one = pending.pop()
            if _identity(one) in self._code:
                continue
            self._code[_identity(one)] = one
            if of_application:
                self.names.update(one.co_names)
            for constant in _flat(one.co_consts):
                if isinstance(constant, CodeType):
                    pending.append(constant)
                elif isinstance(constant, str) and len(constant) <= _LONGEST:
                    self._take(constant, of_application=of_application)

    def _take(self, constant: str, *, of_application: bool) -> None:
        if _STATEMENT.match(constant) is not None:
            self.statements.add(constant)
        if not of_application:
            return
        self.texts.add(constant)
        if "=" in constant or _IN_STATEMENTS.search(constant) is not None:
            for piece in {constant, *_HOLES.split(constant)}:
                words = (
                    _LONG_WORD.findall(piece) if len(piece) >= _SHORTEST_PIECE else ()
                )
                if words:
                    key = max(words, key=len).lower()
                    self._pieces.setdefault(key, set()).add(piece)

    def derive(self, text: str, *, most: int) -> None:
        """Count a text as a constant that was made of constants alone."""
        if text not in self._derived and len(self._derived) < most:
            self._derived.add(text)
            self.statements.add(text)
            self.texts.add(text)

    def pieces_in(self, statement: str) -> Iterator[tuple[int, int]]:
        """Yield where constants of the application stand in a statement."""
        for word in {word.lower() for word in _LONG_WORD.findall(statement)}:
            pieces = self._pieces.get(word)
            if pieces is None:
                continue
            for piece in tuple(pieces):
                start = statement.find(piece)
                while start >= 0:
                    yield start, start + len(piece)
                    start = statement.find(piece, start + 1)

    def scan(self) -> None:
        """Take in the application's modules that have been loaded since."""
        # What is loaded stands last; others may have been taken out meanwhile.
        loaded = len(sys.modules), next(reversed(sys.modules), "")
        if loaded == self._loaded:
            return
        self._loaded = loaded
        for name, module in tuple(sys.modules.items()):
            if name in self._modules:
                continue
            self._modules.add(name)
            if isinstance(module, ModuleType) and self._is_application(name, module):
                for code in _code_of(module):
                    self.add(code, of_application=name.partition(".")[0] != _OURS)

    def adopt(self, file: str) -> None:
        """Count the package that a file is of as the application's own, though it may
        be installed as libraries are."""
        if not file or file in self._adopted:
            return
        self._adopted.add(file)
        if _is_library(file):
            for name, module in tuple(sys.modules.items()):
                if getattr(module, "__file__", None) == file:
                    self._adopt(name.partition(".")[0])

    def _adopt(self, root: str) -> None:
        if root not in self._roots:
            self._roots.add(root)
            self._loaded = (0, "")
            self._modules = {
                name for name in self._modules if name.partition(".")[0] != root
            }

    def is_running(self, statement: str, frame: FrameType | None) -> bool:
        """Return whether a statement is a constant, of loaded modules or of the code
        that is running: from ``frame`` up."""
        if statement not in self.statements:
            self._look(frame)
        return statement in self.statements

    def says(self, text: str, frame: FrameType | None) -> bool:
        """Return whether a text, of any kind, is a constant of the application."""
        if text not in self.texts:
            self._look(frame)
        return text in self.texts

    def _look(self, frame: FrameType | None) -> None:
        """Take in what has been loaded, and what is running from ``frame`` up."""
        self.scan()
        for one in running(frame):
            if _identity(one.f_code) not in self._code:
                self.add(one.f_code, of_application=is_own(one, self._roots))

    def _is_application(self, name: str, module: ModuleType) -> bool:
        if name.partition(".")[0] in self._roots:
            return True
        file = getattr(module, "__file__", None)
        return isinstance(file, str) and not _is_library(file)


def running(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the functions that are running, from one up.

    SQLAlchemy's asyncio runs the synchronous half in a greenlet: what waits for it is
    its parent.
    """
    greenlet = sys.modules.get("greenlet")
    waiting = None if greenlet is None else greenlet.getcurrent().parent
    for _ in range(_MOST_FRAMES):
        if frame is None:
            if waiting is None:
                return
            frame, waiting = waiting.gr_frame, waiting.parent
            continue
        yield frame
        frame = frame.f_back


def is_own(frame: FrameType, roots: Container[str] = ()) -> bool:
    """Return whether a function is the application's: no library's, and not ours."""
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package != _OURS and (
        package in roots or not _is_library(frame.f_code.co_filename)
    )


def _flat(constants: Iterable[object]) -> Iterator[object]:
    for constant in constants:
        if isinstance(constant, (tuple, frozenset)):
            yield from _flat(constant)
        else:
            yield constant


_STANDARD = str(Path(os.__file__).parent)


def _is_library(file: str) -> bool:
    """Return whether code was installed, or is Python's own."""
    return (
        file.startswith((_STANDARD, "<frozen"))
        or "site-packages" in file
        or "dist-packages" in file
    )


def _code_of(module: ModuleType) -> Iterator[CodeType]:
    """Yield a module's code: all of it from its loader, else what can be reached."""
    loader = getattr(module, "__loader__", None)
    get_code: Callable[[str], CodeType | None] | None
    get_code = getattr(loader, "get_code", None)
    try:
        code = None if get_code is None else get_code(module.__name__)
        if code is None and isinstance(module.__file__, str):
            code = compile(Path(module.__file__).read_bytes(), module.__file__, "exec")
    except (ImportError, OSError, SyntaxError, ValueError, AttributeError):
        code = None  # a notebook, an archive, a module that was taken apart
    if code is not None:
        yield code
    for value in tuple(vars(module).values()):
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield value.__code__


KNOWN = Constants()
