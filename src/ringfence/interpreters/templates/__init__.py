"""Templates: their text is code, so no part of it may come from a request.

Hand values in beside the template (``template.render(name=name)``). Where users write
templates themselves, ``fill`` knows names and nothing else.
"""

from ringfence.interpreters.templates.fill import fill

__all__ = ["fill"]
