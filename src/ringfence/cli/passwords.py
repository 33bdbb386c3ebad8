"""``ringfence passwords``: how slow hashing has to be on this machine."""

from __future__ import annotations

import sys
import time

from ringfence.identity.passwords.calibrate import FILE
from ringfence.identity.passwords.calibrate import calibrate as measure
from ringfence.settings import Settings

_KIB = 1024


def calibrate() -> int:
    """Measure anew, and say what was found.

    Raises:
        SettingsError: the settings are wrong.
        StoreError: the file cannot be written.
    """
    settings = Settings.load()
    wanted = settings.identity.password_hash_ms
    path = settings.data / FILE
    if not wanted:
        sys.stdout.write(
            "identity.password_hash_ms is 0, which means OWASP's floor; nothing was "
            "measured.\n"
        )
        return 0
    found = measure(
        path,
        target_ms=wanted,
        memory_kib=settings.identity.hash_memory * _KIB,
        now=time.time(),
    )
    sys.stdout.write(
        f"One hash takes {found.seconds * 1000:.0f} ms of a core here, with "
        f"{found.cost.memory_kib / _KIB:.0f} MiB and {found.cost.passes} passes; "
        f"wanted were {wanted} ms.\n"
        f"Written to {path}. Servers take it over when they start; weaker hashes are "
        "replaced as their owners sign in.\n"
    )
    return 0
