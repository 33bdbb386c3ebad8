"""The guards sit in xml.sax and lxml, once, and stop where these are not as known."""

import io
import types
from xml.etree import ElementPath
from xml.etree import ElementTree as ET
from xml.sax.expatreader import ExpatParser

import pytest
from lxml import etree

from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.exchange import Exchange
from ringfence.interpreters.sink import Here
from ringfence.interpreters.xml import element_path, lxml, sax


def test_guarded_once():
    for guard in (sax, lxml):
        guard.arm()
    before = ExpatParser.external_entity_ref, etree.XMLParser
    for guard in (sax, lxml):
        guard.arm()
    assert (ExpatParser.external_entity_ref, etree.XMLParser) == before


def test_parsers_stay_what_they_are():
    """Code that asks what kind of parser it has gets the same answer."""
    lxml.arm()
    assert isinstance(etree.get_default_parser(), etree.XMLParser)
    assert issubclass(etree.XMLPullParser, etree.XMLParser)
    assert etree.XMLParser.__name__ == "XMLParser"
    assert etree.XMLParser.__module__ == "lxml.etree"

    class Own(etree.XMLParser):
        pass

    assert etree.fromstring("<a/>", Own(remove_comments=True)).tag == "a"
    pairs = list(etree.iterparse(io.BytesIO(b"<a><b/></a>"), events=("start",)))
    assert [element.tag for _, element in pairs] == ["a", "b"]


def test_own_documents(tmp_path):
    """At start-up, while nobody is answered, documents may use what they like."""
    lxml.arm()
    sax.arm()
    (tmp_path / "part.txt").write_text("part")
    uri = (tmp_path / "part.txt").as_uri()
    document = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{uri}">]><a>&x;</a>'
    parser = etree.XMLParser(resolve_entities=True)
    assert etree.fromstring(document, parser).text == "part"


def test_what_a_module_has_taken(monkeypatch):
    """``from lxml.etree import XMLParser`` before the guard was there."""
    lxml.arm()
    original = etree.XMLParser.__base__
    module = types.ModuleType("taken")
    module.XMLParser, module.parser = original, original()
    lxml._adopt(module, {original: etree.XMLParser})
    assert module.XMLParser is etree.XMLParser
    assert "_Refusing" in repr(module.parser.resolvers)


def test_older_lxml(monkeypatch):
    monkeypatch.setattr(etree, "LXML_VERSION", (4, 9, 4, 0))
    with pytest.raises(SettingsError, match="install lxml"):
        lxml.arm()


@pytest.mark.parametrize("method", [None, lambda self, context: 1])
def test_unknown_python(monkeypatch, method):
    monkeypatch.setattr(ExpatParser, "external_entity_ref", method)
    with pytest.raises(SettingsError, match="this Python"):
        sax.arm()


def test_paths_of_another_shape(monkeypatch):
    module = types.ModuleType("xml.etree.ElementPath")
    module.find = lambda tree, path: None
    with pytest.raises(SettingsError, match="not as ringfence knows it"):
        element_path._guard(vars(module), "find")


def test_paths_are_guarded_once():
    element_path.arm()
    before = ElementPath.find
    element_path.arm()
    assert ElementPath.find is before
    assert ET.fromstring("<a><b>c</b></a>").findtext("./b") == "c"


def test_path_that_cannot_be_judged(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError

    async def never():
        raise NotImplementedError

    exchange = Exchange(
        {"type": "http", "method": "GET", "path": "/", "headers": []}, never
    )
    monkeypatch.setattr(element_path, "is_constant", broken)
    with pytest.raises(InjectionRefusedError):
        element_path._check("./a", Here(exchange))
    monkeypatch.setattr(element_path, "is_constant", lambda *args, **kwargs: False)
    exchange.too_much = True
    with pytest.raises(InjectionRefusedError):
        element_path._check("./a[@b='c']", Here(exchange))
