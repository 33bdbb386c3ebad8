"""The statement lock."""

from __future__ import annotations

from ringfence.interpreters.sink import Here


def objection_of_lock(whom: Here, text: str, dialect: str) -> str:
    """Return why the lock objects to a statement; empty if it does not."""
    _ = whom, text, dialect
    return ""
