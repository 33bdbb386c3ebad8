"""What a page carries out: scripts, handlers, addresses that are code."""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from ringfence.interpreters.html.tags import Attribute, Tag, tags_of

# Elements that load or are code, and the attribute that says from where.
_LOADING = {
    "applet": ("code", "archive", "codebase"),
    "base": ("href",),
    "embed": ("src",),
    "fencedframe": ("config",),
    "frame": ("src",),
    "iframe": ("src",),
    "link": ("href",),
    "meta": ("http-equiv",),
    "object": ("data", "codebase"),
    "portal": ("src",),
    "script": ("src", "href", "xlink:href"),
}
EXECUTING = tuple(sorted({*_LOADING, "script", "style"}))
"""Names of elements that are looked at whatever attributes they have."""

_LINKS_THAT_LOAD = ("stylesheet", "import")
_FROM_ELSEWHERE = frozenset({"base", "embed", "object", "script"})
_ABSOLUTE = re.compile(r"https?:|[/\\]{2}|data:|blob:")
_SOURCES = frozenset({"src", "href"})
_ANY_END = re.compile(r"</(?:[^\s/>]*:)?(?:script|style)")
_RAW = frozenset({"script", "style"})
_ADDRESSES = frozenset(
    {
        "action",
        "background",
        "by",
        "data",
        "formaction",
        "from",
        "href",
        "src",
        "to",
        "values",
        "xlink:href",
    }
)
_PICTURES = frozenset({"img", "image", "input", "video", "audio", "source"})
_HANDLER = re.compile(r"on[a-z]")
_SKIPPED = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\"']+")
# Begins with plain letters, so that pages are searched for them ten times as fast.
_ANY_HANDLER = re.compile(r"on[a-z]++[\t\n\f\r ]*+=")
_BEFORE_A_NAME = "\t\n\f\r /\"'"
_CODE = re.compile(r"(?:javascript|vbscript|livescript):")
_DATA = re.compile(r"data:[^,]*(?:html|xml|svg|script)")
_INERT = frozenset({"", ";", "void(0)", "void(0);", "void0", "//", "undefined"})
_NO_SCRIPT = ("json", "template", "text/html", "text/plain", "text/markdown")
_TARGET = re.compile(r"<\?xml-stylesheet[^>]*>")

_FIRST = 2_000  # characters of a script that are compared with what was sent
SHORT, LONG = 12, 24  # characters alike that are no accident


@dataclass(frozen=True, slots=True)
class Construct:
    """Something in a page that a browser carries out or loads.

    Args:
        what: for the ledger.
        head: how it begins: what nobody writes by accident together with ``rest``.
        rest: what is carried out, or from where it comes; not empty.
        enough: characters of ``rest`` after which likeness is no accident.
        code: the script in it, decoded; ``""`` if it is none.
        nonce: of its element.
    """

    what: str
    head: str
    rest: str
    enough: int = LONG
    code: str = ""
    nonce: str = ""


def has_code_in_attributes(text: str) -> bool:
    """Return whether attributes of any element may be code, so that all tags have to
    be read. Few pages are written so.

    Args:
        text: the page, folded.
    """
    return (
        any(
            match.start() and text[match.start() - 1] in _BEFORE_A_NAME
            for match in _ANY_HANDLER.finditer(text)
        )
        or "javascript:" in text
        or "srcdoc" in text
    )


def canonical(text: str) -> str:
    """Return text without what browsers skip and without quotes, which come and go
    when markup is written anew, its entities decoded."""
    if "&" in text:
        text = html.unescape(text).lower()
    text = "".join(text.split())
    return _SKIPPED.sub("", text) if _SKIPPED.search(text) else text


def constructs_of(
    text: str, tag: Tag, end: int, *, is_xml: bool
) -> Iterator[Construct]:
    """Yield what one complete tag has a browser carry out.

    Args:
        text: the page, folded.
        tag: of it.
        end: as ``Ends`` knows it.
        is_xml: entities are decoded in scripts, too.
    """
    if tag.local_name in _RAW:
        yield from _raw(text, tag, end, is_xml=is_xml)
    for attribute in tag.attributes:
        if _HANDLER.match(attribute.name):
            yield from _handler(text, attribute)
        elif attribute.name in _ADDRESSES or attribute.name.endswith(":href"):
            yield from _address(tag, attribute)
        elif attribute.name == "srcdoc":
            yield from _loading(text, tag, attribute)
            yield from _inner_page(attribute)
        if _may_load(tag, attribute) and _loads(tag):
            yield from _loading(text, tag, attribute)


def _may_load(tag: Tag, attribute: Attribute) -> bool:
    names = _LOADING.get(tag.local_name, ())
    return attribute.name in names or (
        attribute.name.endswith(":href") and "xlink:href" in names
    )


def _inner_page(attribute: Attribute) -> Iterator[Construct]:
    """Yield what a page within an attribute carries out: escaping is undone there."""
    page = html.unescape(attribute.value).lower()
    ends = Ends(page)
    for tag in tags_of(page):
        end = ends.of(tag)
        if end >= 0:
            yield from constructs_of(page, tag, end, is_xml=False)


def instructions_of(text: str) -> Iterator[Construct]:
    """Yield what XML loads besides its tags: style sheets, which may be programs."""
    for match in _TARGET.finditer(text, 0, text.rfind(">") + 1):
        yield Construct("a style sheet", "<?xml-stylesheet", canonical(match[0])[16:])


class Ends:
    """Where scripts and styles of a page end, found once for all of them: looking from
    each of a hundred thousand tags to the end of a page takes a minute (CWE-407).

    Args:
        text: the page, folded.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._known: dict[str, list[int]] = {}

    def of(self, tag: Tag) -> int:
        """Return where what a tag carries out ends; ``-1`` while that has not come."""
        if tag.end < 0 or tag.local_name not in _RAW or self._is_closed(tag):
            return tag.end
        ends = self._known.get(tag.name)
        if ends is None:
            found = re.finditer(f"</{re.escape(tag.name)}", self._text)
            ends = self._known[tag.name] = [match.start() for match in found]
        place = bisect_left(ends, tag.end)
        return ends[place] if place < len(ends) else -1

    def come_after(self, place: int) -> bool:
        """Return whether any may stand after a place."""
        return _ANY_END.search(self._text, place) is not None

    def _is_closed(self, tag: Tag) -> bool:
        """Return whether a tag ends what it begins, as in SVG and other XML, where it
        has been told from where to load."""
        is_closed = self._text.startswith("/>", tag.end - 2)
        return is_closed and any(
            attribute.name in _SOURCES or attribute.name.endswith(":href")
            for attribute in tag.attributes
        )


def _raw(text: str, tag: Tag, end: int, *, is_xml: bool) -> Iterator[Construct]:
    if not _is_carried_out(tag):
        return
    content = text[tag.end : end]
    head, rest = canonical(text[tag.start : tag.end]), canonical(content[:_FIRST])
    if len(rest) < LONG:  # so many blanks before it
        rest = canonical(content)
    if not rest:
        return
    code = ""
    if tag.local_name == "script":
        code = html.unescape(content) if is_xml else content
    nonce = tag.value_of("nonce")
    yield Construct(f"<{tag.name}>", head, rest, SHORT, code, nonce)


def _is_carried_out(tag: Tag) -> bool:
    kind = tag.value_of("type")
    return not any(word in kind for word in _NO_SCRIPT)


def _handler(text: str, attribute: Attribute) -> Iterator[Construct]:
    written = canonical(text[attribute.start : attribute.value_end])
    head, _, rest = written.partition("=")
    if rest:
        code = html.unescape(attribute.value)
        yield Construct("a handler", f"{head}=", rest, SHORT, code)


def _address(tag: Tag, attribute: Attribute) -> Iterator[Construct]:
    written = canonical(attribute.value)
    for address in written.split(";") if attribute.name == "values" else [written]:
        scheme = _CODE.match(address)
        if scheme is not None:
            rest = address[scheme.end() :]
            if rest not in _INERT:
                code = unquote(html.unescape(attribute.value).partition(":")[2])
                what = "an address that is code"
                yield Construct(what, scheme[0], rest, SHORT, code)
        elif tag.name not in _PICTURES and _DATA.match(address):
            yield Construct("an address that is a page", "data:", address[5:])


def _loading(text: str, tag: Tag, attribute: Attribute) -> Iterator[Construct]:
    rest = canonical(attribute.value)
    if rest:
        head = canonical(text[tag.start : attribute.value_start])
        yield Construct(f"<{tag.name}>", head, rest, nonce=tag.value_of("nonce"))
        if tag.local_name in _FROM_ELSEWHERE and _ABSOLUTE.match(rest):
            yield Construct("the address of a script", "", rest)


def _loads(tag: Tag) -> bool:
    if tag.local_name == "link":
        relation = tag.value_of("rel")
        return any(word in relation for word in _LINKS_THAT_LOAD)
    if tag.local_name == "meta":
        return tag.value_of("http-equiv") in {"refresh", "content-security-policy"}
    return tag.local_name != "base" or bool(tag.value_of("href"))
