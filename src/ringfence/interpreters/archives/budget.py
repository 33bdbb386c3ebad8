"""What is still allowed to come out of an archive that is being read."""

from __future__ import annotations

import io
from typing import IO, NoReturn

from ringfence.interpreters.archives.limits import Limits
from ringfence.interpreters.objection import object_to
from ringfence.interpreters.sink import Sink

SINK = Sink("archive", "archives")

_FREE = 1_048_576  # bytes before the ratio is asked
_OVERHEAD = 2_048  # bytes of a tar archive for each member, besides what is in it


class Budget:
    """Counts what comes out of one archive.

    Args:
        limits: what may.
        packed: bytes of the archive.
    """

    def __init__(self, limits: Limits, packed: int) -> None:
        self._limits = limits
        self._most = limits.total
        by_ratio = max(_FREE, limits.ratio * packed)
        self._is_ratio = by_ratio < self._most
        self._most = min(self._most, by_ratio)
        self._members = 0
        self._written = 0

    def member(self, name: str) -> None:
        """Count one member.

        Raises:
            InjectionRefusedError: one too many, or too deep.
        """
        self._members += 1
        if self._members > self._limits.members:
            refuse(f"more than {self._limits.members} members")
        if name.count("/") > self._limits.depth:
            refuse(f"more than {self._limits.depth} folders within one another")

    def copy(self, source: IO[bytes], target: IO[bytes]) -> None:
        """Copy one member.

        Raises:
            InjectionRefusedError: it is too large, or all are together.
        """
        size = 0
        while chunk := source.read(io.DEFAULT_BUFFER_SIZE):
            size += len(chunk)
            self._written += len(chunk)
            if size > self._limits.single:
                refuse(f"a member of more than {self._limits.single} bytes")
            if self._written > self._most:
                self.exceed()
            target.write(chunk)

    @property
    def unpacked(self) -> int:
        """Bytes that a stream may have when it is decompressed, headers and all."""
        return self._most + _OVERHEAD * (self._limits.members + 1)

    def exceed(self) -> NoReturn:
        """Refuse the whole archive."""
        if self._is_ratio:
            refuse(f"more than {self._limits.ratio} bytes for each byte: a bomb")
        refuse(f"more than {self._limits.total} bytes")


class Metered(io.RawIOBase):
    """A stream that is decompressed no further than its budget.

    The headers of an archive count too: one may say of itself that it is a gigabyte.
    """

    def __init__(self, source: IO[bytes], budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._left = budget.unpacked

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes.

        Raises:
            InjectionRefusedError: there are more than are allowed.
        """
        if size < 0 or size > self._left + 1:
            size = self._left + 1
        chunk = self._source.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            self._budget.exceed()
        return chunk


def refuse(why: str) -> NoReturn:
    """Refuse an archive.

    Raises:
        InjectionRefusedError: always; answered with 400.
    """
    object_to(SINK, why)
