"""Commands as bytes of RESP, the protocol of Redis."""

from __future__ import annotations

from collections.abc import Callable

Word = bytes | int | float | str
"""What commands, keys and arguments are made of; text is sent as UTF-8."""


def pack_in_python(words: tuple[Word, ...]) -> bytes:
    """Pack one command.

    Every word goes with its length, so that nothing in it can end it: no value becomes
    another command (CWE-93).

    Raises:
        TypeError: a word is of another type.
    """
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word if type(word) is bytes else _raw(word)
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


def _raw(word: Word) -> bytes:
    if isinstance(word, str):
        return word.encode()
    if isinstance(word, int | float) and not isinstance(word, bool):
        return repr(word).encode()
    message = f"a word for Redis is bytes, str, int or float, not {type(word).__name__}"
    raise TypeError(message)


pack: Callable[[tuple[Word, ...]], bytes] = pack_in_python
"""Packs one command, in C where hiredis is installed."""

try:
    from hiredis import pack_command
except ImportError:
    pass
else:
    pack = pack_command  # type: ignore[assignment]  # declared as a tuple of one
