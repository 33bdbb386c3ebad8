"""What is declared of collections, who sees what of them, and the one way round."""

import inspect

import bson
import pymongo
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.synchronous.collection import Collection
from pymongo.synchronous.cursor import Cursor
from tests.access.mongo.conftest import ALICE, BOB, DECLARED, OLGA, ROWS, owned

from ringfence import Principal, access, unscoped
from ringfence.access.mongo import OwnedCollection, OwnedDatabase
from ringfence.access.mongo.collection import _SIGNATURES
from ringfence.access.mongo.holder import _BULK
from ringfence.access.ownership.refusals import NOT_FOUND
from ringfence.access.ownership.rules import declared_rows
from ringfence.audit.events import OwnershipLifted
from ringfence.errors import DeclarationError, OwnershipRefusedError
from ringfence.exchange import Exchange, active


def ids(found):
    return sorted(str(each["_id"]) for each in found)


def unfiltered(error):
    return error.value.denial.code == "access.unfiltered"


def test_rules_are_shown(documents):
    """For the plan: what was declared, in its own words."""
    said = {rule.table: rule.says for rule in documents.rules()}
    assert said["orders"] == ("owner(owner_id)", "owner(owner_id)")
    assert said["reviews"] == ("public", "owner(author_id)")
    assert said.keys() == DECLARED.keys()


@pytest.mark.parametrize(
    ("declared", "error", "match"),
    [
        (access.through("order"), DeclarationError, r"orders: through\(order\)"),
        (access.owner("a") & access.through("b"), DeclarationError, "keep the owner"),
        (access.public, DeclarationError, "say who writes"),
        (access.owner("a") & access.fresh(), DeclarationError, "depends on the time"),
        ("owner_id", TypeError, "orders"),
        (lambda model: model, TypeError, "orders"),
    ],
)
def test_what_cannot_be_enforced_stops_the_start(raw, declared, error, match):
    """With the name of the collection and a way out."""
    with pytest.raises(error, match=match):
        OwnedDatabase(raw, {"orders": declared})


def test_what_is_no_database_is_a_mistake(raw):
    """Said when it is made."""
    with pytest.raises(TypeError, match="database of pymongo"):
        OwnedDatabase(raw.client, {})
    with pytest.raises(TypeError, match="by name"):
        OwnedDatabase(raw, [("orders", access.owner("owner_id"))])
    with pytest.raises(TypeError, match="by name"):
        OwnedDatabase(raw, {"": access.owner("owner_id")})


def test_a_table_may_be_declared_as_rows(raw):
    """The three ways to say the same."""
    for said in (
        access.owner("owner_id"),
        access.rows(access.owner("owner_id")),
        declared_rows(access.owner("owner_id")),
    ):
        (rule,) = OwnedDatabase(raw, {"orders": said}).rules()
        assert rule.says == ("owner(owner_id)", "owner(owner_id)")


def test_no_guard_no_documents(raw):
    """Before somebody has said what roles include, nothing is decided."""
    documents = OwnedDatabase(raw, DECLARED)
    with pytest.raises(RuntimeError, match="Guard"):
        documents.orders.find()


@pytest.mark.anyio
async def test_the_client_stays_the_applications(documents):
    """It is opened and closed with requests and guards, and stays open."""
    opened = documents.open()
    opened.close()
    await documents.dispose()
    with access.acting_as(ALICE):
        assert ids(opened.orders.find()) == ["1"]


def test_nobody_sees_nothing_and_writes_nothing(documents, raw):
    """Without a principal in the context: what is public is there, and no more."""
    assert list(documents.orders.find()) == []
    assert documents.orders.count_documents({}) == 0
    assert list(documents.orders.aggregate([])) == []
    assert ids(documents.reviews.find()) == ["1", "2"]
    assert ids(documents.notes.find()) == ["2"]
    for write in (
        lambda: documents.orders.insert_one({}),
        lambda: documents.orders.insert_many([{}]),
        lambda: documents.orders.update_many({}, {"$set": {"n": 0}}),
        lambda: documents.orders.replace_one({}, {}),
        lambda: documents.orders.delete_many({}),
        lambda: documents.orders.find_one_and_delete({}),
        lambda: documents.orders.bulk_write([pymongo.DeleteMany({})]),
        lambda: documents.reviews.delete_many({}),
    ):
        with pytest.raises(OwnershipRefusedError, match="nobody") as refused:
            write()
        assert refused.value.denial.status == 404
    assert list(raw.orders.find().sort("_id")) == ROWS["orders"]


def test_somebody_without_an_id_is_nobody(documents):
    """An empty id equals no empty owner."""
    with access.acting_as(Principal("")):
        assert list(documents.orders.find()) == []


def test_public_documents_are_written_by_their_authors(documents, raw):
    """Read by all, changed by one."""
    with access.acting_as(ALICE):
        assert ids(documents.reviews.find()) == ["1", "2"]
        change = {"$set": {"text": "hacked"}}
        assert documents.reviews.update_many({}, change).matched_count == 1
        assert documents.reviews.delete_one({"_id": 2}).deleted_count == 0
        assert documents.reviews.find_one_and_delete({"_id": 2}) is None
        with pytest.raises(OwnershipRefusedError):
            documents.reviews.update_one({"_id": 1}, {"$set": {"author_id": "x"}})
    assert raw.reviews.find_one({"_id": 2})["text"] == "bad"


def test_a_write_rule_without_a_row(documents, raw):
    """Who has the role writes, and others change nothing: not even by an upsert."""
    with access.acting_as(ALICE):
        assert ids(documents.products.find()) == ["1"]
        change = {"$set": {"name": "stool"}}
        assert documents.products.update_one({"_id": 1}, change).matched_count == 0
        assert documents.products.replace_one({"_id": 1}, {}).matched_count == 0
        for write in (
            lambda: documents.products.insert_one({}),
            lambda: documents.products.update_one({"_id": 2}, change, upsert=True),
            lambda: documents.products.replace_one({"_id": 2}, {}, upsert=True),
        ):
            with pytest.raises(OwnershipRefusedError):
                write()
    with access.acting_as(Principal("root", frozenset({"admin"}))):
        assert documents.products.update_one({"_id": 1}, change).matched_count == 1
        stages = [{"$replaceWith": {"a": 1}}]
        documents.products.insert_one({"_id": 3})
        with pytest.raises(pymongo.errors.WriteError):  # as this server does
            documents.products.update_one({"_id": 3}, stages, upsert=True)
    assert ids(raw.products.find()) == ["1", "3"]


def test_roles_include_others(raw):
    """As the guard's settings say."""
    documents = OwnedDatabase(raw, DECLARED)
    documents.bind({"root": frozenset({"admin"})}, print)
    with access.acting_as(Principal("root", frozenset({"root"}))):
        documents.products.insert_one({"_id": 3})
    assert ids(raw.products.find()) == ["1", "3"]


def test_an_operator_sees_all_of_a_tenant(documents, raw):
    """And does not become the owner of what is changed, nor moves it elsewhere."""
    with access.acting_as(OLGA):
        assert ids(documents.invoices.find()) == ["1"]
        assert documents.invoices.count_documents({}) == 1
        paid = documents.invoices.update_one({}, {"$set": {"paid": True}})
        assert paid.matched_count == 1
        whole = {"owner_id": "alice", "tenant_id": "acme"}
        assert documents.invoices.replace_one({"_id": 1}, whole).matched_count == 1
        moved = {"$set": {"tenant_id": "bolt"}}
        assert documents.invoices.update_one({"_id": 1}, moved).matched_count == 0
        added = documents.invoices.insert_one({}).inserted_id
    made = raw.invoices.find_one({"_id": added})
    assert (made["owner_id"], made["tenant_id"]) == ("olga", "acme")
    assert raw.invoices.find_one({"_id": 1}) == {"_id": 1, **whole}
    with access.acting_as(ALICE):
        given = {"$set": {"tenant_id": "bolt"}}
        assert documents.invoices.update_one({"_id": 1}, given).matched_count == 1


def test_a_document_may_be_its_owners_profile(documents, raw):
    """Its ``_id`` is the owner."""
    with access.acting_as(ALICE):
        assert ids(documents.profiles.find()) == ["alice"]
        assert documents.profiles.find_one("bob") is None
        with pytest.raises(OwnershipRefusedError):
            documents.profiles.insert_one({"_id": "carol"})
    with access.acting_as(Principal("carol")):
        assert documents.profiles.insert_one({}).inserted_id == "carol"
        document = {"_id": "carol", "n": 1}
        assert documents.profiles.replace_one({}, document).matched_count == 1
    assert ids(raw.profiles.find()) == ["alice", "bob", "carol"]


def test_the_callers_document_gets_its_id(documents):
    """As pymongo does; its owner stands in the database alone."""
    document = {"n": 1}
    with access.acting_as(ALICE):
        added = documents.orders.insert_one(document)
        assert document == {"n": 1, "_id": added.inserted_id}
        assert documents.orders.find_one(added.inserted_id)["owner_id"] == "alice"
        with pytest.raises(TypeError):
            documents.orders.insert_one("n")
        with pytest.raises(TypeError):
            documents.orders.bulk_write(["n"])


def test_raw_documents_get_their_owner(documents):
    """Those of pymongo that cannot be changed are copied."""
    document = RawBSONDocument(bson.encode({"n": 1}))
    with access.acting_as(ALICE):
        added = documents.orders.insert_one(document)
        assert documents.orders.find_one(added.inserted_id)["owner_id"] == "alice"
    assert "_id" not in document


def twice(name, *values):
    """Return a document in which one name stands several times."""
    body = b"".join(bson.encode({name: value})[4:-1] for value in values)
    return RawBSONDocument((len(body) + 5).to_bytes(4, "little") + body + b"\0")


@pytest.mark.parametrize(
    "change",
    [
        lambda own: own.orders.insert_one(twice("owner_id", "bob", "alice")),
        lambda own: own.lines.insert_one({"meta": twice("owner", "bob", "alice")}),
        lambda own: own.lines.insert_one({"meta": [twice("owner", "bob", "alice")]}),
        lambda own: own.lines.replace_one({}, {"meta": twice("owner", "b", "alice")}),
        lambda own: own.orders.update_one(
            {"_id": 1}, twice("$set", {"owner_id": "bob"}, {"n": 2})
        ),
        lambda own: own.lines.update_one(
            {"_id": 1}, {"$set": {"meta": twice("owner", "bob", "alice")}}
        ),
        lambda own: own.orders.find_one(twice("$or", [{"$where": "1"}], [{"n": 1}])),
    ],
)
def test_what_is_read_in_two_ways_is_refused(documents, raw, change):
    """Python sees the last of two fields of one name, a server the first, or both."""
    before = [list(raw[name].find()) for name in ROWS]
    refused = pytest.raises(OwnershipRefusedError, match="stands twice")
    with access.acting_as(ALICE), refused:
        change(documents)
    assert [list(raw[name].find()) for name in ROWS] == before


def test_a_pipeline_does_not_upsert(documents):
    """What it would insert is not known."""
    stages = [{"$set": {"n": 1}}]
    with access.acting_as(ALICE), pytest.raises(OwnershipRefusedError, match="upsert"):
        documents.orders.update_one({"_id": 9}, stages, upsert=True)


def test_values_are_compared_with_those_of_the_rule(raw):
    """Text and truth, for reading and for what is left behind."""
    shared = access.matching(status="open", shared=True)
    documents = OwnedDatabase(raw, {"notes": access.rows(shared, write=shared)})
    documents.bind({}, print)
    raw.notes.insert_many(
        [
            {"_id": 4, "status": "open", "shared": True},
            {"_id": 5, "status": "opened", "shared": True},
            {"_id": 6, "status": "open", "shared": False},
        ]
    )
    with access.acting_as(ALICE):
        assert ids(documents.notes.find()) == ["4"]
        with pytest.raises(OwnershipRefusedError):
            documents.notes.update_one({}, {"$set": {"status": "closed"}})
        with pytest.raises(OwnershipRefusedError):
            documents.notes.insert_one({"status": "open"})
        documents.notes.update_many({}, {"$set": {"n": 1}})
    assert raw.notes.count_documents({"n": 1}) == 1


def test_a_taken_id_shows_itself(documents):
    """What no filter can help: ids are unique. So let nobody guess them."""
    with access.acting_as(ALICE):
        with pytest.raises(pymongo.errors.DuplicateKeyError):
            documents.orders.insert_one({"_id": 2})
        with pytest.raises(pymongo.errors.DuplicateKeyError):
            documents.orders.update_one({"_id": 2}, {"$set": {"n": 1}}, upsert=True)


def test_what_is_not_declared_is_refused(documents):
    """Deny by default."""
    with access.acting_as(ALICE):
        with pytest.raises(OwnershipRefusedError, match="accounts") as refused:
            documents["accounts"]
        assert unfiltered(refused)
        with pytest.raises(AttributeError, match="accounts"):
            documents.accounts  # noqa: B018 - looking is what is refused
        with pytest.raises(OwnershipRefusedError, match=r"orders\.archive"):
            documents["orders.archive"]
        with pytest.raises(AttributeError, match=r"orders\.archive"):
            documents.orders.archive  # noqa: B018 - looking is what is asked for
        for name in ("command", "aggregate", "client", "get_collection", "watch"):
            with pytest.raises(OwnershipRefusedError, match=name) as refused:
                getattr(documents, name)
            assert unfiltered(refused)


def test_it_can_be_looked_at(documents):
    """What debuggers and frameworks ask of any object refuses no request."""
    assert repr(documents) == "OwnedDatabase('shop')"
    assert repr(documents.orders) == "OwnedCollection('shop.orders')"
    assert (documents.orders.name, documents.orders.full_name) == (
        "orders",
        "shop.orders",
    )
    for thing in (documents, documents.orders):
        assert not hasattr(thing, "__wrapped__")
        assert not hasattr(thing, "_fields")
        assert not hasattr(thing, "model_dump")


def test_other_options_are_held_as_well(documents):
    """``with_options`` is pymongo's way to another read preference."""
    other = documents.orders.with_options(
        read_preference=pymongo.ReadPreference.SECONDARY_PREFERRED
    )
    assert isinstance(other, OwnedCollection)
    with access.acting_as(ALICE):
        assert ids(other.find()) == ["1"]


def test_the_escape(documents, events, raw):
    """``unscoped`` opens everything, once in the ledger; outside of it nothing stays
    open."""
    with access.acting_as(ALICE):
        with unscoped("nightly report"):
            assert ids(documents.orders.find()) == ["1", "2", "3", "4"]
            assert documents.orders.find_one(2)["owner_id"] == "bob"
            assert documents.orders.count_documents({}) == 4
            assert documents.orders.estimated_document_count() == 4
            assert documents.command("ping")["ok"] == 1
            assert documents["accounts"].find_one()["_id"] == 1
            kept = documents.accounts
            documents.orders.update_many({}, {"$set": {"owner_id": "alice"}})
        assert events == [OwnershipLifted(reason="nightly report", table="orders")]
        assert isinstance(kept, OwnedCollection)
        with pytest.raises(OwnershipRefusedError):
            kept.find()
        assert ids(documents.orders.find()) == ["1", "2", "3", "4"]
    with access.acting_as(BOB):
        assert list(documents.orders.find()) == []


def test_a_request_works_for_its_principal(documents, events):
    """The exchange says for whom, and the ledger of the escape by whom; a refusal is
    written into it, whatever becomes of the exception."""

    async def never():
        raise NotImplementedError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    exchange = Exchange(scope, never)
    exchange.principal = BOB
    token = active.set(exchange)
    try:
        assert ids(documents.orders.find()) == ["2"]
        with unscoped("statistics"):
            documents.orders.count_documents({})
        with pytest.raises(OwnershipRefusedError):
            documents.orders.insert_one({"owner_id": "alice"})
        exchange.principal = None
        with unscoped("statistics for all"):
            documents.orders.count_documents({})
    finally:
        active.reset(token)
    assert [(each.account, each.table) for each in events] == [
        ("bob", "orders"),
        ("", "orders"),
    ]
    assert events[0].request_id == exchange.request_id
    assert exchange.denial.code == NOT_FOUND.code


def test_sessions_go_along(documents, blocking_client):
    """A session of pymongo's is handed on."""
    with blocking_client.start_session() as session, access.acting_as(ALICE):
        assert ids(documents.orders.find(session=session)) == ["1"]
        assert documents.orders.find_one({}, session=session)["_id"] == 1


@pytest.mark.anyio
async def test_the_async_client(mongo_url, raw):
    """What is called in a block works for its principal, wherever it is awaited."""
    async with pymongo.AsyncMongoClient(mongo_url) as client:
        documents = owned(client.shop)
        with access.acting_as(ALICE):
            asked = documents.orders.find_one({})
            cursor = documents.orders.find()
        with access.acting_as(BOB):
            assert (await asked)["owner_id"] == "alice"
            assert [each["_id"] async for each in cursor] == [1]
            assert [each["_id"] async for each in documents.orders.find()] == [2]


def test_pymongo_is_as_it_is_known():
    """Of a version whose methods take their arguments otherwise, or whose operations
    keep them otherwise, something would be overlooked."""
    for kind in (Collection, AsyncCollection):
        for name in _SIGNATURES:
            parameters = inspect.signature(getattr(kind, name)).parameters.values()
            rest = {each.name for each in parameters if each.kind is each.VAR_KEYWORD}
            assert rest <= {"kwargs"}, name
            assert not any(each.kind is each.VAR_POSITIONAL for each in parameters)
    for kind, fields in _BULK.items():
        takes = inspect.signature(kind).parameters.keys()
        # Either what is held, or what changes nothing about whom a change reaches.
        others = {"collation", "hint", "namespace", "array_filters", "sort"}
        assert takes - fields.keys() <= others, kind
    cursors = (inspect.signature(kind).parameters for kind in (Cursor, AsyncCursor))
    one, other = (list(parameters) for parameters in cursors)
    assert one == other
    assert one[:2] == ["collection", "filter"]
