"""Rich text keeps its emphasis and loses what could run (ASVS 5.0 V1.3.1)."""

from html.parser import HTMLParser

import pytest

from ringfence.interpreters.html import ARTICLE, COMMENT, Policy, SafeHtml, rich_text

# What other cleaners have let through, and its kin. Source: the advisories of
# CVE-2020-6802 (raw text within noscript), CVE-2020-6816 (MathML and SVG with raw
# text), CVE-2021-23980 (comments within raw text), and others of their kind.
MUTATIONS = [
    "<noscript><style></noscript><img src=x onerror=alert(1)>",
    '<noscript><title></noscript><img src=x onerror="alert(1)">',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<math></p><style><!--</style><img src/onerror=alert(1)>",
    "<svg></p><title><!--</title><img src=x onerror=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    (
        "<math><mtext><table><mglyph><style><!--</style>"
        '<img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">'
    ),
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">',
    "<textarea><!--</textarea><img src=x onerror=alert(1)>",
    "<xmp><!--</xmp><img src=x onerror=alert(1)>--></xmp>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "<![CDATA[<!--]]><img src=x onerror=alert(1)>",
    '<a title="`"><img src=x onerror=alert(1)></a>',
    "<listing>&lt;img onerror=alert(1) src=x&gt;</listing>",
    (
        "<select><template><style><!--</style><a rel='--></style></template>"
        "</select><img src=x onerror=alert(1)>'>"
    ),
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<svg><a xlink:href='javascript:alert(1)'><text y=20>x</text></a></svg>",
    "<svg><animate attributeName=href values=javascript:alert(1) /></svg>",
    "<a href='java&#10;script:alert(1)'>x</a>",
    "<a href='\x01javascript:alert(1)'>x</a>",
    "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
    "<base href=//evil.example><link rel=stylesheet href=//evil.example/x.css>",
    "<p style='background:url(javascript:alert(1))'>x</p>",
    "<plaintext><img src=x onerror=alert(1)>",
    "<b " + "x" * 1000 + "=1 onclick=alert(1)>b",
]


class Shown(HTMLParser):
    """What a parser makes of markup."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.attributes = set(), []
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs


@pytest.mark.parametrize("policy", [COMMENT, ARTICLE])
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_does_not_come_to_life(mutation, policy):
    """Nor when what came out is cleaned, or parsed, a second time."""
    cleaned = rich_text(mutation, policy)
    assert rich_text(cleaned, policy) == cleaned
    shown = Shown(cleaned)
    assert shown.tags <= policy.tags
    for name, value in shown.attributes:
        assert not name.startswith("on")
        assert name not in {"style", "srcdoc", "title", "id", "class"}
        assert "script" not in (value or "")


def test_a_comment_keeps_its_emphasis():
    written = (
        "<p>I <b>like</b> it, <em>really</em>: <code>a &lt; b</code></p>"
        '<ul><li><a href="https://example.com/?a=1&amp;b=2">here</a></li></ul>'
    )
    expected = written.replace('">here', '" rel="nofollow noopener ugc">here')
    assert rich_text(written) == expected
    assert isinstance(rich_text(written), SafeHtml)


@pytest.mark.parametrize("plain", ["O'Brien", "日本語 ❤️", "1 + 1 = 2", "I like it"])
def test_plain_text_stays(plain):
    assert rich_text(plain) == plain


def test_an_article_has_pictures_and_tables():
    written = '<h2>A</h2><img src="/a.png" alt="a"><table><tbody></tbody></table>'
    assert rich_text(written, ARTICLE) == written
    assert rich_text(written) == "A"


def test_a_policy_of_ones_own():
    mine = Policy("mine", frozenset({"b"}), longest=11)
    assert rich_text("<b>a</b><i>", mine) == "<b>a</b>"
    with pytest.raises(ValueError, match="12 characters; 11 are allowed"):
        rich_text("x" * 12, mine)
    assert hash(mine) == hash(Policy("mine", frozenset({"b"}), longest=11))
