"""The guard of Jinja2: templates that are made of text while a request is answered."""

from __future__ import annotations

import functools
import inspect
import re
from typing import Any

from jinja2 import Environment

from ringfence.errors import SettingsError
from ringfence.interpreters.sink import Sink, here
from ringfence.interpreters.templates.source import Syntax, judge_source

SINK = Sink("template", "jinja2")

_ARMED = "_ringfence_armed"


def arm() -> None:
    """Guard ``Environment.from_string`` and ``Template(...)``, in sandboxes too, and
    ``compile_expression``.

    Raises:
        SettingsError: Jinja2 has another shape than the one that is guarded here.
    """
    plain = Environment.compile
    if hasattr(plain, _ARMED):
        return
    if [*inspect.signature(plain).parameters][1:4] != ["source", "name", "filename"]:
        raise SettingsError(
            "Environment.compile of this Jinja2 takes other arguments than the ones "
            "that are guarded; use a version that ringfence knows (3.1)"
        )

    @functools.wraps(plain)
    def compile(  # noqa: A001 - the method is called so
        self: Environment,
        source: Any,
        name: str | None = None,
        filename: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        whom = here()
        # What a loader finds in a file is the application's own. ``DictLoader`` and
        # ``FunctionLoader`` have none, and hand out what they were given.
        if whom is not None and filename is None and isinstance(source, str):
            judge_source(source, syntax_of(self), SINK, whom)
        return plain(self, source, name, filename, *args, **kwargs)

    setattr(compile, _ARMED, True)
    Environment.compile = compile  # type: ignore[method-assign]  # the guard
    _arm_expressions()


def _arm_expressions() -> None:
    plain = Environment.compile_expression

    @functools.wraps(plain)
    def compile_expression(
        self: Environment, source: str, *args: Any, **kwargs: Any
    ) -> Any:
        whom = here()
        if whom is not None:
            opens, closes = self.variable_start_string, self.variable_end_string
            judge_source(f"{opens}{source}{closes}", syntax_of(self), SINK, whom)
        return plain(self, source, *args, **kwargs)

    Environment.compile_expression = compile_expression  # type: ignore[method-assign]  # the guard


def syntax_of(environment: Environment) -> Syntax:
    """Return how an environment tells code from text: it may have signs of its own."""
    opens = [
        re.escape(environment.block_start_string),
        re.escape(environment.variable_start_string),
        re.escape(environment.comment_start_string),
    ]
    closes = [
        re.escape(environment.block_end_string),
        re.escape(environment.variable_end_string),
        re.escape(environment.comment_end_string),
    ]
    for prefix in (environment.line_statement_prefix, environment.line_comment_prefix):
        if prefix:
            opens.append(rf"^[ \t\v]*{re.escape(prefix)}")
            closes.append("$")
    return Syntax(
        re.compile("|".join(opens), re.MULTILINE),
        re.compile("|".join(closes), re.MULTILINE),
    )
