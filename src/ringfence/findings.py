"""What an inspection has found, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that somebody should look at.

    Args:
        code: a stable name, ``part.reason``; never reused for another meaning.
        where: the module, file or setting that it is about.
        what: one sentence that says what is wrong.
        instead: what to do about it.
    """

    code: str
    where: str
    what: str
    instead: str
