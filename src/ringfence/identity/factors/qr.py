"""A QR code, drawn as one path of an SVG image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import segno

_BORDER = 4  # modules of empty space; ISO/IEC 18004, section 9.1


class Drawing(NamedTuple):
    """What a template needs to draw it, without any markup: ``<path>`` in an ``<svg>``.

    No picture is loaded, no style and no script is in it, so a policy of
    ``default-src 'self'`` shows it, and the secret in it is in no address.

    Args:
        size: of the square, in modules, border included.
        path: the dark modules.
    """

    size: int
    path: str


def draw(text: str) -> Drawing:
    """Return the QR code of a text, with a quarter of it redundant.

    Raises:
        ValueError: the text is too long, beyond some 2,000 characters.
    """
    rows = segno.make(text, error="m", micro=False).matrix
    size = len(rows) + 2 * _BORDER
    return Drawing(size, "".join(_bars(rows)))


def _bars(rows: Iterable[Iterable[int]]) -> Iterator[str]:
    """Return the dark modules, those side by side in one piece."""
    for y, row in enumerate(rows, _BORDER):
        x = _BORDER
        for is_dark, modules in groupby(row):
            length = len(list(modules))
            if is_dark:
                yield f"M{x} {y}h{length}v1h-{length}z"
            x += length
