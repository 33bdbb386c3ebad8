"""What is read of XML, and that bounds hold to the last one allowed."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ringfence import xml
from ringfence.errors import InjectionRefusedError


def status_of(document, **bounds):
    with pytest.raises(InjectionRefusedError) as raised:
        xml.parse(document, **bounds)
    return raised.value.denial.status


def test_tree():
    root = xml.parse(
        '<a xmlns="urn:x" b="1">t<c/>u<!-- v --><?w x?><![CDATA[<y>]]></a>'
    )
    assert root.tag == "{urn:x}a"
    assert root.attrib == {"b": "1"}
    assert (root.text, root[0].tail) == ("t", "u<y>")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings(encoding):
    document = f'<?xml version="1.0" encoding="{encoding}"?><a>ü</a>'
    assert xml.parse(document.encode(encoding)).text == "ü"
    assert xml.parse(document).text == "ü"  # what is text already says nothing


def test_bounds():
    deep = "<a><b><c/></b></a>"
    assert xml.parse(deep, max_depth=3, max_elements=3, max_size=len(deep)).tag == "a"
    assert status_of(deep, max_depth=2) == 400
    assert status_of(deep, max_elements=2) == 400
    assert status_of(deep, max_size=len(deep) - 1) == 413
    assert xml.parse("<a b='1'/>", max_attributes=1).tag == "a"
    assert status_of("<a b='1'/>", max_attributes=0) == 400


def test_elements_side_by_side_are_not_deep():
    assert len(xml.parse("<a>" + "<b></b>" * 50 + "</a>", max_depth=2)) == 50


@pytest.mark.parametrize(
    "document",
    [
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM 'http://example.com/a.dtd'><a/>",
        "<!DOCTYPE a PUBLIC 'x' 'file:///etc/passwd'><a/>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]><a/>",
        "<!DOCTYPE a [<!ATTLIST a b CDATA 'c'>]><a/>",
        "<a>&x;</a>",
        "<a",
        "<a>\ud800</a>",
        "<a>\0</a>",
    ],
)
def test_refused(document):
    assert status_of(document) == 400
    assert status_of(document.encode("utf-16", "surrogatepass")) == 400


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_anything(document):
    """Whatever comes, it is a tree or a refusal."""
    try:
        root = xml.parse(document)
    except InjectionRefusedError:
        return
    assert isinstance(root, ET.Element)


def test_xpath():
    tree = etree.fromstring("<a><b c='1'>x</b><b c='2'>y</b></a>")
    assert xml.xpath(tree, "//b[@c=$c]/text()", c="2") == ["y"]
    assert xml.xpath(tree, "count(//b[@c > $c])", c=1) == 1.0
    assert xml.xpath(tree.getroottree(), "//b[@c=$c]", c="' or '1'='1") == []


@pytest.mark.parametrize("value", [None, ["a"], {"a": 1}])
def test_what_is_no_value(value):
    with pytest.raises(InjectionRefusedError):
        xml.xpath(etree.fromstring("<a/>"), "//b[@c=$c]", c=value)


def test_trees_without_values():
    with pytest.raises(TypeError, match="use lxml"):
        xml.xpath(ET.fromstring("<a/>"), "//a")
