"""Markup that is known to be harmless, as a type of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from string import Formatter
from typing import LiteralString, NoReturn, Self, SupportsIndex

from ringfence.interpreters.sink import Sink, here

_TRUSTED = Sink("html", "SafeHtml.trusted")


class SafeHtml(str):
    """Markup that a browser may be shown as it is.

    Only the functions of ``ringfence.html`` make it, and ``SafeHtml.trusted`` from a
    constant. Plain text that is added to it is escaped; templates of Jinja2 leave it
    alone (``__html__``). Whatever else is done to it (a slice, another case, a copy
    through a database) gives plain text, which is escaped again.

    Raises:
        TypeError: it is called itself.

    Not covered: whether markup that somebody vouches for is what they think it is.
    """

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> Self:
        message = (
            "SafeHtml is not made from text: escape it with html.text(...), clean it "
            'with html.rich_text(...), or vouch for a constant: SafeHtml.trusted("...")'
        )
        raise TypeError(message)

    @classmethod
    def trusted(cls, markup: LiteralString) -> SafeHtml:
        """Vouch for markup that the application's own source contains.

        Args:
            markup: a constant; nothing that anybody has sent, stored or fetched.

        Raises:
            InjectionRefusedError: it contains markup that this request has brought.

        Source: ASVS 5.0 V1.2.1, V3.2.2; CWE-79.
        """
        whom = here()
        if whom is not None and "<" in markup:
            for found in whom.inputs.found_in(markup):
                if "<" in found.input.text:
                    why = "what a request has brought is no constant"
                    whom.refuse(_TRUSTED, why, found.input)
                    break
        return made(markup)

    def __html__(self) -> SafeHtml:
        """Return itself, to templates that ask (MarkupSafe, Jinja2)."""
        return self

    def __add__(self, other: str) -> SafeHtml:
        """Add markup, or plain text escaped."""
        return made(str(self) + as_markup(other))

    def __radd__(self, other: str) -> SafeHtml:
        """Add to markup, or to plain text escaped."""
        return made(as_markup(other) + str(self))

    def __mul__(self, times: SupportsIndex) -> SafeHtml:
        """Repeat it."""
        return made(str(self) * times)

    __rmul__ = __mul__

    def __mod__(self, _: object) -> NoReturn:
        """Refuse: ``format`` escapes what it fills in.

        Raises:
            TypeError: always.
        """
        message = "fill in with .format(...), which escapes; % is not offered"
        raise TypeError(message)

    def join(self, parts: Iterable[str]) -> SafeHtml:
        """Join markup, and plain text escaped."""
        return made(str(self).join(map(as_markup, parts)))

    def format(self, *args: object, **kwargs: object) -> SafeHtml:
        """Fill in values, escaped as text; they may stand between quotes, too.

        Not covered: values in a script, a style, a URL or an attribute without quotes;
        ``html.script``, ``html.css``, ``html.url`` and ``html.attribute`` make them
        fit.
        """
        return made(_ESCAPING.vformat(str(self), args, kwargs))

    def format_map(self, mapping: Mapping[str, object], /) -> SafeHtml:  # type: ignore[override]  # the base asks for less
        """Fill in the values of a mapping, escaped as ``format`` does."""
        return made(_ESCAPING.vformat(str(self), (), mapping))

    def __copy__(self) -> Self:
        """Return itself: it cannot be changed."""
        return self

    def __deepcopy__(self, _: object) -> Self:
        """Return itself: it cannot be changed."""
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Become plain text where it is stored: nobody vouches for what comes back."""
        return str, (str(self),)

    def __reduce_ex__(self, _: SupportsIndex) -> tuple[type[str], tuple[str]]:
        """As ``__reduce__``."""
        return self.__reduce__()


class _Escaping(Formatter):
    def format_field(self, value: object, format_spec: str) -> str:
        if isinstance(value, SafeHtml) and not format_spec:
            return str(value)
        return escape(format(value, format_spec))

    def convert_field(self, value: object, conversion: str | None) -> object:
        converted: object = super().convert_field(value, conversion)
        return str(converted) if conversion else converted


_ESCAPING = _Escaping()


def made(markup: str) -> SafeHtml:
    """Return markup as what it is known to be. For the functions of this package."""
    return str.__new__(SafeHtml, markup)


def as_markup(value: object) -> str:
    """Return markup as it is, and anything else escaped as text."""
    if isinstance(value, SafeHtml):
        return str(value)
    return escape(str(value))
