"""Only values are let into a query."""

import datetime as dt
import decimal
import re
import uuid

import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex
from bson.son import SON

from ringfence import nosql
from ringfence.errors import InjectionRefusedError

VALUES = [
    "O'Brien",
    "$gt",
    "",
    5,
    1.5,
    True,
    None,
    b"\0",
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    decimal.Decimal(1),
    uuid.UUID(int=0),
    ObjectId(),
    Int64(5),
    Decimal128("1.5"),
    Binary(b"\0"),
]
OTHERS = [
    {"$ne": None},
    {},
    ["a"],
    ("a",),
    SON(),
    re.compile("."),
    Regex("."),
    Code("f()"),
    object(),
]


@pytest.mark.parametrize("given", VALUES)
def test_values_pass(given):
    assert nosql.value(given) is given
    assert nosql.equal(given) == {"$eq": given}


@pytest.mark.parametrize("given", OTHERS)
def test_everything_else_is_refused(given):
    for way in (nosql.value, nosql.equal, nosql.containing):
        with pytest.raises(InjectionRefusedError) as raised:
            way(given)
        assert raised.value.denial.status == 400


def test_containing():
    condition = nosql.containing("a.*(b)|$", ignore_case=True)
    assert condition["$options"] == "i"
    assert re.search(condition["$regex"], "x a.*(b)|$ x")
    assert not re.search(condition["$regex"], "a")


def test_field():
    assert nosql.field("age", {"age", "name"}) == "age"
    for given in ("password", "$where", "age.x", None, ["age"]):
        with pytest.raises(InjectionRefusedError):
            nosql.field(given, {"age", "name"})
