"""Every way to a document, for one who does not own it: without the wall each one
arrives, and with it none does."""

import copy
from contextlib import nullcontext

import pymongo
import pytest
from bson import Code
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from tests.access.mongo.conftest import ALICE, ROWS, owned, settled

from ringfence import access
from ringfence.errors import OwnershipRefusedError

BOBS = [row for row in ROWS["orders"] if "bob" in row["secret"]]
OTHER = {"n": {"$gte": 2}}
EVERYTHING = {"$or": [{"n": 1}, {"n": {"$ne": 1}}]}
TAKE = {"$set": {"taken": True}}
LOOSE = {"locale": "en", "strength": 1}

READS = {
    "find": lambda c: c.find(),
    "find everything": lambda c: c.find(EVERYTHING),
    "find by id": lambda c: c.find({"_id": 2}),
    "find his": lambda c: c.find({"owner_id": "bob"}),
    "find by name": lambda c: c.find(filter={"_id": 2}),
    "find with or": lambda c: c.find({"$or": [{"owner_id": "alice"}, {"_id": 2}]}),
    "find with expr": lambda c: c.find({"$expr": {"$eq": ["$n", 2]}}),
    "find under a loose collation": lambda c: c.find({"_id": 3}, collation=LOOSE),
    "find what has no owner": lambda c: c.find({"owner_id": None}),
    "find projected": lambda c: c.find({}, {"secret": 1, "_id": 0}),
    "find sorted and skipped": lambda c: c.find().sort("_id", -1).skip(0).limit(1),
    "find sliced": lambda c: c.find().sort("_id").limit(9).clone(),
    "find one": lambda c: c.find_one({"_id": 2}),
    "find one by bare id": lambda c: c.find_one(2),
    "find one by name": lambda c: c.find_one(filter={"owner_id": "bob"}),
    "find one, none named": lambda c: c.find_one(sort=[("_id", -1)]),
    "aggregate": lambda c: c.aggregate([]),
    "aggregate a match": lambda c: c.aggregate([{"$match": {"_id": 2}}]),
    "aggregate a wide match": lambda c: c.aggregate([{"$match": EVERYTHING}]),
    "aggregate by name": lambda c: c.aggregate(pipeline=[{"$sort": {"_id": -1}}]),
    "aggregate a group": lambda c: c.aggregate(
        [{"$group": {"_id": "$secret", "n": {"$sum": 1}}}]
    ),
    "aggregate a projection": lambda c: c.aggregate([{"$project": {"secret": 1}}]),
    "aggregate with a facet": lambda c: c.aggregate(
        [{"$facet": {"all": [{"$match": {}}]}}]
    ),
    "aggregate with a union of stages": lambda c: c.aggregate(
        [{"$unionWith": {"coll": "lines", "pipeline": [{"$match": {"_id": 2}}]}}]
    ),
    "aggregate with a walk": lambda c: c.aggregate(
        [
            {
                "$graphLookup": {
                    "from": "lines",
                    "startWith": "$_id",
                    "connectFromField": "order",
                    "connectToField": "order",
                    "as": "lines",
                }
            }
        ]
    ),
    "find and update": lambda c: c.find_one_and_update({"_id": 2}, TAKE),
    "find and update after": lambda c: c.find_one_and_update(
        {"_id": 2}, TAKE, return_document=pymongo.ReturnDocument.AFTER
    ),
    "find and replace": lambda c: c.find_one_and_replace({"_id": 2}, {"n": 9}),
    "find and delete": lambda c: c.find_one_and_delete({"_id": 2}),
    "find and delete by name": lambda c: c.find_one_and_delete(
        filter={"_id": {"$gt": 1}}, sort=[("_id", 1)]
    ),
}
WRITES = {
    "update one": lambda c: c.update_one({"_id": 2}, TAKE),
    "update one, the first": lambda c: c.update_one(OTHER, TAKE),
    "update many": lambda c: c.update_many({}, TAKE),
    "update many by name": lambda c: c.update_many(filter=EVERYTHING, update=TAKE),
    "update his": lambda c: c.update_many({"owner_id": "bob"}, TAKE),
    "update under a loose collation": lambda c: c.update_many(
        {"_id": 3}, TAKE, collation=LOOSE
    ),
    "replace one": lambda c: c.replace_one({"_id": 2}, {"n": 9}),
    "take over": lambda c: c.update_one({"_id": 2}, {"$set": {"owner_id": "alice"}}),
    "take over what has no owner": lambda c: c.update_one(
        {"_id": 4}, {"$set": {"owner_id": "alice"}}
    ),
    "take over by replacing": lambda c: c.replace_one(
        {"_id": 2}, {"owner_id": "alice"}
    ),
    "delete one": lambda c: c.delete_one({"_id": 2}),
    "delete many": lambda c: c.delete_many({}),
    "delete his": lambda c: c.delete_many(filter={"owner_id": "bob"}),
    "bulk update": lambda c: c.bulk_write([UpdateOne({"_id": 2}, TAKE)]),
    "bulk update of many": lambda c: c.bulk_write([UpdateMany({}, TAKE)]),
    "bulk replace": lambda c: c.bulk_write([ReplaceOne({"_id": 2}, {"n": 9})]),
    "bulk delete": lambda c: c.bulk_write([DeleteOne({"_id": 2})]),
    "bulk delete of many": lambda c: c.bulk_write([DeleteMany({})]),
}
GIFTS = {
    "insert": lambda c: c.insert_one({"owner_id": "bob", "n": 0}),
    "insert several": lambda c: c.insert_many([{"n": 0}, {"owner_id": "bob"}]),
    "insert for several": lambda c: c.insert_one({"owner_id": ["bob"]}),
    "insert in bulk": lambda c: c.bulk_write([InsertOne({"owner_id": "bob"})]),
    "give away": lambda c: c.update_one({"_id": 1}, {"$set": {"owner_id": "bob"}}),
    "give all away": lambda c: c.update_many({}, {"$set": {"owner_id": "bob"}}),
    "leave to nobody": lambda c: c.update_one({"_id": 1}, {"$unset": {"owner_id": 1}}),
    "rename the owner away": lambda c: c.update_one(
        {"_id": 1}, {"$rename": {"owner_id": "was"}}
    ),
    "rename over the owner": lambda c: c.update_one(
        {"_id": 1}, {"$rename": {"secret": "owner_id"}}
    ),
    "give away by replacing": lambda c: c.replace_one({"_id": 1}, {"owner_id": "bob"}),
    "give away in bulk": lambda c: c.bulk_write(
        [UpdateOne({"_id": 1}, {"$set": {"owner_id": "bob"}})]
    ),
    "replace in bulk": lambda c: c.bulk_write(
        [ReplaceOne({"_id": 1}, {"owner_id": "bob"})]
    ),
    "give away and find": lambda c: c.find_one_and_update(
        {"_id": 1}, {"$set": {"owner_id": "bob"}}
    ),
    "replace and find": lambda c: c.find_one_and_replace(
        {"_id": 1}, {"owner_id": "bob"}
    ),
    "upsert for another": lambda c: c.update_one(
        {"_id": 9}, {"$set": {"owner_id": "bob"}}, upsert=True
    ),
    "upsert for another on insert": lambda c: c.update_one(
        {"_id": 9},
        {"$setOnInsert": {"owner_id": "bob"}},
        True,  # noqa: FBT003 - by its place
    ),
    "upsert a replacement": lambda c: c.replace_one(
        {"_id": 9},
        {"owner_id": "bob"},
        True,  # noqa: FBT003 - as it may be written
    ),
    "upsert and find": lambda c: c.find_one_and_update(
        {"_id": 9},
        {"$set": {"owner_id": "bob"}},
        None,
        None,
        True,  # noqa: FBT003 - a sixth place, none named
    ),
    "upsert in bulk": lambda c: c.bulk_write(
        [UpdateMany({"_id": 9}, {"$set": {"owner_id": "bob"}}, upsert=True)]
    ),
}
REFUSED = {
    "where": lambda c: c.find({"$where": "true"}),
    "where, deep down": lambda c: c.find({"$and": [{"$or": [{"$where": "1"}]}]}),
    "code": lambda c: c.find({"n": Code("1")}),
    "function": lambda c: c.find({"$expr": {"$function": {}}}),
    "function in a projection": lambda c: c.find({}, {"x": {"$function": {}}}),
    "function in let": lambda c: c.find({}, let={"x": {"$function": {}}}),
    "what is MongoDB's own": lambda c: c.find({"n": {"$_internalExprEq": 1}}),
    "accumulator": lambda c: c.aggregate([{"$group": {"x": {"$accumulator": {}}}}]),
    "where of a cursor": lambda c: c.find().where("true"),
    "explain of a cursor": lambda c: c.find().explain(),
    "collection of a cursor": lambda c: c.find().collection,
    "collection of a clone": lambda c: c.find().clone().collection,
    "another command": lambda c: c.aggregate([], aggregate="accounts"),
    "another filter": lambda c: c.distinct("secret", query={}),
    "another filter to change": lambda c: c.find_one_and_update({}, TAKE, query={}),
    "unknown pipeline update": lambda c: c.update_one({}, [{"$replaceWith": {}}]),
    "function in an update": lambda c: c.update_one(
        {}, [{"$set": {"x": {"$function": {}}}}]
    ),
    "watch": lambda c: c.watch(),
    "estimate": lambda c: c.estimated_document_count(),
    "drop": lambda c: c.drop(),
    "rename": lambda c: c.rename("mine"),
    "index": lambda c: c.create_index("n"),
    "options": lambda c: c.options(),
    "raw batches": lambda c: c.find_raw_batches(),
    "raw aggregate": lambda c: c.aggregate_raw_batches([]),
    "database": lambda c: c.database,
}


@pytest.fixture(params=["blocking", "async"])
def side(request, raw, mongo_url):
    """Opens the same database, blocking or async."""

    async def run(action, *, guarded, name="orders"):
        async with pymongo.AsyncMongoClient(mongo_url) as client:
            database = raw if request.param == "blocking" else client.shop
            there = owned(database) if guarded else database
            with access.acting_as(ALICE) if guarded else nullcontext():
                return await settled(action(there[name]))

    return run


def bobs(raw):
    return list(raw.orders.find({"secret": {"$regex": "bob"}}).sort("_id"))


@pytest.mark.anyio
async def test_no_way_to_read_gets_through(side, raw):
    """Each shows another's document, and none through the owned collection."""
    for name, action in READS.items():
        was = copy.deepcopy(ROWS["orders"])
        assert "bob" not in repr(await side(action, guarded=True)), name
        assert bobs(raw) == BOBS, name
        assert "bob" in repr(await side(action, guarded=False)), name
        raw.orders.drop()
        raw.orders.insert_many(was)


@pytest.mark.anyio
async def test_no_way_to_write_gets_through(side, raw):
    """Each changes another's document, and none through the owned collection."""
    for name, action in WRITES.items():
        was = copy.deepcopy(ROWS["orders"])
        await side(action, guarded=True)
        assert bobs(raw) == BOBS, name
        await side(action, guarded=False)
        assert bobs(raw) != BOBS, name
        raw.orders.drop()
        raw.orders.insert_many(was)


@pytest.mark.anyio
async def test_nothing_is_given_away(side, raw):
    """A document that would be another's is refused as one that is not there, and
    nothing was written before it was."""
    for name, action in GIFTS.items():
        with pytest.raises(OwnershipRefusedError) as refused:
            await side(action, guarded=True)
        assert refused.value.denial.status == 404, name
        assert list(raw.orders.find().sort("_id")) == ROWS["orders"], name


@pytest.mark.anyio
async def test_what_no_filter_can_hold_is_refused(side, raw):
    """JavaScript, options that are other commands, and methods about everybody."""
    for name, action in REFUSED.items():
        with pytest.raises(OwnershipRefusedError) as refused:
            await side(action, guarded=True)
        assert refused.value.denial.code == "access.unfiltered", name
        assert len(str(refused.value)) > 30, name
    assert list(raw.orders.find().sort("_id")) == ROWS["orders"]


@pytest.mark.anyio
async def test_the_owner_sees_no_difference(side, raw):
    """What works on one's own documents works as before, with the same results."""
    mine = ROWS["orders"][0]
    assert await side(lambda c: c.find({"n": 1}), guarded=True) == [mine]
    assert await side(lambda c: c.find({"n": 7}), guarded=True) == []
    assert await side(lambda c: c.find_one({"owner_id": "alice"}), guarded=True) == mine
    assert await side(lambda c: c.find_one(1), guarded=True) == mine
    assert await side(lambda c: c.count_documents({}), guarded=True) == 1
    assert await side(lambda c: c.count_documents({"n": 9}), guarded=True) == 0
    total = [{"$group": {"_id": None, "sum": {"$sum": "$n"}}}]
    assert (await side(lambda c: c.aggregate(total), guarded=True))[0]["sum"] == 1
    seen = {"$set": {"seen": True}}
    changed = await side(lambda c: c.update_many({}, seen), guarded=True)
    assert (changed.matched_count, changed.modified_count) == (1, 1)
    assert raw.orders.find_one({"seen": True})["_id"] == 1
    added = await side(lambda c: c.insert_one({"n": 5}), guarded=True)
    assert raw.orders.find_one({"_id": added.inserted_id})["owner_id"] == "alice"
    several = await side(
        lambda c: c.insert_many([{"_id": 51}, {"_id": 52, "owner_id": None}]),
        guarded=True,
    )
    assert several.inserted_ids == [51, 52]
    assert raw.orders.find_one({"_id": 52})["owner_id"] == "alice"
    changed = await side(
        lambda c: c.update_one({"_id": 1}, {"$inc": {"n": 1}}), guarded=True
    )
    assert changed.modified_count == 1
    same = {"$set": {"owner_id": "alice", "n": 3}}
    changed = await side(lambda c: c.update_one({"_id": 1}, same), guarded=True)
    assert changed.matched_count == 1
    changed = await side(lambda c: c.replace_one({"_id": 1}, {"n": 4}), guarded=True)
    assert changed.matched_count == 1
    assert raw.orders.find_one({"_id": 1}) == {"_id": 1, "owner_id": "alice", "n": 4}
    born = await side(
        lambda c: c.update_one({"_id": 9}, {"$set": {"n": 9}}, upsert=True),
        guarded=True,
    )
    assert born.upserted_id == 9
    assert raw.orders.find_one({"_id": 9}) == {"_id": 9, "n": 9, "owner_id": "alice"}
    again = await side(
        lambda c: c.update_one({"_id": 9}, {"$set": {"n": 10}}, upsert=True),
        guarded=True,
    )
    assert (again.matched_count, again.upserted_id) == (1, None)
    done = await side(
        lambda c: c.bulk_write(
            [
                InsertOne({"_id": 10}),
                UpdateOne({"_id": 9}, {"$set": {"n": 0}}),
                DeleteOne({"_id": 51}),
            ],
            ordered=True,
        ),
        guarded=True,
    )
    counts = (done.inserted_count, done.modified_count, done.deleted_count)
    assert counts == (1, 1, 1)
    gone = await side(lambda c: c.find_one_and_delete({"_id": 10}), guarded=True)
    assert gone["_id"] == 10
    await side(lambda c: c.delete_many({}), guarded=True)
    assert raw.orders.find_one({"_id": 1}) is None
    assert bobs(raw) == BOBS
