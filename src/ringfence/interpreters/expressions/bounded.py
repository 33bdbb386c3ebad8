"""The safe way to try a pattern that somebody else has written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ringfence.interpreters.expressions.growth import growth_of
from ringfence.interpreters.objection import object_to
from ringfence.interpreters.sink import Sink

SINK = Sink("regex", "bounded")

_STEPS = 50_000_000  # that Python's engine takes in a second, roughly
_LONGEST_TEXT = 100_000  # characters


@dataclass(frozen=True, slots=True)
class Bounded:
    """A pattern, and the longest text that it may be tried on.

    Args:
        pattern: compiled.
        max_text: characters: the more the pattern repeats, the fewer.
    """

    pattern: re.Pattern[str]
    max_text: int

    def search(self, text: str) -> re.Match[str] | None:
        """Search a text, as ``re.search`` does.

        Raises:
            InjectionRefusedError: the text is longer than ``max_text``.
        """
        return self.pattern.search(self._short(text))

    def fullmatch(self, text: str) -> re.Match[str] | None:
        """Match a whole text, as ``re.fullmatch`` does.

        Raises:
            InjectionRefusedError: the text is longer than ``max_text``.
        """
        return self.pattern.fullmatch(self._short(text))

    def _short(self, text: str) -> str:
        if len(text) > self.max_text:
            object_to(SINK, f"a text of more than {self.max_text} characters")
        return text


def bounded(pattern: str, flags: int = 0, *, max_length: int = 200) -> Bounded:
    """Compile a pattern that a request has brought, if its time is bounded.

    Args:
        pattern: in Python's syntax.
        flags: as for ``re.compile``.
        max_length: characters of the pattern.

    Raises:
        InjectionRefusedError: the pattern is too long, or a repeat stands within a
            repeat, or it repeats so often that no text is short enough.
        re.error: it is no regular expression.

    Source: CWE-1333, CWE-400; ASVS 5.0 1.3.12.

    Not covered: what the pattern means. One that matches everything is a fine pattern.
    """
    if len(pattern) > max_length:
        object_to(SINK, f"a pattern of more than {max_length} characters")
    growth = growth_of(pattern, flags)
    if growth.explodes:
        object_to(SINK, "a repeat or a choice within a repeat")
    steps = _STEPS / growth.choices
    max_text = min(_LONGEST_TEXT, int(steps ** (1 / (growth.repeats + 1))))
    if max_text < len(pattern):
        object_to(SINK, "a pattern that repeats too much")
    return Bounded(re.compile(pattern, flags), max_text)
