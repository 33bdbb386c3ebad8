"""``ringfence keys``: the keys that production needs."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote

from ringfence.secrets.keys_file import create_keys_file


def create(path: Path) -> int:
    """Make a keys file and say what to do with it.

    Raises:
        SettingsError: it exists, or cannot be made.
    """
    create_keys_file(path)
    sys.stdout.write(
        f"{path} holds a fresh key. Use it with:\n"
        f"  RINGFENCE_KEYS_FILE={quote(str(path.absolute()))}\n"
        "Keep it out of the repository and of backups that others can read; without "
        "it every session ends.\n"
    )
    return 0
