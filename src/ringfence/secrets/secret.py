"""A secret text that does not show itself."""

from __future__ import annotations

import hmac
from typing import NoReturn, Self

MASK = "[secret]"
"""What stands in a text where a secret stood."""


class Secret:
    """Keep a text out of logs, traces, pickles and printed settings.

    It exists because most leaked secrets were printed by accident: in a ``repr`` of
    the settings, in an f-string, in a pickled job. Every way of turning it into text
    gives ``[secret]``; ``reveal`` is the only way to read it, so that reading it can
    be searched for.

    Args:
        value: the secret text.

    Source: CWE-532 (secrets in log files), CWE-200.

    Not covered: a debugger, a memory dump, and whatever ``reveal`` is handed to.
    """

    __slots__ = ("_value",)

    _value: str

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            message = f"a Secret holds a str, not {type(value).__name__}"
            raise TypeError(message)
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """Return the text itself, to hand it to whatever needs it, and only there."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        """Compare in constant time, so that guessing learns nothing from the delay."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self._value.encode("utf-8", "surrogatepass"),
            other._value.encode("utf-8", "surrogatepass"),
        )

    # A set or a dictionary compares hashes first, which takes no constant time.
    __hash__ = None  # type: ignore[assignment]  # the documented way to be unhashable

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse: a pickle would carry the text in clear to wherever it is stored."""
        raise TypeError("a Secret cannot be pickled; call reveal() where it is used")
