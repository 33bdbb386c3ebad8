"""What of a command is refused, by what a request has brought."""

import json
from urllib.parse import urlencode

import bson
import pytest
from bson import Code, DBRef, Regex
from hypothesis import given
from hypothesis import strategies as st
from pymongo import message
from pymongo.compression_support import ZlibContext

from ringfence.errors import InjectionRefusedError
from ringfence.exchange import Exchange
from ringfence.interpreters.nosql.judge import judge, texts_of
from ringfence.interpreters.nosql.parts import Kind, parts_of
from ringfence.interpreters.nosql.wire import Command, read
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Here, Sink, Sinks

SINK = Sink("nosql", "a test")
OPTIONS = bson.DEFAULT_CODEC_OPTIONS


async def never():
    raise NotImplementedError


def whom(body=None, *, too_much=False, **query):
    scope = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/"}
    scope["query_string"] = urlencode(query).encode()
    scope["headers"] = [(b"content-type", b"application/json")]
    exchange = Exchange(scope, never)
    exchange.received = [] if body is None else [json.dumps(body).encode()]
    exchange.too_much = too_much
    return Here(exchange)


def watched(sender):
    """The same, in a dry run; the list takes what would have been refused."""
    events = []
    settings = InterpretersSettings()
    sender.exchange.sinks = Sinks(settings, events.append, lambda: True)
    return events


def is_refused(command, sender):
    try:
        judge(Command(bson.encode(command)), sender, SINK)
    except InjectionRefusedError:
        return True
    return False


def find(where, **more):
    return {"find": "people", "filter": where, **more, "$db": "shop"}


def aggregate(*stages):
    return {"aggregate": "people", "pipeline": list(stages), "cursor": {}, "$db": "x"}


def update(change, where=None):
    statement = {"q": where or {}, "u": change}
    return {"update": "people", "updates": [statement], "$db": "shop"}


NE = {"password": {"$ne": None}}
REFUSED = {
    "as it came": (find(NE), whom(NE)),
    "in another field": (find({"secret": {"$ne": None}}), whom(NE)),
    "with another value": (find({"password": {"$ne": 5}}), whom(NE)),
    "below another field": (find({"user.password": {"$ne": 5}}), whom(NE)),
    "negated": (find({"password": {"$not": {"$ne": None}}}), whom(NE)),
    "in an update's filter": (update({"$set": {"a": 1}}, NE), whom(NE)),
    "a whole update": (update({"$inc": {"cents": 5}}), whom({"$inc": {"cents": 5}})),
    "each of an update": (
        update({"$push": {"tags": {"$each": [1], "$slice": 0}}}),
        whom({"tags": {"$each": [1], "$slice": 0}}),
    ),
    "a pipeline as update": (
        update([{"$set": {"role": "$other"}}]),
        whom({"role": "$other"}),
    ),
    "arrayFilters": (
        {
            "update": "c",
            "updates": [{"q": {}, "u": {"$set": {"a": 1}}, "arrayFilters": [NE]}],
        },
        whom(NE),
    ),
    "a hint": (find({}, sort={"$natural": -1}), whom({"$natural": -1})),
    "in $facet": (aggregate({"$facet": {"a": [{"$match": NE}]}}), whom(NE)),
    "in $lookup": (
        aggregate({"$lookup": {"from": "a", "as": "b", "pipeline": [{"$match": NE}]}}),
        whom(NE),
    ),
    "in $graphLookup": (
        aggregate({"$graphLookup": {"restrictSearchWithMatch": NE}}),
        whom(NE),
    ),
    "in $merge": (
        aggregate({"$merge": {"into": "a", "whenMatched": [{"$set": {"a": "$x"}}]}}),
        whom({"a": "$x"}),
    ),
    "in explain": ({"explain": find(NE), "$db": "shop"}, whom(NE)),
    "in a bulk write": (
        {
            "bulkWrite": 1,
            "ops": [{"update": 0, "filter": NE, "updateMods": {"$set": {"a": 1}}}],
        },
        whom(NE),
    ),
    "in a command that nobody knows": ({"newest": 1, "where": [NE]}, whom(NE)),
    "a stage": (aggregate({"$out": "users"}), whom({"stages": [{"$out": "users"}]})),
    "a path": (
        aggregate({"$project": {"a": "$password"}}),
        whom(label="$password"),
    ),
    "a variable": (aggregate({"$group": {"_id": "$$ROOT"}}), whom(by="$ROOT")),
    "a path in $expr": (
        find({"$expr": {"$eq": ["$a", "$secret"]}}),
        whom({"a": "$secret"}),
    ),
    "a path in a projection": (find({}, projection={"a": "$b.c"}), whom(a="$b.c")),
    "$where from a name": (find({"$where": "1"}), whom(field="$where", value="1")),
    "input in $where": (
        find({"$where": "this.a == '' || 1 || ''"}),
        whom(a="' || 1 || '"),
    ),
    "input in $function": (
        find(
            {"$expr": {"$function": {"body": "f('');g('')", "args": [], "lang": "js"}}}
        ),
        whom(a="');g('"),
    ),
    "input in code": (
        {"eval": Code("f('');g('')")},
        whom(a="');g('"),
    ),
    "input in mapReduce": ({"mapReduce": "c", "map": "f(1);g()"}, whom(a="1);g(")),
    "a pattern": (find({"name": {"$regex": "^(a+)+$"}}), whom(q="(a+)+")),
    "a pattern of its own kind": (find({"name": Regex("^.*$")}), whom(q=".*")),
    "a pattern in extended JSON": (
        find({"password": Regex(".")}),
        whom({"password": {"$regularExpression": {"pattern": ".", "options": ""}}}),
    ),
    "an older pattern in extended JSON": (
        find({"password": Regex("")}),
        whom({"secret": {"$regex": "", "$options": ""}}),
    ),
    "code in extended JSON": (
        {"find": "c", "filter": {"$where": Code("1")}},
        whom({"a": {"$code": "1"}}),
    ),
    "a pattern of a pipeline": (
        aggregate(
            {"$project": {"a": {"$regexMatch": {"input": "$a", "regex": "x|y"}}}}
        ),
        whom(q="x|y"),
    ),
    "a command": ({"drop": "people", "$db": "shop"}, whom({"drop": "people"})),
    "an insertion": (
        {"insert": "people", "documents": [{"a": 1}]},
        whom({"insert": "people", "documents": [{"a": 1}]}),
    ),
    "while nobody knows all": (find({"a": {"$gt": 1}}), whom({}, too_much=True)),
    "code, while nobody knows all": (find({"$where": "f()"}), whom({}, too_much=True)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    assert is_refused(*REFUSED[case])


TEXT = {"price": {"$gt": 5}, "$or": [{"a": {"$in": [1]}}]}
PASSED = {
    "nothing": (find({}), whom(NE)),
    "the text of an operator": (find(TEXT), whom({"q": "$gt", "r": '"$gt": 7'})),
    "an operator that is named": (find(TEXT), whom(op="$gt", value="7")),
    "another value in another field": (
        find({"price": {"$gt": 5}}),
        whom({"age": {"$gt": 1}}),
    ),
    "OData": (
        aggregate({"$match": {}}, {"$skip": 10}, {"$count": "n"}),
        whom(**{"$skip": "10", "$count": "true", "$filter": "a eq 1"}),
    ),
    "a JSON schema that is inserted": (
        {"insert": "c", "documents": [{"a": {"$ref": "#"}}]},
        whom({"a": {"$ref": "#"}}),
    ),
    "a JSON schema that is set": (
        update({"$set": {"a": {"$ref": "#"}}}),
        whom({"a": {"$ref": "#"}}),
    ),
    "a JSON schema that replaces": (
        update({"a": {"$ref": "#"}}),
        whom({"a": {"$ref": "#"}}),
    ),
    "what is literal": (
        aggregate({"$project": {"a": {"$literal": "$b"}}}),
        whom(a="$b"),
    ),
    "money": (find({"note": "$5 off"}), whom(note="$5 off")),
    "money in a pipeline": (
        aggregate({"$match": {"note": "$5 off"}}),
        whom(note="$5 off"),
    ),
    "the driver's own": (find({}), whom({"a": {"$db": "shop"}})),
    "what the driver does by itself": (
        {"hello": 1, "$db": "admin"},
        whom({"hello": 1}),
    ),
    "words in JavaScript": (find({"$where": "this.age > 30"}), whom(a="30", b="age")),
    "an escaped pattern": (find({"a": {"$regex": r"^\+1\*$"}}), whom(a="+1*", b="+1")),
    "text in a pattern": (find({"a": {"$regex": "^St. Mary"}}), whom(a="St. Mary")),
    "an update, while nobody knows all": (
        update({"$set": {"a": 1}}, {"_id": 1}),
        whom({}, too_much=True),
    ),
}


@pytest.mark.parametrize("case", PASSED)
def test_passed(case):
    assert not is_refused(*PASSED[case])


def test_constant_code_and_patterns():
    """What stands in the application's code is its own, though a lesson quotes it."""
    code, pattern = "this.credits == this.debits", "^[A-Z]+[0-9]+$"
    command = find({"$where": "this.credits == this.debits", "a": {"$regex": pattern}})
    assert not is_refused(command, whom({"lesson": code, "pattern": pattern}))


def test_every_part_is_found():
    kinds = {part.kind for part in parts_of(update([{"$set": {"a": "$b"}}]))}
    assert kinds == {Kind.OPERATOR, Kind.PATH}


@pytest.mark.parametrize("context", [None, ZlibContext(-1)])
def test_messages(context):
    """Sequences beside the command, and compressed messages, are read."""
    command = {"update": "people", "updates": [{"q": NE, "u": {"a": 1}}]}
    _, sent, *_ = message._op_msg(0, command, "shop", None, OPTIONS, ctx=context)
    found = read(sent)
    assert found.name == "update"
    assert found.document()["updates"] == [{"q": NE, "u": {"a": 1}}]


def test_checksum():
    """Bytes at the end that are no section are not read as one."""
    _, sent, *_ = message._op_msg(0, {"find": "a"}, "shop", None, OPTIONS)
    sent = sent[:16] + b"\1" + sent[17:] + b"\0\0\0\0"
    assert read(sent).document() == {"find": "a", "$db": "shop"}


def test_first_hello():
    query = {"isMaster": 1}
    head = b"\0\0\0\0admin.$cmd\0" + b"\0\0\0\0" + b"\xff\xff\xff\xff"
    sent = b"\0" * 12 + (2004).to_bytes(4, "little") + head + bson.encode(query)
    assert read(sent).name == "isMaster"


@pytest.mark.parametrize(
    "broken", [b"", b"\0" * 15, b"\0" * 16, b"\0" * 12 + b"\xdd\x07\0\0\0\0\0\0\7aaaa"]
)
def test_broken_messages(broken):
    with pytest.raises(ValueError, match=r"."):
        read(broken)


@pytest.mark.parametrize("case", ["a command", "as it came", "input in $where"])
def test_dry_run(case):
    """Each is written down once, and goes on."""
    command, sender = REFUSED[case]
    sender = Here(sender.exchange)
    events = watched(sender)
    assert not is_refused(command, sender)
    assert [event.interpreter for event in events] == ["nosql"]
    sender.exchange.sinks = None


def test_odd_documents():
    """What no driver sends is read without a fault, and operators in it are found."""
    odd = [
        {"aggregate": "c", "pipeline": {"$match": NE}},
        {"aggregate": "c", "pipeline": ["$x", 5]},
        aggregate({"$facet": 5}),
        aggregate({"$lookup": 5}),
        aggregate({"$project": {"a": {"$function": 5, "$regexMatch": 5}}}),
        aggregate({"$match": {"a": {"$regex": Regex("a")}}}),
        aggregate({"$merge": {"$x": 1}}),
        {"update": "c", "updates": [5]},
        {"update": "c", "updates": [{"u": 5}]},
        {"mapReduce": "c", "map": 5},
        find({"a": DBRef("c", 1)}),
    ]
    for command in odd:
        assert not is_refused(command, whom({"a": 1}))
    assert is_refused(odd[0], whom(NE))
    reference = find({"a": DBRef("c", 1, **{"$ne": None})})
    assert is_refused(reference, whom({"a": {"$ne": None}}))


def test_texts_for_the_boundary_map():
    command = find({"a": {"$in": ["x", 5]}}, sort={"b": 1})
    assert set(texts_of(command)) == {"people", "x", "shop"}


NAMES = st.sampled_from(["a", "b", "c.d", "email", "$x"])
OPERATORS = st.sampled_from(["$ne", "$gt", "$in", "$or", "$regex", "$set", "$expr"])
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(NAMES | OPERATORS, inner, min_size=1, max_size=2)
    ),
    max_leaves=6,
)


def has_operator(value):
    if isinstance(value, list):
        return any(has_operator(inner) for inner in value)
    if isinstance(value, dict):
        begins = any(key.startswith("$") for key in value)
        return begins or any(has_operator(inner) for inner in value.values())
    return False


@given(DOCUMENTS, NAMES.filter(lambda name: name != "$x"), st.data())
def test_no_operator_gets_through(document, name, data):
    """Whatever was sent, wherever the application puts it: it is refused exactly when
    there is an operator in it."""
    where = data.draw(
        st.sampled_from(
            [
                {name: document},
                {"$and": [{"tenant": 1}, {name: document}]},
                {"$or": [{name: {"$not": document}}]},
                {name: {"$elemMatch": {"z": document}}},
            ]
        )
    )
    sender = whom({"sent": document})
    refused = is_refused(find(where), sender)
    assert refused or not has_operator(document)
    if not has_operator(document):
        assert not refused


def test_depth():
    """A filter as deep as BSON takes it is read to its end."""
    deep = {"$ne": None}
    for _ in range(90):
        deep = {"a": deep}
    assert is_refused(find(deep), whom(deep))
    assert not is_refused(find(deep), whom({"b": {"$gt": 1}}))
