"""What of a request could be carried out by a page, made ready to be looked for."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ringfence.interpreters.html.constructs import Construct, canonical
from ringfence.interpreters.html.literals import breaking_out, by_beginning, is_capable
from ringfence.interpreters.untrusted import Input, Inputs, fold

_CAPABLE = re.compile(r"<[a-z/!?]|on[a-z]+=|(?:script|data):|https?:|blob:|^[/\\]{2}")
_ADDRESS = re.compile(r"(?:script|data):")
# Headers with brackets of their own that nobody can have somebody else send.
_OF_BROWSERS = frozenset({"accept", "user-agent", "sec-ch-ua"})
_END = "\x00"  # between values; ``canonical`` leaves none in them
_BEGINNING = 8  # characters by which the second of two values is known
_LEAST = 4  # characters alike, so that likeness is more than an accident


class Brought:
    """The values of a request that can become code in a page.

    Args:
        inputs: of the request.
        host: where the request was sent, which may name itself.
    """

    def __init__(self, inputs: Inputs, host: str) -> None:
        self._host = host
        self._markup: list[tuple[str, Input]] = []
        self._scripts: dict[str, Input] = {}
        self._beginnings: set[str] = set()
        for value in inputs.values:
            folded = fold(value.text)
            bare = canonical(folded)
            if len(bare) >= _LEAST:
                self._beginnings.add(bare[:_BEGINNING])
            if _CAPABLE.search(bare):
                self._markup.append((bare, value))
            if is_capable(folded) and value.name not in _OF_BROWSERS:
                self._scripts[folded.replace("\r\n", "\n")] = value
        self._by_beginning = by_beginning(self._scripts)
        self.has_address = any(_ADDRESS.search(bare) for bare, _ in self._markup)
        self._joined = _END.join(["", *(bare for bare, _ in self._markup), ""])

    def __bool__(self) -> bool:
        return bool(self._markup or self._scripts)

    def in_construct(self, construct: Construct) -> Input | None:
        """Return the value that a construct stems from, or that breaks out of a literal
        of its script."""
        if self._is_markup(construct):
            return self._whose(construct)
        if construct.code and self._scripts:
            code = fold(construct.code).replace("\r\n", "\n")
            broken = breaking_out(code, self._by_beginning)
            if broken is not None:
                return self._scripts[broken]
        return None

    def _is_markup(self, construct: Construct) -> bool:
        rest = construct.rest
        if not construct.head:
            host = urlsplit(rest.replace("\\", "/")).netloc
            is_own = bool(host) and host == self._host
            return not is_own and rest in self._joined
        if construct.head.endswith("=") and construct.head + _END in self._joined:
            return True  # what comes next was sent as another value
        beginning = construct.head + rest[:_LEAST]
        place = self._joined.find(beginning)
        while place >= 0:
            start = place + len(construct.head)
            alike = _alike(self._joined, start, rest)
            ended = self._joined[start + alike] == _END
            if alike >= construct.enough or alike == len(rest) or ended:
                return True
            place = self._joined.find(beginning, place + 1)
        return self._is_of_two(construct)

    def _is_of_two(self, construct: Construct) -> bool:
        """Return whether a construct begins in one value and goes on in another, as
        first and last names do that are shown side by side."""
        head, whole = construct.head, construct.head + construct.rest
        return any(
            head[:cut] + _END in self._joined
            and any(
                whole[cut : cut + length] in self._beginnings
                for length in range(_LEAST, _BEGINNING + 1)
            )
            for cut in range(_LEAST, len(head) + 1)
        )

    def _whose(self, construct: Construct) -> Input:
        head = construct.head or construct.rest
        beginning = construct.head + construct.rest[:_LEAST]
        whose = [
            value
            for bare, value in self._markup
            if beginning in bare or bare.endswith(head)
        ] or [value for _, value in self._markup]
        return min(whose, key=lambda value: (not value.name, len(value.text)))


def _alike(joined: str, start: int, rest: str) -> int:
    """Return how many characters of ``rest`` stand at a place."""
    count = 0
    while count < len(rest) and joined[start + count] == rest[count]:
        count += 1
        if count > _FAR:
            break
    return count


_FAR = 64  # characters; more need not be compared
