"""Broken object level authorization in MongoDB (BOLA, OWASP API1:2023, CWE-639): the
same careless handlers on a bare database, and on one whose documents have owners."""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pymongo
import pytest
from pymongo.synchronous.database import Database
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.servers.mongo import running_mongo

from ringfence import Guard, Settings, access
from ringfence.access.mongo import OwnedDatabase
from ringfence.testing import signed_in

DECLARED = {
    "orders": access.owner("owner_id"),
    "lines": access.owner("owner_id"),
}
HERE = ("127.0.0.1", 50000)


def routes(documents):
    """As they are written by somebody who thinks of everything but whose it is."""

    def read(request):
        return JSONResponse(
            access.found(documents.orders.find_one({"_id": request.path_params["id"]}))
        )

    def search(request):
        wanted = {"$or": [{"item": request.query_params["q"]}, {"note": "any"}]}
        return JSONResponse(documents.orders.find(wanted).to_list())

    def total(request):
        stages = [{"$group": {"_id": "$owner_id", "n": {"$sum": "$n"}}}]
        return JSONResponse(documents.orders.aggregate(stages).to_list())

    def everything(request):
        joined = {"$unionWith": {"coll": "lines", "pipeline": []}}
        return JSONResponse(documents.orders.aggregate([joined]).to_list())

    async def change(request):
        body = await request.json()
        where = {"_id": request.path_params["id"]}
        done = documents.orders.update_one(where, {"$set": body})
        return JSONResponse(access.found(done.matched_count or None))

    async def place(request):
        body = await request.json()
        return JSONResponse(documents.orders.insert_one(body).inserted_id)

    def remove(request):
        done = documents.orders.delete_one({"_id": request.path_params["id"]})
        return JSONResponse(access.found(done.deleted_count or None))

    def cancel(request):
        where = {"_id": request.path_params["id"]}
        change = pymongo.UpdateOne(where, {"$set": {"n": 0}})
        done = documents.orders.bulk_write([change])
        return JSONResponse(access.found(done.matched_count or None))

    return [
        Route("/orders/{id}", read),
        Route("/orders/{id}", change, methods=["PATCH"]),
        Route("/orders/{id}", remove, methods=["DELETE"]),
        Route("/orders/{id}/cancel", cancel, methods=["POST"]),
        Route("/orders", place, methods=["POST"]),
        Route("/search", search),
        Route("/total", total),
        Route("/everything", everything),
    ]


@dataclass
class Side:
    """One shop with a thief and a victim in it."""

    raw: Database
    thief: TestClient
    victim: TestClient
    names: dict = field(default_factory=dict)

    def fill(self):
        """Fill the shop anew."""
        for name in DECLARED:
            self.raw[name].drop()
        self.raw.orders.insert_many(
            [
                {"_id": "1001", "owner_id": self.names["thief"], "item": "pen", "n": 1},
                {"_id": "1002", "owner_id": self.names["victim"], "item": "pearls"},
                {"_id": "1003", "owner_id": self.names["victim"], "item": "pearls"},
            ]
        )
        self.raw.lines.insert_one({"_id": "7", "owner_id": self.names["victim"]})

    def victims(self):
        """Return the orders of the victim."""
        return list(self.raw.orders.find({"owner_id": self.names["victim"]}))


@contextmanager
def shop(raw, data, documents):
    """Serve the handlers to two people who have signed in."""
    owned = (documents,) if isinstance(documents, OwnedDatabase) else ()
    inner = Starlette(routes=access.routes(routes(documents), access.signed_in))
    settings = Settings.load(environ={}, env="development", data=data)
    app = Guard(inner, settings, data=owned)
    with ExitStack() as stack:
        thief = stack.enter_context(
            TestClient(app, base_url="http://localhost", client=HERE)
        )
        victim = TestClient(app, base_url="http://localhost", client=HERE)
        side = Side(raw, thief, victim)
        for name, client in (("thief", thief), ("victim", victim)):
            visitor = stack.enter_context(signed_in(client, app))
            side.names[name] = visitor.id
        yield side


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """The wall taken away, and the wall."""
    with (
        running_mongo() as url,
        pymongo.MongoClient(url) as client,
        ExitStack() as all_,
    ):
        bare = shop(client.off, tmp_path_factory.mktemp("off"), client.off)
        documents = OwnedDatabase(client.on, DECLARED)
        owned = shop(client.on, tmp_path_factory.mktemp("on"), documents)
        yield all_.enter_context(bare), all_.enter_context(owned)


READS = {
    "the next number": lambda c: c.get("/orders/1002"),
    "a search": lambda c: c.get("/search?q=pearls"),
    "a sum": lambda c: c.get("/total"),
    "a union": lambda c: c.get("/everything"),
}
WRITES = {
    "a change": lambda c: c.patch("/orders/1002", json={"item": "a stone"}),
    "taking over": lambda c: c.patch("/orders/1002", json={"owner_id": "me"}),
    "removing": lambda c: c.delete("/orders/1002"),
    "a bulk": lambda c: c.post("/orders/1002/cancel"),
}
GIFTS = {
    "an order in another's name": lambda c, victim: c.post(
        "/orders", json={"_id": "1", "owner_id": victim}
    ),
    "one's own given away": lambda c, victim: c.patch(
        "/orders/1001", json={"owner_id": victim}
    ),
}


@pytest.mark.parametrize("name", READS)
def test_reading_what_is_anothers(sides, name):
    """It is there for everybody; with owners it is as if it were not."""
    off, on = sides
    for side in sides:
        side.fill()
    stolen = READS[name](off.thief)
    assert stolen.status_code == 200
    assert off.names["victim"] in stolen.text
    assert on.names["victim"] not in READS[name](on.thief).text


def test_anothers_answers_as_what_is_not_there(sides):
    """The same status and body, so that nobody learns that it exists."""
    _, on = sides
    on.fill()
    there, not_there = on.thief.get("/orders/1002"), on.thief.get("/orders/9999")
    assert there.status_code == not_there.status_code == 404
    for answer in (there, not_there):
        assert answer.json()["code"] == "access.not_found"


@pytest.mark.parametrize("name", WRITES)
def test_writing_what_is_anothers(sides, name):
    """Changed or gone; with owners as it was."""
    off, on = sides
    for side in sides:
        side.fill()
    before = off.victims(), on.victims()
    assert WRITES[name](off.thief).status_code == 200
    assert off.victims() != before[0]
    assert WRITES[name](on.thief).status_code == 404
    assert on.victims() == before[1]


@pytest.mark.parametrize("name", GIFTS)
def test_foisting_on_another(sides, name):
    """An order in the victim's name, who would have to pay it."""
    off, on = sides
    for side in sides:
        side.fill()
    before = len(on.victims())
    assert GIFTS[name](off.thief, off.names["victim"]).status_code == 200
    assert len(off.victims()) == before + 1
    assert GIFTS[name](on.thief, on.names["victim"]).status_code == 404
    assert len(on.victims()) == before


def test_owners_see_no_difference(sides):
    """What works on one's own works on both sides, with the same answers."""
    off, on = map(as_owner, sides)
    assert on == off
    assert [status for status, _ in on] == [200, 200, 200, 200, 200, 200, 404, 200]
    _, side = sides
    placed = side.raw.orders.find_one({"_id": "8"})
    assert placed["owner_id"] == side.names["victim"]


def as_owner(side):
    """Return how one's own orders answer; refusals, which differ, by their status."""
    side.fill()
    me, name = side.victim, side.names["victim"]
    answers = (
        me.get("/orders/1002"),
        me.get("/search?q=pearls"),
        me.patch("/orders/1002", json={"n": 2}),
        me.patch("/orders/1002", json={"owner_id": name}),
        me.post("/orders/1003/cancel"),
        me.delete("/orders/1002"),
        me.get("/orders/1002"),
        me.post("/orders", json={"_id": "8"}),
    )
    return [
        (each.status_code, each.text.replace(name, "me") if each.is_success else "")
        for each in answers
    ]
