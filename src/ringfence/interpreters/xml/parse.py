"""The safe way to read XML: elements, attributes and text, within bounds.

Built on the standard library's parser: it fetches nothing by itself, and its target is
told of a document type before the first entity of it is declared. defusedxml refuses
entities as well, but has no bounds for depth and size.
"""

from __future__ import annotations

from typing import Any, NoReturn
from xml.etree.ElementTree import (
    Element,
    ParseError,
    TreeBuilder,
    XMLParser,
)

from ringfence.interpreters.objection import object_to
from ringfence.interpreters.sink import Sink

SINK = Sink("xml", "xml")

_TOO_LARGE = 413


def parse(
    data: bytes | str,
    *,
    max_size: int = 1_048_576,
    max_depth: int = 100,
    max_elements: int = 100_000,
    max_attributes: int = 100,
) -> Element:
    """Read a document.

    Stops external entities, which read files and addresses of the server (XXE),
    entities of entities, which grow to gigabytes (billion laughs), and documents that
    are too deep or too large for what reads them next.

    Args:
        data: the document; bytes in the encoding that it says.
        max_size: bytes, or characters of a ``str``.
        max_depth: elements within elements.
        max_elements: elements altogether.
        max_attributes: of one element.

    Returns:
        Its root; names with a namespace are ``{namespace}name``.

    Raises:
        InjectionRefusedError: a document type (``<!DOCTYPE ...>``), a bound passed, or
            no XML; answered with 400, and with 413 where it is too large.

    Source: CWE-611, CWE-776; ASVS 5.0 1.5.1.

    Not covered: what the text means to whoever gets it next.
    """
    if len(data) > max_size:
        object_to(SINK, f"more than {max_size} of XML", status=_TOO_LARGE)
    target = _Bounded(max_depth, max_elements, max_attributes)
    parser = XMLParser(target=target)  # noqa: S314 - the target refuses what it warns of
    try:
        parser.feed(data)
        root = parser.close()
    except (ParseError, UnicodeError, LookupError, ValueError):
        object_to(SINK, "a document that is no XML")
    if not isinstance(root, Element):
        object_to(SINK, "a document that is no XML")
    return root


class _Bounded:
    """Builds a tree from what the parser reports, and refuses what has no place in
    one."""

    def __init__(self, depth: int, elements: int, attributes: int) -> None:
        self._builder = TreeBuilder()
        self._max_depth = depth
        self._left = elements
        self._attributes = attributes
        self._depth = 0

    def doctype(self, name: str, public: str | None, system: str | None) -> NoReturn:
        object_to(SINK, "a document type")

    def start(self, tag: str, attributes: dict[str, str]) -> Any:
        self._depth += 1
        self._left -= 1
        if self._depth > self._max_depth:
            object_to(SINK, f"elements nested deeper than {self._max_depth}")
        if self._left < 0:
            object_to(SINK, "too many elements")
        if len(attributes) > self._attributes:
            object_to(SINK, f"more than {self._attributes} attributes")
        return self._builder.start(tag, attributes)

    def end(self, tag: str) -> Any:
        self._depth -= 1
        return self._builder.end(tag)

    def data(self, text: str) -> None:
        self._builder.data(text)

    def close(self) -> Element:
        return self._builder.close()
