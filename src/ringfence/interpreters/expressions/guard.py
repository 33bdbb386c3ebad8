"""The guard of ``re``: patterns that an input makes explode.

``re`` keeps what it has compiled; the guard stands where a pattern is compiled for the
first time, so that all other calls cost what they did.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from ringfence.errors import SettingsError
from ringfence.interpreters.callers import (
    frames,
    is_constant,
    is_importing,
    is_standard,
)
from ringfence.interpreters.expressions.growth import growth_of
from ringfence.interpreters.sink import Here, Sink, here

SINK = Sink("regex", "re")

_ARMED = "_ringfence_armed"
_SHORTEST = 2  # characters: ``a+`` between parentheses
_REPEATING = frozenset("*+{")


def arm() -> None:
    """Guard the compiler that ``re`` asks for a pattern that it does not know yet.

    Raises:
        SettingsError: this Python compiles patterns otherwise.
    """
    compiler: Any = re._compiler  # type: ignore[attr-defined]  # noqa: SLF001 - the seam
    plain = compiler.compile
    if hasattr(plain, _ARMED):
        return
    asked: list[object] = []

    @functools.wraps(plain)
    def compile(p: Any, flags: int = 0) -> Any:  # noqa: A001 - it is called so
        if checking:
            asked.append(p)
        whom = here()
        if whom is not None and isinstance(p, str):
            judge(p, int(flags), whom)
        return plain(p, flags)

    setattr(compile, _ARMED, True)
    compiler.compile = compile
    checking = True
    re.purge()
    re.compile("ringfence")
    checking = False
    if asked != ["ringfence"]:
        compiler.compile = plain
        raise SettingsError(
            "this Python compiles regular expressions in a place that ringfence does "
            "not know; use Python 3.11 to 3.14"
        )


def judge(pattern: str, flags: int, whom: Here) -> None:
    """Refuse a pattern whose time an input makes explode.

    Raises:
        InjectionRefusedError: a repeat stands within a repeat, and would not without
            an input that stands in the pattern.

    Source: CWE-1333, CWE-730.

    Not covered: patterns that are slow without a repeat in a repeat (``.*.*.*=``), and
    what a pattern means; see ``expressions.bounded``.
    """
    if _REPEATING.isdisjoint(pattern):
        return
    guilty = {
        each.input.text: each.input
        for each in whom.inputs.found_in(pattern, least=_SHORTEST)
        if not _REPEATING.isdisjoint(each.input.text)
    }
    if not guilty or not _explodes(pattern, flags) or _is_own(pattern):
        return
    # What explodes without the input, too, is not its fault: libraries put patterns
    # together that hold ``\s*`` as lessons do.
    for text, found in guilty.items():
        if not _explodes(_without(text, pattern), flags):
            whom.refuse(SINK, "an input makes a regular expression explode", found)


def _without(text: str, pattern: str) -> str:
    return re.sub(re.escape(text), "x", pattern, flags=re.IGNORECASE)


def _explodes(pattern: str, flags: int) -> bool:
    try:
        return growth_of(pattern, flags).explodes
    except re.error:
        return False  # it will not be compiled, or not without the input


def _is_own(pattern: str) -> bool:
    """Return whether a library compiles a pattern of its own, as all do when they are
    imported."""
    caller = next(
        (
            frame
            for frame in frames()
            if (frame.f_globals.get("__name__") or "").partition(".")[0] != "re"
        ),
        None,
    )
    return (
        (caller is not None and is_standard(caller))
        or is_importing()
        or is_constant(pattern)
    )
