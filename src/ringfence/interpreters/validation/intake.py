"""What one route takes, put together at start-up from marks and from what its
framework reads."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import msgspec

from ringfence.interpreters.validation.from_msgspec import shape_of
from ringfence.interpreters.validation.marks import Accepts
from ringfence.interpreters.validation.names import fields_of, name_of
from ringfence.interpreters.validation.paths import Pairs, names_in, reader_of
from ringfence.interpreters.validation.shape import Bounds, Check
from ringfence.marks import Mark

UNVALIDATED = "unvalidated"
ANYTHING = "anything"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Takes:
    """What a framework itself reads into a model, as its adapter found it.

    Args:
        name: of the model of the body, as it is printed; empty where any JSON is read.
        body: checks JSON.
        form: the names of a form's fields; ``None`` if it takes no form.
        has_files: some fields of the form are files.
        query_name: of the model of the query.
        query: the names in a query that is read into a model.
        reads_by_itself: the handler has the request, and may read what it likes.
    """

    name: str = ""
    body: Check | None = None
    form: AbstractSet[str] | None = None
    has_files: bool = False
    query_name: str = ""
    query: AbstractSet[str] | None = None
    reads_by_itself: bool = True


@dataclass(frozen=True, slots=True)
class Model:
    """One model that a mark names.

    Args:
        annotation: as it was given.
        check: refuses what msgspec lets pass.
        decode: from JSON.
        several: the fields, and whether each takes several values; ``None`` for a
            model without fields.
        is_lenient: names that are no fields are let through.
    """

    annotation: object
    check: Check
    decode: msgspec.json.Decoder[object]
    several: Mapping[str, bool] | None
    is_lenient: bool


@dataclass(frozen=True, slots=True)
class Intake:
    """What a route takes.

    Args:
        text: as ``ringfence plan`` prints it.
        body: a model that a mark names.
        query: the same.
        path: the same.
        read_path: reads the values of the path's parameters.
        takes: what the framework reads, if that is to be checked.
        is_anything: bodies are not looked at.
    """

    text: str
    body: Model | None = None
    query: Model | None = None
    path: Model | None = None
    read_path: Pairs | None = None
    takes: Takes | None = None
    is_anything: bool = False


def intake_of(
    marks: tuple[Mark, ...],
    takes: Takes | None,
    *,
    methods: AbstractSet[str] | None,
    kind: str,
    template: str = "",
) -> Intake:
    """Put together what a route takes.

    Args:
        marks: beside the route, the outermost first; of two that name a model for the
            same, the innermost counts.
        takes: what the framework reads, ``None`` where that cannot be known.
        methods: that the route answers, ``None`` for every one.
        kind: of the route.
        template: its path.

    Raises:
        TypeError: msgspec does not know a model, or that of the path has other fields
            than the path has names.
    """
    said = [mark for mark in marks if isinstance(mark, Accepts)]
    body = next((one.body for one in reversed(said) if one.body is not None), None)
    query = next((one.query for one in reversed(said) if one.query is not None), None)
    path = next((one.path for one in reversed(said) if one.path is not None), None)
    if path is not None:
        _must_have_names_of(template, path)
    lenient = any(one.is_lenient for one in said)
    is_anything = any(one.is_anything for one in said)
    is_anything = is_anything and body is None  # a model is the narrower word
    models = [
        None if one is None else _model(one, lenient=lenient)
        for one in (body, query, path)
    ]
    if kind == "websocket":
        takes = None
    if takes is not None and (is_anything or body is not None):
        takes = replace(takes, name="", body=None, form=None)
    text = _text(body, query, takes, lenient=lenient)
    if is_anything:
        text = "; ".join(filter(None, (ANYTHING, text)))
    if path is not None:
        text = "; ".join(filter(None, (text, f"path {name_of(path)} (strict)")))
    reads = kind == "websocket" or (methods is not None and methods <= _READS)
    if not text:
        text = "-" if reads and kind != "mount" else UNVALIDATED
        if takes is not None and not takes.reads_by_itself:
            text = "-"
    read_path = None if path is None else reader_of(template)
    return Intake(
        text,
        body=models[0],
        query=models[1],
        path=models[2],
        read_path=read_path,
        takes=None if lenient else takes,
        is_anything=is_anything,
    )


def _must_have_names_of(template: str, model: object) -> None:
    names, fields = names_in(template), frozenset(fields_of(model) or ())
    if names != fields:
        message = (
            f"accepts(path={name_of(model)}) has the fields {sorted(fields)}, but "
            f"{template} has the names {sorted(names)}; make them the same"
        )
        raise TypeError(message)


def _model(annotation: object, *, lenient: bool) -> Model:
    return Model(
        annotation,
        shape_of(annotation, bounds=_BOUNDS, lenient=lenient),
        msgspec.json.Decoder(annotation),
        fields_of(annotation),
        lenient,
    )


def _text(body: object, query: object, takes: Takes | None, *, lenient: bool) -> str:
    """Return what is checked, model by model."""
    how = "lenient" if lenient else "strict"
    if body is None and takes is not None and takes.has_files:
        how = "lenient"  # files go through in a stream, and their form with them
    parts = []
    if body is not None:
        parts.append(f"{name_of(body)} ({how})")
    elif takes is not None and takes.name:
        parts.append(f"{takes.name} ({how})")
    elif takes is not None and takes.body is not None:
        parts.append("json")
    if query is not None:
        parts.append(f"query {name_of(query)} ({how})")
    elif takes is not None and takes.query is not None:
        parts.append(f"query {takes.query_name} ({how})")
    return "; ".join(parts)
