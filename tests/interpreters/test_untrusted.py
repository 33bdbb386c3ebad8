"""What a request has brought, in every form that it may reach an interpreter in."""

import base64
import json

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
