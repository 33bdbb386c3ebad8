"""Whose code has called what is guarded: asked only once an input stands in it.

A library that generates code, or opens its own files, may hit upon the same words as
a request by chance. Frames tell it apart: nobody can forge them from outside.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from types import FrameType

from ringfence.interpreters.sql.constants import KNOWN

_DEEPEST = 64  # frames that are looked at
_DEEPEST_CONSTANT = 12  # frames of which a constant text may come
_OWN = "ringfence.interpreters"
_GUARD = "ringfence.guard"
_IMPORTING = "<frozen importlib"
_STANDARD = os.path.join(os.path.dirname(os.__file__), "")  # noqa: PTH118, PTH120 - text
_INSTALLED = ("/site-packages/", "/dist-packages/", "\\site-packages\\")


def frames() -> Iterator[FrameType]:
    """Yield the frames of who called, innermost first: without our own, and up to the
    guard that the request came through."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - inspect does the same
    for _ in range(_DEEPEST):
        if frame is None:
            return
        module = frame.f_globals.get("__name__") or ""
        if module.startswith(_GUARD):
            return
        if not module.startswith(_OWN):
            yield frame
        frame = frame.f_back


def is_standard(frame: FrameType) -> bool:
    """Return whether this is code of Python's standard library."""
    name = frame.f_code.co_filename
    if name.startswith("<frozen "):
        return True
    return name.startswith(_STANDARD) and not any(part in name for part in _INSTALLED)


def is_importing() -> bool:
    """Return whether all this happens within an ``import``: then it is the text of a
    module, and not of a request, that is carried out."""
    return any(frame.f_code.co_filename.startswith(_IMPORTING) for frame in frames())


def is_constant(text: str, *, beyond: Collection[str] = ()) -> bool:
    """Return whether a text is written in the code that has led here, as a literal or
    as a name of its module: then it is the application's own, whatever it is like.

    A constant of a module is what is called so (``LIKE_THIS``). Under other names may
    lie what a request has brought: such a text must stand in the code as well.

    Args:
        text: what reaches an interpreter.
        beyond: packages of the driver, which may be many calls deep.
    """
    callers = (frame for frame in frames() if _package(frame) not in beyond)
    for depth, frame in enumerate(callers):
        if depth >= _DEEPEST_CONSTANT:
            return False
        if text in _texts(frame.f_code.co_consts):
            return True
        named = tuple(frame.f_globals.items())  # more may be added meanwhile
        if text in _texts(value for name, value in named if name.isupper()):
            return True
        if text in _texts(value for _, value in named) and KNOWN.says(text, frame):
            return True
    return False


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__") or "").partition(".")[0]


def _texts(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if type(value) is str:
            yield value
        elif type(value) is tuple:  # a list may be where requests are written down
            yield from (inner for inner in value if type(inner) is str)
