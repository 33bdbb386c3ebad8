"""What a pydantic model takes, read from its core schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Generic, Literal, NotRequired, TypeVar
from uuid import UUID

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    RootModel,
    SecretStr,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from ringfence.interpreters.validation.from_pydantic import (
    has_fields,
    names_of,
    shape_of,
)

T = TypeVar("T")


class Color(Enum):
    RED = "red"


class Inner(BaseModel):
    n: int = 0
    ok: bool = True


class Tree(BaseModel):
    n: int = 0
    below: list[Tree] = []


class Typed(TypedDict):
    a: NotRequired[int]


@dataclass
class Data:
    t: Typed
    q: int = 3


@dataclasses.dataclass
class Standard:
    q: float = 0


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool

    @model_validator(mode="after")
    def stay(self):
        return self


PET = Annotated[Cat | Dog, Field(discriminator="kind")]


class Page(BaseModel, Generic[T]):
    items: list[T]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    inner: Inner = Inner()


class OpenToNumbers(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Inner]


class Aliased(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)
    user_id: int = Field(alias="userId")
    word: str = Field("", validation_alias=AliasChoices("w", AliasPath("in", "w")))


class ByAlias(BaseModel):
    user_id: int = Field(alias="userId")


class Before(BaseModel):
    n: int

    @model_validator(mode="before")
    @classmethod
    def rename(cls, data):
        return {"n": data.pop("old")} if "old" in data else data


class FieldBefore(BaseModel):
    n: int

    @field_validator("n", mode="before")
    @classmethod
    def read(cls, value):
        return len(value)


class Lax(BaseModel):
    n: int = Field(strict=False)


class Rich(BaseModel):
    when: datetime
    price: Decimal
    id: UUID
    site: HttpUrl | None = None
    secret: SecretStr = SecretStr("")
    colors: set[Color] = set()
    pair: tuple[int, str] = (0, "")
    many: tuple[int, ...] = ()
    raw: bytes = b""
    more: Sequence[int] = ()
    lazy: Iterable[int] = ()
    mapped: Mapping[str, int] = {}
    document: Json[list[int]] = []
    rate: float = 0.5


def faults(annotation, value):
    check = shape_of(TypeAdapter(annotation).core_schema)
    return [
        (".".join(map(str, fault.place)), fault.kind) for fault in check(value) or ()
    ]


EXTRA, INT, BOOL = "extra_forbidden", "int_type", "bool_type"


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Inner, {"n": 1, "role": "admin"}, [("role", EXTRA)]),
        (Inner, {"n": "1", "ok": "true"}, [("n", INT), ("ok", BOOL)]),
        (Inner, {"n": True, "ok": 1}, [("n", INT), ("ok", BOOL)]),
        (Tree, {"below": [{"below": [{"x": 1}]}]}, [("below.0.below.0.x", EXTRA)]),
        (Data, {"t": {"a": 1, "b": 2}, "q": "3"}, [("t.b", EXTRA), ("q", INT)]),
        (Standard, {"q": "1", "z": 1}, [("z", EXTRA), ("q", "float_type")]),
        (list[Inner], [{}, {"x": 1}], [("1.x", EXTRA)]),
        (dict[str, Inner], {"k": {"x": 1}}, [("k.x", EXTRA)]),
        (Page[Inner], {"items": [{"x": 1}], "y": 1},
         [("y", EXTRA), ("items.0.x", EXTRA)]),
        (RootModel[list[int]], ["1", 2], [("0", INT)]),
        (Inner | None, {"x": 1}, [("x", EXTRA)]),
        (Inner | list[Inner], [{"x": 1}], [("0.x", EXTRA)]),
        (Inner | int, {"x": 1}, [("x", EXTRA)]),
        (PET, {"kind": "cat", "lives": 9, "good": True}, [("good", EXTRA)]),
        (PET, {"kind": "dog", "good": "yes"}, [("good", BOOL)]),
        (Open, {"any": {"x": 1}, "inner": {"x": 1}}, [("inner.x", EXTRA)]),
        (OpenToNumbers, {"any": {"x": 1}}, [("any.x", EXTRA)]),
        (ByAlias, {"user_id": 1}, [("user_id", EXTRA)]),
        (Rich, {"many": ["1"], "pair": ["1", "a"], "more": ["1"], "mapped": {"a": "1"}},
         [("pair.0", INT), ("many.0", INT), ("more.0", INT), ("mapped.a", INT)]),
    ],
)  # fmt: skip
def test_what_the_model_does_not_have_is_found(annotation, value, expected):
    assert sorted(faults(annotation, value)) == sorted(expected)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Inner, {}),
        (Inner, {"n": 1, "ok": False}),
        (Inner | None, None),
        (Inner | int | str, "1"),
        (int | str, "1"),
        (Inner | list[Inner], []),
        (PET, {"kind": "dog", "good": True}),
        (PET, {"kind": "cow"}),
        (Cat | Dog, {"kind": "cat", "lives": 9}),
        (Open, {"any": {"x": 1}}),
        (Aliased, {"userId": 1}),
        (Aliased, {"user_id": 1, "w": "x"}),
        (Aliased, {"userId": 1, "in": {"w": "x", "more": 1}}),
        (Before, {"old": 1}),
        (FieldBefore, {"n": "abc"}),
        (Lax, {"n": "1"}),
        (dict, {"any": [1, {"x": 1}]}),
        (dict[str, object], {"any": [1]}),
        (Rich, {
            "when": "2026-01-01T00:00:00Z", "price": "1.50", "site": "https://x.example",
            "id": "00000000-0000-4000-8000-000000000000", "secret": "p",
            "colors": ["red"], "pair": [1, "a"], "many": [1, 2], "raw": "x",
            "more": [1], "lazy": [1], "mapped": {"a": 1}, "document": "[1]", "rate": 1,
        }),
    ],
)  # fmt: skip
def test_what_pydantic_reads_is_left_alone(annotation, value):
    """And pydantic itself agrees, but for the tag that it does not know."""
    assert faults(annotation, value) == []
    if value != {"kind": "cow"}:
        TypeAdapter(annotation).validate_python(value)


def test_names_of_forms_and_queries():
    assert names_of(TypeAdapter(Inner).core_schema) == {"n", "ok"}
    assert names_of(TypeAdapter(Inner | None).core_schema) == {"n", "ok"}
    assert names_of(TypeAdapter(ByAlias).core_schema) == {"userId"}
    assert names_of(TypeAdapter(Aliased).core_schema) == {
        "user_id",
        "userId",
        "word",
        "w",
    }
    assert names_of(TypeAdapter(Data).core_schema) == {"t", "q"}
    assert names_of(TypeAdapter(Open).core_schema) is None
    assert names_of(TypeAdapter(Before).core_schema) is None
    assert not has_fields(TypeAdapter(int).core_schema)
