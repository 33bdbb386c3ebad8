"""Regular expressions that a request brings, within bounds of time.

from ringfence import expressions

    found = expressions.bounded(pattern).search(title)

To look for plain text there is ``re.escape(text)``, or ``text in title``.
"""

from ringfence.interpreters.expressions.bounded import Bounded, bounded

__all__ = ["Bounded", "bounded"]
