"""Paths that stay below a folder, whatever name a request asks for.

from ringfence import paths

    with paths.open_below(UPLOADS, name) as file:
        ...
"""

from ringfence.interpreters.paths.below import join_below, open_below

__all__ = ["join_below", "open_below"]
