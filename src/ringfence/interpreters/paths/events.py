"""The net under files: what Python announces before it opens, lists, moves or removes.

Judged is only whether an input *leads somewhere*: out of the folder that the code has
named, or to a place of its own choice. A plain name below a folder never does, and
neither do the paths of libraries, whatever words they hold.
"""

from __future__ import annotations

import os
import site
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import unquote

from ringfence.interpreters.callers import (
    frames,
    is_constant,
    is_importing,
    is_standard,
)
from ringfence.interpreters.hook import Judge
from ringfence.interpreters.sink import Here, Sink
from ringfence.interpreters.untrusted import Input, Inputs, fold

SINK = Sink("path", "file system")

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_HARMLESS = frozenset({os.devnull, "/dev/urandom", "/dev/random"})
_PARENT = ".."
_TAKEN_OUT = ("../", "./", "..\\")  # by those who hope that this is enough
_READERS = frozenset({"mimetypes", "linecache", "zoneinfo._common"})


def _library_folders() -> tuple[str, ...]:
    """Return where installed code stands, which libraries read at any time."""
    installed = (path for path in sys.path if path.endswith(_INSTALLED))
    found = {os.path.dirname(os.__file__), *site.getsitepackages(), *installed}
    return tuple(
        {
            os.path.join(spelt, "")
            for name in found
            for spelt in (os.path.abspath(name), os.path.realpath(name))
        }
    )


_INSTALLED = ("site-packages", "dist-packages")
_LIBRARIES = _library_folders()


def judge_open(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``open``: the path, the mode, the flags."""
    flags = args[2] if len(args) > 2 and isinstance(args[2], int) else _WRITING  # noqa: PLR2004 - path, mode, flags
    path = path_of(args[0])
    if path and (flags & _WRITING or not _is_library(path)):
        judge_path(path, whom)


def judge_two(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge an event of two paths, which stand first."""
    for arg in args[:2]:
        path = path_of(arg)
        if path:
            judge_path(path, whom)


def judge_symlink(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``os.symlink``, whose target counts from where the link is made."""
    target, link = path_of(args[0]), path_of(args[1])
    judge_path(link, whom)
    judge_path(os.path.join(os.path.dirname(link), target), whom)


def judge_one(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge an event of one path, which stands first."""
    path = path_of(args[0])
    if path and not _is_library(os.path.join(path, "")):
        judge_path(path, whom)


def judge_path(path: str, whom: Here) -> None:
    """Refuse a path that an input leads.

    Raises:
        InjectionRefusedError: an input holds ``..`` that lead out of the folder before
            it, or is an absolute path, and the path follows it.

    Source: CWE-22, CWE-23, CWE-36, CWE-73.
    """
    if path in _HARMLESS or _is_spool(path):
        return
    inputs = whom.inputs
    found = leading(path, inputs)
    if found is not None:
        if not _is_own_reading():
            whom.refuse(SINK, "an input leads to a file of its own choice", found)
    elif not inputs.complete and _PARENT in path.split(os.sep):
        whom.refuse(SINK, "'..' in a path, in a request that is not known in full")
    whom.reached(SINK, "raw", path)


def _is_spool(path: str) -> bool:
    """Return whether ``tempfile`` makes a file with a name of its own: uploads do while
    they come in, and what they hold need not be read again for each of them."""
    folder = tempfile.gettempdir()
    if not path.startswith(folder) or _PARENT in path:
        return False
    caller = next(frames(), None)
    return (
        caller is not None
        and caller.f_globals.get("__name__") == "tempfile"
        and is_standard(caller)
        and os.path.dirname(path) in {folder, os.path.dirname(folder)}
    )


def _is_own_reading() -> bool:
    """Return whether Python reads a file for itself, whatever words a request holds:
    within an import, for the types of files, for the lines of a trace."""
    modules = (frame.f_globals.get("__name__") for frame in islice(frames(), 4))
    return any(module in _READERS for module in modules) or is_importing()


def leading(path: str, inputs: Inputs) -> Input | None:
    """Return the input that leads a path out of its folder, if one does."""
    travelling = _TRAVELLING.of(inputs)
    if not travelling:
        return None
    plain = fold(path)
    normal = _normal(path)
    for each in travelling:
        if each.leads(path, plain, normal) or _lead_together(each, normal, inputs):
            return each.given
    return None


def _lead_together(each: Traveller, normal: str, inputs: Inputs) -> bool:
    """Return whether one input is a folder, and another the rest: ``/etc`` and
    ``passwd``. The first alone may be a word of a text."""
    if not each.is_absolute or each.given.place in {"path", "header"}:
        return False
    rest = normal.removeprefix(each.goal + os.sep)
    return rest != normal and inputs.brings(rest) is not None


@dataclass(frozen=True, slots=True)
class Traveller:
    """An input that is able to lead a path.

    Args:
        given: the input.
        text: as the path would hold it, folded.
        goal: where it leads, folded: an absolute path, or what follows its ``..``.
        is_absolute: it begins at the root.
    """

    given: Input
    text: str
    goal: str
    is_absolute: bool

    def leads(self, path: str, plain: str, normal: str) -> bool:
        """Return whether it leads this path: as opened, folded, and normalised."""
        if self.is_absolute:
            return self._leads_from_root(path, normal)
        if self.text in plain:
            return any(_leads_out(part) for part in _parts(plain, self.text))
        # Normalised before it was opened: what followed the dots stands at the end.
        # One name there is no sign: many folders have an ``index.html``.
        return os.sep in self.goal and normal.endswith(os.sep + self.goal)

    def _leads_from_root(self, path: str, normal: str) -> bool:
        if normal == self.goal:
            return not self._is_own_address(path) and not is_constant(path)
        # ``/data`` or ``/usr`` in a text says nothing about what is opened below.
        if self.goal.count(os.sep) < 2 or not normal.startswith(self.goal):  # noqa: PLR2004 - segments
            return False
        rest = normal[len(self.goal) :]
        if not rest.startswith(os.sep) and os.sep in rest:
            return False  # another folder, whose name only begins alike
        return not self._is_own_address(path) and not any(
            fold(folder).startswith(self.goal + os.sep)
            and normal.startswith(fold(folder))
            for folder in _known_folders()
        )

    def _is_own_address(self, path: str) -> bool:
        """A request for ``/static/app.css`` that is answered from a folder ``/static``
        has not chosen it: the code has, in the pattern of the route."""
        if self.given.place != "path":
            return False
        fixed = self.given.route.partition("{")[0].rstrip("/")
        return bool(fixed) and path.startswith(fixed + os.sep)


def _parts(plain: str, text: str) -> Iterator[str]:
    """Yield what an input makes of a path, wherever it stands: to whole segments."""
    start = plain.find(text)
    while start >= 0:
        end = start + len(text)
        if not text.startswith(os.sep):
            start_of_segment = plain.rfind(os.sep, 0, start) + 1
        else:
            start_of_segment = start
        found = plain.find(os.sep, end)
        stop = len(plain) if found < 0 else found
        if text.endswith(os.sep):
            stop = end
        yield plain[start_of_segment:stop]
        start = plain.find(text, start + 1)


def _leads_out(part: str) -> bool:
    """Return whether segments climb above where they begin."""
    depth = 0
    for segment in part.split(os.sep):
        if segment == _PARENT:
            depth -= 1
            if depth < 0:
                return True
        elif segment not in {"", "."}:
            depth += 1
    return False


def _travellers(inputs: Inputs) -> Iterator[Traveller]:
    for given in inputs.values:
        text = given.text
        if text[0] not in "./\\~$fF<" and ".." not in text and text[1:2] != ":":
            continue
        for spelt in _spellings(text):
            yield from _traveller(given, spelt)


def _spellings(text: str) -> Iterator[str]:
    """Yield what code makes a path of before it opens it."""
    yield text
    for taken_out in _TAKEN_OUT:
        if taken_out in text:
            yield text.replace(taken_out, "")  # ``....//`` becomes ``../`` so
    if text.startswith("<"):  # urlopen takes <URL:file:...>, too
        inside = text.strip("<>").strip()
        yield from _spellings(inside[4:] if inside[:4].lower() == "url:" else inside)
    if text.startswith("~"):
        yield os.path.expanduser(text)
    if text.startswith("$"):
        yield os.path.expandvars(text)
    if text.lower().startswith("file:"):
        yield unquote(text[5:].removeprefix("//").removeprefix("localhost"))
    plain = text.replace("\\", "/").replace("/", os.sep)
    if plain != text:
        yield plain
    stem, extension = os.path.splitext(plain)
    if extension and _PARENT in plain:
        yield stem  # which gets another extension
    above = os.path.dirname(plain)  # whose folder is listed
    if above.startswith(_PARENT) and os.path.basename(above) != _PARENT:
        yield above


def _traveller(given: Input, text: str) -> Iterator[Traveller]:
    if not text:
        return
    if os.path.isabs(text) or os.path.splitdrive(text)[0]:
        goal = _normal(text).rstrip(os.sep)
        if goal:
            yield Traveller(given, fold(text), goal, is_absolute=True)
    segments = text.split(os.sep)
    if _PARENT in segments or (segments[0] == "." and len(segments) > 1):
        normal = os.path.normpath(text)
        goal = normal.lstrip(os.sep) if _leads_out(text) else ""
        while goal.startswith(_PARENT):
            goal = goal[len(_PARENT) :].lstrip(os.sep)
        yield Traveller(given, fold(text), fold(goal), is_absolute=False)


def _normal(path: str) -> str:
    normal = fold(os.path.normpath(path))
    return normal[1:] if normal.startswith("//") else normal  # POSIX keeps two slashes


class _Travelling:
    """The inputs of the last request that can lead a path: most have none, and a
    handler that imports something asks hundreds of times."""

    def __init__(self) -> None:
        self._known: tuple[Inputs | None, tuple[Traveller, ...]] = (None, ())

    def of(self, inputs: Inputs) -> tuple[Traveller, ...]:
        """Return those of ``inputs``."""
        known, found = self._known
        if known is not inputs:
            found = tuple(_travellers(inputs))
            self._known = (inputs, found)
        return found


_TRAVELLING = _Travelling()


def _known_folders() -> tuple[str, ...]:
    return (
        *_LIBRARIES,
        os.path.join(tempfile.gettempdir(), ""),
        os.path.join(os.getcwd(), ""),
    )


def _is_library(path: str) -> bool:
    if not path.startswith(_LIBRARIES):
        return False
    return _PARENT not in path or os.path.normpath(path).startswith(_LIBRARIES)


def path_of(value: object) -> str:
    """Return a path as text; nothing for the number of an open file."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, os.PathLike)):
        return os.fsdecode(value)
    return ""


_ONE_PATH = (
    "os.listdir",
    "os.scandir",
    "os.walk",
    "os.fwalk",
    "os.chdir",
    "os.mkdir",
    "os.rmdir",
    "os.remove",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
    "glob.glob",
    "shutil.rmtree",
    "sqlite3.connect",
    "ctypes.dlopen",
)
_TWO_PATHS = (
    "os.rename",
    "os.link",
    "shutil.copyfile",
    "shutil.copytree",
    "shutil.move",
    "shutil.make_archive",
    "shutil.unpack_archive",
)

JUDGES: Mapping[str, Judge] = {
    "open": judge_open,
    "os.symlink": judge_symlink,
    **dict.fromkeys(_ONE_PATH, judge_one),
    **dict.fromkeys(_TWO_PATHS, judge_two),
}
