"""What type checkers see of the public names. Checked by mypy, never run."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, assert_type

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.applications import Starlette
from starlette.routing import Route

from ringfence import (
    Guard,
    Principal,
    Rule,
    Settings,
    accepts,
    access,
    current,
    headers,
    limit,
    unscoped,
)
from ringfence.access import Policy
from ringfence.access.sqlalchemy import Database


@access.require(access.signed_in & access.role("admin", "staff") | access.public)
async def read_order(order_id: int) -> str:
    return str(order_id)


@limit("30/minute", by="account")
@access.require(access.signed_in)
async def export(order_id: int) -> bytes:
    return bytes(order_id)


exported = assert_type(export(1), Coroutine[Any, Any, bytes])
limit("30/minute", by="user")  # type: ignore[arg-type]  # no such budget


@headers(frame_options="SAMEORIGIN", cache="no-store")
@access.require(access.public)
async def widget(number: int) -> str:
    return str(number)


shown = assert_type(widget(1), Coroutine[Any, Any, str])
headers(frame_options="sameorigin")  # type: ignore[arg-type]  # capitals


class Order:
    name: str


@accepts(Order)
@access.require(access.public)
async def create(number: int) -> str:
    return assert_type(current.accepted(Order), Order).name


@accepts.lenient
async def loosely() -> None: ...


created = assert_type(create(1), Coroutine[Any, Any, str])
assert_type(current.accepted(dict[str, int]), dict[str, int])

# A decorated handler keeps its signature.
answer = read_order(1)
answer = assert_type(answer, Coroutine[Any, Any, str])
answer = read_order("1")  # type: ignore[arg-type]  # an order is an int here

# Policies are values; what is none is refused.
assert_type(access.public | access.signed_in, Policy)
assert_type(access.role("admin") & access.fresh(minutes=5), Policy)
access.require("admin")  # type: ignore[arg-type]  # a name is no policy
access.guard("admin")  # type: ignore[arg-type]  # a name is no policy

# Routes come back as what they were.
assert_type(access.routes([Route("/", read_order)], access.public), list[Route])

assert_type(current.principal(), Principal)
assert_type(current.csrf_token(), str)

settings = Settings.load(env="development", data=Path("var"))
assert_type(settings, Settings)
guard = Guard(Starlette(), settings, rules=[Rule("GET", "/x/{id}", access.public)])
settings.env = "production"  # type: ignore[misc]  # frozen


# Whose rows they are stands on the model, which stays what it was.
class Base(DeclarativeBase): ...


@access.rows(access.owner("owner_id") | access.role("operator") & access.tenant("team"))
class Seed(Base):
    __tablename__ = "seeds"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str]
    team: Mapped[str]


assert_type(Seed, type[Seed])
access.rows("owner_id")  # type: ignore[arg-type]  # a name is no rule
access.matching(published=[])  # type: ignore[arg-type]  # a list is no constant

database = Database(create_async_engine("sqlite+aiosqlite://"), Base)
Guard(Starlette(), settings, data=database)
Guard(Starlette(), settings, data=[database])


async def read_seed(number: int) -> str:
    db = assert_type(current.database(), AsyncSession)
    return assert_type(access.found(await db.get(Seed, number)), Seed).owner_id


def count_all() -> None:
    with unscoped("nightly report"), access.acting_as(Principal("job")):
        assert_type(current.blocking_database(), Session)
    unscoped()  # type: ignore[call-arg]  # a reason is needed
