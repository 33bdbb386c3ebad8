"""Pipelines, as they are sent: each collection is read by its rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.access.mongo.conftest import ALICE, DECLARED

from ringfence.access.mongo.declared import rule_of
from ringfence.access.mongo.pipelines import owned_pipeline
from ringfence.access.mongo.reach import Reach
from ringfence.access.ownership.views import Views
from ringfence.errors import OwnershipRefusedError

RULES = {name: rule_of(name, said) for name, said in DECLARED.items()}
REACH = Reach(ALICE, Views(tuple(RULES.values()), {}).of(ALICE), RULES)
PATTERN = "^alice$"
MINE = {"owner_id": {"$eq": "alice", "$regex": PATTERN}}
LINES = {"meta.owner": {"$eq": "alice", "$regex": PATTERN}}
JOIN = {"from": "lines", "localField": "_id", "foreignField": "order", "as": "lines"}
WALK = {
    "from": "lines",
    "startWith": "$_id",
    "connectFromField": "order",
    "connectToField": "order",
    "as": "all",
}
COUNT = {"$count": "n"}

SENT = [
    ([], [{"$match": MINE}]),
    ([COUNT], [{"$match": MINE}, COUNT]),
    ([{"$match": {"n": 1}}], [{"$match": {"$and": [MINE, {"n": 1}]}}]),
    (
        [{"$match": {"$text": {"$search": "x"}}}, COUNT],
        [{"$match": {"$and": [MINE, {"$text": {"$search": "x"}}]}}, COUNT],
    ),
    (
        [{"$geoNear": {"near": [0, 0], "query": {"n": 1}}}],
        [{"$geoNear": {"near": [0, 0], "query": {"$and": [MINE, {"n": 1}]}}}],
    ),
    (
        [{"$geoNear": {"near": [0, 0]}}, COUNT],
        [{"$geoNear": {"near": [0, 0], "query": MINE}}, COUNT],
    ),
    (
        [{"$lookup": JOIN}],
        [{"$match": MINE}, {"$lookup": {**JOIN, "pipeline": [{"$match": LINES}]}}],
    ),
    (
        [
            {
                "$lookup": {
                    "from": "lines",
                    "let": {"order": "$_id"},
                    "pipeline": [{"$match": {"n": 1}}, {"$lookup": JOIN}],
                    "as": "lines",
                }
            }
        ],
        [
            {"$match": MINE},
            {
                "$lookup": {
                    "from": "lines",
                    "let": {"order": "$_id"},
                    "pipeline": [
                        {"$match": {"$and": [LINES, {"n": 1}]}},
                        {"$lookup": {**JOIN, "pipeline": [{"$match": LINES}]}},
                    ],
                    "as": "lines",
                }
            },
        ],
    ),
    (
        [{"$lookup": {**JOIN, "from": "reviews"}}],
        [{"$match": MINE}, {"$lookup": {**JOIN, "from": "reviews"}}],
    ),
    (
        [{"$lookup": {"pipeline": [{"$documents": [{"a": 1}]}, COUNT], "as": "x"}}],
        [
            {"$match": MINE},
            {"$lookup": {"pipeline": [{"$documents": [{"a": 1}]}, COUNT], "as": "x"}},
        ],
    ),
    (
        [{"$unionWith": "lines"}],
        [
            {"$match": MINE},
            {"$unionWith": {"coll": "lines", "pipeline": [{"$match": LINES}]}},
        ],
    ),
    (
        [{"$unionWith": {"pipeline": [{"$documents": []}]}}],
        [{"$match": MINE}, {"$unionWith": {"pipeline": [{"$documents": []}]}}],
    ),
    (
        [{"$graphLookup": WALK}],
        [
            {"$match": MINE},
            {"$graphLookup": {**WALK, "restrictSearchWithMatch": LINES}},
        ],
    ),
    (
        [{"$graphLookup": {**WALK, "restrictSearchWithMatch": {"$or": [{}]}}}],
        [
            {"$match": MINE},
            {
                "$graphLookup": {
                    **WALK,
                    "restrictSearchWithMatch": {"$and": [LINES, {"$or": [{}]}]},
                }
            },
        ],
    ),
    (
        [{"$facet": {"a": [{"$unionWith": "lines"}], "b": [COUNT]}}],
        [
            {"$match": MINE},
            {
                "$facet": {
                    "a": [
                        {
                            "$unionWith": {
                                "coll": "lines",
                                "pipeline": [{"$match": LINES}],
                            }
                        }
                    ],
                    "b": [COUNT],
                }
            },
        ],
    ),
]


@pytest.mark.parametrize(("written", "sent"), SENT)
def test_each_collection_is_read_by_its_rule(written, sent):
    """The rule stands in front of everything that the caller has written."""
    assert owned_pipeline("orders", written, REACH) == sent


REFUSED = [
    [{"$out": "mine"}],
    [{"$merge": {"into": "orders"}}],
    [{"$collStats": {"count": {}}}],
    [{"$indexStats": {}}],
    [{"$planCacheStats": {}}],
    [{"$currentOp": {"allUsers": True}}],
    [{"$listSessions": {}}],
    [{"$changeStream": {}}],
    [{"$search": {"text": {}}}],
    [{"$searchMeta": {}}],
    [{"$vectorSearch": {}}],
    [{"$newInVersionNine": {}}],
    [{"$documents": [{"a": 1}]}],
    [COUNT, {"$geoNear": {}}],
    [{"$geoNear": "x"}],
    [{"$facet": {"a": [{"$geoNear": {}}]}}],
    [{"$facet": {"a": [{"$out": "x"}]}}],
    [{"$facet": "x"}],
    [{"$match": {"$where": "1"}}],
    [{"$project": {"x": {"$function": {"body": "", "args": [], "lang": "js"}}}}],
    [{"$group": {"_id": 1, "x": {"$accumulator": {}}}}],
    [{"$_internalInhibitOptimization": {}}],
    [{"$lookup": {**JOIN, "from": "accounts"}}],
    [{"$lookup": {**JOIN, "from": {"db": "admin", "coll": "users"}}}],
    [{"$lookup": {**JOIN, "_internalCollation": {}}}],
    [{"$lookup": {"as": "x"}}],
    [{"$lookup": {"as": "x", "pipeline": [{"$match": {}}]}}],
    [{"$lookup": {**JOIN, "pipeline": [{"$unionWith": "accounts"}]}}],
    [{"$lookup": "lines"}],
    [{"$unionWith": "accounts"}],
    [{"$unionWith": {"coll": "accounts"}}],
    [{"$unionWith": {"coll": "lines", "db": "admin"}}],
    [{"$unionWith": {"coll": {"db": "admin"}}}],
    [{"$graphLookup": {**WALK, "from": "accounts"}}],
    [{"$graphLookup": {"startWith": "$_id"}}],
    [{"$graphLookup": {**WALK, "x": 1}}],
]


@pytest.mark.parametrize("written", REFUSED)
def test_what_looks_elsewhere_is_refused(written):
    """Writing past owners, telling of the server, JavaScript, collections of which
    nothing is declared, and stages that nobody knows here."""
    with pytest.raises(OwnershipRefusedError) as refused:
        owned_pipeline("orders", written, REACH)
    assert refused.value.denial.code == "access.unfiltered"


@pytest.mark.parametrize(
    "written", ["x", {"$match": {}}, ["$match"], [{}], [{"$match": {}, "$out": "x"}]]
)
def test_what_is_no_pipeline_is_a_mistake(written):
    """Said as such, and before the server is asked."""
    with pytest.raises(TypeError):
        owned_pipeline("orders", written, REACH)


STAGES = st.recursive(
    st.sampled_from([COUNT, {"$match": {"n": 1}}, {"$unwind": "$lines"}]).map(
        lambda stage: [stage]
    ),
    lambda inner: st.lists(
        st.one_of(
            inner.map(lambda said: {"$lookup": {**JOIN, "pipeline": said}}),
            inner.map(lambda said: {"$unionWith": {"coll": "lines", "pipeline": said}}),
            inner.map(lambda said: {"$facet": {"a": said}}),
            st.just({"$graphLookup": WALK}),
            st.just({"$lookup": JOIN}),
            st.just({"$unionWith": "lines"}),
        ),
        max_size=3,
    ),
    max_leaves=8,
)


def reads(stages):
    """Yield each pipeline that reads a collection, and each limit of a walk."""
    for stage in stages:
        ((operator, said),) = stage.items()
        if operator in ("$lookup", "$unionWith"):
            yield said["pipeline"][0]["$match"]
            yield from reads(said["pipeline"])
        elif operator == "$graphLookup":
            yield said["restrictSearchWithMatch"]
        elif operator == "$facet":
            for each in said.values():
                yield from reads(each)


@given(STAGES)
def test_however_deep(stages):
    """Whatever is nested in what: nothing is read without its rule in front."""
    sent = owned_pipeline("orders", stages, REACH)
    assert sent[0]["$match"].get("$and", [sent[0]["$match"]])[0] == MINE
    for match in reads(sent):
        assert match.get("$and", [match])[0] == LINES
