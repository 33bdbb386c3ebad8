"""Whether an input is more than plain text in the source of a template."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ringfence.interpreters.callers import is_constant
from ringfence.interpreters.sink import Here, Sink
from ringfence.interpreters.untrusted import Found, Input, Inputs

_SHORTEST = 2  # characters that a delimiter has
_NAME = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Syntax:
    """How one language tells code from text.

    Args:
        opens: matches where code begins.
        closes: matches where it ends.
    """

    opens: re.Pattern[str]
    closes: re.Pattern[str]


def judge_source(text: str, syntax: Syntax, sink: Sink, whom: Here) -> None:
    """Refuse the source of a template in which an input is code.

    Raises:
        InjectionRefusedError: an input opens code, or stands within code as more than
            one name.

    Source: CWE-1336, CWE-94; ASVS 5.0 1.3.7.
    """
    inputs = whom.inputs
    found = _code_in(text, syntax, inputs)
    if found is not None:
        if not is_constant(text):
            whom.refuse(sink, "an input is code in the source of a template", found)
    elif not inputs.complete and syntax.opens.search(text) and not is_constant(text):
        whom.refuse(sink, "a template, in a request that is not known in full")
    whom.reached(sink, "raw", text)


def _code_in(text: str, syntax: Syntax, inputs: Inputs) -> Input | None:
    opened = [match.span() for match in syntax.opens.finditer(text)]
    if not opened:
        return None
    closed = [match.start() for match in syntax.closes.finditer(text)]
    for found in inputs.found_in(text, least=_SHORTEST):
        if _is_code(text, found, opened, closed):
            return found.input
    return None


def _is_code(
    text: str, found: Found, opened: list[tuple[int, int]], closed: list[int]
) -> bool:
    if any(start < found.end and end > found.start for start, end in opened):
        return True
    before = [end for _, end in opened if end <= found.start]
    if not before or any(before[-1] <= end < found.start for end in closed):
        return False
    return _NAME.fullmatch(text[found.start : found.end]) is None
