"""Which answers are looked at for what their request has brought."""

from __future__ import annotations

from functools import lru_cache

from ringfence.exchange import Exchange, Message
from ringfence.interpreters.html.pretest import may_bring_markup
from ringfence.interpreters.html.reflected import Reflection

_PAGES = (
    b"text/html",
    b"text/xml",
    b"text/xsl",
    b"application/xml",
    b"multipart/x-mixed-replace",
)
_WITHOUT_BODY = frozenset({204, 205, 304})


@lru_cache(maxsize=256)
def is_page(content_type: bytes) -> bool:
    """Return whether a browser may show an answer of this type as a document, in which
    markup is carried out: HTML, XHTML, SVG, XML, and what has no type at all.

    Of several in one line a browser takes the last one that it understands.
    """
    media_types = [part.strip() for part in content_type.lower().split(b",")]
    return any(
        media_type.startswith(_PAGES) or b"+xml" in media_type or b"/" not in media_type
        for media_type in media_types
    )


def is_suspect(exchange: Exchange) -> bool:
    """Return whether a page that answers a request has to be looked at: the request
    may have brought markup, or the boundary map asks what reaches pages."""
    sinks = exchange.sinks
    return sinks is not None and (
        may_bring_markup(exchange) or sinks.boundary_map is not None
    )


def reflection_of(start: Message, exchange: Exchange) -> Reflection | None:
    """Return what looks at an answer, if it has to be looked at.

    Args:
        start: of the answer, finished: with names of headers in lower case.
        exchange: the request.
    """
    if start["status"] in _WITHOUT_BODY or exchange.method == "HEAD":
        return None
    lines = start["headers"]
    types = [value for name, value in lines if name == b"content-type"]
    # Of several types nobody knows which one a browser takes.
    if not any(map(is_page, types or [b""])) or not is_suspect(exchange):
        return None
    headers = dict(lines)
    headers[b"content-type"] = next(filter(is_page, types), b"")
    codings = [value for name, value in lines if name == b"content-encoding"]
    headers[b"content-encoding"] = b",".join(codings)
    return Reflection(exchange, headers)
