"""Reading a file that holds a secret, if nobody else may read it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Collection
from pathlib import Path

from ringfence.errors import SettingsError

MAX_BYTES = 65_536


def read_private(path: Path, name: str, *, cure: str) -> bytes:
    """Return what is in the file, 64 KiB at most.

    It has to belong to the user of this process or to root, with mode 0600 or less. A
    file of root may also be readable by a group of this process: that is how Kubernetes
    hands a secret to a process that is not root (``fsGroup``).

    Args:
        path: the file; a link only if this user or root has made it.
        name: what it is, ``keys file`` say, for errors.
        cure: what helps if there is none.

    Raises:
        SettingsError: there is none, others can read or change it, or somebody else
            could know what is in it.

    Source: CWE-276, CWE-732.
    """
    try:
        _refuse_foreign_link(path, name)
        # Not blocking: somebody may have put a pipe there, which would never open.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor, for its flags
            _refuse_exposed(path, name, os.fstat(file.fileno()))
            return file.read(MAX_BYTES)
    except FileNotFoundError as error:
        raise SettingsError(f"there is no {name} at {path}; {cure}") from error
    except OSError as error:
        message = (
            f"the {name} {path} cannot be read ({error.strerror}); it must belong "
            "to the user that runs this process and have mode 0600"
        )
        raise SettingsError(message) from error


def forbidden_bits(found: os.stat_result, *, user: int, groups: Collection[int]) -> int:
    """Return the mode bits that would let somebody else at a file.

    Args:
        found: the file's.
        user: of this process.
        groups: of this process.
    """
    given_to_us = found.st_uid == 0 and user != 0 and found.st_gid in groups
    return 0o037 if given_to_us else 0o077


def _refuse_foreign_link(path: Path, name: str) -> None:
    """Stop a link that another user planted to lend us a secret which they know."""
    if sys.platform == "win32":
        return
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) and found.st_uid not in {0, os.geteuid()}:
        message = (
            f"the {name} {path} is a link made by another user (uid "
            f"{found.st_uid}), who could know what is in it; remove it and make your "
            "own"
        )
        raise SettingsError(message)


def _refuse_exposed(path: Path, name: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SettingsError(f"the {name} {path} is no regular file")
    if sys.platform == "win32":
        return
    if found.st_uid not in {0, os.geteuid()}:
        message = (
            f"the {name} {path} belongs to another user (uid {found.st_uid}), who "
            "can change it; run: chown to the user that runs this process"
        )
        raise SettingsError(message)
    groups = {os.getegid(), *os.getgroups()}
    if found.st_mode & forbidden_bits(found, user=os.geteuid(), groups=groups):
        message = (
            f"the {name} {path} can be read or changed by other users (mode "
            f"{stat.S_IMODE(found.st_mode):04o}); run: chmod 600 {path} - and replace "
            "what is in it if others may have read it"
        )
        raise SettingsError(message)
