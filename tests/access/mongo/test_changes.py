"""What a change does to whose a document is, without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence import access
from ringfence.access.mongo import changes
from ringfence.access.mongo.declared import rule_of
from ringfence.access.mongo.documents import holds, matches
from ringfence.access.ownership.conditions import (
    ALWAYS,
    NEVER,
    Any,
    Has,
    Is,
    Subject,
    all_of,
)

OWNER = Is("owner_id", Subject.ID)
DEEP = Is("meta.owner", Subject.ID)
MEMBER = Is("members", Subject.ID)
TENANT = Is("tenant_id", Subject.TENANT)
DRAFT = Has("status", "draft")


def mine(subject):
    return {Subject.ID: "alice", Subject.TENANT: "acme"}[subject]


KEPT = [
    # Elsewhere: as it was.
    ({"$set": {"n": 1}}, OWNER, OWNER),
    ({"$set": {"owner": "bob"}}, OWNER, OWNER),
    ({"$set": {"owner_idx": "bob"}}, OWNER, OWNER),
    ({"$inc": {"meta.n": 1}}, DEEP, DEEP),
    ({"$unset": {"n": ""}, "$push": {"tags": "x"}}, OWNER, OWNER),
    ({"$setOnInsert": {"owner_id": "bob"}}, OWNER, OWNER),
    ({}, OWNER, OWNER),
    # Made true.
    ({"$set": {"owner_id": "alice"}}, OWNER, ALWAYS),
    ({"$set": {"meta": {"owner": "alice"}}}, DEEP, ALWAYS),
    ({"$set": {"meta.owner": "alice"}}, DEEP, ALWAYS),
    ({"$set": {"members": ["bob", "alice"]}}, MEMBER, ALWAYS),
    ({"$set": {"status": "draft"}}, all_of((OWNER, DRAFT)), OWNER),
    # Taken away, or nobody knows.
    ({"$set": {"owner_id": "bob"}}, OWNER, NEVER),
    ({"$set": {"owner_id": None}}, OWNER, NEVER),
    ({"$set": {"owner_id": ["bob"]}}, OWNER, NEVER),
    ({"$set": {"owner_id": {"$eq": "alice"}}}, OWNER, NEVER),
    ({"$set": {"owner_id.x": "alice"}}, OWNER, NEVER),
    ({"$set": {"meta": {}}}, DEEP, NEVER),
    ({"$set": {"meta": "alice"}}, DEEP, NEVER),
    ({"$set": {"meta.0.owner": "alice"}}, DEEP, NEVER),
    ({"$set": {"members.0": "bob"}}, MEMBER, NEVER),
    ({"$set": {"members.$": "bob"}}, MEMBER, NEVER),
    ({"$set": {"members.$[]": "bob"}}, MEMBER, NEVER),
    ({"$set": {"members.$[some]": "bob"}}, MEMBER, NEVER),
    ({"$set": {"members": ["bob"]}}, MEMBER, NEVER),
    ({"$unset": {"owner_id": ""}}, OWNER, NEVER),
    ({"$unset": {"meta": ""}}, DEEP, NEVER),
    ({"$rename": {"owner_id": "x"}}, OWNER, NEVER),
    ({"$rename": {"x": "owner_id"}}, OWNER, NEVER),
    ({"$rename": {"x": "meta"}}, DEEP, NEVER),
    ({"$rename": {"x": 1}}, OWNER, NEVER),
    ({"$inc": {"owner_id": 1}}, OWNER, NEVER),
    ({"$min": {"owner_id": "a"}}, OWNER, NEVER),
    ({"$currentDate": {"owner_id": True}}, OWNER, NEVER),
    ({"$pop": {"members": 1}}, MEMBER, NEVER),
    ({"$set": {"owner_id": "alice"}, "$min": {"owner_id": "a"}}, OWNER, NEVER),
    ({"$new": {"n": 1}}, OWNER, NEVER),
    ({"$set": "owner_id"}, OWNER, NEVER),
    ({"owner_id": "bob"}, OWNER, NEVER),
    ({"$set": {"$owner_id": "bob"}}, OWNER, NEVER),
    ("owner_id", OWNER, NEVER),
    # Elements of an array that holds several owners.
    ({"$push": {"members": "bob"}}, MEMBER, MEMBER),
    ({"$addToSet": {"members": {"$each": ["bob"]}}}, MEMBER, MEMBER),
    ({"$push": {"members": {"$each": ["bob"], "$slice": 1}}}, MEMBER, NEVER),
    ({"$push": {"members.0": "bob"}}, MEMBER, NEVER),
    ({"$push": {"flag": 1}}, Has("flag", None), NEVER),
    ({"$pull": {"members": "bob"}}, MEMBER, MEMBER),
    ({"$pull": {"members": "alice"}}, MEMBER, NEVER),
    ({"$pull": {"members": {"$ne": "bob"}}}, MEMBER, NEVER),
    ({"$pullAll": {"members": ["bob", "carol"]}}, MEMBER, MEMBER),
    ({"$pullAll": {"members": ["bob", "alice"]}}, MEMBER, NEVER),
    ({"$pullAll": {"members": "bob"}}, MEMBER, NEVER),
    # One way of several is left: it is asked for beforehand.
    ({"$unset": {"owner_id": ""}}, Any((OWNER, TENANT)), TENANT),
    ({"$set": {"status": "sold"}}, Any((OWNER, DRAFT)), OWNER),
    ({"$set": {"status": "sold"}}, all_of((OWNER, DRAFT)), NEVER),
    ({"$set": {"owner_id": "alice"}}, Any((OWNER, TENANT)), ALWAYS),
    # Pipelines.
    ([{"$set": {"n": 1}}, {"$unset": "x"}], OWNER, OWNER),
    ([{"$set": {"owner_id": "alice"}}], OWNER, ALWAYS),
    ([{"$set": {"owner_id": "$other"}}], OWNER, NEVER),
    ([{"$set": {"owner_id": "bob"}}], OWNER, NEVER),
    ([{"$set": {"meta.owner": "alice"}}], DEEP, NEVER),
    ([{"$addFields": {"meta": {"owner": "bob"}}}], DEEP, NEVER),
    ([{"$set": {"owner_id": "alice"}}, {"$unset": "owner_id"}], OWNER, NEVER),
    ([{"$unset": ["n", "owner_id"]}], OWNER, NEVER),
    ([{"$unset": 1}], OWNER, NEVER),
    ([{"$project": {"n": 1}}], OWNER, NEVER),
    ([{"$replaceRoot": {"newRoot": "$x"}}], OWNER, NEVER),
    ([{"$replaceWith": {"owner_id": "alice"}}], OWNER, NEVER),
    ([{"$set": {"n": 1}, "$unset": "x"}], OWNER, NEVER),
    (["$set"], OWNER, NEVER),
    ([{"$project": {"n": 1}}], ALWAYS, ALWAYS),
]


@pytest.mark.parametrize(("change", "condition", "left"), KEPT)
def test_what_must_hold_beforehand(change, condition, left):
    """So that the rule, which holds before the change, holds after it."""
    assert changes.kept(change, condition, mine) == left


def test_a_pipeline_reads_a_dollar_as_a_path():
    """An id that looks like a path to a field is not set by a stage."""
    stages = [{"$set": {"owner_id": "$other"}}]
    assert changes.kept(stages, OWNER, lambda _: "$other") == NEVER
    assert (
        changes.kept({"$set": stages[0]["$set"]}, OWNER, lambda _: "$other") == ALWAYS
    )


MATCHED = [
    ({"a": 1}, "a", 1, True),
    ({"a": 1.0}, "a", 1, True),
    ({"a": True}, "a", 1, False),
    ({"a": 1}, "a", True, False),
    ({"a": b"x"}, "a", "x", False),
    ({"a": ["x", "y"]}, "a", "y", True),
    ({"a": [["y"]]}, "a", "y", False),
    ({"a": {"b": "y"}}, "a.b", "y", True),
    ({"a": [{"b": "x"}, {"b": "y"}]}, "a.b", "y", True),
    ({"a": [{"b": ["y"]}]}, "a.b", "y", True),
    ({"a": [["y"], "y"]}, "a.b", "y", False),
    ({"a.b": "y"}, "a.b", "y", False),
    ({"a": "y"}, "a.b", "y", False),
    ({}, "a.b", None, True),
    ({"a": None}, "a", None, True),
    ({"a": 0}, "a", None, False),
]


@pytest.mark.parametrize(("document", "path", "wanted", "found"), MATCHED)
def test_documents_are_compared_as_mongodb_does(document, path, wanted, found):
    """Through arrays, and by kind: the text of an id is not the id."""
    assert matches(document, tuple(path.split(".")), wanted) is found


@pytest.mark.parametrize(
    ("declared", "document", "written"),
    [
        (access.owner("owner_id"), {"n": 1}, {"n": 1, "owner_id": "alice"}),
        (access.owner("owner_id"), {"owner_id": None}, {"owner_id": "alice"}),
        (access.owner("owner_id"), {"owner_id": "alice"}, {"owner_id": "alice"}),
        (access.owner("owner_id"), {"owner_id": "bob"}, None),
        (access.owner("owner_id"), {"owner_id": 0}, None),
        (access.owner("a.b"), {}, {"a": {"b": "alice"}}),
        (access.owner("a.b"), {"a": {"c": 1}}, {"a": {"b": "alice", "c": 1}}),
        (access.owner("a.b"), {"a": "x"}, None),
        (access.owner("a.b"), {"a": [{"b": "bob"}]}, None),
        (access.owner("a.b"), {"a": [{"b": "bob"}, {"b": "alice"}]}, ...),
        (access.owner("members"), {"members": ["bob", "alice"]}, ...),
        (
            access.owner("owner_id") | access.tenant("tenant_id"),
            {},
            {"owner_id": "alice", "tenant_id": "acme"},
        ),
        (
            access.rows(access.tenant("tenant_id"), write=access.owner("owner_id")),
            {},
            {"owner_id": "alice"},
        ),
        (
            access.owner("a") | access.owner("b"),
            {"b": None},
            {"a": "alice", "b": "alice"},
        ),
        (access.owner("a") | access.owner("b"), {"b": "alice"}, ...),
        (access.owner("a") | access.owner("b"), {"b": "bob"}, None),
        (
            access.owner("a") | access.owner("b") | access.tenant("t"),
            {"b": "alice"},
            {"b": "alice", "t": "acme"},
        ),
        (access.owner("a") & access.owner("b"), {"a": "alice"}, None),
        (access.owner("a") & access.owner("b"), {}, {"a": "alice", "b": "alice"}),
        (access.owner("a") & access.matching(draft=True), {}, None),
        (access.owner("a") & access.matching(draft=True), {"draft": 1}, None),
        (
            access.owner("a") & access.matching(draft=True),
            {"draft": True},
            {"a": "alice", "draft": True},
        ),
    ],
)
def test_new_documents_get_their_owner(declared, document, written):
    """Where there is none and it is clear whose; another's is refused. The caller's
    own is not touched."""
    rule = rule_of("orders", declared)
    before = repr(document)
    found = changes.stamped(document, rule.write, rule, mine, anew=True)
    assert found == (document if written is ... else written)
    assert repr(document) == before


def test_a_replacement_is_not_taken_over():
    """Who may write another's document for the tenant's sake does not become its owner
    by leaving the owner out."""
    rule = rule_of("orders", access.owner("owner_id") | access.tenant("tenant_id"))
    replacement = {"tenant_id": "acme"}
    found = changes.stamped(replacement, rule.write, rule, mine, anew=False)
    assert found == replacement


@pytest.mark.parametrize(
    ("change", "written"),
    [
        ({"$set": {"n": 1}}, {"$set": {"n": 1}, "$setOnInsert": {"owner_id": "alice"}}),
        ({"$set": {"owner_id": "alice"}}, ...),
        ({"$setOnInsert": {"owner_id": "alice"}}, ...),
        (
            {"$setOnInsert": {"n": 1}},
            {"$setOnInsert": {"n": 1, "owner_id": "alice"}},
        ),
        ({"$setOnInsert": {"owner_id": "bob"}}, None),
        ({"$push": {"owner_id": "alice"}}, None),
        ({"$rename": {"x": "owner_id"}}, None),
        ({"$new": {}}, None),
    ],
)
def test_upserts_insert_ones_own(change, written):
    """Whatever the filter asks for: the owner is in what is set on insert."""
    rule = rule_of("orders", access.owner("owner_id"))
    found = changes.born(change, rule.write, rule, mine)
    assert found == (change if written is ... else written)


@pytest.mark.parametrize(
    ("change", "asked", "written"),
    [
        ({"$set": {"n": 1}}, {}, {"a": "alice", "b": "alice"}),
        ({"$set": {"n": 1}}, {"a": "alice"}, {"a": "alice"}),
        ({"$set": {"n": 1}}, {"a": "bob"}, {"a": "alice", "b": "alice"}),
        ({"$set": {"a": "alice"}}, {}, {}),
        ({"$set": {"a": "alice"}}, {"a": "alice"}, {}),
        ({"$set": {"b": "bob"}}, {}, None),
    ],
)
def test_upserts_have_several_owners(change, asked, written):
    """All where none is said; what is said to be another's is refused."""
    declared = access.owner("a") | access.owner("b")
    rule = rule_of("orders", access.rows(access.tenant("t"), write=declared))
    found = changes.born(change, rule.write, rule, mine, asked)
    added = {"$setOnInsert": written} if written else {}
    assert found == (None if written is None else {**change, **added})


FIELDS = st.sampled_from(["a", "b", "meta", "meta.owner", "members", "members.0"])
VALUES = st.sampled_from(
    ["alice", "bob", None, 1, ["alice"], ["bob"], {"owner": "bob"}]
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "a": st.sampled_from(["alice", "bob", None]),
        "b": st.sampled_from(["x", "y"]),
        "meta": st.sampled_from([{"owner": "alice"}, {"owner": "bob"}, {}]),
        "members": st.lists(st.sampled_from(["alice", "bob"]), max_size=2),
    },
)
ATOMS = st.sampled_from([Is("a", Subject.ID), DEEP, MEMBER, Has("b", "x")])
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(all_of)
        | st.lists(inner, min_size=2, max_size=3).map(lambda each: Any(tuple(each)))
    ),
    max_leaves=4,
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "$set": st.dictionaries(FIELDS, VALUES, max_size=2),
        "$unset": st.dictionaries(FIELDS, st.just(""), max_size=1),
        "$push": st.dictionaries(st.just("members"), VALUES, max_size=1),
        "$pull": st.dictionaries(
            st.just("members"), st.sampled_from(["alice", "bob"]), max_size=1
        ),
    },
)


def applied(document, change):
    """What MongoDB makes of a document; ``None`` where it reports an error."""
    after = dict(document)
    touched = [name.partition(".")[0] for fields in change.values() for name in fields]
    if len(set(touched)) != len(touched):
        return None  # a conflict
    for operator, fields in change.items():
        for name, value in fields.items():
            top, _, rest = name.partition(".")
            try:
                after[top] = STEPS[operator](after.get(top), rest, value)
            except (TypeError, ValueError):
                return None
    return {name: value for name, value in after.items() if value is not GONE}


def set_to(inner, rest, value):
    if not rest:
        return value
    if isinstance(inner, list):
        places = enumerate(inner)
        return [value if place == int(rest) else each for place, each in places]
    return {**(inner or {}), rest: value}


def unset(inner, rest, value):
    if not rest:
        return GONE
    if isinstance(inner, list):
        return set_to(inner, rest, None)
    return {name: each for name, each in (inner or {}).items() if name != rest}


def pushed(inner, _, value):
    if not isinstance(inner, list):
        raise TypeError
    return [*inner, value]


def pulled(inner, _, value):
    return [each for each in inner if each != value]


GONE = object()
STEPS = {"$set": set_to, "$unset": unset, "$push": pushed, "$pull": pulled}


@given(DOCUMENTS, CONDITIONS, CHANGES)
def test_the_rule_holds_after_every_change_that_is_let_through(
    document, condition, change
):
    """For any rule, document and change: where the rule holds before, and what is asked
    for beforehand as well, it holds afterwards."""
    left = changes.kept(change, condition, mine)
    if holds(condition, document, mine) and holds(left, document, mine):
        after = applied(document, change)
        assert after is None or holds(condition, after, mine)
