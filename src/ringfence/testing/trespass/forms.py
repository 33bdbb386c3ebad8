"""The forms on a page: where they lead, and what they send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_UNSENT = {"submit", "button", "reset", "image", "file"}
_BY_TYPE = {
    "email": "sample@example.test",
    "url": "https://example.test/",
    "number": "1",
    "tel": "+4930123456",
    "date": "2026-01-31",
}
_BY_INPUTMODE = {"numeric": "1", "decimal": "1"}
_TOKEN = "csrf_token"  # noqa: S105 - a field's name


@dataclass(slots=True)
class Form:
    """A form that posts.

    Args:
        action: its address.
        fields: what it would send, by name.
    """

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            posts = given.get("method", "get").lower() == "post"
            self._form = Form(given.get("action", "")) if posts else None
            if self._form is not None:
                self.forms.append(self._form)
        elif self._form is not None:
            self._field(tag, given, self._form.fields)

    def _field(self, tag: str, given: dict[str, str], fields: dict[str, str]) -> None:
        name = given.get("name", "")
        if tag == "option" and self._select:
            if self._select not in fields or "selected" in given:
                fields[self._select] = given.get("value", "")
        elif tag == "select":
            self._select = name
        elif tag == "textarea" and name:
            fields[name] = "sample"
        elif tag == "input" and name and name != _TOKEN:
            kind = given.get("type", "text")
            if kind in _UNSENT or (kind == "checkbox" and "checked" not in given):
                return
            if kind == "radio" and name in fields and "checked" not in given:
                return
            fields[name] = given.get("value") or _sample(kind, given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""


def _sample(kind: str, given: dict[str, str]) -> str:
    by_mode = _BY_INPUTMODE.get(given.get("inputmode", ""), "sample")
    return given.get("min") or _BY_TYPE.get(kind, by_mode)


def forms_on(page: str) -> Iterator[Form]:
    """Yield the forms of a page that post.

    Args:
        page: HTML.
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    yield from reader.forms
