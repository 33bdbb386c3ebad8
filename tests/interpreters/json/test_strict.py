"""Strict JSON: what two parsers may read differently is refused, all else is read."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.denial import Denial
from ringfence.interpreters.json.media import is_json, names_another_encoding
from ringfence.interpreters.json.strict import read

REFUSED = {
    b'{"a":1,"a":2}': "duplicate_key",
    b'{"a":1,"\\u0061":2}': "duplicate_key",
    b'{"":1,"":1}': "duplicate_key",
    b'[{"a":{"b":1,"c":[{"b":1,"b":1}]}}]': "duplicate_key",
    # quotation marks that are written in two ways make up for those of a lost key
    b'{"a":"\\u0022\\u0022","a":2}': "duplicate_key",
    b'{"a\\"":1,"a\\u0022":2}': "duplicate_key",
    b'{"a": "\\\\", "a": "x:y"}': "duplicate_key",
    b"[NaN]": "number",
    b"NaN": "number",
    b'{"a": -Infinity}': "number",
    b"[Infinity]": "number",
    b"[1e400]": "number",
    b"[-1e400]": "number",
    b"18446744073709551616": "number",
    b'{"a": [-9223372036854775809]}': "number",
    b"9" * 5000: "number",
    b"[" + b"9" * 400 + b".0]": "number",
    b"[" * 33 + b"]" * 33: "too_deep",
    b'{"a":' * 33 + b"1" + b"}" * 33: "too_deep",
    b"[" * 100_000 + b"]" * 100_000: "too_deep",
    b'{"a":' * 100_000: "too_deep",
    b"\xef\xbb\xbf{}": "encoding",
    '{"a":1}'.encode("utf-16"): "encoding",
    '{"a":1}'.encode("utf-16-le"): "encoding",
    '{"a":1}'.encode("utf-32-be"): "encoding",
    '{"a":"é"}'.encode("latin-1"): "encoding",
    b'{"a":"\xed\xa0\x80"}': "encoding",  # half a pair, in bytes
    b'{"a":"\xc0\x80"}': "encoding",  # overlong
    b'{"a":"\\ud800 "}': "encoding",
    b'["\\udc00\\ud800"]': "encoding",
    b"{} {}": "malformed",
    b"{},": "malformed",
    b"[1,]": "malformed",
    b"{'a': 1}": "malformed",
    b'{"a": 01}': "malformed",
    b'{"a": 1': "malformed",
    b'{"a": /* c */ 1}': "malformed",
    b'["\t"]': "malformed",
    b"   ": "malformed",
    b"undefined": "malformed",
    b"{a: 1}": "malformed",
    b'["NaN", x]': "malformed",
}


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: repr(body[:30]))
def test_what_may_be_read_in_two_ways_is_refused(body):
    said = read(body)
    assert isinstance(said, Denial), said
    assert said.code == f"interpreters.json_{REFUSED[body]}"
    assert said.status == 400


HONEST = [
    "{}",
    "[]",
    "null",
    "true",
    '""',
    "0",
    "-0",
    "-1.5e-7",
    "1e308",
    "1e-400",  # to zero, as everywhere
    str(2**64 - 1),
    str(-(2**63)),
    "3.14159265358979323846264338327950288419716939937510",
    '{"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 1}]}',
    '{"name": "O\'Brien", "Name": "two keys", "say": "\\"a\\": 1, \\"a\\": 2"}',
    '{"\\"": 1, "\\\\": 2, ":": ":", "\\u0022x": "{[", "é": "e\\u0301"}',
    '{"emoji": "\\ud83d\\ude00 😀", "nul": "\\u0000", "html": "<b>\\u003c/b>"}',
    '{"zh": "中文", "ar": "العربية", "hi": "हिन्दी", "math": "∀x∈A"}',
    json.dumps({"data": {"type": "articles", "attributes": {"a": None}}}),
    json.dumps([{"op": "replace", "path": "/a", "value": [1, 2]}] * 40),
    json.dumps({"deep": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}),
    " \r\n\t{ \n} ",
]


@pytest.mark.parametrize("text", HONEST, ids=lambda text: text[:30])
def test_honest_documents_are_read(text):
    assert read(text.encode()) == json.loads(text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
DIALECTS = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([(",", ":"), (", ", ": ")]),
        "indent": st.sampled_from([None, 2]),
    }
)


@given(VALUES, DIALECTS)
def test_whatever_a_library_writes_is_read(value, dialect):
    """Escapes, spaces and line ends of every client library."""
    text = json.dumps(value, **dialect)
    said = read(text.encode("utf-8", "surrogatepass"))
    if any(
        "\ud800" <= letter <= "\udfff"
        for letter in json.dumps(value, ensure_ascii=False)
    ):
        assert isinstance(said, Denial)
    else:
        assert said == value


NAMES = st.sampled_from(["a", "b", '"', "\\", ":", "\u00e9", "a b"])


class Pairs(list):
    """An object with all that is written in it."""


def write(value, escape):
    if isinstance(value, Pairs):
        pairs = (f"{write(k, escape)}:{write(v, escape)}" for k, v in value)
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(write(one, escape) for one in value) + "]"
    if isinstance(value, str) and escape:
        return '"' + "".join(f"\\u{ord(letter):04x}" for letter in value) + '"'
    return json.dumps(value)


WRITTEN = st.recursive(
    st.integers(0, 3) | NAMES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.tuples(NAMES, inner), max_size=3).map(Pairs)
    ),
    max_leaves=8,
)


def has_duplicates(value):
    if isinstance(value, Pairs):
        names = [name for name, _ in value]
        return len(set(names)) < len(names) or any(
            has_duplicates(one) for _, one in value
        )
    return isinstance(value, list) and any(map(has_duplicates, value))


@given(WRITTEN, st.booleans())
def test_duplicates_are_found_and_nothing_else_is_taken_for_one(value, escape):
    said = read(write(value, escape).encode())
    found = isinstance(said, Denial)
    assert found == has_duplicates(value)
    if found:
        assert said.code == "interpreters.json_duplicate_key"


@given(st.binary(max_size=40))
def test_bytes_of_any_kind_never_raise(body):
    """What is read is what Python reads, too."""
    said = read(body or b" ")
    if not isinstance(said, Denial):
        again = json.loads(body)
        assert said == again or (isinstance(said, float) and math.isnan(said))


def test_depth_is_counted_only_where_things_stand_in_each_other():
    wide = b"[" + b"[]," * 5_000 + b"{}]"
    assert len(read(wide)) == 5_001
    assert isinstance(read(wide, deepest=1), Denial)
    assert read(b'{"a":"[[[[[[[["}', deepest=1) == {"a": "[" * 8}


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/json", True),
        (b"Application/JSON ; charset=utf-8", True),
        (b"application/vnd.api+json", True),
        (b"application/merge-patch+json", True),
        (b"text/json", True),
        (b"", False),
        (b"text/plain", False),
        (b"application/json-seq", False),
        (b"application/x-ndjson", False),
        (b"text/plain; x=application/json", False),
    ],
)
def test_json_is_known_by_its_type(content_type, expected):
    assert is_json(content_type) is expected


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        (b"application/json", "é".encode(), False),
        (b"application/json; charset=UTF-8", "é".encode(), False),
        (b'application/json; charset="utf-8"', "é".encode(), False),
        (b"application/json; profile=x", "é".encode(), False),
        (b"application/json; charset=ISO-8859-1", b"{}", False),
        (b"application/json; charset=ISO-8859-1", "é".encode(), True),
        (b"application/json; charset=utf-16", b"{}", True),
        (b"application/json; charset=utf-7", b"+AHs-", True),
    ],
)
def test_another_encoding_is_one_if_it_changes_the_text(content_type, body, expected):
    assert names_another_encoding(content_type, body) is expected
