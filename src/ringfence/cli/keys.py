"""``ringfence keys``: the keys that production needs, and their rotation."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from ringfence.errors import SettingsError
from ringfence.secrets.keys_file import (
    Key,
    create_keys_file,
    list_keys_file,
    remove_key,
    rotate_keys_file,
    signing,
)

SOONEST, LATEST = 60, 30 * 24 * 3600  # seconds until a new key signs
_BRIEFEST = 24 * 3600  # seconds for which an old key verifies


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


def rotate(path: Path, *, wait: float, keep: float) -> int:
    """Add a key that signs later, retire old ones, and say what happens when.

    Args:
        path: the keys file.
        wait: seconds until the new key signs.
        keep: seconds for which a key that was replaced still verifies.

    Raises:
        SettingsError: an argument is out of range, or the file cannot be rotated.
    """
    if not SOONEST <= wait <= LATEST:
        message = (
            "a new key has to wait 1m to 30d before it signs: every process reads the "
            "file again within 15 seconds, and other services keep our public keys for "
            "five minutes"
        )
        raise SettingsError(message)
    if keep < _BRIEFEST:
        message = (
            "old keys have to be kept 1d or longer, and as long as what they have "
            "signed: refresh tokens last tokens.refresh_absolute"
        )
        raise SettingsError(message)
    rotation = rotate_keys_file(path, wait=int(wait), keep=int(keep), now=time.time())
    sys.stdout.write(
        f"{path} has a new key {rotation.added.id}, which signs from "
        f"{_moment(rotation.added.created)} on. Running processes read it by "
        "themselves; where the file is copied to other machines, copy it before then.\n"
    )
    for name in rotation.retired:
        sys.stdout.write(
            f"{name} is retired: it verifies nothing any more, and only opens what was "
            "sealed with it.\n"
        )
    return 0


def show(path: Path, *, as_json: bool) -> int:
    """List the keys of a file, and what each of them does. Never a key itself.

    Raises:
        SettingsError: the file cannot be used.
    """
    for key, state in _states(list_keys_file(path), time.time()):
        if as_json:
            row = {"id": key.id, "created": key.created, "state": state}
            sys.stdout.write(json.dumps(row) + "\n")
        else:
            sys.stdout.write(f"{key.id}  {_moment(key.created)}  {state}\n")
    return 0


def remove(path: Path, name: str) -> int:
    """Take a key out of a file for good.

    Raises:
        SettingsError: there is no such key, it signs, or the file cannot be used.
    """
    remove_key(path, name, now=time.time())
    sys.stdout.write(
        f"{name} is removed from {path}: whatever it has signed or sealed is lost.\n"
    )
    return 0


def _states(keys: Sequence[Key], now: float) -> Iterator[tuple[Key, str]]:
    signs = signing(keys, now)
    for key in keys:
        if key is signs:
            yield key, "signs"
        elif key.retired:
            yield key, "retired"
        else:
            yield key, "waits" if key.created > now else "verifies"


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
