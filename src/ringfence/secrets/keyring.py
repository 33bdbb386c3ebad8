"""The keys of one installation, in one file.

Cookies, tokens and seals do not use these keys themselves: each purpose gets its own,
derived by HKDF, so that what is signed for one is worthless for another.
"""

from __future__ import annotations

import base64
import os
import secrets
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ringfence.errors import SettingsError
from ringfence.secrets.private_file import read_private

KEY_BYTES = 32
"""256 bits, as NIST SP 800-57 asks for beyond 2030."""

_SALT = b"ringfence.keyring.1"
# 32 random bytes hold about 30 different ones, and fewer than 16 with a probability
# below 1e-12; the same holds for the steps between neighbours.
_LEAST_VARIETY = 16


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One generation of the master key, as it stands in the file.

    Args:
        id: names the key, so that what it signed can be told.
        created: Unix time in whole seconds; the newest key signs.
        key: 32 random bytes in base64url.
    """

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    created: Annotated[int, msgspec.Meta(ge=0)]
    key: str

    def __repr__(self) -> str:
        return f"Key({self.id!r})"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys file: ``{"version": 1, "keys": [...]}``."""

    version: Literal[1]
    keys: Annotated[tuple[Key, ...], msgspec.Meta(min_length=1, max_length=32)]


class Keyring:
    """Derive the key of each purpose from the file that holds the master keys.

    Made without touching the disk, so that an application can be planned and tested
    anywhere; ``open`` reads the file when the application starts.

    Args:
        path: the keys file. Mode 0600, owned by the user of this process or by root;
            one of root's may be readable by a group of this process.
        create: make the file if there is none. Two processes that start at once end
            up with the same keys.

    Not covered: who can read the memory of this process has the keys.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self._path = path
        self._create = create
        self._keys: tuple[bytes, ...] = ()
        self._derived: dict[str, tuple[bytes, ...]] = {}

    def open(self) -> None:
        """Read the keys, and make the file first where that is wanted.

        Raises:
            SettingsError: there is no file, others can read it, it belongs to somebody
                else, or its keys are weak.
        """
        if self._create and not os.path.lexists(self._path):
            _make(self._path)
        self._keys = _read(self._path)
        self._derived = {}

    def derive(self, purpose: str) -> bytes:
        """Return the 32 bytes that sign and seal for this purpose.

        Args:
            purpose: a constant of the code that uses the key, ``browser.csrf`` say.

        Raises:
            SettingsError: the keyring is not open.
            ValueError: the purpose is empty.

        Source: RFC 5869 (HKDF), the purpose as ``info``.
        """
        return self.derive_all(purpose)[0]

    def derive_all(self, purpose: str) -> tuple[bytes, ...]:
        """Return the keys of this purpose, the signing one first.

        The others only verify what was signed before the last rotation.

        Raises:
            SettingsError: the keyring is not open.
            ValueError: the purpose is empty.
        """
        known = self._derived.get(purpose)
        if known is not None:
            return known
        if not purpose:
            raise ValueError("a key needs a purpose, as in derive('browser.csrf')")
        if not self._keys:
            message = (
                f"the keys in {self._path} were asked for before they were opened; "
                "keys are there once the application has started (its lifespan ran)"
            )
            raise SettingsError(message)
        derived = tuple(_hkdf(key, purpose) for key in self._keys)
        self._derived[purpose] = derived
        return derived


def create_keys_file(path: Path) -> None:
    """Make a keys file with one fresh key, for ``ringfence keys create``.

    Raises:
        SettingsError: the file is there already, or cannot be made.
    """
    if not _make(path):
        message = f"{path} exists already; its keys are in use, so it is left alone"
        raise SettingsError(message)


def _hkdf(material: bytes, purpose: str) -> bytes:
    info = purpose.encode()
    return HKDF(algorithm=SHA256(), length=32, salt=_SALT, info=info).derive(material)


def _make(path: Path) -> bool:
    """Return whether this process made the file; ``False`` if another was first.

    The whole file is written beside its place and then linked into it, so that nobody
    ever reads half a file and the first of two processes wins.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(draft, _encode(_fresh_key()))
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


def _write(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(os.open(path, flags, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor, for its flags and mode
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _fresh_key() -> Key:
    material = base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    return Key(secrets.token_hex(4), int(time.time()), material)


def _encode(key: Key) -> bytes:
    return msgspec.json.format(msgspec.json.encode(_File(1, (key,)))) + b"\n"


def _read(path: Path) -> tuple[bytes, ...]:
    cure = f"make one with: ringfence keys create {path}"
    return _decode(path, read_private(path, "keys file", cure=cure))


def _decode(path: Path, content: bytes) -> tuple[bytes, ...]:
    """Return the keys, newest first."""
    try:
        return _material(msgspec.json.decode(content, type=_File))
    except (ValueError, RecursionError) as error:
        message = (
            f"the keys file {path} cannot be used: {error}; make a good one with: "
            "ringfence keys create FILE"
        )
        raise SettingsError(message) from None  # the cause could quote the file


def _material(file: _File) -> tuple[bytes, ...]:
    if len({key.id for key in file.keys}) != len(file.keys):
        raise ValueError("two keys have the same id")
    ordered = sorted(
        enumerate(file.keys), key=lambda item: (item[1].created, item[0]), reverse=True
    )
    found = tuple(_strong(key) for _, key in ordered)
    if len(set(found)) != len(found):
        raise ValueError("the same key stands in it twice")
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
