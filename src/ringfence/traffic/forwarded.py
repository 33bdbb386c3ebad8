"""Read the ``Forwarded`` header of RFC 7239."""

from __future__ import annotations

import re
from typing import NamedTuple

_LONGEST = 4_096  # bytes; some thirty proxies

# One pair with what ends it. A value is quoted, or a token; proxies also write
# addresses with a port unquoted, which cannot be mistaken. Possessive, so that no
# input makes it go back.
_PAIR = re.compile(
    r"[ \t]*+(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]++)="
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<bare>[^\s",;=\\]++))'
    r"[ \t]*+(?P<end>[;,]|\Z)"
)
_QUOTED_PAIR = re.compile(r"\\(.)")


class Hop(NamedTuple):
    """What one proxy says.

    Args:
        node: who asked it: an address, perhaps with a port; ``unknown`` or a name that
            begins with ``_`` if it does not tell; empty if it says nothing.
        scheme: how it was asked, lower case, empty if it does not say.
    """

    node: str
    scheme: str


def read_forwarded(value: str) -> list[Hop] | None:
    """Return what each proxy says, the nearest last, or ``None`` if one of them cannot
    be understood.

    The whole header must be well-formed: a quote that a client leaves open would else
    swallow what our proxy appends, and turn it into a part of the client's story.

    Args:
        value: the header, its lines joined with commas.

    Source: RFC 7239, 4 to 6.
    """
    if len(value) > _LONGEST:
        return None
    hops: list[Hop] = []
    pairs: dict[str, str] = {}
    position = 0
    while True:
        match = _PAIR.match(value, position)
        if match is None:
            return None
        name, text = match["name"].lower(), match["bare"]
        if name in pairs:
            return None  # each parameter once (RFC 7239, 4)
        pairs[name] = _QUOTED_PAIR.sub(r"\1", match["quoted"]) if text is None else text
        if match["end"] != ";":
            hops.append(Hop(pairs.get("for", ""), pairs.get("proto", "").lower()))
            pairs = {}
        if not match["end"]:
            return hops
        position = match.end()
