"""``accepts(Order)``: what a route takes, said beside the route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import msgspec

from ringfence.interpreters.validation.from_msgspec import shape_of
from ringfence.interpreters.validation.names import fields_of, name_of
from ringfence.marks import Mark


@dataclass(frozen=True, slots=True)
class Accepts(Mark):
    """What a route takes. Made by ``accepts``.

    Args:
        body: the model of the body, ``None`` if nothing was said about it.
        query: the model of the query, ``None`` if nothing was said about it.
        path: the model of the path's parameters, likewise.
        is_lenient: fields that are in no model are let through.
        is_anything: bodies are not looked at, whatever they are called.

    Raises:
        TypeError: msgspec does not know a model, one stands twice, or a query's or a
            path's has no fields.
    """

    body: object = None
    query: object = None
    path: object = None
    is_lenient: bool = False
    is_anything: bool = False

    def __post_init__(self) -> None:
        given = [one for one in (self.body, self.query, self.path) if one is not None]
        for model in given:
            _must_be_known(model)
        for place, model in (("query", self.query), ("path", self.path)):
            if model is not None and fields_of(model) is None:
                message = (
                    f"accepts({place}={name_of(model)}) needs a model with fields: a "
                    "msgspec.Struct, a dataclass or a TypedDict"
                )
                raise TypeError(message)
        if any(one in given[at:] for at, one in enumerate(given, 1)):
            message = (
                f"accepts names {name_of(given[-1])} twice: give body, query and path "
                "a model of its own each, or current.accepted cannot tell them apart"
            )
            raise TypeError(message)


def _foreign(model: type) -> NoReturn:
    """Refuse: msgspec takes other classes only from those who tell it how."""
    message = f"{name_of(model)} is none of the classes that it knows"
    raise TypeError(message)


def _must_be_known(model: object) -> None:
    if hasattr(model, "__pydantic_core_schema__"):
        message = (
            f"accepts({name_of(model)}) is a model of pydantic's; declare it as a "
            "parameter of a FastAPI or Litestar handler, where it is read and checked "
            "strictly unasked, or write it as a msgspec.Struct"
        )
        raise TypeError(message)
    try:
        msgspec.json.Decoder(model)
        shape_of(model, foreign=_foreign)
    except NameError:  # a class that is defined further down; start-up asks again
        return
    except TypeError as error:
        message = (
            f"accepts({name_of(model)}) cannot be checked with msgspec: {error}; use a "
            "msgspec.Struct, a dataclass, a TypedDict, an attrs class or built-in types"
        )
        raise TypeError(message) from error


class AcceptsWord:
    """The word ``accepts``; see ``__call__``."""

    __slots__ = ()

    lenient = Accepts(is_lenient=True)
    """Let fields through that are in no model of the route, as the framework would.
    JSON stays strict."""

    anything = Accepts(is_anything=True)
    """Do not look at bodies: not even JSON is checked before the handler gets it. For
    routes that take a stream, or hand on what they get byte by byte."""

    def __call__(
        self, body: object = None, /, *, query: object = None, path: object = None
    ) -> Accepts:
        """Check what a route takes against a model, before its handler runs::

            @accepts(Order)
            async def create(request):
                order = current.accepted(Order)

        Stops mass assignment (``{"role": "admin"}`` in a profile, CWE-915) and values
        of other types than the handler expects. Types are strict: ``"1"`` is no
        number. Fields that the model does not have are refused at any depth. Texts
        hold at most 10,000 characters and lists and objects 1,000 items, unless
        ``msgspec.Meta(max_length=...)`` says otherwise. A form is taken too, where the
        model has fields; there, and in a query, numbers are read from text.

        On a WebSocket, each message is checked as JSON.

        Args:
            body: a ``msgspec.Struct``, a dataclass, a ``TypedDict``, an attrs class, or
                an annotation such as ``dict[str, int]``.
            query: the same, with fields, for what stands behind ``?``.
            path: the same, for the names in the route's path.

        Raises:
            TypeError: msgspec does not know a model, one stands twice, or a query's or
                a path's has no fields.

        Not covered: whether a value is allowed to *this* user; uploaded files, which
        no model holds.

        Source: ASVS 5.0 V2.2.1, V15.3.3; OWASP API3:2023; CWE-20, CWE-915.
        """
        if body is None and query is None and path is None:
            message = (
                "accepts() needs a model: accepts(Order) or accepts(query=Filter); "
                "accepts.anything leaves a route unchecked"
            )
            raise TypeError(message)
        return Accepts(body, query, path)


accepts = AcceptsWord()
