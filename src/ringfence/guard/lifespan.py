"""Start and stop in one order: the guard's stores, the application's own start-up,
then the plans, bound and sealed; and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from ringfence.errors import RingfenceError
from ringfence.exchange import ASGIApp, Message, Receive, Scope, Send

Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Steps:
    """What the guard does around the application's own start and stop.

    Args:
        open_stores: opens what the stages need.
        close_plans: compiles, binds, seals and rehearses.
        close_stores: the reverse of ``open_stores``.
    """

    open_stores: Step
    close_plans: Step
    close_stores: Step


async def run_lifespan(
    app: ASGIApp, steps: Steps, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run an application's lifespan inside the guard's own.

    Routes that the application adds while it starts are there when ``close_plans``
    reads them. Whatever the guard refuses becomes ``lifespan.startup.failed`` with its
    one sentence, after the application has cleaned up, and is raised.

    Args:
        app: the application; one without a lifespan is served all the same.
        steps: the guard's own.
        scope: of the lifespan.
        receive: the server's.
        send: the server's.

    Raises:
        RingfenceError: the guard refuses to start.
    """
    try:
        await steps.open_stores()
    except RingfenceError as error:
        await receive()
        await _fail(send, error)
    last: list[Message] = []

    async def hold_last(message: Message) -> None:
        """Servers end their loop once they hear that all is done, so it must be."""
        if message["type"].startswith("lifespan.shutdown."):
            last.append(message)
        else:
            await send(message)

    try:
        await _run_inner(app, scope, receive, hold_last, steps.close_plans)
    finally:
        await steps.close_stores()
    for message in last:
        await send(message)


async def _run_inner(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, close_plans: Step
) -> None:
    refusal: RingfenceError | None = None
    asked = False

    async def listen() -> Message:
        nonlocal asked
        asked = True
        return await receive()

    async def watch(message: Message) -> None:
        nonlocal refusal
        _must_be_of_lifespan(message)
        if message["type"] == "lifespan.startup.complete":
            try:
                await close_plans()
            except RingfenceError as error:
                refusal = error
                raise
        if refusal is None:
            await send(message)

    try:
        await app(scope, listen, watch)
    except Exception:  # one that knows no lifespan may raise whatever it likes
        if refusal is None and asked:
            raise
    if refusal is not None:
        await _fail(send, refusal)
    elif not asked:
        await _run_without(receive, send, close_plans)


def _must_be_of_lifespan(message: Message) -> None:
    """Stop a plain application that takes everything for a request: it has none."""
    if not message["type"].startswith("lifespan."):
        raise ValueError(f"{message['type']} is no answer to a lifespan")


async def _run_without(receive: Receive, send: Send, close_plans: Step) -> None:
    """Start without the application: one that knows no lifespan raises or returns
    before it asks what is wanted, and ASGI lets it."""
    await receive()
    try:
        await close_plans()
    except RingfenceError as error:
        await _fail(send, error)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _fail(send: Send, error: RingfenceError) -> NoReturn:
    """Tell the server, then raise: test clients take whoever returns for started."""
    await send({"type": "lifespan.startup.failed", "message": str(error)})
    raise error
