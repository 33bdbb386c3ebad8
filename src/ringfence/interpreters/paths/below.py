"""The safe way to a file that a request names."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO, Literal

from ringfence.interpreters.objection import object_to
from ringfence.interpreters.paths.names import fault_of
from ringfence.interpreters.sink import Sink, here

SINK = Sink("path", "paths")

_FLAGS = {
    "rb": os.O_RDONLY,
    "wb": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "xb": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "ab": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}
_PRIVATE = 0o600
# Where a folder can be held open, and links refused, on the way to a file.
_CAN_WALK = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")


def join_below(folder: str | os.PathLike[str], *parts: str) -> Path:
    """Return the path of something below a folder, with symbolic links resolved.

    Each part is one name or several with ``/`` between. Refused are, on every
    platform: ``..``, absolute paths, drive letters, back-slashes, NUL and other control
    characters, names of devices (``CON``, ``nul.txt``), streams (``file:name``), dots
    and spaces at the end of a name; and links that lead out of the folder.

    Args:
        folder: that nothing may lead out of; it need not exist.
        parts: as a request names them, at least one.

    Returns:
        The path, which need not exist.

    Raises:
        InjectionRefusedError: for a part that is none of a plain file; answered with
            400, and with 404 where a link leads out.

    Source: CWE-22, CWE-59; ASVS 5.0 5.3.2.

    Not covered: folders below, which a part with ``/`` names (compare ``parent`` where
    there are to be none); what becomes of links between this call and the opening:
    ``open_below`` has no such gap. Names that differ in case or in their Unicode form
    only are one file on some file systems.
    """
    base = Path(folder).resolve()
    path = base.joinpath(*_segments(parts))
    resolved = _resolved(path)
    if not resolved.is_relative_to(base):
        object_to(SINK, "a link that leads out of the folder", status=404)
    return resolved


def _resolved(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except RuntimeError:  # before Python 3.13
        object_to(SINK, "links in a ring", status=404)
    except OSError as error:
        if error.errno == errno.ELOOP:
            object_to(SINK, "links in a ring", status=404)
    return path.resolve()  # what is not there yet


def open_below(
    folder: str | os.PathLike[str],
    *parts: str,
    mode: Literal["rb", "wb", "xb", "ab"] = "rb",
) -> IO[bytes]:
    """Open a file below a folder, following no symbolic link on the way.

    Each folder is opened from the one before and each name refused if it is a link, so
    that nobody can put one there between a check and its use (CWE-367). Files that are
    made are readable for their owner only. Devices, sockets and pipes are refused.

    Args:
        folder: that nothing may lead out of; it may be a link itself.
        parts: as for ``join_below``.
        mode: as for ``open``; binary.

    Raises:
        InjectionRefusedError: as ``join_below``; 404 for links, devices and pipes.
        OSError: as ``open``: ``FileNotFoundError`` where nothing has that name.

    Source: CWE-22, CWE-59, CWE-367; ASVS 5.0 5.3.2.

    Not covered: hard links. On Windows, where folders cannot be held open so, the
    file is looked at and then opened.
    """
    segments = _segments(parts)
    flags = _FLAGS[mode] | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if _CAN_WALK:
        number = _walk(folder, segments, flags)
    else:  # pragma: no cover - Windows
        number = os.open(join_below(folder, *segments), flags, _PRIVATE)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            object_to(SINK, "something that is no file", status=404)
        return os.fdopen(number, mode.replace("x", "w"))
    except BaseException:
        os.close(number)
        raise


def _segments(parts: tuple[str, ...]) -> list[str]:
    """Return all names on the way, each of them plain."""
    if not parts:
        raise TypeError("name at least one part below the folder")
    for part in parts:
        fault = fault_of(part)
        if fault:
            object_to(SINK, f"{fault} in what names a file")
    whom = here()
    if whom is not None:
        whom.reached(SINK, "escaped", *parts)
    return [segment for part in parts for segment in part.split("/")]


def _walk(folder: str | os.PathLike[str], segments: list[str], flags: int) -> int:
    """Open what stands at the end of ``segments``, each from the folder before it."""
    walking = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    # Else the opening of a pipe would wait for its other end.
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK
    above = os.open(folder, walking)
    try:
        for segment in segments[:-1]:
            below = _open_at(above, segment, walking | os.O_NOFOLLOW)
            os.close(above)
            above = below
        return _open_at(above, segments[-1], flags)
    finally:
        os.close(above)


def _open_at(above: int, segment: str, flags: int) -> int:
    try:
        return os.open(segment, flags, _PRIVATE, dir_fd=above)
    except OSError:
        if _is_link(above, segment):
            object_to(SINK, "a link on the way to a file", status=404)
        raise


def _is_link(above: int, segment: str) -> bool:
    try:
        found = os.stat(segment, dir_fd=above, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISLNK(found.st_mode)
