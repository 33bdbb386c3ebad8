"""Opening the passwords: where their cost and their optional libraries are chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ringfence.clock import Clock
from ringfence.errors import UnusableHashError
from ringfence.identity.passwords import pbkdf2, scrypt, wrapped
from ringfence.identity.passwords.argon2 import Argon2id
from ringfence.identity.passwords.calibrate import (
    FILE,
    UNMEASURED,
    Measured,
    calibrate,
    recall,
)
from ringfence.identity.passwords.passwords import Passwords
from ringfence.identity.passwords.pool import HashingPool
from ringfence.identity.passwords.rules import Rules
from ringfence.identity.passwords.stored import Claim, Reader
from ringfence.identity.settings import IdentitySettings

_KIB = 1024


def open_passwords(
    settings: IdentitySettings, *, data: Path | None, measure: bool, clock: Clock
) -> Passwords:
    """Return the passwords of a gatehouse. Nothing is read before they start.

    Args:
        settings: of the gatehouse.
        data: the folder with the measured cost; ``None`` for none.
        measure: whether to measure this machine if nobody has; else OWASP's floor.
        clock: tells the time.
    """
    memory_kib = settings.hash_memory * _KIB
    return Passwords(
        HashingPool(
            threads=settings.hash_threads,
            queue=settings.hash_queue,
            memory_kib=memory_kib,
            per_network=settings.hash_per_network,
        ),
        measured=_measured(settings, data, clock, measure=measure),
        readers=open_readers(memory_kib),
        rules=Rules(
            shortest=settings.password_min_length,
            names=(settings.site_name, "ringfence"),
        ),
        least_seconds=settings.password_answer_ms / 1000,
    )


def open_readers(memory_kib: int) -> tuple[Reader, ...]:
    """Return the readers of other programs' hashes.

    Args:
        memory_kib: KiB that one hash may ask for.
    """
    hasher = Argon2id(memory_kib=memory_kib)
    try:
        from ringfence.identity.passwords.bcrypt import read as bcrypt  # noqa: PLC0415 - late: optional bcrypt
    except ImportError:
        bcrypt = _without_bcrypt
    return (
        bcrypt,
        pbkdf2.read,
        scrypt.reader(memory_kib),
        hasher.read_django,
        wrapped.reader(hasher),
    )


def _without_bcrypt(stored: str) -> Claim | None:
    if stored.startswith(("$2", "bcrypt$", "bcrypt_sha256$")):
        raise UnusableHashError(
            "the stored hash is bcrypt's, and bcrypt is not installed; install it "
            "with: pip install 'ringfence[bcrypt]'"
        )
    return None


def _measured(
    settings: IdentitySettings, data: Path | None, clock: Clock, *, measure: bool
) -> Callable[[], Measured]:
    memory_kib = settings.hash_memory * _KIB

    def measured() -> Measured:
        if data is None or not settings.password_hash_ms:
            return UNMEASURED
        path, target_ms = data / FILE, settings.password_hash_ms
        if not measure:
            return recall(path, memory_kib=memory_kib) or UNMEASURED
        known = recall(path, memory_kib=memory_kib, target_ms=target_ms)
        return known or calibrate(
            path, target_ms=target_ms, memory_kib=memory_kib, now=clock()
        )

    return measured
