"""The guard of ``zipfile``: archives whose members are named to leave a folder.

``ZipFile.extract`` cleans such names; code that joins ``info.filename`` to a folder
itself does not. No honest archive names a file outside of itself, so one that does is
refused where it is opened.
"""

from __future__ import annotations

import functools
import zipfile
from typing import Any

from ringfence.interpreters.archives.members import leads_out
from ringfence.interpreters.sink import Sink, here

SINK = Sink("archive", "zipfile")

JUDGED_BY_ITS_READER = "ringfence_judges_members"
_ARMED = "_ringfence_armed"


def arm() -> None:
    """Guard the opening of archives."""
    plain = zipfile.ZipFile.__init__
    if hasattr(plain, _ARMED):
        return

    @functools.wraps(plain)
    def init(self: zipfile.ZipFile, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        if here() is not None and not hasattr(self, JUDGED_BY_ITS_READER):
            judge(self)

    setattr(init, _ARMED, True)
    zipfile.ZipFile.__init__ = init  # type: ignore[method-assign]  # the guard


def judge(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that names a file outside of itself.

    Raises:
        InjectionRefusedError: a member's name is absolute, or climbs with ``..``.

    Source: CWE-22 (zip-slip).
    """
    whom = here()
    if whom is None or not any(map(leads_out, archive.namelist())):
        return
    try:
        whom.refuse(SINK, "a member's name leads out of the folder")
    except BaseException:
        archive.close()
        raise
