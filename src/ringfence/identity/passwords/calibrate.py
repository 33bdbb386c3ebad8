"""How slow hashing has to be on this machine: measured once, kept in a file."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from ringfence.errors import SettingsError, StoreError
from ringfence.identity.passwords.argon2 import Argon2id
from ringfence.identity.passwords.cost import FLOOR, Cost

FILE = "passwords.json"
"""Name of the file in the data directory."""

SHORTEST_MS, LONGEST_MS = 100, 500
"""Between these one hash has to take, on the machine that checks it."""

_AT_THE_FLOOR = 0.03  # seconds: the floor on a common core, where nothing was measured
_MEMORIES_KIB = (65_536, 47_104, 32_768, FLOOR.memory_kib)  # RFC 9106: 64 MiB, 3 passes
_FEWEST_PASSES = 3  # before more memory is taken than at the floor
_CORRECTIONS = 2
_ENOUGH = 0.5  # seconds of measuring one cost
_TIMES = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """A cost, and how long one hash of it takes.

    Args:
        cost: of new hashes.
        seconds: of one core.
    """

    cost: Cost
    seconds: float


UNMEASURED = Measured(FLOOR, _AT_THE_FLOOR)
"""OWASP's floor: in development, and wherever nothing has been measured."""


def choose(
    target: float, *, memory_kib: int, measure: Callable[[Cost], float]
) -> Measured:
    """Return the cost whose hash takes about as long as wanted, never below the floor.

    More memory first, up to 64 MiB, since memory is what makes graphics cards slow;
    then more passes.

    Args:
        target: seconds, 0.1 to 0.5.
        memory_kib: KiB that all hashes together may hold.
        measure: returns the seconds that one hash of a cost takes.

    Source: RFC 9106, section 4; OWASP Password Storage Cheat Sheet.
    """
    found = Measured(FLOOR, measure(FLOOR))
    rate = found.seconds / FLOOR.work
    memory = next(
        memory
        for memory in _MEMORIES_KIB
        if memory == FLOOR.memory_kib
        or (memory <= memory_kib and memory * _FEWEST_PASSES * rate <= target)
    )
    for _ in range(1 + _CORRECTIONS):
        cost = Cost(memory, _passes(target, memory * rate))
        if cost == found.cost:
            break
        found = Measured(cost, measure(cost))
        rate = found.seconds / cost.work
    return found


def _passes(target: float, seconds_each: float) -> int:
    passes = max(FLOOR.passes, int(target / seconds_each))
    return passes + (passes * seconds_each < SHORTEST_MS / 1000)


def time_of(cost: Cost, clock: Callable[[], float] = time.thread_time) -> float:
    """Return the seconds that one hash takes: the best of three.

    Counted is the time of the core, so that a machine that is busy while it starts
    does not choose a cost that is too low for it.

    Args:
        cost: of the hash.
        clock: tells the time of this thread.
    """
    hasher = Argon2id(cost)
    best = spent = 0.0
    for _ in range(_TIMES):
        before = clock()
        hasher.hash("a password like any other")
        seconds = clock() - before
        best = min(best, seconds) if best else seconds
        spent += seconds
        if spent > _ENOUGH:
            break
    return best


def calibrate(
    path: Path,
    *,
    target_ms: int,
    memory_kib: int,
    now: float,
    measure: Callable[[Cost], float] = time_of,
) -> Measured:
    """Measure this machine and write down what was found. Takes less than 3 seconds.

    Args:
        path: of the file, written whole or not at all.
        target_ms: milliseconds that one hash should take.
        memory_kib: KiB that all hashes together may hold.
        now: seconds since 1970, for the reader of the file.
        measure: returns the seconds that one hash of a cost takes.

    Raises:
        StoreError: the file cannot be written.
    """
    found = choose(target_ms / 1000, memory_kib=memory_kib, measure=measure)
    _write(
        path,
        {
            "algorithm": "argon2id",
            "memory_kib": found.cost.memory_kib,
            "passes": found.cost.passes,
            "milliseconds": round(found.seconds * 1000, 1),
            "target_ms": target_ms,
            "measured": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
            "machine": {
                "system": platform.system(),
                "architecture": platform.machine(),
                "cores": os.cpu_count(),
                "argon2": version("argon2-cffi"),
            },
        },
    )
    return found


def recall(
    path: Path, *, memory_kib: int, target_ms: int | None = None
) -> Measured | None:
    """Return what was measured before; ``None`` if nothing was, or not for this.

    Args:
        path: of the file.
        memory_kib: KiB that all hashes together may hold.
        target_ms: milliseconds that one hash should take; ``None`` takes any.

    Raises:
        SettingsError: the file is damaged, or asks for less than OWASP's floor.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    try:
        said = json.loads(content)
        cost = Cost(int(said["memory_kib"]), int(said["passes"]))
        seconds = float(said["milliseconds"]) / 1000
        made_for = int(said["target_ms"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "it cannot be understood") from error
    if not cost.meets_floor:
        raise _damaged(path, "its cost is below OWASP's floor")
    if not seconds > 0:
        raise _damaged(path, "it says that a hash takes no time")
    if target_ms not in {None, made_for} or not cost.is_bearable(memory_kib):
        return None
    return Measured(cost, seconds)


def _damaged(path: Path, what: str) -> SettingsError:
    return SettingsError(
        f"{path} is of no use: {what}; write it anew with: "
        "ringfence passwords calibrate"
    )


def _write(path: Path, content: object) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=path.name, delete=False
        ) as file:
            json.dump(content, file, indent=2)
            file.write("\n")
        Path(file.name).replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
