"""What of a command means something: operators, code, patterns, paths to fields.

MongoDB reads the same document differently by where it stands. A filter's ``{"a": x}``
compares; a pipeline's computes, so that the text ``$secret`` is another field's value;
what is inserted or ``$set`` is stored as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from bson import Code, DBRef, Regex


class Kind(Enum):
    """How a part can change what a command does."""

    OPERATOR = auto()  # a key that begins with ``$``
    UPDATE = auto()  # such a key where an update begins: ``$set``
    CODE = auto()  # JavaScript
    PATTERN = auto()  # a regular expression
    PATH = auto()  # text that begins with ``$`` where it is another field's value


@dataclass(frozen=True, slots=True)
class Part:
    """One such part.

    Args:
        kind: how it is read.
        text: the operator, the code, the pattern or the path.
        value: what stands behind an operator.
        field: the last name of the field around it; empty at the top.
    """

    kind: Kind
    text: str
    value: object = None
    field: str = ""


_READ = (dict, list, str)  # anything else is one value, and means itself

_Found = Part | tuple["_Reading", object, str]
_Reading = Callable[[object, str], Iterator[_Found]]


def parts_of(command: Mapping[str, Any]) -> Iterator[Part]:
    """Yield every part of a command that can change what it does.

    Args:
        command: as MongoDB receives it. What begins with ``$`` at its top is the
            driver's own (``$db``).
    """
    pending: list[_Found] = [
        (_by_name(key), value, "")
        for key, value in command.items()
        if not key.startswith("$")
    ]
    while pending:
        found = pending.pop()
        if isinstance(found, Part):
            yield found
            continue
        reading, value, field = found
        if isinstance(value, DBRef):  # {"$ref": ..., "$id": ...}
            value = value.as_doc()
        if isinstance(value, Code):
            yield Part(Kind.CODE, str(value), field=field)
        elif isinstance(value, Regex):
            yield Part(Kind.PATTERN, _text(value.pattern), field=field)
        elif isinstance(value, _READ):
            pending.extend(reading(value, field))


def _text(pattern: str | bytes) -> str:
    return pattern if isinstance(pattern, str) else pattern.decode("utf-8", "replace")


def _last(key: str, field: str) -> str:
    """Return the name that conditions below ``key`` are about."""
    return field if key.startswith("$") else key.rpartition(".")[2]


def _filter(value: object, field: str) -> Iterator[_Found]:
    if isinstance(value, list):
        for inner in value:
            yield _filter, inner, field
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key.startswith("$"):
                yield Part(Kind.OPERATOR, key, inner, field)
            yield _CONDITIONS.get(key, _filter), inner, _last(key, field)


def _expression(value: object, field: str) -> Iterator[_Found]:
    if isinstance(value, str):
        if value.startswith("$"):
            yield Part(Kind.PATH, value, field=field)
    elif isinstance(value, list):
        for inner in value:
            yield _expression, inner, field
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key.startswith("$"):
                yield Part(Kind.OPERATOR, key, inner, field)
            yield _EXPRESSIONS.get(key, _expression), inner, _last(key, field)


def _pipeline(value: object, field: str) -> Iterator[_Found]:
    for stage in value if isinstance(value, list) else [value]:
        if not isinstance(stage, dict):
            yield _expression, stage, field
            continue
        for key, inner in stage.items():
            yield Part(Kind.OPERATOR, key, inner, field)
            yield _STAGES.get(key, _expression), inner, ""


def _facet(value: object, field: str) -> Iterator[_Found]:
    if isinstance(value, dict):
        for inner in value.values():
            yield _pipeline, inner, ""


def _stage(value: object, field: str) -> Iterator[_Found]:
    """Read a stage that has parts of its own: ``$lookup``, ``$merge``, ..."""
    if not isinstance(value, dict):
        yield _expression, value, field
        return
    for key, inner in value.items():
        if key.startswith("$"):
            yield Part(Kind.OPERATOR, key, inner, field)
        yield _IN_STAGES.get(key, _expression), inner, ""


def _update(value: object, field: str) -> Iterator[_Found]:
    if isinstance(value, list):
        yield _pipeline, value, field
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key.startswith("$"):
                yield Part(Kind.UPDATE, key, inner, field)
                # Only what other operators do with values can be more than to store.
                if key not in _STORING:
                    yield _filter, inner, field


def _statements(value: object, field: str) -> Iterator[_Found]:
    """Read what one command carries several of: updates, deletions, indexes."""
    for statement in value if isinstance(value, list) else [value]:
        if isinstance(statement, dict):
            for key, inner in statement.items():
                yield _by_name(key), inner, ""


def _code(value: object, field: str) -> Iterator[_Found]:
    if isinstance(value, str):
        yield Part(Kind.CODE, value, field=field)


def _function(value: object, field: str) -> Iterator[_Found]:
    """Read ``$function`` and ``$accumulator``: code, and arguments for it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            is_code = isinstance(inner, str) and key != "lang"
            yield _code if is_code else _expression, inner, field


def _pattern(value: object, field: str) -> Iterator[_Found]:
    if isinstance(value, str):
        yield Part(Kind.PATTERN, value, field=field)
    else:
        yield _filter, value, field


def _matching(value: object, field: str) -> Iterator[_Found]:
    """Read ``$regexMatch`` and its kin: a pattern among expressions."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield _expression, inner, field
            if key == "regex":
                yield _pattern, inner, field


def _stored(value: object, field: str) -> Iterator[_Found]:
    yield from ()


_STORING = frozenset({"$set", "$setOnInsert"})
_CONDITIONS: Mapping[str, _Reading] = {
    "$expr": _expression,
    "$where": _code,
    "$regex": _pattern,
}
_EXPRESSIONS: Mapping[str, _Reading] = {
    "$literal": _stored,
    "$function": _function,
    "$accumulator": _function,
    "$regexMatch": _matching,
    "$regexFind": _matching,
    "$regexFindAll": _matching,
}
_STAGES: Mapping[str, _Reading] = {
    "$match": _filter,
    "$search": _filter,  # Atlas: text to be looked for, not to be computed with
    "$searchMeta": _filter,
    "$vectorSearch": _filter,
    "$changeStream": _filter,
    "$documents": _expression,
    "$facet": _facet,
    "$geoNear": _stage,
    "$graphLookup": _stage,
    "$lookup": _stage,
    "$merge": _stage,
    "$unionWith": _stage,
}
_IN_STAGES: Mapping[str, _Reading] = {
    "pipeline": _pipeline,
    "whenMatched": _pipeline,
    "query": _filter,
    "restrictSearchWithMatch": _filter,
    "let": _expression,
    "startWith": _expression,
    # Names of collections and fields, which hold no ``$``.
    "from": _filter,
    "coll": _filter,
    "into": _filter,
}
_NAMED: Mapping[str, _Reading] = {
    # of commands
    "pipeline": _pipeline,
    "projection": _expression,
    "fields": _expression,
    "let": _expression,
    "updates": _statements,
    "deletes": _statements,
    "ops": _statements,
    "indexes": _statements,
    "explain": _statements,
    "documents": _stored,
    "map": _code,
    "reduce": _code,
    "finalize": _code,
    # of statements within them
    "u": _update,
    "update": _update,
    "updateMods": _update,
    "c": _expression,
    "constants": _expression,
    "document": _stored,
}


def _by_name(key: str) -> _Reading:
    """Return how a member of a command is read; as a filter where nothing is known of
    it: filters are looked through for everything but paths."""
    return _NAMED.get(key, _filter)
