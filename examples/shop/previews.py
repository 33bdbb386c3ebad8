"""Previews: the title of a page that a customer names, fetched by the server."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from html import unescape

from examples.shop.problems import ShopError
from ringfence import urls

_LARGEST = 300_000  # bytes of a page
_PATIENCE = 5.0  # seconds
_LONGEST = 200  # characters of a title
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,1000})", re.IGNORECASE)

# Where else previews may lead, for trying them out on one machine: "127.0.0.1:9000".
_ALSO = tuple(filter(None, os.environ.get("SHOP_PREVIEWS_ALSO", "").split(",")))


@dataclass(frozen=True, slots=True)
class Preview:
    """What is known of a page."""

    url: str
    title: str


async def of(url: str) -> Preview:
    """Fetch a page and return its title, never its content: what a server can reach and
    its visitors cannot is no longer hidden once it is shown to them."""
    try:
        page = await urls.fetch(url, most=_LARGEST, timeout=_PATIENCE, private=_ALSO)
    except urls.FetchError as error:
        raise ShopError(
            502, "shop.no_preview", "There was no page, or it took too long."
        ) from error
    found = _TITLE.search(page.text)
    title = " ".join(unescape(found[1]).split()) if found else ""
    return Preview(page.url, title[:_LONGEST])
