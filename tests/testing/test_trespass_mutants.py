"""Holes planted in the reference shop, one at a time: each must be found."""

from __future__ import annotations

import inspect
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from examples.shop import catalogue, credit, exports, orders, people
from examples.shop.api import admin as api_admin
from examples.shop.api import orders as api_orders
from examples.shop.api import users as api_users
from examples.shop.problems import ShopError, not_found
from examples.shop.shapes import Incoming, OrderView, UserView
from examples.shop.storage.tables import Order, Profile, Transfer, Wallet
from examples.shop.web import admin as web_admin
from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import joinedload
from sqlalchemy.pool import NullPool
from tests.testing.shop_proof import Shops, create, order

from ringfence import current, unscoped
from ringfence.access import public, require, signed_in
from ringfence.access.marks import PolicyDependency
from ringfence.testing.trespass.findings import Kind


@pytest.fixture(scope="module")
def shops(tmp_path_factory):
    return Shops(tmp_path_factory.mktemp("shops"))


def test_the_shop_as_it_is_lets_nothing_through(shops):
    """On every route and method of its plan."""
    with shops.open() as (guard, client):
        proof = shops.prove(guard, client)
    assert proof.holds, str(proof)
    assert proof.routes == 42
    assert proof.requests < 600


@asynccontextmanager
async def around(shop):
    """Open the shop's file past its sessions, as a handler with a connection of its own
    does."""
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{shop.state.database.path}", poolclass=NullPool
    )
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session
        await session.commit()
    await engine.dispose()


async def _load(shop, order_id):
    async with around(shop) as db:
        query = select(Order).options(joinedload(Order.product))
        return await db.scalar(query.where(Order.id == order_id))


async def _any_order(shop, order_id):
    order = await _load(shop, order_id)
    if order is None:
        raise not_found("order")
    return order


async def _all_orders(shop):
    async with around(shop) as db:
        query = select(Order).options(joinedload(Order.product))
        return list(await db.scalars(query.limit(100)))


# Filters that were forgotten.


def read_without_owner(shop, patch):
    async def read(db, order_id):
        return await _any_order(shop, order_id)

    patch.setattr(api_orders, "orders", _with(orders, read=read))


def raw_sql_by_id(shop, patch):
    async def read(db, order_id):
        async with around(shop) as plain:
            statement = text("SELECT * FROM orders WHERE id = :id")
            row = (await plain.execute(statement, {"id": order_id})).first()
        if row is None:
            raise not_found("order")
        return SimpleNamespace(**row._mapping, total=row.quantity * row.unit_price)

    patch.setattr(api_orders, "orders", _with(orders, read=read))


def list_of_everybody(shop, patch):
    async def mine(db, window):
        return await _all_orders(shop)

    patch.setattr(api_orders, "orders", _with(orders, mine=mine))


def unscoped_list(shop, patch):
    """The way round ownership, where nobody should go round it."""
    mine = orders.mine

    async def everybody_s(db, window):
        with unscoped("a list"):
            return await mine(db, window)

    patch.setattr(api_orders, "orders", _with(orders, mine=everybody_s))


def unscoped_change(shop, patch):
    change = orders.change

    async def anybody_s(db, order_id, to):
        with unscoped("a change"):
            return await change(db, order_id, to)

    patch.setattr(orders, "change", anybody_s)


def page_of_everybody(shop, patch):
    """Only the page forgets; the API is as it was."""

    async def sent(db, *, limit=20):
        async with around(shop) as plain:
            return list(await plain.scalars(select(Transfer)))

    patch.setattr(credit, "sent", sent)


def change_without_owner(shop, patch):
    async def change(db, order_id, to):

        async with around(shop) as plain:
            changing = update(Order).where(Order.id == order_id)
            await plain.execute(changing.values(quantity=to.quantity))
        return await _any_order(shop, order_id)

    patch.setattr(orders, "change", change)


def cancel_without_owner(shop, patch):
    """It answers 404 to whom the order does not belong, and deletes it."""

    async def cancel(db, order_id):
        order = await _any_order(shop, order_id)
        async with around(shop) as plain:
            await plain.execute(delete(Order).where(Order.id == order_id))
        if order.owner_id != current.principal().id:
            raise not_found("order")

    patch.setattr(orders, "cancel", cancel)


def bulk_update(shop, patch):
    """Whoever changes one order of theirs changes everybody's."""
    change = orders.change

    async def change_all(db, order_id, to):
        changed = await change(db, order_id, to)
        await db.commit()
        async with around(shop) as plain:
            await plain.execute(update(Order).values(quantity=to.quantity))
        return changed

    patch.setattr(orders, "change", change_all)


def another_s_export(shop, patch):
    def read(self, owner_id, name):
        for path in sorted(self._folder.glob("*/*.gz")):
            if path.name == name:
                return path.read_bytes()
        raise not_found("export")

    patch.setattr(exports.Exports, "read", read)


def export_of_everybody(shop, patch):
    async def mine(db, window):
        return await _all_orders(shop)

    patch.setattr(exports, "orders", _with(orders, mine=mine))


def visible_to_everybody(shop, patch):
    _open_profiles(patch, "GET")


def named_by_everybody(shop, patch):
    async def rename(db, owner_id, name):
        async with around(shop) as plain:
            await plain.merge(Profile(owner_id=owner_id, name=name))

    _open_profiles(patch, "PATCH")
    patch.setattr(people, "rename", rename)


def _open_profiles(patch, method):
    """Ask of whoever wants a profile no more than to have signed in."""
    for route in api_users.router.routes:
        if method in route.methods:
            endpoint = require(signed_in)(inspect.unwrap(route.endpoint))
            patch.setattr(route, "endpoint", endpoint)
            patch.setattr(route.dependant, "call", endpoint)


def counts_of_everybody(shop, patch):
    async def tally(db, owner_id):
        async with around(shop) as plain:
            count = await plain.scalar(select(func.count()).select_from(Order))
        return count, 0

    patch.setattr(people, "tally", tally)


def cached_across_users(shop, patch):
    mine, kept = orders.mine, []

    async def cached(db, window):
        if not kept:
            kept.append(await mine(db, window))
        return kept[0]

    patch.setattr(api_orders, "orders", _with(orders, mine=cached))


# Answers that tell.


def _telling(shop, path, error):
    """Add a route that knows another's order, and says so."""

    @shop.get(f"{path}/{{order_id}}", response_model=OrderView)
    @require(signed_in)
    async def read(order_id: str):
        order = await _any_order(shop, order_id)
        if order.owner_id != current.principal().id:
            raise error
        return order


def forbidden_for_missing(shop, patch):
    error = ShopError(403, "shop.not_yours", "This is not yours.")
    _telling(shop, "/api/forbidden", error)


def conflict_for_missing(shop, patch):
    error = ShopError(409, "shop.locked", "This is being packed.")
    _telling(shop, "/api/locked", error)


def fault_for_missing(shop, patch):
    _telling(shop, "/api/faulty", AttributeError("nothing to show"))


def other_words_for_missing(shop, patch):
    error = ShopError(404, "shop.not_found", "It was moved.")
    _telling(shop, "/api/moved", error)


def leaked_field(shop, patch):
    """A product says who bought it last."""
    read = catalogue.read

    async def reading(db, product_id):
        product = await read(db, product_id)
        async with around(shop) as plain:
            buyer = await plain.scalar(
                select(Order.owner_id).order_by(Order.placed.desc()).limit(1)
            )
        columns = {c.key: getattr(product, c.key) for c in product.__table__.columns}
        return SimpleNamespace(**{**columns, "summary": f"last bought by {buyer}"})

    patch.setattr(catalogue, "read", reading)


# Policies that were forgotten.


def _weaken(router, patch, policy):
    for dependency in router.dependencies:
        if isinstance(dependency.dependency, PolicyDependency):
            weak = PolicyDependency(policy)
            for name in ("policy", "_check"):
                patch.setattr(dependency.dependency, name, getattr(weak, name))


def users_for_customers(shop, patch):
    _weaken(api_admin.router, patch, signed_in)


def users_page_for_customers(shop, patch):
    _weaken(web_admin.router, patch, signed_in)


def receipts_for_nobody(shop, patch):
    @shop.get("/api/receipts/{order_id}", response_model=OrderView)
    @require(public)
    async def receipt(order_id: str):
        return await _any_order(shop, order_id)


def figures_for_customers(shop, patch):
    @shop.get("/api/admin/figures")
    @require(signed_in)
    async def figures():
        return {"open": True}


# Owners that the request names.


def owner_in_the_query(shop, patch):
    @shop.get("/api/history", response_model=list[OrderView])
    @require(signed_in)
    async def history(owner_id: str = ""):
        wanted = owner_id or current.principal().id
        return [one for one in await _all_orders(shop) if one.owner_id == wanted]


def owner_in_the_query_unsaid(shop, patch):
    """No model and no parameter tells of it."""

    @shop.get("/api/diary", response_model=list[OrderView])
    @require(signed_in)
    async def history(request: Request):
        wanted = request.query_params.get("user_id") or current.principal().id
        return [one for one in await _all_orders(shop) if one.owner_id == wanted]


def owner_in_a_header(shop, patch):
    @shop.get("/api/mine", response_model=list[OrderView])
    @require(public)
    async def history(request: Request):
        wanted = request.headers.get("x-user-id")
        return [one for one in await _all_orders(shop) if one.owner_id == wanted]


class Replacement(Incoming):
    quantity: int = 1
    owner_id: str | None = None


def changed_owner(shop, patch):
    """Whoever gives an order away puts it into somebody's list, and cannot take it."""

    @shop.put("/api/orders/{order_id}", response_model=OrderView)
    @require(signed_in)
    async def replace_order(order_id: str, to: Replacement):
        order = await _any_order(shop, order_id)
        if order.owner_id != current.principal().id:
            raise not_found("order")
        async with around(shop) as plain:
            owner_id = to.owner_id or order.owner_id
            changing = update(Order).where(Order.id == order_id)
            await plain.execute(changing.values(owner_id=owner_id))
        return order


def another_method(shop, patch):
    @shop.put("/api/orders/{order_id}", response_model=OrderView)
    @require(signed_in)
    async def replace_order(order_id: str, to: Replacement):
        return await _any_order(shop, order_id)


class Gift(Incoming):
    amount: int = 1
    from_id: str | None = None


def on_behalf_of_another(shop, patch):
    @shop.post("/api/gifts")
    @require(signed_in)
    async def give(gift: Gift):
        giver = gift.from_id or current.principal().id
        async with around(shop) as plain:
            lowering = update(Wallet).where(Wallet.owner_id == giver)
            await plain.execute(lowering.values(balance=Wallet.balance - gift.amount))
        return {"given": gift.amount}


class Repeat(Incoming):
    order_id: str


def another_s_in_the_body(shop, patch):
    @shop.post("/api/repeats", response_model=OrderView)
    @require(signed_in)
    async def repeat(order: Repeat):
        return await _any_order(shop, order.order_id)


# Lists that say more than they show.


def search_of_everybody(shop, patch):
    @shop.get("/api/search")
    @require(signed_in)
    async def search(q: str = ""):
        async with around(shop) as plain:
            query = select(func.count()).select_from(Profile)
            return {"found": await plain.scalar(query.where(Profile.name.contains(q)))}


def sort_of_everybody(shop, patch):
    @shop.get("/api/sorted", response_model=list[OrderView])
    @require(signed_in)
    async def history(newest: bool = False):  # noqa: FBT001, FBT002 - a query has names
        found, me = await _all_orders(shop), current.principal().id
        return found if newest else [one for one in found if one.owner_id == me]


def page_that_leaks(shop, patch):
    @shop.get("/recent")
    @require(signed_in)
    async def recent():
        items = "".join(f"<li>{one.id}</li>" for one in await _all_orders(shop))
        return HTMLResponse(f"<!doctype html><title>Recent</title><ul>{items}</ul>")


def users_of_everybody(shop, patch):
    @shop.get("/api/customers", response_model=list[UserView])
    @require(signed_in)
    async def customers(request: Request):
        return await request.app.state.accounts.list(after="", limit=50)


def _with(module, **functions):
    """Return a module with other functions, for one caller alone."""
    return SimpleNamespace(**{**vars(module), **functions})


REACHED, LEAKED, CHANGED = Kind.REACHED, Kind.LEAKED, Kind.CHANGED
FORBIDDEN, ORACLE = Kind.FORBIDDEN, Kind.ORACLE
FUNCTION, INTERFERES = Kind.FUNCTION, Kind.INTERFERES
PROFILE = "/api/users/{user_id}/profile"
REMOVE = "/api/admin/users/{user_id}"

# Each hole: what plants it, where it must be found, and what it may be taken for.
ORDER = (
    (read_without_owner, "GET /api/orders/{order_id}", {LEAKED, REACHED}),
    (raw_sql_by_id, "GET /api/orders/{order_id}", {LEAKED, REACHED}),
    (list_of_everybody, "GET /api/orders", {LEAKED}),
    (unscoped_list, "GET /api/orders", {LEAKED}),
    (unscoped_change, "PATCH /api/orders/{order_id}", {REACHED}),
    (change_without_owner, "PATCH /api/orders/{order_id}", {REACHED}),
    (cancel_without_owner, "DELETE /api/orders/{order_id}", {CHANGED}),
    (bulk_update, "PATCH /api/orders/{order_id}", {CHANGED}),
    (cached_across_users, "GET /api/orders", {LEAKED}),
    (another_method, "PUT /api/orders/{order_id}", {LEAKED, REACHED}),
    (changed_owner, "PUT /api/orders/{order_id}", {CHANGED}),
)
# Holes that do not meet share a copy of the shop, and so a proof.
ELSEWHERE = (
    (page_of_everybody, "GET /transfers", {LEAKED}),
    (another_s_export, "GET /exports/{name}", {LEAKED, REACHED}),
    (visible_to_everybody, f"GET {PROFILE}", {LEAKED, REACHED}),
    (named_by_everybody, f"PATCH {PROFILE}", {LEAKED, REACHED}),
    (leaked_field, "GET /api/products/{product_id}", {LEAKED}),
)
FURTHER = (
    (counts_of_everybody, "GET /profile", {INTERFERES}),
    (export_of_everybody, "GET /api/exports/{name}", {LEAKED}),
    (users_for_customers, "GET /api/admin/users", {FUNCTION, LEAKED}),
    (users_for_customers, f"DELETE {REMOVE}", {FUNCTION}),
    (users_page_for_customers, "GET /admin/users", {FUNCTION, LEAKED}),
)
ADDED = (
    (forbidden_for_missing, "GET /api/forbidden/{order_id}", {FORBIDDEN}),
    (conflict_for_missing, "GET /api/locked/{order_id}", {ORACLE}),
    (fault_for_missing, "GET /api/faulty/{order_id}", {ORACLE}),
    (other_words_for_missing, "GET /api/moved/{order_id}", {ORACLE}),
    (receipts_for_nobody, "GET /api/receipts/{order_id}", {LEAKED, REACHED}),
    (figures_for_customers, "GET /api/admin/figures", {FUNCTION}),
    (owner_in_the_query, "GET /api/history", {LEAKED}),
    (owner_in_the_query_unsaid, "GET /api/diary", {LEAKED}),
    (owner_in_a_header, "GET /api/mine", {LEAKED}),
    (on_behalf_of_another, "POST /api/gifts", {CHANGED}),
    (another_s_in_the_body, "POST /api/repeats", {REACHED, LEAKED}),
    (search_of_everybody, "GET /api/search", {ORACLE, INTERFERES}),
    (sort_of_everybody, "GET /api/sorted", {LEAKED}),
    (page_that_leaks, "GET /recent", {LEAKED}),
    (users_of_everybody, "GET /api/customers", {LEAKED}),
)
BROKEN = {
    **{hole[0].__name__: (hole,) for hole in ORDER},
    "elsewhere": ELSEWHERE,
    "further": FURTHER,
    "added": ADDED,
}
# Lists show what holes in what they lead to have done.
AFTERWARDS = {"/api/orders"}
# Where an owner sees what has become of what they have.
SEEN_BY_OWNERS = ("/api/orders", PROFILE)


@pytest.mark.parametrize("holes", BROKEN.values(), ids=BROKEN)
def test_a_hole_is_found_where_it_is(shops, holes):
    """And none is found on a route that is whole."""

    def plant(shop, patch):
        for planted in {hole[0]: None for hole in holes}:
            planted(shop, patch)

    paths = {where.partition(" ")[2] for _, where, _ in holes}
    everything = {"only": (*paths, *SEEN_BY_OWNERS), "create": create}
    orders_alone = {"only": (*paths, "/api/orders"), "create": order}
    terms = orders_alone if holes[0] in ORDER else everything
    with shops.open(plant) as (guard, client):
        proof = shops.prove(guard, client, **terms)
    found = {(f"{one.method} {one.path}", one.kind) for one in proof.findings}
    for planted, where, kinds in holes:
        assert any((where, kind) in found for kind in kinds), (planted, str(proof))
    if len(holes) == 1:
        assert {where.partition(" ")[2] for where, _ in found} <= paths | AFTERWARDS


def test_there_are_many_holes():
    """Each kind of finding is needed for one at least."""
    holes = [*ORDER, *ELSEWHERE, *FURTHER, *ADDED]
    assert len({planted for planted, _, _ in holes}) >= 30
    assert set().union(*(kinds for _, _, kinds in holes)) == set(Kind)
