"""Which members of an archive lead out of the folder that it is unpacked into."""

from __future__ import annotations

import os
import posixpath
import re
import tarfile
from pathlib import Path

_DRIVE = re.compile(r"[A-Za-z]:")


def leads_out(name: str) -> bool:
    """Return whether a name leads elsewhere, on any platform (zip-slip, CWE-22)."""
    plain = name.replace("\\", "/")
    if plain.startswith("/") or _DRIVE.match(plain):
        return True
    return _climbs(plain)


def _climbs(plain: str) -> bool:
    normal = posixpath.normpath(plain)
    return normal == ".." or normal.startswith("../")


def fault_of_member(member: tarfile.TarInfo, folder: str) -> str:
    """Say why a member of a tar archive must not be unpacked; nothing where it may.

    Args:
        member: of the archive.
        folder: that it is unpacked into: links that are there already count.
    """
    if leads_out(member.name):
        return "a name that leads out of the folder"
    if member.isdev():
        return "a device or a pipe"
    if member.issym():
        beside = posixpath.dirname(member.name)
        if leads_out(posixpath.join(beside, member.linkname)):
            return "a link that leads out of the folder"
    elif member.islnk() and leads_out(member.linkname):
        return "a link that leads out of the folder"
    base = Path(os.path.realpath(folder))
    if not Path(os.path.realpath(base / member.name)).is_relative_to(base):
        return "a name that leads through a link out of the folder"
    return ""
