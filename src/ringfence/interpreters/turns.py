"""Taking turns at a file that several processes read, add to and write anew."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ringfence.errors import SettingsError

if sys.platform != "win32":
    import fcntl


@contextmanager
def turn_at(path: Path) -> Iterator[None]:
    """Let one process after the other go on, so that none writes over what another has
    added since it was read.

    It is the folder that is held, and the system lets go of it with the process: no
    file is left behind that would have to be removed.

    Args:
        path: the file; it need not be there.

    Raises:
        SettingsError: there is no such folder.

    Not covered: Windows, and folders in the network that know no locks.
    """
    if sys.platform == "win32":
        yield
        return
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror}); is its folder there?"
        raise SettingsError(message) from error
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
