"""What is sent, where the server of these tests does less than MongoDB: it knows no
collation, no joins with a pipeline and no changes by one."""

from contextlib import suppress

import pymongo
import pytest
from bson import ObjectId
from pymongo.monitoring import CommandListener
from tests.access.mongo.conftest import ALICE, owned

from ringfence import Principal, access
from ringfence.errors import OwnershipRefusedError

PATTERN = "^alice$"
MINE = {"owner_id": {"$eq": "alice", "$regex": PATTERN}}
BORN = {"owner_id": {"$gte": "alice", "$lte": "alice", "$regex": PATTERN}}
LOOSE = {"locale": "en", "strength": 1}


class Sent(CommandListener):
    """Keeps the commands that are sent."""

    def __init__(self):
        self.commands = []

    def started(self, event):
        self.commands.append(event.command)

    def succeeded(self, event):
        """Nothing to keep."""

    def failed(self, event):
        """Likewise: this server refuses some."""


@pytest.fixture
def sent(mongo_url, raw):
    """Returns the last command that an action has sent."""
    listener = Sent()
    with pymongo.MongoClient(mongo_url, event_listeners=[listener]) as client:

        def last(action, principal=ALICE):
            listener.commands.clear()
            with access.acting_as(principal), suppress(pymongo.errors.PyMongoError):
                action(owned(client.shop).orders)
            return next(
                command
                for command in listener.commands
                if next(iter(command)) not in ("hello", "endSessions")
            )

        yield last


def test_filters(sent):
    """The rule is one side of an ``$and``, and nothing of the caller's gets out of the
    other: pymongo takes ``$query`` at the top for the frame of the command."""
    for theirs in (
        {"_id": 2},
        {"$or": [{"owner_id": "bob"}, {}]},
        {"owner_id": {"$ne": None}},
        {"$query": {}, "find": "accounts", "filter": {}},
        {"query": {}, "owner_id": "bob"},
    ):
        command = sent(lambda c, theirs=theirs: list(c.find(theirs)))
        assert command["find"] == "orders"
        assert command["filter"] == {"$and": [MINE, theirs]}
    command = sent(lambda c: list(c.find(sort=[("n", 1)], collation=LOOSE)))
    assert command["filter"] == MINE
    assert command["collation"] == LOOSE


def test_distinct_and_count(sent):
    """Their filter goes another way in pymongo, and arrives all the same."""
    command = sent(lambda c: c.distinct("secret"))
    assert (command["distinct"], command["query"]) == ("orders", MINE)
    command = sent(lambda c: c.distinct("secret", {"n": 1}, maxTimeMS=9))
    assert command["query"] == {"$and": [MINE, {"n": 1}]}
    assert command["maxTimeMS"] == 9
    command = sent(lambda c: c.find({"n": 1}).distinct("secret"))
    assert command["query"] == {"$and": [MINE, {"n": 1}]}
    command = sent(lambda c: c.count_documents({}, skip=1, collation=LOOSE))
    assert command["pipeline"][0] == {"$match": MINE}
    assert command["collation"] == LOOSE


def test_cursors_keep_their_filter(sent):
    """Whatever is set on a cursor before it is read, and in its copies."""
    for read in (
        lambda c: list(c.find().sort("n").skip(1).limit(2).collation(LOOSE)),
        lambda c: list(c.find().clone().hint([("_id", 1)])),
        lambda c: list(c.find()[1:3]),
        lambda c: list(c.find().rewind().min([("_id", 1)]).hint([("_id", 1)])),
        lambda c: list(c.find().add_option(16).comment("x").max_time_ms(9)),
    ):
        assert sent(read)["filter"] == MINE


def test_joins(sent):
    """MongoDB since 5.0 takes a pipeline beside the two fields, and older ones refuse
    it."""
    join = {"from": "lines", "localField": "_id", "foreignField": "order", "as": "x"}
    command = sent(lambda c: list(c.aggregate([{"$lookup": join}], let={"a": 1})))
    lines = {"meta.owner": {"$eq": "alice", "$regex": PATTERN}}
    assert command["pipeline"] == [
        {"$match": MINE},
        {"$lookup": {**join, "pipeline": [{"$match": lines}]}},
    ]
    assert command["let"] == {"a": 1}


def test_changes(sent):
    """The rule stands in the filter; of an upsert in a form that MongoDB does not take
    over into the new document, where ``$setOnInsert`` has it."""
    update = {"$set": {"n": 1}}
    (statement,) = sent(lambda c: c.update_one({"_id": 2}, update))["updates"]
    assert statement["q"] == {"$and": [MINE, {"_id": 2}]}
    assert statement["u"] == update
    (statement,) = sent(lambda c: c.update_one({"_id": 2}, update, True))["updates"]  # noqa: FBT003 - by its place, as it may be written
    assert statement["q"] == {"$and": [BORN, {"_id": 2}]}
    assert statement["u"] == {**update, "$setOnInsert": {"owner_id": "alice"}}
    stages = [{"$set": {"n": "$_id"}}]
    (statement,) = sent(lambda c: c.update_many({}, stages))["updates"]
    assert (statement["q"], statement["u"]) == (MINE, stages)
    command = sent(lambda c: c.find_one_and_update({"_id": 2}, update))
    assert command["query"] == {"$and": [MINE, {"_id": 2}]}
    (statement,) = sent(lambda c: c.delete_many({}, collation=LOOSE))["deletes"]
    assert statement["q"] == MINE


@pytest.mark.parametrize(
    "name", ["a.b", "a|b", "(a)", "a\nb", "^a$", "$owner_id", "\\Qa\\E", "é", "a" * 200]
)
def test_ids_are_no_patterns(sent, raw, name):
    """Whatever an id is made of, it means itself and nothing else."""
    other = name + "x"
    raw.orders.insert_many(
        [{"_id": 80, "owner_id": name}, {"_id": 81, "owner_id": other}]
    )
    with access.acting_as(Principal(name)):
        documents = owned(raw)
        assert [each["_id"] for each in documents.orders.find()] == [80]
    command = sent(lambda c: c.find_one(), Principal(name))
    assert command["filter"]["owner_id"]["$eq"] == name


@pytest.mark.parametrize(
    "principal", [Principal("a\n"), Principal("a", tenant="b\n"), Principal("\n")]
)
def test_ids_that_end_in_a_line_feed_are_refused(raw, principal):
    """The end of a pattern would overlook it."""
    documents = owned(raw)
    with access.acting_as(principal), pytest.raises(OwnershipRefusedError):
        documents.orders.find()


def test_an_object_id_is_nobodys(raw):
    """The text of an id is compared with text."""
    known = ObjectId()
    raw.orders.insert_one({"_id": 80, "owner_id": known})
    with access.acting_as(Principal(str(known))):
        assert list(owned(raw).orders.find()) == []
