"""What can be said of the fields of a model, and what stops the start."""

from dataclasses import dataclass

import pytest
from fastapi.encoders import jsonable_encoder
from msgspec import defstruct
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ringfence import access
from ringfence.access.fields.rules import attributes_of, fields_of
from ringfence.errors import DeclarationError


class Base(DeclarativeBase): ...


class Stamped:
    changed_by: Mapped[str] = mapped_column(default="")


@access.fields(
    read={"unit_cost": access.role("staff"), "notes": access.nobody},
    write={"quantity": access.signed_in, "status": access.role("staff")},
)
class Order(Stamped, Base):
    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(default="")
    quantity: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(default="new")
    unit_cost: Mapped[int] = mapped_column(default=0)
    notes: Mapped[str] = mapped_column(default="")

    @property
    def total(self):
        return self.quantity * self.unit_cost

    def send(self): ...


def test_columns_properties_and_what_is_inherited_are_fields():
    columns = {"id", "owner_id", "quantity", "status", "unit_cost", "notes"}
    assert attributes_of(Order) == columns | {"changed_by", "total"}


def test_fields_of_dataclasses_are_fields():
    @dataclass
    class Plain:
        name: str
        age: int = 0

    assert attributes_of(Plain) == {"name", "age"}


def test_a_class_that_extends_a_model_keeps_its_rules_and_may_say_otherwise():
    @access.fields(read={"notes": access.role("auditor")})
    class Audited(Order): ...

    said = fields_of(Audited)
    assert str(said.read["notes"]) == "role(auditor)"
    assert str(said.read["unit_cost"]) == "role(staff)"
    assert said.write == fields_of(Order).write
    assert str(fields_of(Order).read["notes"]) == "nobody"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"read": {"unit_cots": access.nobody}}, "did you mean unit_cost"),
        ({"write": {"zzz": access.nobody}}, "no field is like it"),
        ({"read": {"notes": access.fresh(5)}}, "depends on the time"),
        ({"read": {"notes": access.owner("order.owner_id")}}, "other rows"),
        ({"read": {"notes": access.through("order")}}, "other rows"),
        ({"read": {"notes": access.owner("owner")}}, "did you mean owner_id"),
        ({"write": {"notes": access.owner("owner_id")}}, "is about rows"),
    ],
)
def test_what_cannot_be_enforced_stops_the_start_and_says_why(said, what):
    with pytest.raises(DeclarationError, match=what) as refused:
        access.fields(**said)(Order)
    assert "Order" in str(refused.value)


def test_no_policy_and_no_class_are_misuse():
    with pytest.raises(TypeError, match="no policy"):
        access.fields(read={"notes": "staff"})
    with pytest.raises(TypeError, match="stands on a class"):
        access.fields()(Order(id="1"))


STORED = {"id": "1", "owner_id": "ann", "quantity": 2, "status": "new"}


def test_readable_shows_what_the_reader_may_see(as_somebody):
    order = Order(**STORED, unit_cost=7, notes="theirs", changed_by="bob")
    with as_somebody():
        assert access.readable(order) == {**STORED, "changed_by": "bob"}
    with as_somebody("admin"):
        assert access.readable(order)["unit_cost"] == 7
    assert "unit_cost" not in access.readable(order)


def test_a_dictionary_of_an_object_holds_what_may_be_read(as_somebody):
    """FastAPI makes one of what a handler returns as it is."""
    order = Order(**STORED, unit_cost=7, notes="theirs")
    with as_somebody():
        assert dict(order) == STORED
        assert jsonable_encoder([order]) == [STORED]
    with as_somebody("admin"):
        assert dict(order) == {**STORED, "unit_cost": 7}
    assert jsonable_encoder(order) == STORED


def test_what_is_not_loaded_is_not_asked_for(as_somebody):
    """A load that fails would have FastAPI look into the object itself."""

    @access.fields(read={"email": access.owner("id"), "phone": access.owner("id")})
    class Person:
        phone = email = ""

        @property
        def id(self):
            raise RuntimeError("a load outside of a greenlet")

    person = Person()
    person.email = "ann@example.org"
    with as_somebody():
        assert jsonable_encoder(person) == {}


def test_a_class_with_pairs_of_its_own_keeps_them():
    @access.fields(read={"name": access.nobody})
    class Own:
        name = ""

        def __iter__(self):
            return iter((("a", 1),))

    assert dict(Own()) == {"a": 1}


def test_readable_asks_the_object_where_a_rule_does(as_somebody):
    @access.fields(read={"email": access.owner("id") | access.role("staff")})
    @dataclass
    class Person:
        id: str
        email: str

    ann = Person("ann", "ann@example.org")
    with as_somebody():
        assert access.readable(ann) == {"id": "ann", "email": "ann@example.org"}
    with as_somebody(id="bob"):
        assert access.readable(ann) == {"id": "ann"}
    with as_somebody("staff", id="bob"):
        assert "email" in access.readable(ann)
    with as_somebody(anonymous=True):
        assert access.readable(ann) == {"id": "ann"}


def test_nothing_is_called_as_what_makes_a_mapping():
    """FastAPI tries dict(), and looks into the object itself where that fails."""

    class Account:
        keys: list
        email: str

    with pytest.raises(DeclarationError, match="names of a mapping"):
        access.fields(read={"email": access.nobody})(Account)
    access.fields(write={"email": access.signed_in})(Account)


def test_no_field_is_its_own_whose_name_has_a_rule():
    """It would be set, or shown, past the rule."""

    @access.fields(
        read={"cost": access.role("staff")}, write={"status": access.role("staff")}
    )
    class Parcel:
        cost: int
        status: str

    setting = defstruct("S", [("status", str)], forbid_unknown_fields=True)
    with pytest.raises(DeclarationError, match="would switch off"):
        access.request_of(Parcel, own=("status",))(setting)
    with pytest.raises(DeclarationError, match="would switch off"):
        access.response_of(Parcel, own=("cost",))(defstruct("S", [("cost", int)]))
    access.response_of(Parcel, own=("status",))(defstruct("S", [("status", str)]))
