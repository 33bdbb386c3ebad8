"""Guard pymongo, blocking and async, at the one place that every command goes through
before it is sent.

Its command listeners cannot veto: what they raise is swallowed. Neither does a guard
around collections see everything: bulk writes, cursors, transactions, GridFS and plain
commands would each need their own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from pymongo.asynchronous import pool as asynchronous
from pymongo.synchronous import pool as synchronous

from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.interpreters.nosql.judge import judge, texts_of
from ringfence.interpreters.nosql.wire import read
from ringfence.interpreters.sink import Sink, here

SINK = Sink("nosql", "pymongo")

_GUARDED = "_ringfence_guarded"
_SEND = "send_message"
_PARAMETERS = ["self", "message", "max_doc_size"]


def arm() -> None:
    """Guard every connection that pymongo has or will have in this process.

    Raises:
        SettingsError: this version of pymongo sends commands in another way.
    """
    _guard(synchronous, "Connection", "sendall", _blocking)
    _guard(asynchronous, "AsyncConnection", "async_sendall", _waiting)


def check(message: bytes) -> None:
    """Return when a message may be sent.

    Raises:
        InjectionRefusedError: input changes what it does, or it cannot be judged.
    """
    whom = here()
    if whom is None:
        return
    try:
        command = read(message)
        sinks = whom.sinks
        if sinks is not None and sinks.boundary_map is not None:
            whom.reached(SINK, "bound", *texts_of(command.document()))
        judge(command, whom, SINK)
    except InjectionRefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever fails here refuses
        whom.refuse(SINK, f"could not be judged: {type(error).__name__}")


def _guard(
    pool: ModuleType,
    connection: str,
    write: str,
    around: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> None:
    """Put the guard around one way of sending."""
    kind = getattr(pool, connection, None)
    send = getattr(kind, _SEND, None)
    if hasattr(send, _GUARDED):
        return
    if send is None or not _is_expected(send, write):
        message = (
            f"{pool.__name__}.{connection}.{_SEND} is not as ringfence knows it: this "
            "version of pymongo cannot be guarded; install pymongo>=4.10"
        )
        raise SettingsError(message)
    guarded = around(send)
    setattr(guarded, _GUARDED, True)
    setattr(kind, _SEND, guarded)
    _guard_shortcut(pool, write, around)


def _guard_shortcut(
    pool: ModuleType,
    write: str,
    around: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> None:
    """Guard the second way out that versions before 4.18 have."""
    network = sys.modules.get(pool.__name__.rpartition(".")[0] + ".network")
    send = getattr(network, write, None)
    if send is None:
        return

    @wraps(send)
    def written(connection: Any, message: bytes) -> Any:
        return around(lambda *_: send(connection, message))(None, message, 0)

    setattr(network, write, written)


def _is_expected(send: Any, write: str) -> bool:
    """Return whether this is the function that writes a command to its socket."""
    if not inspect.isfunction(send):
        return False
    if list(inspect.signature(send).parameters) != _PARAMETERS:
        return False
    return write in send.__code__.co_names


def _blocking(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def send_message(self: Any, message: bytes, max_doc_size: int) -> Any:
        check(message)
        return send(self, message, max_doc_size)

    return send_message


def _waiting(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    async def send_message(self: Any, message: bytes, max_doc_size: int) -> Any:
        check(message)
        return await send(self, message, max_doc_size)

    return send_message
