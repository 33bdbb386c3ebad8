"""Templates that strangers may write: ``Hello {name}``, and nothing beyond."""

from __future__ import annotations

import string

from ringfence.interpreters.objection import object_to
from ringfence.interpreters.sink import Sink

SINK = Sink("template", "fill")

_LONGEST = 65_536  # characters of the template, and of what it becomes
_FORMATTER = string.Formatter()


def fill(template: str, **values: str | float) -> str:
    """Put values into a text with ``{name}`` in it; ``{{`` and ``}}`` stand for braces.

    ``str.format`` of somebody else's text reads any attribute of any value:
    ``{user.__init__.__globals__}``. Here a field is a name, without attributes,
    indexes, conversions or widths (``{0:>999999999}`` takes the memory of the machine).

    Args:
        template: at most 65,536 characters.
        values: text and numbers, by name.

    Returns:
        Plain text, not escaped for any interpreter.

    Raises:
        InjectionRefusedError: a field that is more than the name of a value; answered
            with 400.

    Source: CWE-134, CWE-1336.

    Not covered: what the result is put into. Escape it there: ``html.text``.
    """
    try:
        parts = list(_FORMATTER.parse(template))
    except ValueError:
        object_to(SINK, "braces that do not match in a template")
    texts = []
    for literal, field, width, conversion in parts:
        texts.append(literal)
        if field is None:
            continue
        if width or conversion or field not in values:
            object_to(SINK, "a field that is no name of a value")
        texts.append(str(values[field]))
    if sum(map(len, texts)) > _LONGEST:
        object_to(SINK, "a text that is too long", status=413)
    return "".join(texts)
