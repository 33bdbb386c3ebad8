"""Path templates as Starlette and FastAPI write them: ``/orders/{order_id:int}``.

The framework's own pattern always decides what matches. What is read here only narrows
the search, makes a path to rehearse with, and names what can fail to convert.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Protocol

from ringfence.frameworks.segments import EVERYWHERE, Parameter, Reach, Segment, Tail

_PARAMETER = re.compile(r"{([a-zA-Z_][a-zA-Z0-9_]*)(?::[a-zA-Z_][a-zA-Z0-9_]*)?}")

# Patterns of Starlette's own convertors that cannot match a slash. A convertor is
# known by its pattern and never by its name, which anybody can register anew.
_WITHIN_A_SEGMENT = frozenset(
    {
        "[^/]+",
        "[0-9]+",
        r"[0-9]+(\.[0-9]+)?",
        "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}",
    }
)
_DIGITS = "[0-9]+"
_REST = ".*"

# Texts to try for a parameter, until the framework's own pattern accepts one.
_CANDIDATES = (
    "sample",
    "1",
    "1.5",
    "00000000-0000-4000-8000-000000000000",
    "sample-1",
    "a",
    "A",
    "2026-01-31",
    "2026-01-31T12:00:00",
    "en",
    "EN",
    "0123456789abcdef0123456789abcdef",
    "true",
    "sample@example.org",
    "-1",
)
_MOST_SAMPLES = (
    5000  # a template with many strange parameters is given up, not searched
)


class Convertor(Protocol):
    """What is used of a framework's convertor."""

    @property
    def regex(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Template:
    """A path template, read.

    Args:
        reach: as on ``table.Leaf``.
        integers: as on ``table.Leaf``.
        sample: a text that the pattern matches, ``None`` if none was found.
    """

    reach: Reach
    integers: tuple[str, ...]
    sample: str | None


def read_template(
    template: str, pattern: re.Pattern[str], convertors: Mapping[str, Convertor]
) -> Template:
    """Read a template together with the framework's pattern for it.

    Args:
        template: as the developer wrote it, or without the convertors' names.
        pattern: what the framework compiled from it.
        convertors: the framework's convertors by the parameter's name.
    """
    return Template(
        _reach(template, pattern, convertors),
        tuple(name for name, one in convertors.items() if one.regex == _DIGITS),
        next(
            (text for text in samples(template, convertors) if pattern.match(text)),
            None,
        ),
    )


def samples(template: str, convertors: Mapping[str, Convertor]) -> Iterator[str]:
    """Yield texts that may match the template, the likeliest first."""
    parts = _PARAMETER.split(template)
    literals, names = parts[::2], parts[1::2]
    fitting = [_fitting(convertors[name]) for name in names]
    for values in islice(product(*fitting), _MOST_SAMPLES):
        yield literals[0] + "".join(
            value + literal for value, literal in zip(values, literals[1:], strict=True)
        )


def _fitting(convertor: Convertor) -> tuple[str, ...]:
    whole = re.compile(convertor.regex)
    return tuple(text for text in _CANDIDATES if whole.fullmatch(text))


def _reach(
    template: str, pattern: re.Pattern[str], convertors: Mapping[str, Convertor]
) -> Reach:
    if not template.startswith("/") or pattern.flags & re.IGNORECASE:
        return EVERYWHERE
    if pattern.pattern != _expected(template, convertors):
        return EVERYWHERE
    segments: list[Segment] = []
    pieces = template[1:].split("/")
    for place, piece in enumerate(pieces, start=1):
        names = _PARAMETER.findall(piece)
        if any(convertors[name].regex not in _WITHIN_A_SEGMENT for name in names):
            alone = place == len(pieces) and _PARAMETER.fullmatch(piece)
            rest = alone and convertors[names[0]].regex == _REST
            return Reach(tuple(segments), Tail.ALL if rest else Tail.SOME)
        segments.append(_segment(piece, convertors) if names else piece)
    return Reach(tuple(segments), Tail.NONE)


def _segment(piece: str, convertors: Mapping[str, Convertor]) -> Parameter:
    parts = _PARAMETER.split(piece)
    pattern = re.escape(parts[0])
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        pattern += convertors[name].regex + re.escape(literal)
    return Parameter(pattern, prefix=parts[0], suffix=parts[-1])


def _expected(template: str, convertors: Mapping[str, Convertor]) -> str | None:
    """Return the pattern that this template should have, to notice one that a subclass
    or the developer has put in its place."""
    parts = _PARAMETER.split(template)
    expected = "^" + re.escape(parts[0])
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        if name not in convertors:
            return None
        expected += f"(?P<{name}>{convertors[name].regex})" + re.escape(literal)
    return expected + "$"
