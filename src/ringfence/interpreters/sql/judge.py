"""Whether a statement may run: asked by every driver, before it hands one over."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.exchange import active
from ringfence.interpreters.sink import Here, Sink, here
from ringfence.interpreters.sql.approved import APPROVED
from ringfence.interpreters.sql.constants import KNOWN
from ringfence.interpreters.sql.lock import objection_of_lock
from ringfence.interpreters.sql.verdict import judge

_STATIC = KNOWN.statements

_vouched: ContextVar[str | None] = ContextVar("ringfence_vouched", default=None)


def check(
    statement: object,
    *,
    dialect: str,
    sink: Sink,
    parameters: object = None,
    script: bool = False,
) -> None:
    """Return when a statement may run.

    One that stands in the application's code as it is, or that was vouched for, costs
    one look into a set.

    Args:
        statement: its text, as ``str`` or ``bytes``; other kinds are the driver's to
            turn into text first.
        dialect: what reads it: ``sqlite``, ``postgres`` or ``mysql``.
        sink: the driver, for the ledger.
        parameters: what is bound to it, of any shape.
        script: several statements may stand in it.

    Raises:
        InjectionRefusedError: input stands in it as code, or this cannot be ruled out.
    """
    if statement in _STATIC:
        exchange = active.get()
        if exchange is not None and getattr(exchange.sinks, "boundary_map", None):
            tell_bound(sink, parameters)
        return
    if statement is _vouched.get():
        return
    whom = here()
    if whom is None:
        return
    try:
        _judge(whom, statement, dialect, sink, script=script)
    except InjectionRefusedError:
        raise
    except SettingsError as error:
        whom.refuse(sink, str(error))
    except Exception as error:  # noqa: BLE001 - whatever fails here refuses
        whom.refuse(sink, f"it could not be judged: {type(error).__name__}")
    tell_bound(sink, parameters)


def vouch(statement: str | None) -> None:
    """Let this very object pass in this context: whoever has made it has quoted what
    had to be quoted. Another text, even an equal one, is judged.

    Args:
        statement: ``None`` takes it back.
    """
    _vouched.set(statement)


def is_static(text: str) -> bool:
    """Return whether a text is a constant of the application, as far as its modules
    have been loaded, or of the code that is running."""
    return KNOWN.is_running(text, inspect.currentframe())


def _judge(
    whom: Here, statement: object, dialect: str, sink: Sink, *, script: bool
) -> None:
    text = _text(statement)
    _adopt(whom)
    if is_static(text):
        return
    verdict = judge(text, dialect, whom.inputs, KNOWN, APPROVED.holds, script=script)
    objection = verdict.objection
    if objection is not None:
        whom.refuse(sink, objection.why, objection.input)
        return
    why = objection_of_lock(whom, text, dialect)
    if why:
        whom.refuse(sink, why)
    sinks = whom.sinks
    if sinks is not None and sinks.boundary_map is not None:
        whom.reached(sink, "raw", *(given.text for given in verdict.raw))
        whom.reached(sink, "escaped", *(given.text for given in verdict.escaped))


def _adopt(whom: Here) -> None:
    """Know an installed application by the file of the handler that answers."""
    place = getattr(getattr(whom.exchange, "plan", None), "place", None)
    KNOWN.adopt(getattr(place, "file", ""))


def _text(statement: object) -> str:
    if isinstance(statement, str):
        return statement
    if isinstance(statement, (bytes, bytearray, memoryview)):
        return bytes(statement).decode("utf-8", "surrogateescape")
    kind = type(statement).__name__
    raise TypeError(f"a statement is text, and not {kind}")


def tell_bound(sink: Sink, parameters: object) -> None:
    """Tell the boundary map, where one is kept, what is bound to a statement."""
    whom = here()
    sinks = None if whom is None else whom.sinks
    if whom is not None and sinks is not None and sinks.boundary_map is not None:
        whom.reached(sink, "bound", *_texts(parameters))


def _texts(parameters: object) -> Iterator[str]:
    """Yield the texts in parameters, without using up what can be read once only."""
    if isinstance(parameters, str):
        yield parameters
    elif isinstance(parameters, Mapping):
        for value in parameters.values():
            yield from _texts(value)
    elif isinstance(parameters, (list, tuple)):
        for value in parameters:
            yield from _texts(value)
