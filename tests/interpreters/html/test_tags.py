"""Tags are read as browsers read them, wherever one might begin."""

import pytest

from ringfence.interpreters.html.tags import tags_of


def read(text, names=()):
    return [
        (tag.name, [(each.name, each.value) for each in tag.attributes], tag.end)
        for tag in tags_of(text, names)
    ]


@pytest.mark.parametrize(
    ("text", "name", "attributes"),
    [
        ("<a>", "a", []),
        ("<a/b=c/d>", "a", [("b", "c/d")]),
        ("<a b = 'c' d= e>", "a", [("b", "c"), ("d", "e")]),
        ('<a b="x > y"c>', "a", [("b", "x > y"), ("c", "")]),
        ("<a b=>", "a", [("b", "")]),
        ("<a =b c>", "a", [("=b", ""), ("c", "")]),
        ("<a '\">", "a", [("'\"", "")]),
        ("<a\nb\f=\tc>", "a", [("b", "c")]),
        ("<svg:a xlink:href=x />", "svg:a", [("xlink:href", "x")]),
    ],
)
def test_a_tag_is_read_whole(text, name, attributes):
    """WHATWG HTML, section 13.2.5."""
    assert read(text) == [(name, attributes, len(text))]


@pytest.mark.parametrize("text", ["<a", "<a ", "<a b", "<a b=", "<a b='c>", '<a b= "'])
def test_a_tag_that_has_not_ended_says_so(text):
    ((name, _, end),) = read(text)
    assert (name, end) == ("a", -1)


@pytest.mark.parametrize("text", ["a < b", "<3", "</p>", "<!-- -->", "<?x?>", "<>"])
def test_what_is_no_tag(text):
    assert read(text) == []


def test_a_tag_within_a_value_is_read_as_well():
    """A browser in another state might see it."""
    assert [name for name, _, _ in read("<a b='<c d>' e>")] == ["a", "c"]


def test_what_two_tags_claim_is_read_once():
    """It was seen with the first one."""
    outer, inner = read("<p x='<q ' onclick=f() z>")
    assert ("onclick", "f()") in outer[1]
    assert inner == ("q", [("'", "")], outer[2])


def test_names_may_be_asked_for():
    assert [name for name, _, _ in read("<a><b><bc><c>", ("b", "c"))] == ["b", "c"]
