"""Can what a request has brought change what a filter or a name means?"""

from __future__ import annotations

import re

from ringfence.interpreters.callers import is_constant
from ringfence.interpreters.ldap.text import Dn, Filter
from ringfence.interpreters.sink import Here, Sink

_DRIVER = ("ldap3",)
# ``(&`` alone is how filters begin, and changes nothing.
_FILTER_SYNTAX = re.compile(r"[*)\0]|\(.*\w", re.DOTALL)
# One comparison: what is asked about, how, and what with.
_ITEM = re.compile(r"\(([^()=]*)=([^()]*)\)")
_EVERYTHING = re.compile(r"\*+")
_EVERY_ENTRY = "objectclass"  # which each has: ``(objectClass=*)`` is how to say "all"
_DN_SYNTAX = re.compile(r'[,+;"\0]')
_SEPARATORS = (",", "+", ";")
_LEAST = 2  # characters


def judge_filter(text: object, whom: Here, sink: Sink) -> None:
    """Object to a filter of which an input is more than a part of one value.

    Args:
        text: the filter. A ``Filter`` passes: its values were escaped.
        whom: for whom.
        sink: the driver.

    Raises:
        InjectionRefusedError: see above, or nobody knows where the filter comes from.

    Source: RFC 4515; CWE-90; ASVS 5.0 1.2.6.

    Not covered: which attribute is asked about, where a request says ``uid=x``.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if isinstance(text, Filter) or not isinstance(text, str):
        return
    if is_constant(text, beyond=_DRIVER):
        return
    inputs = whom.inputs
    if not inputs.complete:
        whom.refuse(sink, "a filter, while not all of the request is known")
        return
    for found in inputs.found_in(text, least=_LEAST):
        if _FILTER_SYNTAX.search(text, found.start, found.end):
            whom.refuse(sink, "input as syntax of a filter", found.input)
            return
    for item in _ITEM.finditer(text):
        if _EVERYTHING.fullmatch(item[2]) and item[1].lower() != _EVERY_ENTRY:
            brought = inputs.brings(item[2])
            if brought is not None:
                whom.refuse(sink, "input that matches everything", brought)
                return


def judge_dn(text: object, whom: Here, sink: Sink) -> None:
    """Object to a distinguished name of which an input is more than one value.

    Args:
        text: the name. A ``Dn`` passes: its values were escaped.
        whom: for whom.
        sink: the driver.

    Raises:
        InjectionRefusedError: see above, or nobody knows where the name comes from.

    Source: RFC 4514; CWE-90; ASVS 5.0 1.2.6.

    Not covered: a whole name that was sent. Which entry somebody may reach is a
    question of permission.
    """
    if isinstance(text, Dn) or not isinstance(text, str) or not text:
        return
    if is_constant(text, beyond=_DRIVER):
        return
    inputs = whom.inputs
    if not inputs.complete:
        whom.refuse(sink, "a name, while not all of the request is known")
        return
    for found in inputs.found_in(text, least=_LEAST):
        if found.end - found.start == len(text):
            continue
        # Behind a back-slash the first character stands for itself.
        escaped = (found.start - len(text[: found.start].rstrip("\\"))) % 2
        if _DN_SYNTAX.search(
            text, found.start + escaped, found.end
        ) or _hides_separator(text, found.end):
            whom.refuse(sink, "input as syntax of a name", found.input)
            return


def _hides_separator(text: str, end: int) -> bool:
    """Return whether what ends there has a back-slash that makes the next separator
    a part of its value."""
    backslashes = end - len(text[:end].rstrip("\\"))
    return backslashes % 2 == 1 and text.startswith(_SEPARATORS, end)
