"""Whom a thread works for: Python's threads and thread pools forget the request that
has called them.

``asyncio.to_thread``, anyio and Starlette hand the context on. ``run_in_executor``,
``ThreadPoolExecutor.submit``, plain threads and timers do not (aiofiles and the look-up
of names are among them), so that a guard would not know whose input it judges. A call
that a request gives to a pool is judged as the request's; a thread that it starts may
go on to work for others, and is judged as anybody's, its own request's among them.

Source: PEP 567 (contexts), PEP 578.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from ringfence.errors import SettingsError
from ringfence.exchange import Exchange, active
from ringfence.interpreters.sink import starter

_MARK = "_ringfence_carries"
# Threads of pools wait for the next call, which brings its own request along.
_POOLS = ("concurrent.futures.", "anyio.")

_Submit = Callable[..., "Future[Any]"]


def arm() -> None:
    """Have thread pools and threads remember for whom they were called.

    Raises:
        SettingsError: this Python's threads are not made as expected.
    """
    if hasattr(ThreadPoolExecutor.submit, _MARK):
        return
    _check_shape()
    for owner, name, carrying in (
        (ThreadPoolExecutor, "submit", _carrying_submit),
        (threading.Thread, "start", _carrying_start),
    ):
        wrapped = carrying(getattr(owner, name))
        setattr(wrapped, _MARK, True)
        setattr(owner, name, wrapped)


def _check_shape() -> None:
    submit = list(inspect.signature(ThreadPoolExecutor.submit).parameters)
    start = list(inspect.signature(threading.Thread.start).parameters)
    if submit != ["self", "fn", "args", "kwargs"] or start != ["self"]:
        message = (
            "threads of this Python cannot be told for whom they work; use a version "
            "of Python that ringfence supports (3.11 to 3.14)"
        )
        raise SettingsError(message)


def _carrying_submit(submit: _Submit) -> _Submit:
    @functools.wraps(submit)
    def carrying(
        self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        exchange, begun_by = active.get(), starter.get()
        if exchange is not None or begun_by is not None:
            fn = partial(_call_for, exchange, begun_by, fn)
        return submit(self, fn, *args, **kwargs)

    return carrying


def _call_for(
    exchange: Exchange | None,
    begun_by: Exchange | None,
    call: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Call for a request, and forget it: the thread belongs to all."""
    of_request, of_thread = active.set(exchange), starter.set(begun_by)
    try:
        return call(*args, **kwargs)
    finally:
        active.reset(of_request)
        starter.reset(of_thread)


def _carrying_start(start: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(start)
    def carrying(self: threading.Thread) -> None:
        begun_by = active.get() or starter.get()
        if begun_by is not None:
            if _is_of_pool(self):
                begun_by = None
            run = partial(_run_for, self, begun_by)
            self.run = run  # type: ignore[method-assign]  # of this thread only, until it runs
        start(self)

    return carrying


def _run_for(thread: threading.Thread, begun_by: Exchange | None) -> None:
    """Run a thread as begun by a request, and not within it: a Python whose threads
    inherit their context (3.14, by a flag) would take all it does for that one's."""
    del thread.run
    of_request, of_thread = active.set(None), starter.set(begun_by)
    try:
        thread.run()
    finally:
        active.reset(of_request)
        starter.reset(of_thread)


def _is_of_pool(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    makers = (type(thread).__module__, getattr(target, "__module__", None) or "")
    return any(f"{maker}.".startswith(_POOLS) for maker in makers)
