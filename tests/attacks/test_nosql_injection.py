"""NoSQL injection: what a request brings becomes part of what MongoDB carries out
(CWE-943), through pymongo's blocking and its async client.

``$where`` finds nothing on the server that these tests use, so that for JavaScript they
ask whether a command was refused, and not what it would have found.
"""

import asyncio
import functools
import json
import re

import gridfs
import pymongo
import pytest
from bson import json_util
from pymongo.errors import PyMongoError
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.twins import twins
from tests.servers.mongo import running_mongo

from ringfence import nosql

PEOPLE = (
    {"_id": 1, "email": "alice@example.com", "password": "123456", "age": 30},
    {"_id": 2, "email": "bob@example.com", "password": "letmein", "age": 40},
)
# The guide's own.
PAYLOAD = {"email": {"$ne": None}, "password": {"$ne": None}}
HONEST = {"email": "alice@example.com", "password": "123456"}
REFUSED = "interpreters.nosql"


def answer(found):
    return JSONResponse(json.loads(json_util.dumps(found)))


def blocking(handler):
    """A handler that works on a collection, in a worker thread as frameworks do."""

    @functools.wraps(handler)
    async def endpoint(request):
        body = await request.json() if request.method == "POST" else {}
        people = Databases.blocking.people
        try:
            return answer(await asyncio.to_thread(handler, people, body, request))
        except PyMongoError as error:
            return answer({"error": str(error)})

    return endpoint


class Databases:
    url = ""
    blocking = None


# Each of these is written as careless handlers are.


async def guides_login(request):
    """The guide's own handler, on the async client."""
    body = await request.json()
    client = pymongo.AsyncMongoClient(Databases.url)
    async with client:
        found = await client.shop.people.find_one(
            {"email": body["email"], "password": body["password"]}
        )
    return answer(found)


@blocking
def find_one(people, body, request):
    return people.find_one({"email": body["email"], "password": body["password"]})


@blocking
def find_all_of_it(people, body, request):
    return list(people.find(body))


@blocking
def nested(people, body, request):
    copied = json.loads(json.dumps(body))
    return list(
        people.find({"$and": [{"age": {"$gt": 1}}, {"email": copied["email"]}]})
    )


@blocking
def aggregate(people, body, request):
    return list(people.aggregate([{"$match": body}]))


@blocking
def pipeline(people, body, request):
    return list(people.aggregate(body["stages"]))


@blocking
def count(people, body, request):
    return people.count_documents({"password": body["password"]})


@blocking
def distinct(people, body, request):
    return people.distinct("email", {"password": body["password"]})


@blocking
def update(people, body, request):
    return people.update_one({"_id": 2}, body).modified_count


@blocking
def update_which(people, body, request):
    change = {"$set": {"seen": True}}
    return people.update_many({"password": body["password"]}, change).matched_count


@blocking
def find_and_update(people, body, request):
    where = {"password": body["password"]}
    return people.find_one_and_update(where, {"$set": {"seen": True}})


@blocking
def replace(people, body, request):
    where = {"password": body["password"], "_id": 2}
    return people.replace_one(where, PEOPLE[1]).matched_count


@blocking
def delete(people, body, request):
    scratch = people.database.scratch
    scratch.insert_one({"password": "x"})
    return scratch.delete_many({"password": body["password"]}).deleted_count


@blocking
def bulk(people, body, request):
    change = pymongo.UpdateOne({"password": body["password"]}, {"$set": {"seen": 1}})
    return people.bulk_write([change]).matched_count


@blocking
def command(people, body, request):
    return people.database.command(body)


@blocking
def from_text(people, body, request):
    return list(people.find(json.loads(request.query_params["filter"])))


@blocking
def from_names(people, body, request):
    """What ``?email[$ne]=`` becomes where names with brackets are unfolded."""
    where = {}
    for name, value in request.query_params.items():
        field, operator = re.fullmatch(r"(\w+)\[(.+)\]", name).groups()
        where[field] = {operator: value}
    return list(people.find(where))


@blocking
def leak(people, body, request):
    label = request.query_params["label"]
    stages = [{"$match": {"_id": 1}}, {"$project": {"label": label}}]
    return list(people.aggregate(stages))


@blocking
def search(people, body, request):
    q = request.query_params["q"]
    return list(people.find({"email": {"$regex": f"^{q}"}}))


@blocking
def javascript(people, body, request):
    name = request.query_params["name"]
    return list(people.find({"$where": f"this.email == '{name}'"}))


def attacks_on(path, attack):
    return pytest.param(path, attack, id=path.strip("/"))


def post(path, body):
    return attacks_on(path, lambda client: client.post(path, json=body))


def get(path, **query):
    return attacks_on(path, lambda client: client.get(path, params=query))


NE = {"$ne": None}
ATTACKS = [
    post("/nosql/login", PAYLOAD),
    post("/find_one", PAYLOAD),
    post("/find_all_of_it", {"$or": [{"_id": {"$gt": 0}}]}),
    post("/nested", {"email": {"$regex": "^b"}}),
    post("/aggregate", {"password": NE}),
    post("/pipeline", {"stages": [{"$match": {}}, {"$project": {"password": 1}}]}),
    post("/count", {"password": NE}),
    post("/distinct", {"password": NE}),
    post("/update", {"$set": {"age": 40, "admin": True}}),
    post("/update_which", {"password": NE}),
    post("/find_and_update", {"password": NE}),
    post("/replace", {"password": NE}),
    post("/delete", {"password": NE}),
    post("/bulk", {"password": NE}),
    post("/command", {"find": "people", "filter": {}}),
    get("/from_text", filter='{"password": {"$ne": 0}}'),
    get("/from_names", **{"email[$ne]": "x"}),
    get("/leak", label="$password"),
    get("/search", q=".*"),
]
HANDLERS = (
    find_one,
    find_all_of_it,
    nested,
    aggregate,
    pipeline,
    count,
    distinct,
    update,
    update_which,
    find_and_update,
    replace,
    delete,
    bulk,
    command,
)
QUERIES = (from_text, from_names, leak, search, javascript)


# And these as they are meant.


@blocking
def safely(people, body, request):
    where = {
        "email": nosql.value(body["email"]),
        "password": nosql.equal(body["password"]),
    }
    return people.find_one(where)


@blocking
def safely_searched(people, body, request):
    query = request.query_params
    by = nosql.field(query.get("by", "email"), {"email", "age"})
    return list(people.find({"email": nosql.containing(query["q"])}).sort({by: 1}))


@blocking
def older(people, body, request):
    """The operators are the application's, whatever the text beside them says."""
    people.insert_one({"note": body["note"], "draft": True})
    people.update_one({"draft": True}, {"$set": {"note": body["note"]}})
    where = {"age": {"$gt": body["age"]}, "note": {"$ne": body["note"]}}
    found = list(people.find(where))
    people.delete_many({"draft": {"$exists": True}})
    return found


@blocking
def stored(people, body, request):
    """Documents may hold any key: a JSON schema, say."""
    kept = people.database.kept
    kept.insert_one({"title": "first", "schema": body})
    kept.update_one({"title": "first"}, {"$set": {"schema": body}})
    return kept.find_one({"title": "first"})


@blocking
def files(people, body, request):
    """GridFS goes the same way out."""
    bucket = gridfs.GridFSBucket(people.database)
    kept = bucket.upload_from_stream("a.txt", body["text"].encode() * 3)
    return bucket.open_download_stream(kept).read().decode()


@blocking
def in_javascript(people, body, request):
    people.database.none.find_one({"$where": "this.credits == this.debits"})
    return request.query_params["q"]


SAFE = (safely, older, stored, files)
SAFE_QUERIES = (safely_searched, in_javascript)


def routes():
    yield Route("/nosql/login", guides_login, methods=["POST"])
    for handler in (*HANDLERS, *SAFE):
        yield Route(f"/{handler.__name__}", handler, methods=["POST"])
    for handler in (*QUERIES, *SAFE_QUERIES):
        yield Route(f"/{handler.__name__}", handler)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with running_mongo() as url:
        Databases.url = url
        with pymongo.MongoClient(url) as client:
            Databases.blocking = client.shop
            client.shop.people.insert_many(PEOPLE)
            with twins(
                lambda: list(routes()), tmp_path_factory.mktemp("data")
            ) as clients:
                yield clients


@pytest.mark.parametrize(("path", "attack"), ATTACKS)
def test_injection(both, path, attack):
    """Operators, commands, patterns and paths that were sent have their way with a bare
    application, and none with a guarded one."""
    found = attack(both.off)
    assert found.status_code == 200, found.text
    assert found.json() not in (None, [], 0, [{"_id": 1, "label": "$password"}])
    assert "error" not in found.text
    refused = attack(both.on)
    assert refused.status_code == 403, refused.text
    assert refused.json()["code"] == REFUSED


def test_javascript(both):
    """Text in ``$where`` leaves its quotes and runs."""
    attack = {"name": "' || sleep(5000) || '"}
    assert both.off.get("/javascript", params=attack).status_code == 200
    assert both.on.get("/javascript", params=attack).json()["code"] == REFUSED


@pytest.mark.parametrize("path", ["/nosql/login", "/find_one", "/safely"])
def test_honest_sign_in(both, path):
    for client in (both.off, both.on):
        assert client.post(path, json=HONEST).json()["_id"] == 1


@pytest.mark.parametrize("name", ["email", "password"])
def test_safe_way_refuses_what_is_no_value(both, name):
    """Where the values are checked, the same answer comes with or without a guard's
    objection: a refusal."""
    refused = both.on.post("/safely", json={**HONEST, name: {"$ne": None}})
    assert refused.status_code in (400, 403)
    assert refused.json()["code"] == REFUSED


def test_safe_search(both):
    for client in (both.off, both.on):
        find = functools.partial(client.get, "/safely_searched")
        assert len(find(params={"q": "@example.", "by": "age"}).json()) == 2
        assert find(params={"q": ".*"}).json() == []
    refused = both.on.get("/safely_searched", params={"q": "a", "by": "password"})
    assert refused.status_code == 400


@pytest.mark.parametrize(
    "text",
    [
        "$gt",
        '{"$gt": 1}',
        'db.people.find({"age": {"$gt": 18}})',
        "this.credits == this.debits",
        "$5.00 off",
        "O'Brien",
        "^[a-z]+$",
        "它是 $ne 🙂",
    ],
)
def test_honest_text(both, text):
    """A lesson about operators is text."""
    for client in (both.off, both.on):
        found = client.post("/older", json={"age": 35, "note": text}).json()
        assert [person["_id"] for person in found] == [2]
        query = {"q": text}
        assert client.get("/safely_searched", params=query).json() == []
        assert client.get("/in_javascript", params=query).json() == text


def test_honest_documents(both):
    """Keys with ``$`` are no operators where they are only stored."""
    schema = {"$schema": "https://json-schema.org/", "properties": {"a": {"$ref": "#"}}}
    for client in (both.off, both.on):
        assert client.post("/stored", json=schema).json()["schema"] == schema


def test_honest_files(both):
    for client in (both.off, both.on):
        assert client.post("/files", json={"text": "$gt "}).json() == "$gt $gt $gt "


def test_refusal_leaves_the_connection_usable(both):
    """Nothing was sent, so that the next command finds the connection as it was."""
    for _ in range(3):
        assert both.on.post("/find_one", json=PAYLOAD).status_code == 403
        assert both.on.post("/find_one", json=HONEST).json()["_id"] == 1


def test_refusal_repeats_nothing(both):
    refused = both.on.post("/nosql/login", json=PAYLOAD)
    assert refused.status_code == 403
    assert "$ne" not in refused.text
