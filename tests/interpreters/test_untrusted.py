"""What a request has brought, in every form that it may reach an interpreter in."""

import base64
import gzip
import json
import time
import zlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.exchange import Exchange
from ringfence.interpreters.untrusted import (
    Input,
    Inputs,
    fold,
    inputs_of,
    inputs_of_all,
)

ATTACK = "' OR '1'='1"


async def nothing():
    raise AssertionError


def exchange(
    body=b"", *, content_type=b"", query=b"", path="/", headers=(), kind="http", **more
):
    scope = {
        "type": kind,
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(b"content-type", content_type), *headers],
        **more,
    }
    made = Exchange(scope, nothing)
    pieces = body if isinstance(body, list) else [body]
    made.received = [piece for piece in pieces if piece]
    return made


def texts(*args, **kwargs):
    return {value.text for value in inputs_of(exchange(*args, **kwargs)).values}


def places(*args, **kwargs):
    found = inputs_of(exchange(*args, **kwargs))
    return {(value.place, value.name) for value in found.values if value.text == ATTACK}


JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
QUOTED = b"%27%20OR%20%271%27%3D%271"

BROUGHT = {
    "query": ({"query": b"email=" + QUOTED}, ("query", "email")),
    "query, the first of two": (
        {"query": b"email=" + QUOTED + b"&email=x"},
        ("query", "email"),
    ),
    "query, the last of two": (
        {"query": b"email=x&email=" + QUOTED},
        ("query", "email"),
    ),
    "query with plus": ({"query": b"q='+OR+'1'='1"}, ("query", "q")),
    "query after a semicolon": ({"query": b"a=1;q=" + QUOTED}, ("query", "q")),
    "query, encoded twice": (
        {"query": b"q=" + QUOTED.replace(b"%", b"%25")},
        ("query", "q"),
    ),
    "a name in a query": ({"query": QUOTED + b"=1"}, ("query", "")),
    "path": ({"path": "/users/" + ATTACK}, ("path", "")),
    "header": ({"headers": [(b"x-name", ATTACK.encode())]}, ("header", "x-name")),
    "cookie": (
        {"headers": [(b"cookie", b"a=b; theme=" + ATTACK.encode())]},
        ("cookie", "theme"),
    ),
    "JSON": ({"body": json.dumps({"a": ATTACK}).encode()}, ("json", "a")),
    "JSON, deep": (
        {"body": json.dumps({"a": [{"b": [[ATTACK]]}]}).encode()},
        ("json", "a.b"),
    ),
    "JSON, the first of two keys": (
        {"body": b'{"a": "' + ATTACK.encode() + b'", "a": "x"}'},
        ("json", "a"),
    ),
    "a key of JSON": ({"body": json.dumps({ATTACK: 1}).encode()}, ("json", "")),
    "JSON with escapes": (
        {"body": b'{"a": "\\u0027 OR \\u00271\\u0027=\\u00271"}'},
        ("json", "a"),
    ),
    "JSON in JSON": (
        {"body": json.dumps({"a": json.dumps({"b": ATTACK})}).encode()},
        ("json", "a.b"),
    ),
    "JSON in pieces": (
        {"body": [b'{"a": "\' OR ', b"'1'='1\"}"]},
        ("json", "a"),
    ),
    "base64": (
        {
            "body": json.dumps(
                {"a": base64.b64encode(ATTACK.encode()).decode()}
            ).encode()
        },
        ("json", "a"),
    ),
    "base64 for URLs, without padding": (
        {"query": b"a=" + base64.urlsafe_b64encode(ATTACK.encode()).rstrip(b"=")},
        ("query", "a"),
    ),
    "HTML entities": (
        {"body": json.dumps({"a": "&#39; OR &#39;1&#39;=&#39;1"}).encode()},
        ("json", "a"),
    ),
    "full-width forms": (
        {
            "body": json.dumps(
                {"a": ATTACK.replace("'", "\N{FULLWIDTH APOSTROPHE}")}
            ).encode()
        },
        ("json", "a"),
    ),
    "blanks around it": (
        {"body": json.dumps({"a": f"  {ATTACK}\n"}).encode()},
        ("json", "a"),
    ),
    "an item of a list": (
        {"body": json.dumps({"sort": f"name, {ATTACK} ,id"}).encode()},
        ("json", "sort"),
    ),
}


@pytest.mark.parametrize(("request_", "expected"), BROUGHT.values(), ids=BROUGHT)
def test_every_place_is_read(request_, expected):
    """Wherever a value stands, it is found, with its place and name."""
    assert expected in places(**{"content_type": JSON, **request_})


@pytest.mark.parametrize(
    ("value", "is_read"),
    [(b"gzip, deflate, br;q=0.9, *;q=0", False), (b"gzip, rm -rf", True)],
)
def test_codings(value, is_read):
    """What every browser says of compression is no choice of the sender's."""
    brought = texts(headers=[(b"accept-encoding", value)])
    assert ("gzip" in brought) == is_read


def test_form():
    """A form's fields, all duplicates of them."""
    body = b"a=x&email=" + QUOTED + b"&email=y"
    assert ("form", "email") in places(body, content_type=FORM)


@pytest.mark.parametrize(
    "content_type", [b"", FORM, b"text/plain", b"multipart/form-data; boundary=x"]
)
def test_json_under_another_type(content_type):
    """A handler may read JSON whatever the content type says."""
    body = b'{"a": "\\u0027 OR \\u00271\\u0027=\\u00271"}'
    assert ("body", "a") in places(body, content_type=content_type)


def test_form_under_another_type():
    """And a form under JSON's."""
    assert ("form", "a") in places(b"b=1&a=" + QUOTED, content_type=JSON)


def test_multipart():
    """Values, field names and file names of a form with files."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\n'
        + ATTACK.encode()
        + b'\r\n--x\r\nContent-Disposition: form-data; name="f"; filename="a; rm b"\r\n'
        b"\r\ncontent\r\n--x--\r\n"
    )
    kind = b"multipart/form-data; boundary=x"
    assert ("form", "email") in places(body, content_type=kind)
    assert {"f", "a; rm b", "content"} <= texts(body, content_type=kind)


def test_xml():
    """Text and attributes of a document, decoded."""
    body = b'<user role="x\' OR 1"><name>&#39; OR &#39;1&#39;=&#39;1</name></user>'
    found = texts(body, content_type=b"application/xml")
    assert {ATTACK, "x' OR 1"} <= found


def test_messages_of_a_websocket():
    """Each message counts, JSON or not."""
    found = texts([json.dumps({"a": ATTACK}), "plain words"], kind="websocket")
    assert {ATTACK, "plain words"} <= found


def test_what_comes_later_is_read_too():
    """A handler that asks before the body is there does not fix what was brought."""
    made = exchange(b"", content_type=JSON)
    assert not any(v.text == ATTACK for v in inputs_of(made).values)
    made.received = [json.dumps({"a": ATTACK}).encode()]
    assert any(v.text == ATTACK for v in inputs_of(made).values)


def test_it_is_read_once():
    made = exchange(json.dumps({"a": ATTACK}).encode(), content_type=JSON)
    assert inputs_of(made) is inputs_of(made)


def test_rest_of_a_path():
    """A parameter that takes the rest of a path is a value as a whole."""
    assert "a/../../etc" in texts(path="/files/a/../../etc")


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, json.dumps([str(n) for n in range(300_000)]).encode()],
    ids=["too deep", "too many"],
)
def test_what_cannot_be_read_is_not_complete(body):
    """Nobody takes the absence of a value for a proof when not all were read."""
    assert not inputs_of(exchange(body, content_type=JSON)).complete


def test_too_much_is_not_complete():
    made = exchange(b"{}", content_type=JSON)
    made.too_much = True
    assert not inputs_of(made).complete


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "document", ['{"a": "x\' or 1"}', "<?xml version='1.0'?><a b='v'>x' or 1</a>"]
)
def test_wide_characters(document, encoding):
    """Parsers of JSON and of XML find out about these by themselves."""
    body = document.encode(encoding)
    assert "x' or 1" in texts(body, content_type=b"text/plain")
    part = b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + body
    kind = b"multipart/form-data; boundary=x"
    assert "x' or 1" in texts(part + b"\r\n--x--", content_type=kind)


def test_attributes_in_single_quotes():
    assert "x y" in texts(b"<a b='x y'/>", content_type=b"text/xml")


MULTIPART = b"multipart/form-data; boundary=x"
FIELD = b'form-data; name="f"'
HIDDEN = "x'/**/or/**/1"


def part(value, disposition=FIELD, more=b""):
    head = b"--x\r\nContent-Disposition: " + disposition + more + b"\r\n\r\n"
    return head + value + b"\r\n--x--\r\n"


@pytest.mark.parametrize(
    ("charset", "value"),
    [
        (b"utf-7", b"x+ACc-/**/or/**/1"),
        (b"utf-16-be", HIDDEN.encode("utf-16-be")),
        (b"cp037", HIDDEN.encode("cp037")),
        (b"iso-8859-1", HIDDEN.encode()),
    ],
)
def test_charset_of_a_form(charset, value):
    """Starlette believes the one of the form, Litestar the one of a part."""
    kind = MULTIPART + b"; charset=" + charset
    assert HIDDEN in texts(part(value), content_type=kind)
    more = b"\r\nContent-Type: text/plain; charset=" + charset
    assert HIDDEN in texts(part(value, more=more), content_type=MULTIPART)


def test_charset_that_is_slow_or_none():
    kind = MULTIPART + b"; charset=punycode"
    assert not inputs_of(exchange(part(b"a"), content_type=kind)).complete


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (rb'filename="a\x\"b"', 'a\\x"b'),
        (rb'filename="C:\a\b c"', "b c"),
        (rb"filename = a b", "a b"),
        (b'filename*0="a\'/*"; filename*1="*/b"', "a'/**/b"),
    ],
)
def test_name_of_a_file(written, name):
    """As parsers undo its quotes."""
    body = part(b"-", b'form-data; name="f"; ' + written)
    assert name in texts(body, content_type=MULTIPART)


def test_field_of_odd_bytes():
    """A field is text for every handler, also if some of it is none."""
    value = b"x'\nor\n1--\n\xff\x01" + b"\x01" * 64
    assert value.decode("latin-1") in texts(part(value), content_type=MULTIPART)


@pytest.mark.parametrize(
    "cookie", [rb'q="x\047/**/or/**/1"', rb'q="x\'/**/or/**/\061"']
)
def test_escapes_in_cookies(cookie):
    """What ``http.cookies`` writes as octal numbers, frameworks read so."""
    assert HIDDEN in texts(headers=[(b"cookie", cookie)])


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("q=é'or'é".encode(), "Ã©'or'Ã©"),
        (b'["=&a=b&q=x%27/**/or/**/1&z=1"]', HIDDEN),
    ],
    ids=["as latin-1", "JSON, too"],
)
def test_forms_that_are_read_differently(body, value):
    """python-multipart takes bytes for letters, and does not look for JSON."""
    assert value in texts(body, content_type=FORM)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_packed_bodies(pack):
    """Applications unpack them, some with middleware."""
    body = pack(json.dumps({"a": HIDDEN}).encode())
    coded = [(b"content-encoding", b"gzip")]
    assert HIDDEN in texts(body, content_type=JSON, headers=coded)
    assert HIDDEN in texts(pack(b"\n") + body, content_type=JSON, headers=coded)
    assert not inputs_of(exchange(b"\1", headers=coded)).complete
    bomb = pack(bytes(4_000_000))
    assert not inputs_of(exchange(bomb, headers=coded)).complete


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"q=" + b"1," * 600 + b"x'(,1", "x'("),
        (b"q='|,)%3D,OR", "'|"),
        (b"q=" + base64.b64encode(b"1,2,x'(,3"), "x'("),
        (b"q=x++'++or+1", "x ' or 1"),
        (b"q=x%09'+or+1", "x ' or 1"),
        (b"q=" + b"*".join(bytes([c]) for c in b"eCcvKiovb3IvKiovMQ"), HIDDEN),
        (b"q=" + HIDDEN.encode().hex().encode(), HIDDEN),
        (b"&" * 6_000 + b"q=" + base64.b64encode(HIDDEN.encode()), HIDDEN),
    ],
    ids=[
        "long list",
        "short parts",
        "list in base64",
        "blanks",
        "other blanks",
        "base64 with stars",
        "hex",
        "empty fields",
    ],
)
def test_what_handlers_make_of_a_query(query, value):
    """They split, decode and tidy up before they use it."""
    assert value in texts(query=query)


def test_cells_of_a_large_file():
    """A long file is taken apart as a short one is."""
    body = b"a,b,c\n" * 20_000 + b"1,x' or 1,2\n"
    assert "x' or 1" in texts(body, content_type=b"text/csv")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\x85"])
def test_lines_that_repeat_in_a_large_file(ending):
    """They may repeat what others hold, and end as Python says that lines end."""
    lines = ['a,"b, c",d;e f', ' g h ,"i j"', "a,x y", *["many, of these"] * 6_000]
    found = texts(ending.join(lines).encode(), content_type=b"text/csv")
    assert {"b, c", "e f", "g h", "i j", "x y", "of these", lines[0], lines[2]} <= found


def test_headers_that_are_alike_each_time():
    """They are read once, and each request has them as its own."""
    given = [(b"accept-language", b"en,de%27"), (b"user-agent", b'{"$where": "1"}')]
    for route in ("/a", "/b"):
        made = exchange(headers=given)
        made.plan = SimpleNamespace(path=route)
        found = inputs_of(made)
        values = {value.text: value for value in found.values}
        assert values["de'"].place == "header"
        assert values["de'"].name == "accept-language"
        assert values["de'"].route == route
        assert [member.key for member in found.members] == ["$where"]


@pytest.mark.parametrize(
    "body",
    [
        b'q="' + b'"\\' * 400_000,
        b"<" + b"<![CDATA[" * 80_000,
        part(b"x", FIELD + b'; filename*0="a\\"' * 40_000),
    ],
    ids=["quotes", "CDATA", "parameters"],
)
def test_what_never_ends_takes_no_time(body):
    """A megabyte of beginnings is looked through once (CWE-1333)."""
    before = time.process_time()
    inputs_of(exchange(body, content_type=MULTIPART))
    assert time.process_time() - before < 10.0


def test_too_much_is_known_at_once():
    """Also where a sink has asked before, and nothing more was remembered."""
    made = exchange(["first"], kind="websocket")
    assert inputs_of(made).complete
    made.too_much = True
    assert not inputs_of(made).complete


def members(*args, **kwargs):
    found = inputs_of(exchange(*args, **kwargs)).members
    return [(member.key, member.value, member.name) for member in found]


def test_operators_in_json():
    """Where a key stood, and what behind it: at any depth, and in JSON within text."""
    inner = json.dumps({"sort": {"$natural": 1}})
    body = json.dumps({"a": 1, "user": {"$ne": None}, "b": [{"$x": {"$y": [{}]}}]})
    assert members(body.encode(), content_type=JSON) == [
        ("a", 1, ""),
        ("$x", {"$y": [{}]}, "b"),
        ("$y", [{}], "b.$x"),
        ("$ne", None, "user"),
    ]
    assert ("$natural", 1, "q.sort") in members(query=b"q=" + inner.encode())


def test_operators_in_names_of_fields():
    """Some handlers make objects of ``user[password][$ne]=1``."""
    form = b"user[password][%24ne]=1&$or[0][a]=2&plain=$ne"
    expected = [("$ne", "1", "user.password"), ("$or", ..., "")]
    assert members(form, content_type=FORM) == expected
    assert members(query=form) == expected


def test_operators_nested_too_deep_stay_operators():
    deep = 900
    found = members(b'{"$a":' * deep + b"1" + b"}" * deep, content_type=JSON)
    assert {key for key, _, _ in found} <= {"$a"}


def test_several_requests():
    """Code that may work for any of them is judged by what all have brought."""
    found = inputs_of_all([exchange(query=b"a=one"), exchange(query=b"a=two")])
    assert {"one", "two"} <= {value.text for value in found.values}


def test_found_where_they_stand():
    """Every occurrence, whatever its case, overlapping ones too."""
    inputs = Inputs((Input("aBa", "query"),))
    assert [(f.start, f.end) for f in inputs.found_in("xAbabA")] == [(1, 4), (3, 6)]


@given(st.text(max_size=40), st.text(min_size=1, max_size=8), st.text(max_size=40))
def test_a_value_is_found_at_its_place(before, value, after):
    """Letters that change their length with their case move nothing (İ, ß)."""
    inputs = Inputs((Input(value, "query"),))
    text = before + value + after
    found = {(f.start, f.end) for f in inputs.found_in(text)}
    assert (len(before), len(before) + len(value)) in found
    assert all(fold(text[start:end]) == fold(value) for start, end in found)


@given(
    st.binary(max_size=300),
    st.sampled_from([JSON, FORM, b"text/xml", b"multipart/form-data; boundary=x", b""]),
)
def test_any_body_can_be_read(body, content_type):
    """No body, however broken, makes a sink fail."""
    inputs_of(exchange(body, content_type=content_type))


def test_uploads_are_read_in_bounds():
    """A picture is no text, and what an honest one costs is no way to stop a service;
    what words it holds are read all the same."""
    picture = b"\xff\xd8\x00" + bytes(range(256)) * 4_000 + b"\x00" + ATTACK.encode()
    body = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\n'
        + picture
        + b"\r\n--x--\r\n"
    )
    found = inputs_of(exchange(body, content_type=b"multipart/form-data; boundary=x"))
    assert found.complete
    assert len(found.values) < 1_000
    assert found.brings(ATTACK)


def test_lines_of_a_large_file():
    """Each line is a value, and finding them takes the time of the text alone."""
    lines = "\n".join(f"{n},O'Brien {n}" for n in range(100_000)) + "\n" + ATTACK
    found = inputs_of(exchange(lines.encode()))
    assert found.complete
    assert ATTACK in {f.input.text for f in found.found_in(f"x{ATTACK}y")}


@given(
    st.lists(st.text("abAB '", max_size=6), min_size=70, max_size=90), st.text("abAB '")
)
def test_many_values_are_found_as_few_are(values, text):
    """Beginnings or one by one: the same is found."""
    many = Inputs(
        tuple(Input(value, "form") for value in dict.fromkeys(values) if value)
    )
    expected = {
        (at, at + len(value.text))
        for value in many.values
        for at in range(len(text))
        if fold(text[at : at + len(value.text)]) == fold(value.text)
    }
    assert {(f.start, f.end) for f in many.found_in(text)} == expected
