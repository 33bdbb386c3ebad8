"""How much may come out of an archive."""

from __future__ import annotations

from dataclasses import dataclass, fields

_MEGABYTE = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one archive may become. Counted while it is read: what an archive says of
    itself is not believed.

    Args:
        members: files and folders.
        total: bytes of all files together.
        single: bytes of one file.
        ratio: bytes that come out for each byte that went in; asked from the second
            megabyte on.
        depth: folders within folders.

    Raises:
        ValueError: a limit below 1.
    """

    members: int = 1_000
    total: int = 100 * _MEGABYTE
    single: int = 50 * _MEGABYTE
    ratio: int = 100
    depth: int = 16

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"archives.Limits.{field.name} must be 1 or more")
