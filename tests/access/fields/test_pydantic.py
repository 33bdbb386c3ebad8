"""Models of pydantic, whichever way they are validated and written."""

from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    TypeAdapter,
    ValidationError,
    computed_field,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticSerializationError, core_schema
from tests.access.fields.test_rules import Order

from ringfence import access, unscoped
from ringfence.access.fields import pydantic as tied
from ringfence.errors import DeclarationError, OwnershipRefusedError
from ringfence.principal import Principal

STRICT = ConfigDict(extra="forbid")
LOOKING = ConfigDict(from_attributes=True)
Item = TypeVar("Item")


@access.request_of(Order)
class OrderChange(BaseModel):
    model_config = STRICT

    quantity: int = 1
    status: str | None = Field(default=None, alias="orderStatus")


class Bulk(BaseModel):
    changes: list[OrderChange] = []
    named: dict[str, OrderChange] = {}
    one: OrderChange | int = 0


class UrgentChange(OrderChange):
    """A tied model keeps its tie in what extends it."""


@access.response_of(Order, own=("parts", "margin"))
class OrderOut(BaseModel):
    model_config = LOOKING

    id: str
    unit_cost: int | None = Field(default=None, serialization_alias="unitCost")
    parts: list["OrderOut"] = []

    @computed_field
    def margin(self) -> int:
        return 3


class Longer(OrderOut):
    status: str = "new"


class Page(BaseModel, Generic[Item]):
    items: list[Item]


class Either(BaseModel):
    one: OrderOut | str


ORDER = OrderOut(id="1", unit_cost=5, parts=[OrderOut(id="2", unit_cost=6)])
WITHOUT = {"id": "1", "parts": [{"id": "2", "parts": [], "margin": 3}], "margin": 3}
WITH = {
    **WITHOUT,
    "unit_cost": 5,
    "parts": [{"id": "2", "unit_cost": 6, "parts": [], "margin": 3}],
}

SENDING = [
    OrderChange.model_validate,
    lambda sent: OrderChange(**sent),
    lambda sent: OrderChange.model_validate(sent, strict=True),
    TypeAdapter(OrderChange).validate_python,
    TypeAdapter(OrderChange | str).validate_python,
    TypeAdapter(Annotated[OrderChange, Field(title="x")]).validate_python,
    UrgentChange.model_validate,
    lambda sent: Bulk(changes=[sent]),
    lambda sent: Bulk(named={"a": sent}),
    lambda sent: Bulk(one=sent),
]


@pytest.mark.parametrize("send", SENDING)
@pytest.mark.parametrize("value", ["paid", None, "new"])
def test_a_field_that_is_not_the_senders_is_refused(as_somebody, send, value):
    """Also as null, and as what it is already."""
    with as_somebody() as exchange:
        with pytest.raises(OwnershipRefusedError):
            send({"quantity": 2, "orderStatus": value})
        denial = exchange.denial
    assert (denial.status, denial.code) == (403, "access.field_not_allowed")
    assert [fault.place for fault in denial.faults] == [("orderStatus",)]
    assert "status is set by role(staff)" in denial.private


@pytest.mark.parametrize("send", SENDING)
def test_what_the_sender_may_set_is_taken(as_somebody, send):
    with as_somebody() as exchange:
        send({"quantity": 2})
        send({})
    with as_somebody("admin"):  # who is staff as well
        send({"quantity": 2, "orderStatus": None})
    assert exchange.denial is None


def test_json_is_looked_at_as_well(as_somebody):
    with as_somebody():
        assert OrderChange.model_validate_json('{"quantity": 2}').quantity == 2
        with pytest.raises(OwnershipRefusedError):
            OrderChange.model_validate_json('{"orderStatus": null}')


def test_unknown_and_wrong_input_stays_pydantics(as_somebody):
    with as_somebody(), pytest.raises(ValidationError):
        OrderChange.model_validate({"owner_id": "bob"})
    with as_somebody(), pytest.raises(ValidationError):
        OrderChange.model_validate({"quantity": "many"})


def test_nobody_sets_anything_that_is_not_public(as_somebody):
    with as_somebody(anonymous=True), pytest.raises(OwnershipRefusedError):
        OrderChange(quantity=1)
    with pytest.raises(OwnershipRefusedError):
        OrderChange(quantity=1)
    with unscoped("a fixture"):
        assert OrderChange(quantity=1, orderStatus="paid").status == "paid"
    with access.acting_as(Principal("job", frozenset({"staff"}))):
        assert OrderChange(orderStatus="paid").status == "paid"


def test_what_validators_of_the_application_set_was_not_sent(as_somebody):
    @access.request_of(Order)
    class Stamped(BaseModel):
        model_config = STRICT
        quantity: int = 1
        status: str = ""

        @model_validator(mode="after")
        def stamp(self):
            self.status = "stamped"
            return self

    with as_somebody():
        assert Stamped(quantity=1).status == "stamped"
        with pytest.raises(OwnershipRefusedError):
            Stamped(status="")


def test_a_field_may_be_called_otherwise(as_somebody):
    @access.request_of(Order, own=("captcha",), renamed={"state": "status"})
    class Renamed(BaseModel):
        model_config = STRICT
        state: str = ""
        captcha: str = ""

    with as_somebody(anonymous=True):
        Renamed(captcha="x")
    with as_somebody(), pytest.raises(OwnershipRefusedError):
        Renamed(state="x")


WRITING = [
    lambda one: one.model_dump(),
    lambda one: TypeAdapter(dict[str, Any]).validate_json(one.model_dump_json()),
    lambda one: one.model_dump(mode="json"),
    lambda one: one.model_dump(exclude_unset=False, round_trip=True) | {"margin": 3},
    lambda one: TypeAdapter(OrderOut).dump_python(one),
    lambda one: TypeAdapter(list[OrderOut]).dump_python([one])[0],
    lambda one: TypeAdapter(OrderOut | str).dump_python(one),
    lambda one: TypeAdapter(Any).dump_python({"any": one})["any"],
    lambda one: Page[OrderOut](items=[one]).model_dump()["items"][0],
    lambda one: Either(one=one).model_dump()["one"],
    lambda one: one.model_copy().model_dump(),
    lambda one: OrderOut.model_construct(**dict(one)).model_dump(),
    lambda one: OrderOut.model_validate(one, from_attributes=True).model_dump(),
]


@pytest.mark.parametrize("write", WRITING)
def test_what_the_reader_may_not_see_is_left_out(as_somebody, write):
    with as_somebody():
        found = write(ORDER)
        assert "unit_cost" not in found
        assert all("unit_cost" not in part for part in found["parts"][:1] if part)
        assert found["id"] == "1"
    with as_somebody("admin"):
        assert write(ORDER)["unit_cost"] == 5


def test_the_rest_is_what_it_was(as_somebody):
    with as_somebody():
        assert ORDER.model_dump() == WITHOUT
        assert ORDER.model_dump(include={"unit_cost"}) == {}
        assert "unitCost" not in ORDER.model_dump(by_alias=True)
        assert Longer(id="1", unit_cost=1).model_dump()["status"] == "new"
        assert "unit_cost" not in Longer(id="1", unit_cost=1).model_dump()
    with as_somebody("staff"):
        assert ORDER.model_dump() == WITH
        assert ORDER.model_dump(by_alias=True)["unitCost"] == 5
    with unscoped("the nightly report"):
        assert ORDER.model_dump() == WITH
    assert ORDER.model_dump() == WITHOUT


def test_an_object_of_the_orm_is_read_and_shown_by_role(as_somebody):
    @access.response_of(Order)
    class Seen(BaseModel):
        model_config = LOOKING
        id: str
        unit_cost: int = 0

    order = Order(id="1", unit_cost=5)
    with as_somebody():
        assert Seen.model_validate(order).model_dump() == {"id": "1"}
    with as_somebody("staff"):
        assert Seen.model_validate(order).model_dump() == {"id": "1", "unit_cost": 5}


@access.response_of(Order)
class Needed(BaseModel):
    unit_cost: int


@access.response_of(Order, leave_out=False)
class Stopped(BaseModel):
    unit_cost: int = 0


@pytest.mark.parametrize("shape", [Needed, Stopped])
@pytest.mark.parametrize("write", ["model_dump", "model_dump_json"])
def test_what_cannot_be_left_out_stops_the_answer(as_somebody, shape, write):
    one = shape(unit_cost=5)
    expected = (OwnershipRefusedError, PydanticSerializationError)
    with as_somebody() as exchange, pytest.raises(expected):
        getattr(one, write)()
    assert exchange.denial.code == "access.field_leaked"
    assert f"{shape.__name__}.unit_cost" in exchange.denial.private
    assert "5" not in exchange.denial.private
    with as_somebody("staff"):
        getattr(one, write)()


def test_an_alias_by_which_it_is_read_counts_too(as_somebody):
    """``from_attributes`` reads what the alias names."""

    @access.response_of(Order)
    class Sly(BaseModel):
        model_config = LOOKING
        quantity: int = Field(default=0, validation_alias="unit_cost")
        status: str = Field(
            default="",
            validation_alias=AliasChoices("state", AliasPath("unit_cost", 0), "status"),
        )

    with as_somebody():
        assert Sly.model_validate(Order(unit_cost=5, status="x")).model_dump() == {}
    with as_somebody("staff"):
        assert Sly.model_validate(Order(unit_cost=5, status="x")).quantity == 5


@access.fields(
    read={
        "email": access.owner("id") | access.role("staff"),
        "team": access.tenant("tenant_id"),
        "bio": access.matching(published=True) | access.owner("id"),
        "both": access.owner("id") & access.role("staff"),
    }
)
class Person:
    id = email = team = tenant_id = bio = both = ""
    published = False


@access.response_of(Person)
class PersonOut(BaseModel):
    id: str
    email: str = ""
    tenant_id: str = Field(default="", exclude=True)
    team: str = ""
    bio: str = ""
    both: str = ""
    published: bool = False


def test_a_rule_may_ask_the_object(as_somebody):
    people = [
        PersonOut(id="ann", tenant_id="red"),
        PersonOut(id="bob", tenant_id="blue", published=True),
    ]

    def seen():
        found = TypeAdapter(list[PersonOut]).dump_python(people)
        known = {"email", "team", "bio", "both"}
        return [sorted(one.keys() & known) for one in found]

    with as_somebody(tenant="blue"):
        assert seen() == [["bio", "email"], ["bio", "team"]]
    with as_somebody("staff", id="bob", tenant="red"):
        assert seen() == [["email", "team"], ["bio", "both", "email"]]
    with as_somebody(id=""):
        assert seen() == [[], ["bio"]]
    with as_somebody(anonymous=True):
        assert seen() == [[], ["bio"]]


def test_further_reasons_to_leave_out_stay(as_somebody):
    @access.response_of(Order)
    class Picky(BaseModel):
        unit_cost: int = Field(default=0, exclude_if=lambda value: value == 0)

    with as_somebody("staff"):
        assert Picky(unit_cost=0).model_dump() == {}
        assert Picky(unit_cost=1).model_dump() == {"unit_cost": 1}
    with as_somebody():
        assert Picky(unit_cost=1).model_dump() == {}


def test_a_serializer_around_the_model_stays(as_somebody):
    @access.response_of(Order)
    class Wrapped(BaseModel):
        unit_cost: int = 0

        @model_serializer(mode="wrap")
        def write(self, handler):
            return {**handler(self), "version": 1}

    with as_somebody():
        assert Wrapped(unit_cost=1).model_dump() == {"version": 1}


def test_a_computed_field_has_rules_too(as_somebody):
    @access.fields(read={"total": access.role("staff")})
    class Sum:
        total = 0

    @access.response_of(Sum)
    class SumOut(BaseModel):
        @computed_field
        def total(self) -> int:
            return 3

    with as_somebody():
        assert SumOut().model_dump() == {}
    with as_somebody("staff"):
        assert SumOut().model_dump() == {"total": 3}


def test_generic_models_are_tied(as_somebody):
    @access.response_of(Order, own=("data",))
    class Versioned(BaseModel, Generic[Item]):
        unit_cost: int = 0
        data: Item

    with as_somebody():
        assert Versioned[int](data=1, unit_cost=2).model_dump() == {"data": 1}


def test_a_model_waits_for_a_class_further_down(as_somebody):
    @access.response_of(Order, own=("later",))
    class Early(BaseModel):
        unit_cost: int = 0
        later: "Late | None" = None

    class Late(BaseModel):
        name: str

    Early.model_rebuild()
    with as_somebody():
        early = Early(unit_cost=1, later={"name": "x"})
        assert early.model_dump() == {"later": {"name": "x"}}


def test_a_union_is_told_apart_by_its_tag(as_somebody):
    class Cancel(BaseModel):
        kind: Literal["cancel"]

    @access.request_of(Order, own=("kind",))
    class Pay(BaseModel):
        model_config = STRICT
        kind: Literal["pay"]
        status: str

    step = TypeAdapter(Annotated[Cancel | Pay, Field(discriminator="kind")])
    with as_somebody():
        assert step.validate_python({"kind": "cancel"}).kind == "cancel"
        with pytest.raises(OwnershipRefusedError):
            step.validate_python({"kind": "pay", "status": "paid"})


def test_the_schema_for_documentation_is_what_it_was():
    class Plain(BaseModel):
        id: str
        unit_cost: int | None = None

    @access.response_of(Order)
    class Tied(BaseModel):
        id: str
        unit_cost: int | None = None

    for mode in ("validation", "serialization"):
        found = Tied.model_json_schema(mode=mode)
        assert found == {**Plain.model_json_schema(mode=mode), "title": "Tied"}


def model(name, config=None, **fields):
    """Return a model with these fields."""
    names = {"__annotations__": {key: type(value) for key, value in fields.items()}}
    config = {} if config is None else {"model_config": config}
    return type(BaseModel)(name, (BaseModel,), {**names, **fields, **config})


@pytest.mark.parametrize(
    ("tie", "fields", "what"),
    [
        (access.request_of(Order), {"quantity": 1}, 'ConfigDict(extra="forbid")'),
        (access.response_of(Order), {"id": "1", "unit_cots": 1}, "mean unit_cost?"),
        (access.response_of(Order), {"total_price": 1}, 'own=("total_price",)'),
        (access.response_of(Order), {"notes": ""}, "nobody may read Order.notes"),
        (access.response_of(Order, own=("x",)), {"id": "1"}, "it has no field x"),
        (access.response_of(Person), {"email": ""}, "is decided by id"),
    ],
)
def test_what_cannot_be_enforced_stops_the_start(tie, fields, what):
    with pytest.raises(DeclarationError) as refused:
        tie(model("OrderShape", **fields))
    assert what in str(refused.value)
    assert "OrderShape" in str(refused.value)


@pytest.mark.parametrize("field", ["owner_id", "unit_cost", "notes"])
def test_a_request_has_no_field_that_nobody_may_set(field):
    with pytest.raises(DeclarationError, match=f"nobody may set Order.{field}"):
        access.request_of(Order)(model("OrderShape", STRICT, **{field: 1}))


def test_a_response_shows_nothing_that_is_not_declared():
    loose = model("Loose", ConfigDict(extra="allow"), id="1")
    with pytest.raises(DeclarationError, match="nobody has declared"):
        access.response_of(Order)(loose)


def test_what_extends_a_tied_model_is_looked_at_as_well():
    with pytest.raises(DeclarationError, match="nobody may set"):

        class Wider(OrderChange):
            owner_id: str = ""


def test_a_field_of_its_own_does_not_read_anothers(as_somebody):
    """By an alias it would show what has a rule under a name that has none."""

    @access.response_of(Order, own=("price",))
    class Priced(BaseModel):
        model_config = ConfigDict(from_attributes=True)

        id: str
        price: int = Field(0, validation_alias="unit_cost")

    with as_somebody():
        assert "price" not in Priced(id="1", unit_cost=5).model_dump()
    with as_somebody("staff"):
        assert Priced(id="1", unit_cost=5).model_dump()["price"] == 5


def test_no_class_beside_a_tied_model_makes_its_schema():
    """It would be made without the rules, and what is closed would pass."""

    class OfItsOwn(BaseModel):
        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            return handler(source)

    with pytest.raises(DeclarationError, match="makes its schema"):

        class Beside(OfItsOwn, OrderChange): ...

    with pytest.raises(DeclarationError, match="makes its schema"):

        class Below(OrderChange):
            __get_pydantic_core_schema__ = OfItsOwn.__get_pydantic_core_schema__


def test_what_cannot_be_tied_is_refused():
    with pytest.raises(DeclarationError, match="tied twice"):
        access.response_of(Order)(OrderChange)
    with pytest.raises(DeclarationError, match="has no fields"):
        access.response_of(Order)(RootModel[int])
    with pytest.raises(TypeError, match="stands on a model"):
        access.response_of(Order)(dict)
    with pytest.raises(TypeError, match="takes a class"):
        access.response_of("Order")

    class OfItsOwn(BaseModel):
        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            return core_schema.any_schema()

    with pytest.raises(DeclarationError, match="makes its schema"):
        access.response_of(Order)(OfItsOwn)

    class Flat(BaseModel):
        unit_cost: int = 0

        @model_serializer
        def write(self):
            return {"cost": self.unit_cost}

    with pytest.raises(DeclarationError, match="past what is said"):
        access.response_of(Order)(Flat)

    class Around(BaseModel):
        id: str
        email: str = ""

        @model_serializer(mode="wrap")
        def write(self, handler):
            return handler(self)

    with pytest.raises(DeclarationError, match="one of them"):
        access.response_of(Person)(Around)


def test_a_pydantic_that_would_show_everything_is_not_tied_to(monkeypatch):
    shape = model("OrderShape", id="1")
    with monkeypatch.context() as patch:
        patch.setattr(tied.core_schema, "model_field", lambda schema: schema)
        with pytest.raises(DeclarationError, match="install the newest pydantic"):
            access.response_of(Order)(shape)


def test_a_model_without_rules_costs_nothing(as_somebody, monkeypatch):
    """Its schema is the one that pydantic makes."""

    @access.response_of(Order)
    class Open(BaseModel):
        id: str

    field = Open.__pydantic_core_schema__["schema"]["fields"]["id"]
    assert "serialization_exclude_if" not in field
    assert "serialization" not in Open.__pydantic_core_schema__
