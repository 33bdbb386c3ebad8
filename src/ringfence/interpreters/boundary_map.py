"""The boundary map: which input of which route has reached which interpreter, and how.

Kept from what really happened, in a run of the tests or under real traffic, so that it
holds what nobody has thought of.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ringfence.errors import SettingsError
from ringfence.interpreters.turns import turn_at
from ringfence.interpreters.untrusted import Input

WAYS = ("raw", "escaped", "bound")
"""How an input reaches an interpreter, the most dangerous first."""

_MOST = 5_000  # crossings; names of fields are the sender's choice
_LONGEST_NAME = 60  # characters
_VERSION = 1


@dataclass(frozen=True, slots=True, order=True)
class Crossing:
    """One way over the boundary.

    Args:
        route: the path pattern.
        place: where the input stood, as in ``Input``.
        name: of the field.
        interpreter: what was reached.
        driver: by what.
        way: ``raw``, ``escaped`` or ``bound``.
    """

    route: str
    place: str
    name: str
    interpreter: str
    driver: str
    way: str


@dataclass(slots=True)
class BoundaryMap:
    """Counts crossings. Holds names of fields, never values.

    Args:
        crossings: how often each was seen.
        dropped: crossings that were one kind too many.
    """

    crossings: dict[Crossing, int] = field(default_factory=dict)
    dropped: int = 0

    def reached(self, given: Input, interpreter: str, driver: str, way: str) -> None:
        """Count one input that has reached an interpreter."""
        self._count(
            Crossing(
                given.route,
                given.place,
                given.name[:_LONGEST_NAME],
                interpreter,
                driver,
                way,
            ),
            1,
        )

    def add(self, other: BoundaryMap) -> None:
        """Count what another map holds."""
        for crossing, times in other.crossings.items():
            self._count(crossing, times)
        self.dropped += other.dropped

    def _count(self, crossing: Crossing, times: int) -> None:
        if crossing in self.crossings or len(self.crossings) < _MOST:
            self.crossings[crossing] = self.crossings.get(crossing, 0) + times
        else:
            self.dropped += times


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    route: str
    place: str
    name: str
    interpreter: str
    driver: str
    way: str
    times: int


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    crossings: list[_Row]
    dropped: int = 0


def encode(kept: BoundaryMap) -> bytes:
    """Return a map as JSON, in a stable order."""
    rows = [
        _Row(*_fields(crossing), times)
        for crossing, times in sorted(kept.crossings.items())
    ]
    document = _File(_VERSION, rows, kept.dropped)
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def read(path: Path) -> BoundaryMap:
    """Return the map in a file.

    Raises:
        SettingsError: there is no such file, or it holds no map.
    """
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        message = (
            f"{path} cannot be read ({error.strerror}); keep a map first: "
            f"RINGFENCE_INTERPRETERS_BOUNDARY_MAP={path} in the environment of the "
            "tests or of the server"
        )
        raise SettingsError(message) from error
    except msgspec.DecodeError as error:
        raise SettingsError(f"{path} holds no boundary map: {error}") from error
    kept = BoundaryMap(dropped=document.dropped)
    for row in document.crossings:
        fields: Mapping[str, str | int] = msgspec.structs.asdict(row)
        names = {key: str(value) for key, value in fields.items() if key != "times"}
        kept.crossings[Crossing(**names)] = row.times
    return kept


def save(kept: BoundaryMap, path: Path) -> None:
    """Add a map to the one in a file, which is made if it is not there.

    Several workers end in the same moment, and each adds what it has seen.

    Raises:
        SettingsError: the file cannot be written, or holds something else.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with turn_at(path):
            whole = read(path) if path.exists() else BoundaryMap()
            whole.add(kept)
            beside.write_bytes(encode(whole))
            beside.replace(path)
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror}); is its folder there?"
        raise SettingsError(message) from error


def _fields(crossing: Crossing) -> tuple[str, str, str, str, str, str]:
    return (
        crossing.route,
        crossing.place,
        crossing.name,
        crossing.interpreter,
        crossing.driver,
        crossing.way,
    )
