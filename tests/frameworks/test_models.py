"""Which models the adapters find, wherever a framework lets them be declared."""

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import attrs
import msgspec
import pytest
from fastapi import APIRouter, Depends, FastAPI, Form, Request
from litestar import Controller, Litestar, Router, post
from litestar import Request as LitestarRequest
from litestar.di import NamedDependency, Provide
from litestar.dto import DataclassDTO, DTOConfig, DTOData
from litestar.params import (
    JSONBody,
    MsgPackBody,
    MultipartBody,
    URLEncodedBody,
)
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.routing import Mount

from ringfence import access
from ringfence.errors import PlanError
from ringfence.frameworks.open import open_adapter

PUBLIC = access.depends(access.public)


class Order(BaseModel):
    name: str
    amount: int = 1


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class Struct(msgspec.Struct):
    n: int
    text: str = ""


@dataclass
class User:
    name: str
    role: str = "user"


@attrs.define
class Attrs:
    n: int


class Typed(TypedDict):
    n: int


class Public(DataclassDTO[User]):
    config = DTOConfig(exclude={"role"}, rename_fields={"name": "fullName"})


def takes(app):
    return {leaf.path: leaf.takes for leaf in open_adapter(app).leaves()}


def faults(found, value):
    return [
        (".".join(map(str, fault.place)), fault.kind)
        for fault in found.body(value) or ()
    ]


EXTRA = "extra_forbidden"


def fastapi():  # noqa: C901 - one application, at one place
    def order_of(order: Order):
        return order

    router = APIRouter(prefix="/r", dependencies=[Depends(order_of)])

    @router.post("/below")
    async def below(): ...

    @router.post("/both")
    async def both(other: Order): ...

    inner = APIRouter()

    @inner.post("/deep")
    async def deep(order: Annotated[Order, Field(title="x")]): ...

    plain = APIRouter(prefix="/p")
    plain.include_router(inner)

    sub = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @sub.post("/order")
    async def mounted(orders: list[Order]): ...

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(router)
    app.include_router(plain)
    app.include_router(inner, prefix="/again")
    app.mount("/sub", sub)

    @app.post("/open")
    async def opened(body: Open): ...

    @app.post("/maybe")
    async def maybe(body: Order | None = None): ...

    @app.post("/alias")
    async def alias(
        a: Annotated[Order, Field(validation_alias=AliasChoices("x", "y"))], b: Order
    ): ...

    @app.post("/form")
    async def form(body: Annotated[Order, Form()]): ...

    @app.post("/openform")
    async def openform(body: Annotated[Open, Form()]): ...

    @app.post("/request")
    async def request(request: Request): ...

    @app.post("/nothing")
    async def nothing(number: int = 0): ...

    return app


def test_fastapi_is_read_through_routers_dependencies_and_mounts():
    found = takes(fastapi())
    bad = {"name": "x", "role": "admin"}
    for path in ("/r/below", "/p/deep", "/again/deep", "/maybe"):
        assert faults(found[path], bad) == [("role", EXTRA)], path
        assert faults(found[path], {"name": "x"}) == []
    assert faults(found["/sub/order"], [bad]) == [("0.role", EXTRA)]
    assert faults(found["/r/both"], {"order": bad, "other": {}, "z": 1}) == [
        ("z", EXTRA),
        ("order.role", EXTRA),
    ]
    assert faults(found["/open"], {"name": "x", "any": 1}) == []
    assert faults(found["/maybe"], None) == []
    assert faults(found["/alias"], {"y": {}, "b": bad}) == [("b.role", EXTRA)]
    assert found["/form"].form == {"name", "amount"}
    assert found["/openform"].form is None
    assert found["/request"].body is None
    assert found["/request"].reads_by_itself
    assert not found["/nothing"].reads_by_itself


@pytest.mark.parametrize(
    ("model", "good", "bad", "expected"),
    [
        (Struct, {"n": 1}, {"n": "1", "x": 1}, [("x", EXTRA), ("n", "int_type")]),
        (User, {"name": "x"}, {"id": 1}, [("id", EXTRA)]),
        (Attrs, {"n": 1}, {"n": 1, "x": 1}, [("x", EXTRA)]),
        (Typed, {"n": 1}, {"n": 1, "x": 1}, [("x", EXTRA)]),
        (Order, {"name": "x"}, {"amount": "1"}, [("amount", "int_type")]),
        (list[Order], [{"name": "x"}], [{"x": 1}], [("0.x", EXTRA)]),
        (dict[str, Struct], {"a": {"n": 1}}, {"a": {"x": 1}}, [("a.x", EXTRA)]),
        (Open, {"name": "x", "any": 1}, 7, [("", "dict_type")]),
        (Struct | None, None, {"x": 1}, [("x", EXTRA)]),
    ],
)
def test_litestars_models_are_read(model, good, bad, expected):
    @post("/", opt={})
    async def handle(data: JSONBody[model]) -> None: ...

    found = takes(litestar(handle))["/"]
    assert faults(found, good) == []
    assert faults(found, bad) == expected


def litestar(*handlers):
    return Litestar(list(handlers), openapi_config=None, logging_config=None)


def test_litestars_layers_and_ways_to_send_are_read():  # noqa: C901 - a handler each
    async def needs(data: JSONBody[Struct]) -> Any:
        return data

    class Users(Controller):
        path = "/users"
        dto = Public
        return_dto = None

        @post("/dto")
        async def whole(self, data: JSONBody[User]) -> None: ...

        @post("/partial")
        async def partial(self, data: JSONBody[DTOData[User]]) -> None: ...

    @post("/form")
    async def form(data: URLEncodedBody[User]) -> None: ...

    @post("/multipart")
    async def multipart(data: MultipartBody[User]) -> None: ...

    @post("/msgpack")
    async def msgpack(data: MsgPackBody[User]) -> None: ...

    @post("/any")
    async def anything(data: JSONBody[dict[str, Any]]) -> None: ...

    @post("/request")
    async def request(request: LitestarRequest) -> None: ...

    @post("/nothing")
    async def nothing() -> None: ...

    @post("/through", dependencies={"one": Provide(needs)})
    async def through(one: NamedDependency[Any]) -> None: ...

    router = Router("/v1", route_handlers=[Users])
    handlers = (form, multipart, msgpack, anything, request, nothing, through)
    found = takes(litestar(router, *handlers))
    for path in ("/v1/users/dto", "/v1/users/partial"):
        assert faults(found[path], {"fullName": "x"}) == []
        assert faults(found[path], {"fullName": "x", "role": "admin"}) == [
            ("role", EXTRA)
        ]
    assert found["/form"].form == {"name", "role"}
    assert not found["/form"].has_files
    assert found["/multipart"].has_files
    assert found["/msgpack"].body is None
    assert found["/any"].name == ""
    assert faults(found["/any"], {"x": [1]}) == []
    assert found["/request"].reads_by_itself
    assert not found["/nothing"].reads_by_itself
    assert found["/through"].reads_by_itself


def test_a_dto_that_is_kept_otherwise_stops_the_start_up(monkeypatch):
    """A model that cannot be found is not taken for one that allows everything."""

    @post("/dto", dto=Public, return_dto=None)
    async def handle(data: JSONBody[User]) -> None: ...

    app = litestar(handle)
    monkeypatch.setattr(Public, "_dto_backends", {})
    with pytest.raises(PlanError, match="does not understand"):
        takes(app)


def test_fastapi_below_starlette_is_read():
    sub = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @sub.post("/order")
    async def order(order: Order): ...

    found = takes(Starlette(routes=[Mount("/api", app=sub)]))
    assert faults(found["/api/order"], {"role": 1}) == [("role", EXTRA)]
