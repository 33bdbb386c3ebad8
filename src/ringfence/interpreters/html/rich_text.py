"""Rich text: markup that visitors may write, cleaned under a policy with a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import nh3

from ringfence.interpreters.html.safe import SafeHtml, made


@dataclass(frozen=True, slots=True)
class Policy:
    """What is left of rich text.

    Args:
        name: for those who read where it is used.
        tags: elements; of others only the text is left.
        attributes: of each element; no others.
        schemes: of links and pictures; relative ones are left, too.
        link_rel: what links say of the place that they lead to.
        longest: characters of what is given, 1 or more.
    """

    name: str
    tags: frozenset[str]
    attributes: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )
    schemes: frozenset[str] = frozenset({"http", "https", "mailto"})
    link_rel: str = "nofollow noopener ugc"
    longest: int = 100_000


_INLINE = frozenset(
    {
        "a",
        "abbr",
        "b",
        "br",
        "code",
        "em",
        "i",
        "kbd",
        "mark",
        "q",
        "s",
        "small",
        "strong",
        "sub",
        "sup",
        "u",
    }
)
_BLOCKS = frozenset({"blockquote", "li", "ol", "p", "pre", "ul"})
_PARTS = frozenset(
    {"dd", "dl", "dt", "figcaption", "figure", "h2", "h3", "h4", "hr", "img"}
)
_TABLES = frozenset({"caption", "table", "tbody", "td", "tfoot", "th", "thead", "tr"})

COMMENT = Policy(
    "comment",
    _INLINE | _BLOCKS,
    MappingProxyType({"a": frozenset({"href"})}),
)
"""For comments and reviews: text with emphasis, lists, quotations, code and links."""

ARTICLE = Policy(
    "article",
    _INLINE | _BLOCKS | _PARTS | _TABLES,
    MappingProxyType(
        {
            "a": frozenset({"href"}),
            "img": frozenset({"alt", "height", "src", "width"}),
            "td": frozenset({"colspan", "rowspan"}),
            "th": frozenset({"colspan", "rowspan", "scope"}),
        }
    ),
    longest=1_000_000,
)
"""For articles: besides, headings, pictures and tables."""

# Their content is code or a parser's mode of its own, and no text (mutation XSS).
_WITHOUT_CONTENT = {"script", "style"}


def rich_text(text: str, policy: Policy = COMMENT) -> SafeHtml:
    """Clean markup that somebody has written.

    It is parsed as a browser parses it, and what the policy names is written anew:
    scripts, handlers, styles, forms, frames, comments and foreign markup (SVG, MathML)
    do not survive, also where they only come to life when they are parsed twice
    (mutation XSS: CVE-2020-6802, CVE-2020-6816, CVE-2021-23980 of another cleaner).

    Args:
        text: as it was written; it is best stored so, too, and cleaned when shown.
        policy: what is left; ``COMMENT`` and ``ARTICLE`` are ready-made.

    Returns:
        Markup that may be shown.

    Raises:
        ValueError: longer than the policy allows.

    Source: ASVS 5.0 V1.3.1; CWE-79.

    Not covered: where links lead, and pictures of other sites, which tell these who
    reads (the Content-Security-Policy of a page stops them).
    """
    if len(text) > policy.longest:
        message = f"rich text of {len(text)} characters; {policy.longest} are allowed"
        raise ValueError(message)
    attributes = {name: set(names) for name, names in policy.attributes.items()}
    attributes.setdefault("*", set())  # else the library's own list for all elements
    cleaned = nh3.clean(
        text,
        tags=set(policy.tags),
        clean_content_tags=_WITHOUT_CONTENT - policy.tags,
        attributes=attributes,
        url_schemes=set(policy.schemes),
        link_rel=policy.link_rel,
        strip_comments=True,
    )
    return made(cleaned)
