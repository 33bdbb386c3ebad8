"""Lua scripts that the server keeps under their SHA-1."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from redis.crc import key_slot

from ringfence.stores.redis.packing import Word, pack


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


_END: Final = b"\r\n"  # of the first line, which says how many words there are
_USUAL: Final = 3  # arguments
_OF_THREE: Final = b"*%d\r\n%b" + _USUAL * b"$%d\r\n%b\r\n"


class Prepared(tuple[bytes, ...]):  # noqa: SLOT001 - a tuple can have none
    """The keys of a call that comes again and again with other arguments. What does not
    change of the command is packed once; most of the time of a call would go there.

    Args:
        script: that is called.
        keys: at least one.
    """

    script: Script
    slot: int
    _count: int
    _start: bytes

    @classmethod
    def of(cls, script: Script, keys: Iterable[bytes]) -> Prepared:
        self = cls(keys)
        words = (b"EVALSHA", script.sha, len(self), *self)
        self.script, self.slot, self._count = script, key_slot(self[0]), len(words)
        self._start = pack(words).partition(_END)[2]
        return self

    def command(self, args: Sequence[Word]) -> bytes:
        """Return the whole command."""
        count = self._count + len(args)
        if len(args) == _USUAL:
            a, b, c = args
            if type(a) is type(b) is type(c) is bytes:
                return _OF_THREE % (
                    *(count, self._start),
                    *(len(a), a, len(b), b, len(c), c),
                )
        return b"*%d\r\n%b%b" % (count, self._start, pack((*args,)).partition(_END)[2])


def pack_call(script: Script, keys: Sequence[bytes], args: Sequence[Word]) -> bytes:
    """Return the command that calls a script which the server has."""
    if type(keys) is Prepared and keys.script is script:
        return keys.command(args)
    return pack((b"EVALSHA", script.sha, len(keys), *keys, *args))
