"""Lua scripts that the server keeps under their SHA-1."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script that a keyspace can ``run``.

    It is called by its SHA-1, and sent as a whole only to a server that does not know
    it (any more): after a restart, a failover, ``SCRIPT FLUSH``.

    Args:
        text: in Lua. Whatever varies comes as a key or an argument: text that is put
            into a script is code (CWE-94), and each text would be kept by the server.
        name: for people.
    """

    text: bytes = field(repr=False)
    name: str = ""
    sha: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # SHA-1 because EVALSHA asks for it; it names the script and protects nothing.
        name = hashlib.sha1(self.text, usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", name.encode())

    @staticmethod
    @cache
    def named(name: str) -> Script:
        """Return the script in ``scripts/<name>.lua``."""
        folder = files("ringfence.stores.redis") / "scripts"
        return Script((folder / f"{name}.lua").read_bytes(), name)
