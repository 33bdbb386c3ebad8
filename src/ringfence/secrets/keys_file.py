"""The file that holds the master keys: read, made, rotated."""

from __future__ import annotations

import base64
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec

from ringfence.errors import SettingsError
from ringfence.secrets.private_file import read_private

if sys.platform != "win32":
    import fcntl

KEY_BYTES = 32
"""256 bits, as NIST SP 800-57 asks for beyond 2030."""

MOST_KEYS = 32  # of a file, the retired ones too
# 32 random bytes hold about 30 different ones, and fewer than 16 with a probability
# below 1e-12; the same holds for the steps between neighbours.
_LEAST_VARIETY = 16


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One generation of the master key, as it stands in the file.

    Args:
        id: names the key, so that what it signed can be told.
        created: Unix time in whole seconds from which it signs; of those whose time has
            come the newest does. Ahead of now while all processes get to know it.
        key: 32 random bytes in base64url.
        retired: Unix time since when nothing that it signed counts any more; it only
            opens what was sealed with it and is kept, the secrets of second factors
            say. 0 for a key in use.
    """

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    created: Annotated[int, msgspec.Meta(ge=0)]
    key: str
    retired: Annotated[int, msgspec.Meta(ge=0)] = 0

    def __repr__(self) -> str:
        return f"Key({self.id!r})"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys file: ``{"version": 1, "keys": [...]}``."""

    version: Literal[1]
    keys: Annotated[tuple[Key, ...], msgspec.Meta(min_length=1, max_length=MOST_KEYS)]


class Generation(NamedTuple):
    """A key as it is used.

    Args:
        created: Unix time from which it signs.
        retired: whether it only opens what is kept.
        material: the 32 bytes.
    """

    created: int
    retired: bool
    material: bytes

    def __repr__(self) -> str:
        return f"Generation({self.created}, retired={self.retired})"


_Dated = TypeVar("_Dated", Key, Generation)


def read_keys_file(path: Path) -> tuple[Generation, ...]:
    """Return the keys of a file, the newest first.

    Raises:
        SettingsError: there is none, others can read it, it belongs to somebody else,
            or its keys are weak.
    """
    found = _read(path)
    return tuple(
        Generation(key.created, bool(key.retired), _strong(key)) for key in found
    )


def list_keys_file(path: Path) -> tuple[Key, ...]:
    """Return what stands in a file, the newest key first.

    Raises:
        SettingsError: as ``read_keys_file``.
    """
    return _read(path)


def create_keys_file(path: Path) -> None:
    """Make a keys file with one fresh key, for ``ringfence keys create``.

    Raises:
        SettingsError: the file is there already, or cannot be made.
    """
    if not make_keys_file(path):
        message = f"{path} exists already; its keys are in use, so it is left alone"
        raise SettingsError(message)


def make_keys_file(path: Path) -> bool:
    """Return whether this process made the file; ``False`` if another was first.

    The whole file is written beside its place and then linked into it, so that nobody
    ever reads half a file and the first of two processes wins.

    Raises:
        SettingsError: the file cannot be made.
    """
    draft = _draft(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(draft, _encode([_fresh_key(int(time.time()))]))
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        message = (
            f"the keys file {path} cannot be made ({error.strerror}); name a place "
            "that this user may write to in RINGFENCE_KEYS_FILE or RINGFENCE_DATA"
        )
        raise SettingsError(message) from error
    return True


class Rotation(NamedTuple):
    """What a rotation has done.

    Args:
        added: the new key.
        retired: ids of those that only open what is kept, from now on.
    """

    added: Key
    retired: tuple[str, ...]


def rotate_keys_file(path: Path, *, wait: int, keep: int, now: float) -> Rotation:
    """Add a key that signs later, and retire what has long been replaced.

    The new key is known to every process, and to everybody who keeps our public keys,
    before anything is signed with it: so nothing that is signed is refused anywhere.
    The file is replaced in one step; nobody reads half of it.

    Args:
        path: the file.
        wait: seconds until the new key signs.
        keep: seconds for which a key verifies after another one has taken its place.
        now: Unix seconds.

    Raises:
        SettingsError: the file cannot be used or replaced, a new key is still waiting,
            or there are too many.

    Source: NIST SP 800-57 part 1, sections 5.3.5 and 5.3.6; ASVS 5.0 V11.1.1.
    """
    with _alone(path):
        found = _read(path)
        if waiting := [key.id for key in found if key.created > now]:
            message = (
                f"the key {waiting[0]!r} of {path} is still waiting to sign; a second "
                "one would be of no use"
            )
            raise SettingsError(message)
        overdue = _replaced_before(found, now - keep)
        if len(found) >= MOST_KEYS:
            message = (
                f"{path} holds {MOST_KEYS} keys already; remove the oldest retired "
                f"one with: ringfence keys remove {path} {found[-1].id}"
            )
            raise SettingsError(message)
        fresh = _fresh_key(int(now) + wait)
        kept = [
            msgspec.structs.replace(key, retired=int(now)) if key in overdue else key
            for key in found
        ]
        _replace(path, [fresh, *kept])
    return Rotation(fresh, tuple(key.id for key in overdue))


def remove_key(path: Path, name: str, *, now: float) -> None:
    """Take a key out of the file: whatever was signed or sealed with it is lost.

    For a key that somebody else may know, and for room in a file that is full.

    Raises:
        SettingsError: there is no such key, or it is the one that signs.
    """
    with _alone(path):
        found = _read(path)
        if name not in {key.id for key in found}:
            raise SettingsError(f"{path} has no key {name!r}")
        if signing(found, now).id == name:
            message = (
                f"the key {name!r} signs at present; rotate first, and remove it once "
                "the new one signs"
            )
            raise SettingsError(message)
        _replace(path, [key for key in found if key.id != name])


def signing(newest_first: Sequence[Key], now: float) -> Key:
    """Return the key that signs at a time, of keys in use and of retired ones."""
    return in_use([key for key in newest_first if not key.retired], now)


def in_use(newest_first: Sequence[_Dated], now: float) -> _Dated:
    """Return the newest key whose time has come; where the clock says that none's has,
    the oldest."""
    begun = (key for key in newest_first if key.created <= now)
    return next(begun, newest_first[-1])


def _replaced_before(newest_first: Sequence[Key], moment: float) -> list[Key]:
    """Return the keys whose successor has signed since before that moment."""
    active = [key for key in newest_first if not key.retired]
    return [old for new, old in pairwise(active) if new.created <= moment]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other rotations out: of two at once, one would lose the other's key."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY)
    except OSError as error:
        raise _not_replaced(path, error) from error
    try:
        if sys.platform != "win32":
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(path: Path, keys: Sequence[Key]) -> None:
    real = path.resolve()  # a link stays a link
    draft = _draft(real)
    try:
        found = real.stat()
        _write(draft, _encode(keys))
        if sys.platform != "win32":
            os.chown(draft, found.st_uid, found.st_gid)
        draft.chmod(found.st_mode & 0o777)
        draft.replace(real)
    except OSError as error:
        raise _not_replaced(path, error) from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _not_replaced(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"the keys file {path} cannot be replaced ({error.strerror}); do it as a user "
        "that may write to its folder, and copy the file to where it is read"
    )


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _write(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(os.open(path, flags, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor, for its flags and mode
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _fresh_key(created: int) -> Key:
    material = base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    return Key(secrets.token_hex(4), created, material)


def _encode(keys: Sequence[Key]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(_File(1, tuple(keys)))) + b"\n"


def _read(path: Path) -> tuple[Key, ...]:
    cure = f"make one with: ringfence keys create {path}"
    return _decode(path, read_private(path, "keys file", cure=cure))


def _decode(path: Path, content: bytes) -> tuple[Key, ...]:
    try:
        return _ordered(msgspec.json.decode(content, type=_File))
    except (ValueError, RecursionError) as error:
        message = (
            f"the keys file {path} cannot be used: {error}; make a good one with: "
            "ringfence keys create FILE"
        )
        raise SettingsError(message) from None  # the cause could quote the file


def _ordered(file: _File) -> tuple[Key, ...]:
    """Return the keys, the newest first, if they are such as may be used."""
    if len({key.id for key in file.keys}) != len(file.keys):
        raise ValueError("two keys have the same id")
    ordered = sorted(
        enumerate(file.keys), key=lambda item: (item[1].created, item[0]), reverse=True
    )
    found = tuple(key for _, key in ordered)
    if len({_strong(key) for key in found}) != len(found):
        raise ValueError("the same key stands in it twice")
    if all(key.retired for key in found):
        raise ValueError("every key is retired, so none may sign")
    return found


def _strong(key: Key) -> bytes:
    """Return the key's bytes, or refuse what no random source would have made.

    Stops keys from a tutorial, a keyboard or a counter: what is signed with one can
    be forged by anybody who guesses it (CWE-321, CWE-331).
    """
    try:
        material = base64.b64decode(key.key, altchars=b"-_", validate=True)
    except ValueError:
        raise ValueError(f"key {key.id!r} is no base64url") from None
    if len(material) != KEY_BYTES:
        length = len(material)
        raise ValueError(f"key {key.id!r} has {length} bytes instead of {KEY_BYTES}")
    steps = {(after - before) % 256 for before, after in pairwise(material)}
    typed = material.isascii() and material.decode().isprintable()
    if typed or min(len(set(material)), len(steps)) < _LEAST_VARIETY:
        raise ValueError(f"key {key.id!r} is weak: no random source made it")
    return material
