"""An answer looked at, without a server."""

from __future__ import annotations

from urllib.parse import quote

from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.html.pretest import may_bring_markup
from ringfence.interpreters.html.reflected import Reflection

HTML = {b"content-type": b"text/html; charset=utf-8"}


def refused(values, page, *, pieces=None):
    """Return why a page that answers a request with ``values`` in its query may not
    leave, and ``""`` if it may.

    Args:
        values: a value, or several.
        page: ``{}`` is where they go, as they are.
        pieces: the size of the pieces that it leaves in; all at once without.
    """
    values = [values] if isinstance(values, str) else values
    query = "&".join(f"v{place}={quote(value)}" for place, value in enumerate(values))
    for value in values:
        page = page.replace("{}", value, 1)
    body = page.encode()
    with asking(query=query.encode()) as exchange:
        if not may_bring_markup(exchange):
            return ""
        reflection = Reflection(exchange, HTML)
        size = pieces or len(body) or 1
        try:
            if reflection.concerns():
                for start in range(0, len(body), size):
                    piece = body[start : start + size]
                    reflection.look(piece, more=start + size < len(body))
        except InjectionRefusedError as error:
            return str(error)
    return ""
