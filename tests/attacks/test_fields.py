"""Twins of fields that are not for whoever sends or reads them (guide: ``role: admin``
in a profile; CWE-915, CWE-213, OWASP API3:2023).

The same handlers twice: with models as their developer wrote them, which staff and
customers share, and with these models tied to what the order says of its fields.
"""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import pytest
from fastapi import APIRouter, FastAPI
from litestar import Litestar, get, patch
from litestar.params import JSONBody
from msgspec import UNSET, Struct, UnsetType
from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from ringfence import Guard, Settings, accepts, access, current
from ringfence.testing import assert_refused, signed_in


@access.fields(
    read={
        "unit_cost": access.role("staff"),
        "card": access.owner("owner_id") | access.role("auditor"),
    },
    write={
        "quantity": access.signed_in,
        "status": access.role("staff"),
        "discount": access.nobody,
    },
)
@dataclass
class Order:
    id: str = "1"
    owner_id: str = ""
    quantity: int = 1
    status: str | None = "new"
    unit_cost: int = 40
    card: str = "4242"
    discount: int = 0


def as_it_is(shape):
    return shape


def pydantic_models(*, tied):
    comes = access.request_of(Order) if tied else as_it_is
    goes = access.response_of(Order) if tied else as_it_is

    @comes
    class Change(BaseModel):
        model_config = ConfigDict(extra="forbid")
        quantity: int = 1
        status: str | None = None

    @goes
    class Seen(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        id: str
        owner_id: str
        quantity: int
        status: str | None
        unit_cost: int = 0
        card: str = ""

    return Change, Seen


def structs(*, tied):
    comes = access.request_of(Order) if tied else as_it_is
    goes = access.response_of(Order) if tied else as_it_is

    @comes
    class Change(Struct, forbid_unknown_fields=True):
        quantity: int | UnsetType = UNSET
        status: str | UnsetType | None = UNSET

    @goes
    class Seen(Struct, frozen=True):
        id: str
        owner_id: str
        quantity: int
        status: str | None
        unit_cost: int | UnsetType = UNSET
        card: str | UnsetType = UNSET

    return Change, Seen


class Orders:
    """What the handlers work on: one order of whoever signs in first."""

    def __init__(self):
        self.order = Order()

    def change(self, sent):
        for name, value in sent.items():
            setattr(self.order, name, value)
        return self.order


def fastapi_app(orders, *, tied):
    change_model, seen_model = pydantic_models(tied=tied)
    router = APIRouter(dependencies=[access.depends(access.signed_in)] if tied else [])

    @router.patch("/orders/1")
    async def change(sent: change_model) -> seen_model:
        return orders.change(sent.model_dump(exclude_unset=True))

    @router.get("/orders")
    async def listed() -> list[seen_model]:
        return [orders.order]

    @router.get("/page")
    async def page() -> dict[str, Any]:
        return {"orders": [seen_model.model_validate(orders.order)]}

    app = FastAPI(openapi_url=None)
    app.include_router(router)
    return app


def litestar_app(models, to_seen, to_sent):
    def build(orders, *, tied):
        change_model, seen_model = models(tied=tied)

        async def change(data):
            return to_seen(seen_model, orders.change(to_sent(data)))

        async def listed():
            return [to_seen(seen_model, orders.order)]

        async def page():
            return {"orders": [to_seen(seen_model, orders.order)]}

        change.__annotations__ = {"data": JSONBody[change_model], "return": seen_model}
        listed.__annotations__ = {"return": list[seen_model]}
        page.__annotations__ = {"return": dict[str, Any]}
        handlers = [
            patch("/orders/1")(change),
            get("/orders")(listed),
            get("/page")(page),
        ]
        guards = [access.guard(access.signed_in)] if tied else []
        return Litestar(
            handlers, guards=guards, openapi_config=None, logging_config=None
        )

    return build


def to_struct(kind, order):
    return msgspec.convert(order, kind, from_attributes=True)


def starlette_app(orders, *, tied):
    change_model, seen_model = structs(tied=tied)

    def answer(value):
        return Response(msgspec.json.encode(value), media_type="application/json")

    async def change(request):
        sent = (
            current.accepted(change_model)
            if tied
            else msgspec.json.decode(await request.body(), type=change_model)
        )
        return answer(to_struct(seen_model, orders.change(msgspec.to_builtins(sent))))

    async def listed(_):
        return answer([to_struct(seen_model, orders.order)])

    async def page(_):
        return answer({"orders": [to_struct(seen_model, orders.order)]})

    take = accepts(change_model)(change) if tied else change
    routes = [
        Route("/orders/1", take, methods=["PATCH"]),
        Route("/orders", listed),
        Route("/page", page),
    ]
    return Starlette(routes=access.routes(routes, access.signed_in) if tied else routes)


APPS = {
    "fastapi": fastapi_app,
    "litestar-pydantic": litestar_app(
        pydantic_models,
        lambda kind, order: kind.model_validate(order),
        lambda sent: sent.model_dump(exclude_unset=True),
    ),
    "litestar-struct": litestar_app(structs, to_struct, msgspec.to_builtins),
    "starlette-accepts": starlette_app,
}
HERE = {"base_url": "http://127.0.0.1:8000", "client": ("127.0.0.1", 50_000)}
PEOPLE = {"owner": (), "other": (), "clerk": ("staff",), "boss": ("admin",)}


@dataclass
class Side:
    """One application with its orders, and clients of everybody."""

    orders: Orders
    people: dict[str, TestClient]


@pytest.fixture(scope="module", params=APPS)
def build(request):
    return APPS[request.param]


@pytest.fixture(scope="module")
def off(build):
    orders = Orders()
    with TestClient(build(orders, tied=False), **HERE) as client:
        yield Side(orders, dict.fromkeys(PEOPLE, client))


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path_factory.mktemp("fields"),
        access={"hierarchy": {"admin": ["staff", "auditor"]}},
    )


@pytest.fixture(scope="module")
def visitors(settings):
    """Everybody's id and client, signed in once for all applications."""
    guard = Guard(Starlette(), settings)
    with ExitStack() as stack:
        stack.enter_context(TestClient(guard, **HERE))
        people = {}
        for name, roles in PEOPLE.items():
            client = TestClient(guard, **HERE)
            visitor = stack.enter_context(signed_in(client, guard, roles=roles))
            people[name] = visitor.id, client
        yield people


@pytest.fixture(scope="module")
def on(build, settings, visitors):
    orders = Orders()
    orders.order.owner_id = visitors["owner"][0]
    guard = Guard(build(orders, tied=True), settings)
    people = {}
    with TestClient(guard, **HERE):
        for name, (_, known) in visitors.items():
            client = TestClient(guard, raise_server_exceptions=False, **HERE)
            client.cookies, client.headers = known.cookies, known.headers
            people[name] = client
        yield Side(orders, people)


@pytest.fixture(autouse=True)
def fresh(off, on):
    """Each test finds an order that nobody has changed."""
    for side in (off, on):
        side.orders.order = Order(owner_id=side.orders.order.owner_id)


ATTACKS = [
    {"status": "paid"},
    {"quantity": 2, "status": "paid"},
    {"status": None},
    {"status": "new"},
]


@pytest.mark.parametrize("sent", ATTACKS)
def test_a_customer_sets_no_field_of_the_staff(off, on, sent):
    assert off.people["owner"].patch("/orders/1", json=sent).status_code == 200
    assert off.orders.order.status == sent["status"]
    before = asdict(on.orders.order)
    for name in ("owner", "other"):
        answer = on.people[name].patch("/orders/1", json=sent)
        assert_refused(answer, "access.field_not_allowed", 403)
        (error,) = answer.json()["errors"]
        assert error == {
            "field": "status",
            "type": "field_not_allowed",
            "message": "Is not yours to set.",
        }
    assert asdict(on.orders.order) == before


@pytest.mark.parametrize("name", ["discount", "owner_id", "role"])
def test_a_field_that_nobody_sets_is_unknown(on, name):
    for client in on.people.values():
        answer = client.patch("/orders/1", json={name: "x"})
        assert_refused(answer, "interpreters.invalid_input", 422)


def test_the_staff_sets_its_fields(on):
    for name in ("clerk", "boss"):
        answer = on.people[name].patch("/orders/1", json={"status": "paid"})
        assert (answer.status_code, answer.json()["status"]) == (200, "paid")


SEES = {
    "owner": {"card"},
    "other": set(),
    "clerk": {"unit_cost"},
    "boss": {"unit_cost", "card"},
}
CLOSED = {"unit_cost", "card"}


@pytest.mark.parametrize("name", PEOPLE)
def test_everybody_sees_their_fields_and_no_others(off, on, name):
    def seen(side):
        client = side.people[name]
        answers = [
            client.patch("/orders/1", json={"quantity": 3}).json(),
            client.get("/orders").json()[0],
            client.get("/page").json()["orders"][0],
        ]
        assert all(answer["quantity"] == 3 for answer in answers)
        return [answer.keys() & CLOSED for answer in answers]

    assert seen(off) == [CLOSED] * 3
    assert seen(on) == [SEES[name]] * 3


def test_honest_use_is_what_it_was(off, on):
    sent = {"quantity": 7, "status": "sent"}
    found = [
        side.people["boss"].patch("/orders/1", json=sent).json() for side in (off, on)
    ]
    for one in found:
        one.pop("owner_id")
    assert found[0] == found[1]


def test_an_object_that_is_returned_as_it_is_shows_no_more(tmp_path):
    """FastAPI without a response model looks into the object itself."""

    def build(*, guarded):
        rules = {"unit_cost": access.role("staff")}

        @access.fields(read=rules) if guarded else as_it_is
        class Plain:
            name, unit_cost = "", 0

        app = FastAPI(openapi_url=None)

        @app.get("/cost")
        @access.require(access.public) if guarded else as_it_is
        async def show():
            plain = Plain()
            plain.name, plain.unit_cost = "a lamp", 40
            return plain

        return app

    with TestClient(build(guarded=False), **HERE) as client:
        assert client.get("/cost").json() == {"name": "a lamp", "unit_cost": 40}
    settings = Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path,
        identity={"enabled": False},
    )
    with TestClient(Guard(build(guarded=True), settings), **HERE) as client:
        assert client.get("/cost").json() == {"name": "a lamp"}


@pytest.mark.parametrize("kind", ["pydantic", "struct"])
def test_a_leak_that_cannot_be_left_out_stops_the_answer(tmp_path, kind):
    """The ledger says which field; the reader does not learn it."""
    if kind == "pydantic":

        @access.response_of(Order)
        class Seen(BaseModel):
            unit_cost: int
    else:

        @access.response_of(Order)
        class Seen(Struct, frozen=True):
            unit_cost: int

    async def show(_):
        seen = Seen(unit_cost=40)
        if kind == "pydantic":
            return Response(seen.model_dump_json())
        return Response(msgspec.json.encode(seen))

    routes = access.routes([Route("/cost", show)], access.public)
    settings = Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path,
        identity={"enabled": False},
    )
    guard = Guard(Starlette(routes=routes), settings)
    with TestClient(guard, raise_server_exceptions=False, **HERE) as client:
        answer = client.get("/cost")
    assert_refused(answer, "access.field_leaked", 500)
    assert "unit_cost" not in answer.text
    assert "40" not in answer.json()["detail"]
    ledger = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert "Seen.unit_cost is read by role(staff)" in ledger
