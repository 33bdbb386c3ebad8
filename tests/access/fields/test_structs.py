"""Structs of msgspec, whichever way they are read and written."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import pytest
from msgspec import UNSET, Struct, UnsetType, field
from tests.access.fields.test_rules import Order

from ringfence import access, unscoped
from ringfence.errors import DeclarationError, OwnershipRefusedError

Item = TypeVar("Item")


@access.request_of(Order)
class Change(Struct, forbid_unknown_fields=True, kw_only=True):
    """What may be changed."""

    quantity: int | UnsetType = UNSET
    status: str | UnsetType | None = field(default=UNSET, name="orderStatus")

    def is_empty(self):
        return self.quantity is UNSET and self.status is UNSET


class Bulk(Struct):
    changes: list[Change]


class Urgent(Change): ...


@access.response_of(Order, own=("parts",))
class Out(Struct, frozen=True):
    id: str
    unit_cost: int | UnsetType = UNSET
    parts: list["Out"] = []


OUT = {"id": "1", "unit_cost": 5, "parts": [{"id": "2", "unit_cost": 6}]}

SENDING = [
    lambda sent: msgspec.convert(sent, Change),
    lambda sent: msgspec.convert(sent, Urgent),
    lambda sent: msgspec.json.decode(msgspec.json.encode(sent), type=Change),
    lambda sent: msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=Change),
    lambda sent: msgspec.convert({"changes": [sent]}, Bulk),
    lambda sent: msgspec.convert(sent, Change | int),
]


@pytest.mark.parametrize("send", SENDING)
@pytest.mark.parametrize("value", ["paid", None, "new"])
def test_a_field_that_is_not_the_senders_is_refused(as_somebody, send, value):
    with as_somebody() as exchange:
        with pytest.raises(OwnershipRefusedError):
            send({"quantity": 2, "orderStatus": value})
        denial = exchange.denial
    assert (denial.status, denial.code) == (403, "access.field_not_allowed")
    assert [fault.place for fault in denial.faults] == [("orderStatus",)]


@pytest.mark.parametrize("send", SENDING)
def test_what_the_sender_may_set_is_taken(as_somebody, send):
    with as_somebody() as exchange:
        send({"quantity": 2})
        send({})
    with as_somebody("admin"):
        send({"quantity": 2, "orderStatus": None})
    assert exchange.denial is None


def test_a_tied_struct_is_what_it_was(as_somebody):
    assert (Change.__name__, Change.__module__) == ("Change", __name__)
    assert Change.__doc__ == "What may be changed."
    with as_somebody():
        assert Change().is_empty()
        assert repr(Change(quantity=1)) == "Change(quantity=1, status=UNSET)"
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"owner_id": "bob"}, Change)


def test_what_the_reader_may_not_see_is_taken_out(as_somebody):
    with as_somebody():
        one = msgspec.convert(OUT, Out)
        assert msgspec.to_builtins(one) == {
            "id": "1",
            "parts": [{"id": "2", "parts": []}],
        }
        assert b"unit_cost" not in msgspec.json.encode([one])
        assert b"unit_cost" not in msgspec.json.encode(Out(id="1", unit_cost=5))
        changed = msgspec.structs.replace(one, unit_cost=7)
        assert changed.unit_cost is UNSET
    with as_somebody("admin"):
        assert msgspec.convert(OUT, Out).parts[0].unit_cost == 6
    with unscoped("the nightly report"):
        assert msgspec.convert(OUT, Out).unit_cost == 5
    assert msgspec.convert(OUT, Out).unit_cost is UNSET


def test_an_object_of_the_orm_is_read_and_shown_by_role(as_somebody):
    @access.response_of(Order)
    class Seen(Struct, frozen=True):
        id: str
        unit_cost: int | None = None

    order = Order(id="1", unit_cost=5)
    with as_somebody():
        assert msgspec.convert(order, Seen, from_attributes=True) == Seen("1", None)
    with as_somebody("staff"):
        assert msgspec.convert(order, Seen, from_attributes=True).unit_cost == 5


def test_what_cannot_be_left_out_stops_the_answer(as_somebody):
    @access.response_of(Order)
    class Needed(Struct, frozen=True):
        unit_cost: int

    @access.response_of(Order, leave_out=False)
    class Stopped(Struct, frozen=True):
        unit_cost: int = 0

    for shape in (Needed, Stopped):
        with as_somebody() as exchange, pytest.raises(OwnershipRefusedError):
            shape(unit_cost=5)
        assert exchange.denial.code == "access.field_leaked"
        with as_somebody("staff"):
            assert shape(unit_cost=5).unit_cost == 5


@access.fields(read={"email": access.owner("id"), "tags": access.owner("id")})
@dataclass
class Person:
    id: str
    email: str
    tags: list[str]


def test_a_rule_may_ask_the_object(as_somebody):
    @access.response_of(Person)
    class PersonOut(Struct, frozen=True):
        id: str
        email: str | None = None
        tags: list[str] = field(default_factory=list)

    with as_somebody(id="ann"):
        assert PersonOut("ann", "a@x", ["t"]) == PersonOut("ann", "a@x", ["t"])
        bob = PersonOut("bob", "b@x", ["t"])
        assert (bob.email, bob.tags) == (None, [])


def test_what_the_developer_does_afterwards_is_done(as_somebody):
    seen = []

    @access.request_of(Order)
    class In(Struct, forbid_unknown_fields=True):
        quantity: int

        def __post_init__(self):
            seen.append(("in", self.quantity))

    @access.response_of(Order)
    class Counted(Struct, frozen=True):
        unit_cost: int | None = None

        def __post_init__(self):
            seen.append(("out", self.unit_cost))

    with as_somebody():
        In(quantity=1)
        assert Counted(unit_cost=5).unit_cost is None
    with as_somebody(anonymous=True), pytest.raises(OwnershipRefusedError):
        In(quantity=2)
    assert seen == [("in", 1), ("out", 5)]


def test_generic_structs_are_tied(as_somebody):
    @access.response_of(Order, own=("data",))
    class Versioned(Struct, Generic[Item], frozen=True):
        data: Item
        unit_cost: int | None = None

    with as_somebody():
        one = msgspec.convert({"data": 1, "unit_cost": 5}, Versioned[int])
        assert (one.data, one.unit_cost) == (1, None)
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"data": "1"}, Versioned[int])


def test_what_extends_a_tied_struct_is_looked_at_as_well(as_somebody):
    class Wider(Change):
        owner_id: str | UnsetType = UNSET

    with as_somebody(), pytest.raises(DeclarationError, match="nobody may set"):
        Wider()
    with pytest.raises(DeclarationError, match="put it on the struct that is tied"):

        class Other(Change):
            def __post_init__(self): ...


def struct(name, *fields, **options):
    return msgspec.defstruct(name, fields, **options)


KNOWN = {"forbid_unknown_fields": True}


@pytest.mark.parametrize(
    ("tie", "shape", "what"),
    [
        (
            access.request_of(Order),
            struct("Shape", ("quantity", int)),
            "forbid_unknown_fields=True",
        ),
        (
            access.request_of(Order),
            struct("Shape", ("quantity", int, 1), **KNOWN),
            "quantity: ... | UnsetType = UNSET",
        ),
        (
            access.request_of(Order),
            struct("Shape", ("owner_id", str), **KNOWN),
            "nobody may set Order.owner_id",
        ),
        (
            access.response_of(Order),
            struct("Shape", ("unit_cost", int, 0)),
            "frozen=True",
        ),
        (access.response_of(Order), struct("Shape", ("idd", str)), "did you mean id?"),
        (
            access.response_of(Person),
            struct("Shape", ("email", str), frozen=True),
            "decided by id",
        ),
    ],
)
def test_what_cannot_be_enforced_stops_the_start(tie, shape, what):
    with pytest.raises(DeclarationError) as refused:
        tie(shape)
    assert what in str(refused.value)
    assert "Shape" in str(refused.value)


def test_an_encoded_name_by_which_it_could_be_read_counts_too(as_somebody):
    @access.response_of(Order)
    class Sly(Struct, frozen=True, rename={"quantity": "unit_cost"}):
        quantity: int | None = None

    with as_somebody():
        assert Sly(quantity=5).quantity is None


def test_no_class_beside_a_tied_struct_stands_before_its_rules():
    class Beside:
        def __post_init__(self):
            """Be called in the place of what looks at the fields."""

    with pytest.raises(DeclarationError, match="would stand before"):

        class Both(Beside, Change): ...

    class After(Change, Beside): ...

    assert After.__post_init__ is Change.__post_init__
