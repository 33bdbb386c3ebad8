"""What of a request could be carried out by a page, made ready to be looked for."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ringfence.interpreters.html.constructs import Construct, canonical
from ringfence.interpreters.html.literals import breaking_out, is_capable
from ringfence.interpreters.untrusted import Input, Inputs, fold

_CAPABLE = re.compile(r"<[a-z/!?]|on[a-z]+=|(?:script|data):|https?:[/\\]{2}|^[/\\]{2}")
_ADDRESS = re.compile(r"(?:script|data):")
# Headers with brackets of their own that nobody can have somebody else send.
_OF_BROWSERS = frozenset({"accept", "user-agent", "sec-ch-ua"})
_END = "\x00"  # between values; ``canonical`` leaves none in them
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
        for value in inputs.values:
            folded = fold(value.text)
            bare = canonical(folded)
            if _CAPABLE.search(bare):
                self._markup.append((bare, value))
            if is_capable(folded) and value.name not in _OF_BROWSERS:
                self._scripts[folded] = value
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
            broken = breaking_out(fold(construct.code), self._scripts)
            if broken is not None:
                return self._scripts[broken]
        return None

    def _is_markup(self, construct: Construct) -> bool:
        rest = construct.rest
        if not construct.head:
            host = urlsplit(rest.replace("\\", "/")).netloc
            return host != self._host and rest in self._joined
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
        return False

    def _whose(self, construct: Construct) -> Input:
        head = construct.head or construct.rest
        beginning = construct.head + construct.rest[:_LEAST]
        whose = [
            value
            for bare, value in self._markup
            if beginning in bare or bare.endswith(head)
        ]
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
