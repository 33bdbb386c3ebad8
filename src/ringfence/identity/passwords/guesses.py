"""How soon a password would be guessed by somebody who begins with the obvious."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import log2

_MOST_CHARACTERS = 128  # what is judged; more would cost time and change nothing
_LONGEST_WORD = 32
_SHORTEST_WORD = 3
_SHORTEST_RUN = 3

# Bits: doublings of the guesses that a piece costs.
_ANY_CHARACTER = 4.0  # less than at random: people do not choose at random
_YEAR = 7.0
_CONTEXT = 1.0
_VARIED = 1.0

_ROWS = (
    *("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"),
    *("qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn"),
)
_BESIDE = frozenset(
    pair for row in _ROWS for line in (row, row[::-1]) for pair in pairwise(line)
)
_LEET = tuple(
    str.maketrans("@430$571!+", letters) for letters in ("aaeosstiit", "aaeosstllt")
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cheapest way to say a password.

    Args:
        bits: doublings of the guesses that it takes.
        has_context: whether that way uses the site's or the owner's names.
    """

    bits: float
    has_context: bool


def estimate(
    password: str, *, ranks: Mapping[str, int], context: frozenset[str]
) -> Estimate:
    """Return how the password can be put together most cheaply.

    The pieces are common passwords (also in leetspeak), names from the context, rows of
    keys or of the alphabet, repetitions, years, and single characters.

    Args:
        password: as it would be hashed.
        ranks: common passwords in lower case, by how common they are.
        context: names in lower case that an attacker would try for this account.

    Source: Wheeler, "zxcvbn: Low-Budget Password Strength Estimation", USENIX Security
    2016 (the idea, not its formulas).

    Not covered: words of a language that are no common passwords, and passwords of the
    same person from elsewhere.
    """
    text = _repeated(_middle_out(password.casefold()))
    texts = {text, *(text.translate(table) for table in _LEET)}
    best = [Estimate(0.0, has_context=False)]
    pieces: list[list[tuple[int, float, bool]]] = [[] for _ in text]
    for start, end, bits, is_context in _found(text, texts, ranks, context):
        pieces[end - 1].append((start, bits, is_context))
    for end, ending in enumerate(pieces):
        options = [(end, _ANY_CHARACTER, False), *ending]
        best.append(
            min(
                (
                    Estimate(best[start].bits + bits, best[start].has_context or named)
                    for start, bits, named in options
                ),
                key=lambda option: option.bits,
            )
        )
    return best[-1]


def _middle_out(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return text[:half] + text[-half:]


def _repeated(text: str) -> str:
    """Return the part that the whole is a repetition of."""
    return text[: (text + text).find(text, 1)] if text else text


def _found(
    text: str, texts: set[str], ranks: Mapping[str, int], context: frozenset[str]
) -> Iterator[tuple[int, int, float, bool]]:
    for variant in texts:
        varied = 0.0 if variant == text else _VARIED
        yield from (
            (start, end, bits + varied, named)
            for start, end, bits, named in _words(variant, ranks, context)
        )
    for start, end in _runs(text):
        yield start, end, _ANY_CHARACTER + log2(end - start), False
    for start in range(len(text) - 3):
        piece = text[start : start + 4]
        if piece.isdecimal() and piece[:2] in {"19", "20"}:
            yield start, start + 4, _YEAR, False


def _words(
    text: str, ranks: Mapping[str, int], context: frozenset[str]
) -> Iterator[tuple[int, int, float, bool]]:
    longest = max(_LONGEST_WORD, *map(len, context), 0)
    for start in range(len(text)):
        last = min(len(text), start + longest)
        for end in range(start + _SHORTEST_WORD, last + 1):
            word = text[start:end]
            if word in context:
                yield start, end, _CONTEXT, True
            elif rank := ranks.get(word):
                yield start, end, 1 + log2(rank), False


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Yield where characters repeat, follow each other, or lie beside each other."""
    for follows in (_is_same, _is_next, _is_previous, _is_beside):
        yield from _stretches(text, follows)


def _stretches(
    text: str, follows: Callable[[str, str], bool]
) -> Iterator[tuple[int, int]]:
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or not follows(text[end - 1], text[end]):
            if end - start >= _SHORTEST_RUN:
                yield start, end
            start = end


def _is_same(one: str, other: str) -> bool:
    return one == other


def _is_next(one: str, other: str) -> bool:
    return ord(other) - ord(one) == 1


def _is_previous(one: str, other: str) -> bool:
    return ord(one) - ord(other) == 1


def _is_beside(one: str, other: str) -> bool:
    return (one, other) in _BESIDE
