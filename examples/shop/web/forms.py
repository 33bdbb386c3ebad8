"""Reads a form into one of the API's closed shapes: pages and programs obey the same
rules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, TypeVar

from fastapi import Request
from pydantic import ValidationError

from examples.shop.shapes import Incoming

Shape = TypeVar("Shape", bound=Incoming)

MONEY = re.compile(r"[0-9]{1,7}(?:[.,][0-9]{1,2})?", re.ASCII)
DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Filled(Generic[Shape]):
    """A form as it was filled in.

    Args:
        sent: what was typed, to show it again.
        value: the shape, or ``None`` if something is wrong.
        wrong: the names of the fields to mend.
    """

    sent: dict[str, str]
    value: Shape | None
    wrong: frozenset[str] = field(default_factory=frozenset)


async def read(
    request: Request,
    shape: type[Shape],
    *,
    numbers: tuple[str, ...] = (),
    money: tuple[str, ...] = (),
) -> Filled[Shape]:
    """Read a form.

    Args:
        shape: what it must be.
        numbers: fields that hold whole numbers.
        money: fields that hold euros, as in ``12.50``; they become cents.
    """
    form = await request.form(max_files=0, max_fields=20)
    sent = {name: str(text) for name, text in form.multi_items()}
    sent.pop("csrf_token", None)  # the guard has read it
    typed: dict[str, object] = dict(sent)
    for name in numbers:
        typed[name] = _whole(sent.get(name, ""))
    for name in money:
        typed[name] = _cents(sent.get(name, ""))
    try:
        return Filled(sent, shape.model_validate(typed))
    except ValidationError as error:
        return Filled(sent, None, frozenset(str(e["loc"][0]) for e in error.errors()))


def _whole(text: str) -> int | None:
    return int(text) if DIGITS.fullmatch(text.strip()) else None


def _cents(text: str) -> int | None:
    text = text.strip()
    if MONEY.fullmatch(text) is None:
        return None
    return int(Decimal(text.replace(",", ".")) * 100)
