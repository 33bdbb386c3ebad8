"""Honest text goes into MongoDB, LDAP and XML without an alarm, and stays as it is."""

import json
import re
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import bson
import pytest
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn
from tests.honest import corpus

from ringfence import ldap, nosql, xml
from ringfence.exchange import Exchange, active
from ringfence.interpreters.ldap.judge import judge_dn, judge_filter
from ringfence.interpreters.nosql.judge import judge
from ringfence.interpreters.nosql.wire import Command
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Here, Sink, Sinks
from ringfence.interpreters.xml import element_path

SINK = Sink("a test", "a test")
HEADERS = [(b"accept", b"*/*"), (b"accept-language", b"*"), (b"user-agent", b"curl/8")]
ENTITIES = {"&": "&amp;", "<": "&lt;", "\r": "&#13;"}


async def never():
    raise NotImplementedError


@pytest.fixture(params=["json", "query"])
def sent(request):
    """A function that makes the request in which a value comes, the only one."""
    alarms = []
    tokens = []

    def send(value):
        scope = {"type": "http", "method": "POST", "path": "/", "headers": HEADERS}
        is_query = request.param == "query"
        scope["query_string"] = urlencode({"q": value}).encode() if is_query else b""
        exchange = Exchange(scope, never)
        exchange.sinks = Sinks(InterpretersSettings(), alarms.append, lambda: True)
        if not is_query:
            body = {"q": value, "tags": [value], "more": {"note": value}}
            exchange.received = [json.dumps(body).encode()]
        if tokens:
            active.reset(tokens.pop())
        tokens.append(active.set(exchange))
        return Here(exchange)

    yield send
    active.reset(tokens.pop())
    assert [event.private for event in alarms] == []


def commands(value):
    """Ways in which applications put a value into a command."""
    where = {"name": value, "price": {"$gt": 5, "$ne": value}, "tags": {"$in": [value]}}
    yield {"find": "c", "filter": {"$or": [where]}, "sort": {"$natural": 1}}
    yield {"find": "c", "filter": {"name": nosql.containing(value)}}
    yield {"find": "c", "filter": {"name": {"$regex": f"^{re.escape(value)}"}}}
    yield {"find": "c", "filter": {"$where": "this.credits == this.debits", "n": value}}
    yield {"insert": "c", "documents": [{"name": value}]}
    change = {"$set": {"name": value}, "$push": {"t": {"$each": [value]}}}
    yield {"update": "c", "updates": [{"q": {"name": nosql.equal(value)}, "u": change}]}
    project = {"said": {"$literal": value}, "full": {"$concat": ["$first", "$last"]}}
    stages = [{"$match": where}, {"$group": {"_id": "$kind"}}, {"$project": project}]
    yield {"aggregate": "c", "pipeline": stages}


def test_mongo(sent):
    for value in corpus.values():
        whom = sent(value)
        for command in commands(value):
            judge(Command(bson.encode(command)), whom, SINK)


def test_ldap(sent):
    for value in corpus.values():
        whom = sent(value)
        judge_filter(ldap.filter("(cn=*{v}*)", v=value), whom, SINK)
        judge_dn(ldap.dn("cn={v},dc=example", v=value), whom, SINK)
        by_hand = escape_filter_chars(value)
        judge_filter(f"(&(objectClass=*)(|(cn=*{by_hand}*)(uid=x)))", whom, SINK)
        judge_dn(f"cn={escape_rdn(value)},ou=people,dc=example", whom, SINK)


def test_xml(sent):
    element_path.arm()
    for value in corpus.values():
        sent(value)
        if not value.isprintable() and re.search(r"[^\t\n\r -\U0010ffff]", value):
            continue  # XML has no way to say these characters
        text = "".join(ENTITIES.get(letter, letter) for letter in value)
        assert xml.parse(f"<a><b>{text}</b></a>").findtext("./b") == value
        tree = ET.fromstring(PEOPLE)
        quoted = value.replace('"', "")
        assert tree.findall(f'./user[@name="{quoted}"]') == []


PEOPLE = "<people><user name='x'/></people>"
