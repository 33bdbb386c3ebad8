"""The scripts that a Redis runs for us, put together from their parts."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

from ringfence.stores.redis.scripts import Script


class Scripts(NamedTuple):
    """What is run where all processes see the same state, as one step each."""

    take: Script
    give_back: Script
    distinct: Script
    read: Script
    keep: Script
    hold: Script
    release: Script
    question: Script
    put_block: Script
    blocks_since: Script


_PARTS = {
    "take": ("charges",),
    "give_back": ("charges",),
    "read": ("copies",),
    "keep": ("copies",),
    "question": ("charges", "copies"),
    "put_block": ("blocks",),
    "blocks_since": ("blocks",),
}
"""What stands before a script, after the time."""


def compose(time: bytes = b"") -> Scripts:
    """Return all scripts.

    Args:
        time: a line of Lua that makes ``now``, in seconds; for tests. Else it is the
            time of the server: of two processes whose clocks differ neither may get
            more than the other.
    """
    line = time or _part("time")
    return Scripts(*(_composed(line, name) for name in Scripts._fields))


def _composed(line: bytes, name: str) -> Script:
    parts = map(_part, (*_PARTS.get(name, ()), name))
    return Script(b"".join((line, *parts)), name)


@cache
def _part(name: str) -> bytes:
    return (files(__package__) / "scripts" / f"{name}.lua").read_bytes()
