"""Text becomes part of a page, and never markup: escaping by place, rich text, Jinja2.

from ringfence import html

html.text(name)                         # between tags, or between quotes
html.rich_text(review)                  # what a visitor may write
templates = html.environment(loader)    # Jinja2 that always escapes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringfence.errors import MissingExtraError
from ringfence.interpreters.html.escape import (
    SCHEMES,
    attribute,
    css,
    script,
    text,
    url,
)
from ringfence.interpreters.html.rich_text import ARTICLE, COMMENT, Policy, rich_text
from ringfence.interpreters.html.safe import SafeHtml

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

__all__ = [
    "ARTICLE",
    "COMMENT",
    "SCHEMES",
    "Policy",
    "SafeHtml",
    "attribute",
    "css",
    "environment",
    "rich_text",
    "script",
    "text",
    "url",
]


def environment(loader: BaseLoader | None = None, **options: Any) -> Environment:
    """Make a Jinja2 environment that always escapes, in templates of any name.

    ``{% autoescape false %}`` does not compile, and ``|safe`` takes only markup that
    is known to be harmless (``SafeHtml``, ``Markup``). Templates get ``csrf_token()``
    and ``nonce()`` of the request, and the filters ``json`` (for scripts), ``url``
    (for ``href`` and ``src``), ``attribute``, ``css`` and ``rich_text``. It fits
    wherever one of Jinja2's fits, ``Jinja2Templates(env=...)`` of Starlette say.

    Args:
        loader: where templates come from.
        options: as ``jinja2.Environment`` takes them; ``autoescape`` may only be
            ``True``.

    Raises:
        MissingExtraError: Jinja2 is not installed.
        SettingsError: an option would switch the escaping off.

    Source: ASVS 5.0 V1.2.1; CWE-79, CWE-116.

    Not covered: the places in a page where escaping as text is not enough
    (``<script>``, ``href``, ``style``, handlers): use the filters there.
    ``Markup(...)`` that the application makes from text itself.
    """
    return open_jinja(loader, options)


def open_jinja(loader: BaseLoader | None, options: dict[str, Any]) -> Environment:
    """Make the environment; Jinja2 is imported by those who use it only.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from ringfence.interpreters.html.jinja import open_environment  # noqa: PLC0415 - late: optional jinja2
    except ModuleNotFoundError as error:
        raise MissingExtraError("jinja2", "identity", "render templates") from error
    return open_environment(loader, options)
