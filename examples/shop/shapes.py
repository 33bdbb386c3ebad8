"""The shapes of what comes in and goes out.

Everything that comes in is a closed shape: a field that is not listed (a price, an
owner, a role, an id) is refused, so nobody can set what the server decides. Numbers are
strict: ``"1"``, ``1.0`` and ``true`` are no integers.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MOST_ITEMS = 99
LARGEST_TRANSFER = 1_000_000  # cents
LINE_BREAKS = frozenset("\n\r\t")


def _printable(text: str) -> str:
    if any(unicodedata.category(c) == "Cc" and c not in LINE_BREAKS for c in text):
        message = "must not contain control characters"
        raise ValueError(message)
    return text


def _one_line(text: str) -> str:
    if not LINE_BREAKS.isdisjoint(text):
        message = "must be one line"
        raise ValueError(message)
    return text


Prose = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    AfterValidator(_printable),
]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=80),
    AfterValidator(_printable),
    AfterValidator(_one_line),
]
Address = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$"
    ),
    AfterValidator(_printable),
]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=MOST_ITEMS)]
Stars = Annotated[int, Field(strict=True, ge=1, le=5)]
Sort = Literal["added", "name", "price"]
Direction = Literal["asc", "desc"]
Form = Literal["plain", "rich"]
Cents = Annotated[int, Field(strict=True, ge=1, le=LARGEST_TRANSFER)]


class Incoming(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Window(BaseModel):
    """Which part of a list to answer."""

    limit: Annotated[int, Field(ge=1, le=100, description="How many at most.")] = 50
    offset: Annotated[int, Field(ge=0, le=10_000, description="How many to skip.")] = 0


class Search(Window):
    q: Annotated[str, Field(max_length=100, description="Words to look for.")] = ""
    sort: Sort = "added"
    order: Direction = "asc"


class NewReview(Incoming):
    stars: Stars = 5
    text: Prose
    form: Form = "plain"


class NewOrder(Incoming):
    product_id: Key
    quantity: Quantity = 1


class OrderChange(Incoming):
    quantity: Quantity


class NewExport(Incoming):
    name: Annotated[str, StringConstraints(min_length=1, max_length=80)]


class NewPreview(Incoming):
    url: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class NewTransfer(Incoming):
    to: Address
    amount: Cents


class ProfileChange(Incoming):
    name: Name


class Outgoing(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ProductView(Outgoing):
    id: str
    name: str
    kind: str
    summary: str
    description: str
    price: int


class ReviewView(Outgoing):
    id: str
    product_id: str
    author: str
    stars: int
    text: str
    form: Form
    written: datetime


class OrderView(Outgoing):
    id: str
    product_id: str
    quantity: int
    unit_price: int
    total: int
    placed: datetime


class ExportView(Outgoing):
    name: str
    size: int


class PreviewView(Outgoing):
    url: str
    title: str


class TransferView(Outgoing):
    id: str
    to: str = Field(validation_alias="recipient")
    amount: int
    sent: datetime


class ProfileView(Outgoing):
    id: str
    email: str
    name: str
    member_since: datetime
    balance: int
    orders: int
    reviews: int


class UserView(Outgoing):
    id: str
    email: str
    roles: Annotated[list[str], AfterValidator(sorted)]
    disabled: bool
    created: datetime


class Problem(BaseModel):
    """RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str
