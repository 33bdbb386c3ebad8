"""The guard of ``tarfile``: members that leave the folder they are unpacked into.

Python before 3.14 unpacks whatever an archive says, unless it is told to filter.
"""

from __future__ import annotations

import functools
import os
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any

from ringfence.interpreters.archives.members import fault_of_member
from ringfence.interpreters.sink import Sink, here

SINK = Sink("archive", "tarfile")

_ARMED = "_ringfence_armed"


def arm() -> None:
    """Guard ``extractall``, which ``shutil.unpack_archive`` calls, and ``extract``."""
    if not hasattr(tarfile.TarFile.extractall, _ARMED):
        _arm_all()
        _arm_one()


def _arm_all() -> None:
    plain = tarfile.TarFile.extractall

    @functools.wraps(plain)
    def extractall(
        self: tarfile.TarFile,
        path: Any = ".",
        members: Iterable[tarfile.TarInfo] | None = None,
        **kwargs: Any,
    ) -> None:
        if here() is not None:
            members = judged(self if members is None else members, os.fspath(path))
        plain(self, path, members, **kwargs)

    setattr(extractall, _ARMED, True)
    tarfile.TarFile.extractall = extractall  # type: ignore[method-assign]  # the guard


def _arm_one() -> None:
    plain = tarfile.TarFile.extract

    @functools.wraps(plain)
    def extract(
        self: tarfile.TarFile, member: Any, path: Any = "", *args: Any, **kwargs: Any
    ) -> None:
        if here() is not None:
            found = self.getmember(member) if isinstance(member, str) else member
            judge(found, os.fspath(path))
        plain(self, member, path, *args, **kwargs)

    tarfile.TarFile.extract = extract  # type: ignore[method-assign]  # the guard


def judged(
    members: Iterable[tarfile.TarInfo], folder: str
) -> Iterator[tarfile.TarInfo]:
    """Pass members on, each judged just before it is unpacked: links that came before
    it are there by then."""
    for member in members:
        judge(member, folder)
        yield member


def judge(member: tarfile.TarInfo, folder: str) -> None:
    """Refuse a member that leaves its folder.

    Raises:
        InjectionRefusedError: its name, or where it links to, lies elsewhere.

    Source: CWE-22, CWE-59.
    """
    whom = here()
    fault = fault_of_member(member, folder)
    if whom is not None and fault:
        whom.refuse(SINK, fault)
