"""Jinja2 that escapes whatever a template says."""

from __future__ import annotations

from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from markupsafe import Markup, escape

from ringfence import current
from ringfence.errors import SettingsError
from ringfence.interpreters.html.escape import attribute, css, script, url
from ringfence.interpreters.html.rich_text import rich_text
from ringfence.interpreters.html.safe import SafeHtml

_NEVER_OFF = (
    "autoescape is always on here: mark what is markup with html.rich_text(...) or "
    "SafeHtml.trusted(...) where it is made, and leave this out"
)


class _Generator(CodeGenerator):
    """Compiles no template that switches the escaping off, or to anything unknown."""

    def visit_EvalContextModifier(  # noqa: N802 - the visitor's name for the node
        self, node: nodes.EvalContextModifier, frame: Frame
    ) -> None:
        for option in node.options:
            value = option.value
            if option.key == "autoescape" and not (
                isinstance(value, nodes.Const) and value.value is True
            ):
                raise jinja2.TemplateAssertionError(
                    _NEVER_OFF, node.lineno, self.name, self.filename
                )
        super().visit_EvalContextModifier(node, frame)


class SafeEnvironment(jinja2.Environment):
    """A Jinja2 environment whose autoescape cannot be off.

    Made by ``ringfence.html.environment``.
    """

    code_generator_class = _Generator

    @property
    def autoescape(self) -> bool:
        """Always true.

        Raises:
            SettingsError: it is set to anything else.
        """
        return True

    @autoescape.setter
    def autoescape(self, value: object) -> None:
        _refuse_unless_on(value)


def open_environment(
    loader: jinja2.BaseLoader | None, options: dict[str, Any]
) -> jinja2.Environment:
    """Make an environment, and see that it escapes.

    Raises:
        SettingsError: an option would switch the escaping off, or this version of
            Jinja2 does not do what is expected of it.
    """
    _refuse_unless_on(options.pop("autoescape", True))
    made = SafeEnvironment(loader=loader, autoescape=True, **options)
    made.globals.update(csrf_token=current.csrf_token, nonce=current.nonce)
    made.filters.update(
        attribute=attribute,
        css=css,
        json=script,
        rich_text=rich_text,
        safe=_safe,
        url=url,
    )
    made.policies["json.dumps_kwargs"] = {"sort_keys": False}
    _see_that_it_escapes(made)
    return made


def _refuse_unless_on(value: object) -> None:
    if value is not True:
        raise SettingsError(_NEVER_OFF)


def _safe(value: object) -> Markup:
    """Let through what is known to be markup; the filter of this name lets anything
    through elsewhere."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        escaped = escape(value)
        if escaped != Markup(value):  # noqa: S704 - compared, never shown
            message = (
                "|safe was given plain text: clean it with html.rich_text(...), or "
                "make it with SafeHtml.trusted(...) if it is a constant"
            )
            raise TypeError(message)
        return escaped
    return escape(value)


def _see_that_it_escapes(made: jinja2.Environment) -> None:
    """Try it once, so that another version of Jinja2 changes nothing in silence."""
    known = SafeHtml.trusted("<i>")
    shown = made.from_string("{{ a }}{{ b }}").render(a="<", b=known)
    try:
        made.from_string("{% autoescape false %}{{ a }}{% endautoescape %}")
    except jinja2.TemplateAssertionError:
        if shown == "&lt;<i>":
            return
    message = "this version of Jinja2 does not escape as ringfence.html expects"
    raise SettingsError(message)
