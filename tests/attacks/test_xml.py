"""XML that reads the server's files (XXE, CWE-611), grows without end (CWE-776), or
changes an XPath expression (CWE-643)."""

import asyncio
import functools
import io
import xml.sax
from xml.dom import pulldom
from xml.etree import ElementTree as ET
from xml.sax.handler import ContentHandler, feature_external_ges

import pytest
from lxml import etree, objectify
from lxml.etree import XMLParser as TakenBefore
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.attacks.twins import twins

from ringfence import xml as safe_xml

SECRET = "the server's own"
REFUSED = "interpreters.xml"
MADE_BEFORE = etree.XMLParser(resolve_entities=True)  # as modules do at their top
PEOPLE = "<people><user name='alice'>a</user><user name='bob'>b</user></people>"


class Text(ContentHandler):
    def __init__(self):
        self.text = ""

    def characters(self, content):
        self.text += content


def handler(read):
    """A handler that answers with the text of a document."""

    @functools.wraps(read)
    async def endpoint(request):
        body = await request.body()
        try:
            return PlainTextResponse(await asyncio.to_thread(read, body))
        except (xml.sax.SAXException, etree.LxmlError, ET.ParseError) as error:
            return PlainTextResponse(f"error: {error}")

    return endpoint


def sax_reader():
    reader = xml.sax.make_parser()
    reader.setFeature(feature_external_ges, state=True)
    return reader


@handler
def by_sax(body):
    reader, text = sax_reader(), Text()
    reader.setContentHandler(text)
    reader.parse(io.BytesIO(body))
    return text.text


@handler
def by_pulldom(body):
    events = pulldom.parse(io.BytesIO(body), sax_reader())
    return "".join(node.data for event, node in events if event == "CHARACTERS")


@handler
def by_lxml(body):
    root = etree.fromstring(body, etree.XMLParser(resolve_entities=True))
    return "".join(root.itertext())


@handler
def by_lxml_taken_before(body):
    return "".join(
        etree.fromstring(body, TakenBefore(resolve_entities=True)).itertext()
    )


@handler
def by_lxml_made_before(body):
    return "".join(etree.fromstring(body, MADE_BEFORE).itertext())


@handler
def by_lxml_pieces(body):
    parser = etree.XMLPullParser(events=("end",), resolve_entities=True)
    parser.feed(body)
    return "".join(each.text or "" for _, each in parser.read_events())


@handler
def by_lxml_iterparse(body):
    events = etree.iterparse(io.BytesIO(body), resolve_entities=True)
    return "".join(each.text or "" for _, each in events)


@handler
def by_objectify(body):
    parser = objectify.makeparser(resolve_entities=True)
    return "".join(etree.fromstring(body, parser).itertext())


@handler
def by_etree(body):
    return "".join(ET.fromstring(body).itertext())


@handler
def safely(body):
    return "".join(safe_xml.parse(body).itertext())


async def find(request):
    tree = etree.fromstring(PEOPLE)
    name = request.query_params["name"]
    found = tree.xpath(f"//user[@name='{name}']")
    return PlainTextResponse(" ".join(each.text for each in found))


async def find_by_path(request):
    tree = ET.fromstring(PEOPLE)
    name = request.query_params["name"]
    found = tree.findall(f"./user[@name='{name}']")
    return PlainTextResponse(" ".join(each.text for each in found))


async def find_by_lxml_path(request):
    tree = etree.fromstring(PEOPLE)
    name = request.query_params["name"]
    found = tree.findall(f'./user[@name="{name}"]')
    return PlainTextResponse(" ".join(each.text for each in found))


async def find_by_half(request):
    """Somebody who has taken to the safe way, and kept his own."""
    tree = etree.fromstring(PEOPLE)
    name = request.query_params["name"]
    found = safe_xml.xpath(tree, f"//user[@name='{name}']")
    return PlainTextResponse(" ".join(each.text for each in found))


async def find_safely(request):
    tree = etree.fromstring(PEOPLE)
    name = request.query_params["name"]
    found = safe_xml.xpath(tree, "//user[@name=$name]", name=name)
    return PlainTextResponse(" ".join(each.text for each in found))


READERS = (
    by_sax,
    by_pulldom,
    by_lxml,
    by_lxml_taken_before,
    by_lxml_made_before,
    by_lxml_pieces,
    by_lxml_iterparse,
    by_objectify,
)


def routes():
    for read in (*READERS, by_etree, safely):
        yield Route(f"/{read.__name__}", read, methods=["POST"])
    for each in (find, find_by_path, find_by_lxml_path, find_by_half, find_safely):
        yield Route(f"/{each.__name__}", each)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with twins(lambda: list(routes()), tmp_path_factory.mktemp("data")) as clients:
        yield clients


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A file of the server's, that no document should reach."""
    file = tmp_path_factory.mktemp("private") / "secret.txt"
    file.write_text(SECRET)
    return file.as_uri()


def post(client, read, document):
    headers = {"content-type": "application/xml"}
    return client.post(f"/{read.__name__}", content=document, headers=headers)


def external(secret):
    return f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret}">]><a>&x;</a>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("read", READERS)
def test_external_entity(both, secret, read, encoding):
    """A file of the server's comes back from a bare application, in whatever encoding
    the document hides; a guarded one reads nothing."""
    document = external(secret).encode(encoding)
    assert SECRET in post(both.off, read, document).text
    refused = post(both.on, read, document)
    assert refused.status_code == 403, refused.text
    assert refused.json()["code"] == REFUSED


@pytest.mark.parametrize("read", [by_sax, by_lxml])
def test_parameter_entity(both, secret, read):
    """The way out for data that never shows in the answer."""
    document = f'<!DOCTYPE a [<!ENTITY % x SYSTEM "{secret}"> %x;]><a/>'
    assert "error" in post(both.off, read, document).text  # it was read, and is no DTD
    assert post(both.on, read, document).json()["code"] == REFUSED


def bomb():
    letters = "A" * 1000
    entities = f'<!ENTITY a "{letters}"><!ENTITY b "{"&a;" * 100}">'
    return f'<!DOCTYPE a [{entities}<!ENTITY c "{"&b;" * 30}">]><a>&c;</a>'


def test_entities_of_entities(both):
    """Two kilobytes become three megabytes; the safe way reads no entities."""
    assert len(post(both.off, by_etree, bomb()).text) == 3_000_000
    refused = post(both.on, safely, bomb())
    assert refused.status_code == 400
    assert refused.json()["code"] == REFUSED


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<a>",
        b"{}",
        b"<a/><b/>",
        b"<a>&nbsp;</a>",
        b"<!DOCTYPE a><a/>",
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16"),
        b"<?xml version='1.0' encoding='unknown'?><a/>",
        b"<a " + b" ".join(b"a%d='1'" % n for n in range(101)) + b"/>",
        b"<a>" * 101 + b"</a>" * 101,
        b"<a>" + b"<b/>" * 100_000 + b"</a>",
    ],
)
def test_safe_way_refuses(both, document):
    refused = post(both.on, safely, document)
    assert refused.status_code == 400, refused.text
    assert refused.json()["code"] == REFUSED


def test_safe_way_refuses_what_is_large(both):
    refused = post(both.on, safely, b"<a>" + b"x" * 1_048_576 + b"</a>")
    assert refused.status_code == 413


@pytest.mark.parametrize("text", ["O'Brien &amp; Söhne", "它 🙂", "&lt;!DOCTYPE a&gt;"])
@pytest.mark.parametrize("read", [*READERS[:-1], by_etree, safely])
def test_honest_documents(both, read, text):
    document = f"<?xml version='1.0'?><a><b x='1'>{text}</b><!-- c --></a>".encode()
    expected = post(both.off, read, document)
    assert expected.status_code == 200
    assert post(both.on, read, document).text == expected.text != ""


def test_honest_document_types(both):
    """Pictures drawn with some programs declare entities of their own."""
    namespace = "http://www.w3.org/2000/svg"
    picture = f'<!DOCTYPE svg [<!ENTITY ns "{namespace}">]><svg xmlns="&ns;">x</svg>'
    for read in (by_sax, by_lxml, by_etree):
        for client in (both.off, both.on):
            assert post(client, read, picture).text == "x"


@pytest.mark.parametrize(
    ("path", "quote"), [("/find_by_path", "'"), ("/find_by_lxml_path", '"')]
)
def test_path(both, path, quote):
    """Leaves its quotes, goes up and down again to everybody."""
    attack = {"name": f"alice{quote}]/../user[@name={quote}bob"}
    assert both.off.get(path, params=attack).text == "b"
    refused = both.on.get(path, params=attack)
    assert refused.json()["code"] == "interpreters.xpath"
    for client in (both.off, both.on):
        assert client.get(path, params={"name": "alice"}).text == "a"
    other = {"name": 'say "hi" [x]' if quote == "'" else "O'Brien [x]"}
    for client in (both.off, both.on):
        assert client.get(path, params=other).status_code == 200


def test_xpath(both):
    """Who writes names into expressions finds everybody; with values, nobody does."""
    attack = {"name": "' or '1'='1"}
    for client in (both.off, both.on):  # lxml's own way cannot be guarded
        assert client.get("/find", params=attack).text == "a b"
    assert both.off.get("/find_by_half", params=attack).text == "a b"
    refused = both.on.get("/find_by_half", params=attack)
    assert refused.json()["code"] == "interpreters.xpath"
    for client in (both.off, both.on):
        assert client.get("/find_safely", params=attack).text == ""
        for path in ("/find_by_half", "/find_safely"):
            assert client.get(path, params={"name": "alice"}).text == "a"
        assert client.get("/find_safely", params={"name": "O'Brien"}).text == ""
