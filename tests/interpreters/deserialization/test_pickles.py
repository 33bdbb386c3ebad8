"""Pickles of a request, and pickles of the application."""

import base64
import codecs
import collections
import datetime as dt
import decimal
import gzip
import json
import marshal
import os
import pathlib
import pickle
import uuid
import zlib
from urllib.parse import quote

import pytest
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.arm import arm
from ringfence.interpreters.deserialization.pickles import names

FIRED = []


def fire(*args):
    FIRED.append(args)


class Calls:
    """Names a function of the application itself: no list of bad names knows it."""

    def __reduce__(self):
        return fire, ("x",)


class Runs:
    def __reduce__(self):
        return os.system, ("true",)


class Basket:
    def __init__(self):
        self.things = ["lamp"]


BINARY = b"application/octet-stream"


@pytest.fixture(autouse=True, scope="module")
def armed():
    arm()


def brought(raw):
    """Yield what a request may hold that a handler makes ``raw`` of."""
    text = base64.b64encode(raw)
    url = base64.urlsafe_b64encode(raw).rstrip(b"=")
    cookie = b"session=" + text + b".c2lnbmF0dXJl"
    yield {"body": raw, "content_type": BINARY}
    yield {"body": [raw[:5], raw[5:]], "content_type": BINARY}
    yield {"body": b"header:" + raw, "content_type": BINARY}
    yield {"body": text, "content_type": b"text/plain"}
    yield {"body": json.dumps({"state": url.decode()}).encode()}
    yield {"body": json.dumps({"state": raw.hex()}).encode()}
    yield {"query": b"state=" + url}
    yield {"query": b"state=" + quote(raw).encode()}
    yield {"body": json.dumps({"state": raw.decode("latin-1")}).encode()}
    yield {"headers": [(b"cookie", cookie)]}
    yield {"headers": [(b"x-state", text)]}
    yield {"body": zlib.compress(raw), "content_type": BINARY}
    yield {"query": b"state=" + base64.urlsafe_b64encode(gzip.compress(raw))}
    yield {"body": [raw], "kind": "websocket"}


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_the_request_are_refused(protocol):
    """CWE-502, in every place and form, by every reader."""
    for value in (Calls(), Basket(), [Basket()]):
        raw = pickle.dumps(value, protocol)
        for more in brought(raw):
            for load in (pickle.loads, pickle._loads):
                with asking(**more) as exchange:
                    with pytest.raises(InjectionRefusedError):
                        load(raw)
                    assert exchange.denial.code == "interpreters.pickle"
    assert not FIRED


def test_names_in_escapes():
    """Text of protocol 0 may be written in escapes, and put on the stack."""
    module = "".join(f"\\u{ord(letter):04x}" for letter in __name__)
    name = "".join(f"\\u{ord(letter):04x}" for letter in "fire")
    raw = f"V{module}\nV{name}\n".encode() + b"\x93(tR."
    with asking(raw, content_type=BINARY), pytest.raises(InjectionRefusedError):
        pickle.loads(raw)
    assert not FIRED


def test_names_that_are_made_while_it_is_read():
    """Letters are turned by a call that plain data needs, and name a global then."""
    turned = codecs.encode("fire", "rot13").encode()
    made = b"c_codecs\nencode\n(V" + turned + b"\nVrot13\ntR"
    raw = b"V" + __name__.encode() + b"\n" + made + b"\x93(tR."
    with asking(raw, content_type=BINARY), pytest.raises(InjectionRefusedError):
        pickle.loads(raw)
    moved = b"V" + __name__.encode() + b"\nVfire\nN0\x93(tR."
    with asking(moved, content_type=BINARY), pytest.raises(InjectionRefusedError):
        pickle.loads(moved)
    kept = b"V" + __name__.encode() + b"\n" + made + b"q\x010h\x01\x93(tR."
    with asking(kept, content_type=BINARY), pytest.raises(InjectionRefusedError):
        pickle.loads(kept)
    assert not FIRED


def test_plain_data_passes():
    """Nothing is called for dates, numbers and sets."""
    value = {
        "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "sum": decimal.Decimal("1.5"),
        "ids": {uuid.UUID(int=1)},
        "rows": collections.OrderedDict(a=1),
        "raw": b"\x80\x04",
    }
    for protocol in range(6):
        raw = pickle.dumps(value, protocol)
        with asking(raw, content_type=BINARY) as exchange:
            assert pickle.loads(raw) == value
            assert exchange.denial is None


@pytest.mark.parametrize(
    "value", [Basket(), pathlib.PurePosixPath("/a"), [Basket(), fire], ValueError("x")]
)
def test_pickles_of_the_application_pass(value):
    """A cache, or a process that reports back, while requests bring other things."""
    raw = pickle.dumps(value)
    others = [
        {"query": b"q=Basket&m=" + __name__.encode()},
        {"body": os.urandom(20_000), "content_type": BINARY},
        {"body": pickle.dumps({"plain": 1}), "content_type": BINARY},
        {"body": json.dumps({"class": f"{__name__}.Basket"}).encode()},
    ]
    for more in others:
        with asking(**more) as exchange:
            pickle.loads(raw)
            assert exchange.denial is None


def test_what_runs_programs_is_in_no_honest_pickle():
    """Stored long ago, by another request."""
    raw = pickle.dumps(Runs())
    with asking() as exchange:
        with pytest.raises(InjectionRefusedError):
            pickle.loads(raw)
        assert exchange.denial is not None


def test_a_pickle_that_is_made_too_long_to_look_at():
    raw = b"\x80\x04" + b"N0" * 150_000 + pickle.dumps(Calls())[2:]
    assert names(raw, __name__, "fire")


def test_requests_that_are_not_known_in_full():
    with asking(b"x") as exchange:
        exchange.too_much = True
        assert pickle.loads(pickle.dumps({1})) == {1}
        with pytest.raises(InjectionRefusedError):
            pickle.loads(pickle.dumps(Basket()))


def test_marshalled_code():
    """Code objects of the request are refused, those of imports and caches are not."""
    raw = marshal.dumps(compile("1", "x", "eval"))
    for more in (
        {"body": raw, "content_type": BINARY},
        {"query": b"c=" + raw.hex().encode()},
    ):
        with asking(**more), pytest.raises(InjectionRefusedError):
            marshal.loads(raw)
    with asking(b"x", content_type=BINARY):
        marshal.loads(raw)
