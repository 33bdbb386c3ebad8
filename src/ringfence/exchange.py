"""One request on its way in and its response on its way out.

Rooms do not know each other: what one of them learns reaches the next through the
``Exchange``. Each field has one writer, named beside it, and is written once, from
outside in.
"""

from __future__ import annotations

import secrets
import types
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from ringfence.denial import Answer, Denial
from ringfence.principal import Principal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]


class Ready:
    """What a receive returns where its message is there already: who knows this class
    takes the message, who does not awaits it.

    Args:
        message: of the client's.
    """

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        self.message = message

    def __await__(self) -> Generator[object, None, Message]:
        yield from ()
        return self.message


Waited = TypeVar("Waited")


@types.coroutine
def go_on(
    waiting: Generator[object, object, Waited], first: object
) -> Generator[object, object, Waited]:
    """Wait on in the place of what has begun to wait, for ``first``."""
    try:
        yield first
    except BaseException as error:  # noqa: BLE001 - handed on to where it belongs
        try:
            first = waiting.throw(error)
        except StopIteration as there:
            return cast("Waited", there.value)
        return (yield from go_on(waiting, first))
    return (yield from waiting)


class Exchange:
    """What the guard knows about one request.

    ``headers`` maps lower-case names to values, built once. Where a name came more
    than once it holds the last value and the name stands in ``repeated``;
    ``traffic.request_line`` refuses the ones that may come only once, before any other
    room reads them, and joins ``cookie`` lines.
    """

    # Defaults stand on the class: what nobody writes costs a request nothing.
    _request_id = ""
    plan: Any = None  # guard: the RoutePlan that answers
    stopped_by: object | None = None  # guard: the step that has ended this
    probe: object | None = None  # guard: set while routes are rehearsed
    entered = False  # guard: the chosen endpoint has been reached
    mismatch: object | None = None  # guard: another endpoint was reached
    denial: Denial | None = None  # whoever refuses; read by guard
    nonce = ""  # current: minted when a page first asks for it

    client = ""  # traffic.client_ip
    network = ""  # traffic.client_ip: the address, IPv6 grouped to /64
    in_flight = False  # traffic.in_flight: counted in, to be counted out
    scheme = ""  # traffic.client_ip: "http" or "https", as the client saw it
    host = ""  # traffic.host: lower case, with the port if there was one
    reply: Any = None  # guard: the Reply of the shared store, or its StoreError
    named: Any = None  # identity.sessions: whose session the cookies name, if known
    credential = ""  # identity: "", "session" (ambient) or "bearer"
    session: object | None = None  # identity.sessions: the SessionRecord
    shown: Any = None  # identity.tokens: what the token of a request says, judged once
    token: Any = None  # identity.tokens: the claims of the token that has let it in
    api_key: Any = None  # identity.api_keys: the key that has let it in
    ambient = b""  # identity.tokens: what CSRF tokens are bound to without a session
    lapsed: Denial | None = None  # identity.tokens: why the one in a cookie is no good
    principal: Principal | None = None  # identity
    mint_csrf_token: Callable[[Exchange], str] | None = None  # browser.csrf
    permitted: object | None = None  # access: what the policy of the plan has allowed
    sinks: Any = None  # guard: what interpreters are handed; None before the plan
    data: Any = None  # guard: the databases whose rows have owners
    opened: Any = None  # current: what was opened of them, closed by guard
    received: list[bytes | str] = []  # noqa: RUF012 - replaced, never changed; guard
    too_much = False  # guard: more was received than is remembered
    has_body = False  # a stage has read all of the body into ``received``
    accepted: tuple[tuple[object, object], ...] = ()  # interpreters: model and value
    inputs: object | None = None  # interpreters: what was brought, once it is read
    trail: object | None = None  # interpreters.urls: where it leads our connections

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive  # guard; traffic and browser wrap it to cap or replay
        kind: str = scope["type"]
        self.kind = kind
        # A handshake's GET is not a method that a route could ask for.
        self.method: str = scope["method"] if kind == "http" else "WEBSOCKET"
        self.path: str = scope["path"]
        # The application gets a list of its own: uvicorn goes on appending to the one
        # it gave, and a trailer that comes late would reach the application as a
        # header that no stage has judged (CWE-444, RFC 9110 section 6.5.1).
        raw = scope["headers"] = list(scope["headers"])
        headers: dict[bytes, bytes] = dict(raw)
        self.headers = headers
        self.repeated = len(headers) != len(raw)
        self.response_headers: list[tuple[bytes, bytes]] = []  # any stage may add

    @property
    def request_id(self) -> str:
        """The id under which refusals, events and the log know this request: random,
        since a counter would tell strangers how busy the service is; made when it is
        first asked for."""
        if not self._request_id:
            self._request_id = secrets.token_hex(8)
        return self._request_id

    @request_id.setter
    def request_id(self, value: str) -> None:
        self._request_id = value


End = Denial | Answer
"""What ends a request before the application hears of it."""

ENDS = (Denial, Answer)
"""The same for ``isinstance``, which asks a tuple faster than a union."""

Stage = Callable[[Exchange], Awaitable[End | None]]
"""Asks one question about a request: ``None`` lets it go on, an ``End`` ends it."""

Step = Callable[[Exchange], "End | Awaitable[End | None] | None"]
"""A stage as the guard calls it: it may say ``None`` at once."""


def at_once(decide: Step) -> Stage:
    """Make a stage of a plain function, which most requests pass without waiting.

    Nothing but the function is called for them: a coroutine that waits for nothing
    costs as much as a small check. The function may return an awaitable where it has
    to wait after all.
    """

    async def stage(exchange: Exchange) -> End | None:
        return await settle(decide(exchange))

    stage.__name__ = decide.__name__
    stage.__qualname__ = decide.__qualname__
    stage.step = decide  # type: ignore[attr-defined]  # read by ``step_of``
    return stage


def step_of(stage: Stage) -> Step:
    """Return what the guard calls for a stage."""
    return getattr(stage, "step", stage)


async def settle(said: End | Awaitable[End | None] | None) -> End | None:
    """Return what a step has said, waiting for it if need be."""
    if said is None or isinstance(said, ENDS):
        return said
    return await said


live: set[Exchange] = set()
"""The requests that the application is answering, of all guards in this process: code
of which nobody knows whom it works for may work for any of them. Kept by ``guard``."""

own_work: ContextVar[bool] = ContextVar("ringfence_own_work", default=False)
"""Set where the guard itself works, for no request: a store that connects again. It is
not judged by what requests in progress have brought."""

active: ContextVar[Exchange | None] = ContextVar("ringfence_exchange", default=None)
"""The exchange that the running code belongs to. Set by ``guard``, read by
``current``; it follows the request into tasks and thread-pool calls."""
