"""The guard of Mako: templates that are made of text while a request is answered."""

from __future__ import annotations

import functools
import re
from typing import Any

from mako.template import Template  # type: ignore[import-untyped]  # ships no types

from ringfence.interpreters.sink import Sink, here
from ringfence.interpreters.templates.source import Syntax, judge_source

SINK = Sink("template", "mako")

_ARMED = "_ringfence_armed"
_SYNTAX = Syntax(
    re.compile(r"\$\{|<%|</%|^[ \t]*%(?!%)|^[ \t]*##", re.MULTILINE),
    re.compile(r"\}|>|$", re.MULTILINE),
)


def arm() -> None:
    """Guard ``Template(text)``."""
    plain = Template.__init__
    if hasattr(plain, _ARMED):
        return

    @functools.wraps(plain)
    def init(self: Any, text: Any = None, *args: Any, **kwargs: Any) -> None:
        whom = here()
        # What a lookup finds is told its file: it is the application's own.
        named = len(args) or kwargs.get("filename")
        if whom is not None and text is not None and not named:
            source = (
                text.decode("utf-8", "replace") if isinstance(text, bytes) else text
            )
            judge_source(source, _SYNTAX, SINK, whom)
        plain(self, text, *args, **kwargs)

    setattr(init, _ARMED, True)
    Template.__init__ = init
