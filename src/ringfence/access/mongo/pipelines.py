"""Pipelines of aggregations: each collection that one reads is read by its rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ringfence.access.mongo.filters import both, no_scripts
from ringfence.access.mongo.reach import Reach
from ringfence.access.ownership.refusals import UNFILTERED, refuse

Stage = Mapping[str, Any]

# Stages that work on the documents that come in, and look nowhere else. A stage that is
# not known here is refused: a new version of MongoDB may read another collection by it.
_PLAIN = frozenset(
    {
        "$addFields",
        "$bucket",
        "$bucketAuto",
        "$count",
        "$densify",
        "$fill",
        "$group",
        "$limit",
        "$match",
        "$project",
        "$redact",
        "$replaceRoot",
        "$replaceWith",
        "$sample",
        "$set",
        "$setWindowFields",
        "$skip",
        "$sort",
        "$sortByCount",
        "$unset",
        "$unwind",
    }
)
_LOOKUP = frozenset({"from", "localField", "foreignField", "let", "pipeline", "as"})
_GRAPH = frozenset(
    {
        "from",
        "startWith",
        "connectFromField",
        "connectToField",
        "as",
        "maxDepth",
        "depthField",
        "restrictSearchWithMatch",
    }
)
_WHY_NOT = {
    "$out": "writes documents past their owners",
    "$merge": "writes documents past their owners",
    "$search": "must stand first, where the owner has to",
    "$searchMeta": "counts everybody's documents",
    "$vectorSearch": "must stand first, where the owner has to",
    "$changeStream": "shows everybody's changes",
    "$collStats": "tells of everybody's documents",
    "$indexStats": "tells of everybody's documents",
    "$planCacheStats": "tells what everybody has asked for",
    "$currentOp": "tells what everybody is asking for",
    "$listSessions": "tells who else is there",
    "$geoNear": "can be limited to the owner's only as the first stage",
    "$documents": "may only stand first in a pipeline without a collection",
}


def owned_pipeline(
    name: str, pipeline: Iterable[Stage], reach: Reach
) -> list[dict[str, Any]]:
    """Return a pipeline over one collection that sees what the caller may read there,
    and in every collection that it joins.

    Args:
        name: of the collection.
        pipeline: as the caller has written it.
        reach: of whoever the running code works for.

    Raises:
        TypeError: not a list of stages.
        OwnershipRefusedError: a stage that is not known, that runs JavaScript, writes,
            tells of the server, or reads a collection of which nothing is declared.
    """
    no_scripts(name, pipeline)
    return _owned(name, _stages(name, pipeline), reach)


def _owned(name: str, stages: list[Stage], reach: Reach) -> list[dict[str, Any]]:
    """Put the rule in front. What has to be the first stage of all takes it in."""
    ours = reach.readable(name)
    operator, said = next(iter(stages[0].items())) if stages else ("", None)
    if operator == "$geoNear" and isinstance(said, Mapping):
        near = {**said, "query": both(ours, said.get("query"))}
        return [{"$geoNear": near}, *_inner(name, stages[1:], reach)]
    if operator == "$match" and isinstance(said, Mapping):
        first = [{"$match": both(ours, said)}]
        return first + _inner(name, stages[1:], reach)
    return ([{"$match": ours}] if ours else []) + _inner(name, stages, reach)


def _inner(name: str, stages: list[Stage], reach: Reach) -> list[dict[str, Any]]:
    return [_stage(name, stage, reach) for stage in stages]


def _stage(name: str, stage: Stage, reach: Reach) -> dict[str, Any]:
    ((operator, said),) = stage.items()
    if operator in _PLAIN:
        return dict(stage)
    if operator == "$facet" and isinstance(said, Mapping):
        facets = {
            facet: _inner(name, _stages(name, pipeline), reach)
            for facet, pipeline in said.items()
        }
        return {operator: facets}
    if operator == "$lookup":
        return {operator: _lookup(name, said, reach)}
    if operator == "$graphLookup":
        return {operator: _graph_lookup(name, said, reach)}
    if operator == "$unionWith":
        return {operator: _union_with(name, said, reach)}
    return _refuse(name, operator)


def _lookup(name: str, said: object, reach: Reach) -> dict[str, Any]:
    """Join what may be read there. A join by two fields gets a pipeline as well, which
    MongoDB knows since 5.0; an older one refuses it."""
    joined = _members(name, "$lookup", said, _LOOKUP)
    stages = _stages(name, joined.get("pipeline", ()))
    if "from" not in joined:
        pipeline = _documents(name, stages, reach)
    else:
        pipeline = _owned(_named(name, joined["from"]), stages, reach)
    if pipeline or "pipeline" in joined:
        joined["pipeline"] = pipeline
    return joined


def _union_with(name: str, said: object, reach: Reach) -> dict[str, Any]:
    if isinstance(said, str):
        said = {"coll": said}
    united = _members(name, "$unionWith", said, frozenset({"coll", "pipeline"}))
    stages = _stages(name, united.get("pipeline", ()))
    if "coll" not in united:
        return {"pipeline": _documents(name, stages, reach)}
    other = _named(name, united["coll"])
    return {"coll": other, "pipeline": _owned(other, stages, reach)}


def _graph_lookup(name: str, said: object, reach: Reach) -> dict[str, Any]:
    """Hold every step of the walk to what may be read: a chain of documents ends where
    it would lead through somebody else's."""
    walked = _members(name, "$graphLookup", said, _GRAPH)
    ours = reach.readable(_named(name, walked.get("from")))
    limit = both(ours, walked.get("restrictSearchWithMatch"))
    return {**walked, "restrictSearchWithMatch": limit}


def _documents(name: str, stages: list[Stage], reach: Reach) -> list[dict[str, Any]]:
    """Return a pipeline that reads no collection, but what it has written down."""
    if not stages or "$documents" not in stages[0]:
        refuse(UNFILTERED, f"{name}: a pipeline within another names no collection")
    return [dict(stages[0]), *_inner(name, stages[1:], reach)]


def _members(
    name: str, operator: str, said: object, known: frozenset[str]
) -> dict[str, Any]:
    if not isinstance(said, Mapping) or not known.issuperset(said):
        refuse(
            UNFILTERED,
            f"{name}: {operator} takes {', '.join(sorted(known))}, and nothing else "
            "can be held to whose the documents are",
        )
    return dict(said)


def _named(name: str, other: object) -> str:
    if not isinstance(other, str):
        refuse(UNFILTERED, f"{name}: {other!r} is no collection of this database")
    return other


def _stages(name: str, pipeline: object) -> list[Stage]:
    if not isinstance(pipeline, (list, tuple)):
        raise TypeError(f"{name}: a pipeline is a list of stages, not {pipeline!r}")
    for stage in pipeline:
        if not isinstance(stage, Mapping) or len(stage) != 1:
            raise TypeError(f"{name}: a stage has one name, as in {{'$match': ...}}")
    return list(pipeline)


def _refuse(name: str, operator: str) -> NoReturn:
    why = _WHY_NOT.get(operator, "is not known, and may read another collection")
    refuse(
        UNFILTERED,
        f'{name}: the stage {operator} {why}; it needs unscoped("reason")',
    )
