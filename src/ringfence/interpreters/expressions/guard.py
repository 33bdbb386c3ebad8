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
_SHORTEST = 3  # characters: ``.*.``
_MOST_REPEATS = 3
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
        InjectionRefusedError: the pattern repeats within a repeat, or too often, and an
            input with a repeat stands in it.

    Source: CWE-1333, CWE-730.
    """
    if _REPEATING.isdisjoint(pattern):
        return
    inputs = whom.inputs
    found = next(
        (
            each.input
            for each in inputs.found_in(pattern, least=_SHORTEST)
            if not _REPEATING.isdisjoint(each.input.text)
        ),
        None,
    )
    if found is None or _is_cheap(pattern, flags) or _is_own(pattern):
        return
    whom.refuse(SINK, "an input makes a regular expression explode", found)


def _is_cheap(pattern: str, flags: int) -> bool:
    try:
        growth = growth_of(pattern, flags)
    except re.error:
        return True  # it will not be compiled
    return not growth.explodes and growth.repeats < _MOST_REPEATS


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
