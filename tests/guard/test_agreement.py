"""The guard's idea of the route is the framework's own.

Generated applications and odd paths: where the index picks a plan, the framework enters
exactly that endpoint; where it picks none, the framework enters nothing.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from litestar import Litestar, WebSocket, asgi, route, websocket
from litestar.exceptions import (
    HTTPException,
    ImproperlyConfiguredException,
)
from litestar.types import Receive, Scope, Send
from msgspec import MsgspecError
from starlette.applications import Starlette
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute

from ringfence import access
from ringfence.errors import PlanError
from ringfence.exchange import Exchange
from ringfence.frameworks.open import open_adapter
from ringfence.frameworks.table import Place
from ringfence.guard.bind import Rehearsed, bind, seal
from ringfence.guard.index import compile_index
from ringfence.guard.plan import RoutePlan

PIECES = (
    "a",
    "b",
    "users",
    "me",
    "x.json",
    "",
    "{}",
    "{:int}",
    "{:float}",
    "{:uuid}",
    "{:path}",
    "v{:int}",
    "{}.json",
    "{}-{}",
    "é",
    "a b",
    "A",
)
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
HOSTS = ("a.org", "b.org", "{}.a.org")
ASKED_HOSTS = ("a.org", "a.org:8000", "x.a.org", "b.org:80", "c.org", "[::1]:80", "")
TEXTS = (
    "a",
    "b",
    "users",
    "me",
    "7",
    "007",
    "1.5",
    "-1",
    "x.json",
    "v3",
    "q-r",
    "00000000-0000-4000-8000-000000000000",
    "é",
    "%2f",
    "..",
    ".",
    "a;b",
    "",
    "a b",
    "A",
    "a\n",
    "٣",
    "\\",
    "9" * 5000,
)


@dataclass(frozen=True)
class Spec:
    """One thing to declare; ``below`` for what holds others."""

    kind: str
    pieces: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()
    host: str = ""
    below: tuple[Spec, ...] = field(default=())


PREFIX_PIECES = ("a", "b", "users", "me", "{}", "{:int}", "{}-{}")
LEAVES = ("route", "api", "websocket", "apiwebsocket", "foreign", "frontend")
HOLDERS = ("mount", "submount", "include", "host")


def some_specs(dice, depth=0):
    """Make up declarations, at most three levels deep."""
    return tuple(some_spec(dice, depth) for _ in range(dice.randint(1, 5 - depth)))


def some_spec(dice, depth):
    kind = dice.choice(LEAVES + HOLDERS if depth < 3 else LEAVES)
    if kind in HOLDERS:
        return Spec(
            kind,
            pieces=some(dice, PREFIX_PIECES, 0, 2),
            host=dice.choice(HOSTS),
            below=some_specs(dice, depth + 1),
        )
    prefix = kind in {"foreign", "frontend"}
    return Spec(
        kind,
        pieces=some(dice, PREFIX_PIECES, 0, 2) if prefix else some(dice, PIECES, 1, 3),
        methods=frozenset(some(dice, METHODS, 1, 3)),
    )


def some(dice, choices, least, most):
    return tuple(dice.choice(choices) for _ in range(dice.randint(least, most)))


class Names:
    """Gives parameters names that never clash."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def fill(self, text: str) -> str:
        while "{}" in text or "{:" in text:
            name = f"p{next(self._numbers)}"
            at = min(i for i in (text.find("{}"), text.find("{:")) if i >= 0)
            text = f"{text[:at]}{{{name}{text[at + 1 :]}"
        return text

    def path(self, pieces: tuple[str, ...]) -> str:
        return "".join(self.fill("/" + piece) for piece in pieces)

    def prefix(self, pieces: tuple[str, ...]) -> str:
        return self.path(tuple(piece for piece in pieces if piece))


async def foreign(scope, receive, send):
    raise AssertionError


async def handler(request):
    raise AssertionError


def api_handler():
    raise AssertionError


async def api_socket(websocket):
    raise AssertionError


def starlette_routes(specs, names):
    for spec in specs:
        if spec.kind in {"route", "api"}:
            path = names.path(spec.pieces)
            yield Route(path, handler, methods=sorted(spec.methods))
        elif spec.kind in {"websocket", "apiwebsocket"}:
            yield WebSocketRoute(names.path(spec.pieces), handler)
        elif spec.kind in {"foreign", "frontend"}:
            yield Mount(names.prefix(spec.pieces), foreign)
        elif spec.kind == "mount":
            below = list(starlette_routes(spec.below, names))
            yield Mount(names.prefix(spec.pieces), routes=below)
        elif spec.kind in {"submount", "include"}:
            yield Mount(names.prefix(spec.pieces), fastapi_app(spec.below, names))
        else:
            below = Router(list(starlette_routes(spec.below, names)))
            yield Host(names.fill(spec.host), below)


def declare(router, specs, names):
    """Declare specs on a FastAPI application or router."""
    for spec in specs:
        if spec.kind == "api":
            path = names.path(spec.pieces)
            router.add_api_route(path, api_handler, methods=sorted(spec.methods))
        elif spec.kind == "apiwebsocket":
            router.add_api_websocket_route(names.path(spec.pieces), api_socket)
        elif spec.kind == "frontend":
            path = "/" + "/".join(p for p in spec.pieces if p and "{" not in p)
            router.frontend(path, directory="/nowhere", check_dir=False)
        elif spec.kind == "include":
            inner = APIRouter()
            declare(inner, spec.below, names)
            prefix = names.prefix(spec.pieces) or "/i"
            router.include_router(inner, prefix=prefix)
            if "me" in spec.pieces and not holds_applications(spec):
                # the same router a second time: two plans for each handler
                router.include_router(inner, prefix="/again")
        else:
            router.routes.extend(starlette_routes((spec,), names))


def holds_applications(spec):
    """Whether an application is mounted below, which may be done only once."""
    return spec.kind in {"mount", "submount", "host"} or any(
        map(holds_applications, spec.below)
    )


def fastapi_app(specs, names, **options):
    app = FastAPI(openapi_url=None, **options)
    declare(app, specs, names)
    return app


def plan_for(leaf):
    return RoutePlan(
        kind=leaf.kind,
        methods=tuple(sorted(leaf.methods or ())),
        path=leaf.path,
        host=leaf.host,
        policy=access.public,
        csrf="off",
        limits=(),
        place=leaf.place,
        application=foreign,
        stages=(),
        body_limit=0,
        document_headers=(),
        data_headers=(),
    )


class Guarded:
    """An application with its plans bound, as the guard binds them.

    Args:
        app: the application.
        router: what requests are sent to; nothing for the application itself.
    """

    def __init__(self, app, router=None) -> None:
        application = open_adapter(app)
        plans = {id(leaf): plan_for(leaf) for leaf in application.leaves()}
        self.app = router or app
        self.leaves = list(application.leaves())  # keeps the ids alive
        self.answer = RoutePlan(
            "answer",
            (),
            "",
            "",
            access.public,
            "off",
            (),
            Place(),
            foreign,
            (),
            0,
            (),
            (),
        )

        def plan_of(leaf):
            return plans[id(leaf)]

        self.index = compile_index(application, plan_of, self.answer)
        bind(application, plan_of)
        seal(application)

    def planned(self, method, path, host, root_path=""):
        found = self.index.find(method, path, host, root_path)
        if not root_path:  # the guard asks the dictionary first
            assert self.index.fixed.get(path, {}).get(method, found) is found
        return found

    def entered(self, method, path, host, root_path=""):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "root_path": root_path,
            "query_string": b"",
            "headers": [(b"host", host.encode())] if host else [],
            "state": {},
        }
        if method == "WEBSOCKET":
            del scope["method"]
            scope.update(type="websocket", scheme="ws", subprotocols=[])
        waiting = object()
        scope["ringfence"] = exchange = Exchange(scope, _receive)
        exchange.probe = waiting
        try:
            _drive(self.app(scope, _receive, _send))
        except Rehearsed:
            return exchange.probe
        # an int with thousands of digits; what Litestar's router and parsers raise
        except (ValueError, HTTPException, ArithmeticError, LookupError, MsgspecError):
            return None
        assert exchange.probe is waiting
        return None

    def agree(self, method, path, host, root_path=""):
        planned = self.planned(method, path, host, root_path)
        entered = self.entered(method, path, host, root_path)
        if planned is self.answer:
            planned = None
        assert planned is entered, (
            f"{method} {host}{path!r}: planned {planned and planned.path}, "
            f"entered {entered and entered.path}"
        )


def _drive(coroutine):
    """Run to the end what never has to wait: much faster than an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    finally:
        coroutine.close()
    raise AssertionError("waited for something")


async def _receive():
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message):
    pass


def some_path(dice, specs):
    """Make up a path like those of the specs, or a strange one."""
    if dice.random() < 0.1:
        pieces = some(dice, TEXTS, 0, 4)
    else:
        pieces = ()
        while specs:
            spec = dice.choice(specs)
            specs = spec.below
            pieces += tuple(fitting(dice, piece) for piece in spec.pieces)
    end = dice.choice(("", "", "", "", "/", "//", "/x", "\n"))
    start = "/again" if dice.random() < 0.05 else ""
    return start + "".join("/" + text for text in pieces) + end


def fitting(dice, piece):
    if dice.random() < 0.15:
        return dice.choice(TEXTS)
    for name, texts in FITTING.items():
        piece = piece.replace(name, dice.choice(texts))
    return piece


FITTING = {
    "{}": ("a", "me", "7", "x.json", "q-r", "é", "a;b", "%2f", "..", "a\n"),
    "{:int}": ("7", "007", "٣", "-1", "9" * 5000),
    "{:float}": ("1.5", "7", "1."),
    "{:uuid}": ("00000000-0000-4000-8000-000000000000", "me"),
    "{:path}": ("", "a", "a/b", "a//b", "../a", "a\n"),
}
ASKED_METHODS = (*METHODS, "WEBSOCKET", "WEBSOCKET", "get", "PROPFIND")
REQUESTS = 10


def requests_for(dice, specs):
    for _ in range(REQUESTS):
        path = some_path(dice, specs)
        yield dice.choice(ASKED_METHODS), path, dice.choice(ASKED_HOSTS)


# A seed instead of a strategy for trees: hypothesis takes minutes to print those.
seeds = st.integers(0, 2**64)
thorough = settings(max_examples=150, phases=[Phase.explicit, Phase.generate])


@thorough
@given(seeds)
def test_starlette_enters_what_the_index_picks(seed):
    dice = random.Random(seed)
    specs = some_specs(dice)
    guarded = Guarded(Starlette(routes=list(starlette_routes(specs, Names()))))
    for request in requests_for(dice, specs):
        guarded.agree(*request)


@thorough
@given(seeds)
def test_fastapi_enters_what_the_index_picks(seed):
    dice = random.Random(seed)
    specs = some_specs(dice)
    guarded = Guarded(fastapi_app(specs, Names()))
    for request in requests_for(dice, specs):
        guarded.agree(*request)


@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
@thorough
@given(seeds)
def test_they_agree_below_a_root_path(seed):
    dice = random.Random(seed)
    specs = some_specs(dice)
    root_path = dice.choice(("/api", "/a", "/users/7"))
    of_the_app = dice.random() < 0.5
    options = {"root_path": root_path} if of_the_app else {}
    guarded = Guarded(fastapi_app(specs, Names(), **options))
    told = "" if of_the_app else root_path
    for method, path, host in requests_for(dice, specs):
        full = path if dice.random() < 0.5 else root_path + path
        guarded.agree(method, full, host, told)


# Litestar

LITESTAR_PIECES = (
    "a",
    "b",
    "users",
    "x.json",
    "a.b",
    "é",
    "{:str}",
    "{:int}",
    "{:float}",
    "{:uuid}",
    "{:decimal}",
    "{:date}",
    "{:datetime}",
    "{:time}",
    "{:timedelta}",
    "{:path}",
)
LITESTAR_KINDS = ("http", "http", "http", "websocket", "mount", "exact")
LITESTAR_TEXTS = (
    "a",
    "b",
    "ab",
    "axb",
    "users",
    "x.json",
    "é",
    "7",
    "-7",
    "9" * 5000,
    "1.5",
    "nan",
    "1e9999",
    "00000000-0000-4000-8000-000000000000",
    "2026-01-31",
    "2026-01-31T12:00:00",
    "12:00:00",
    "PT1S",
    "",
    "..",
    "%2f",
    "a\n",
    "\\",
)
LITESTAR_METHODS = (*METHODS, "WEBSOCKET", "get", "websocket", "asgi")


def litestar_app(dice):
    """Make up an application; nothing where Litestar or the adapter refuses it."""
    handlers = []
    for _ in range(dice.randint(1, 6)):
        kind = dice.choice(LITESTAR_KINDS)
        names = itertools.count()
        pieces = some(dice, LITESTAR_PIECES, 0, 3)
        if kind == "mount":
            pieces = tuple(piece for piece in pieces if "{" not in piece)
        path = "".join(
            "/" + piece.replace("{", f"{{p{next(names)}") for piece in pieces
        )
        handlers.append(litestar_handler(kind, path or "/", some(dice, METHODS, 1, 2)))
    try:
        app = Litestar(handlers, openapi_config=None, logging_config=None)
        return Guarded(app, app.asgi_router)
    except (ImproperlyConfiguredException, PlanError):
        return None


def litestar_handler(kind, path, methods):
    if kind == "websocket":

        @websocket(path)
        async def opened(socket: WebSocket) -> None: ...

        return opened
    if kind in {"mount", "exact"}:

        @asgi(path, is_mount=kind == "mount", copy_scope=True)
        async def called(scope: Scope, receive: Receive, send: Send) -> None: ...

        return called

    @route(path, http_method=sorted(set(methods)))
    async def handled() -> None: ...

    return handled


@thorough
@given(seeds)
def test_litestar_enters_what_the_index_picks(seed):
    dice = random.Random(seed)
    guarded = litestar_app(dice)
    if guarded is None:
        return
    paths = [leaf.path for leaf in guarded.leaves]
    for _ in range(4 * REQUESTS):
        path = litestar_path(dice, paths)
        root_path = dice.choice(("", "", "/api", "/a"))
        method = dice.choice(LITESTAR_METHODS)
        if not taken_too_wide(guarded, method, path, root_path):
            guarded.agree(method, root_path + path, "", root_path)


def taken_too_wide(guarded, method, path, root_path):
    """Whether Litestar enters what the guard closes: a mount beyond its boundary, and a
    method that is called like one of the router's own keys."""
    if guarded.planned(method, root_path + path, "", root_path) is not None:
        return False
    if method in {"websocket", "asgi"}:
        return True
    entered = guarded.entered(method, root_path + path, "", root_path)
    if entered is None or entered.kind != "mount":
        return False
    return not (path.rstrip("/") + "/").startswith(entered.path + "/")


def litestar_path(dice, paths):
    """Make up a path like one of those declared."""
    pieces = [
        dice.choice(LITESTAR_TEXTS) if "{" in piece or dice.random() < 0.2 else piece
        for piece in dice.choice(paths).split("/")[1:]
    ]
    end = dice.choice(("", "", "", "/", "evil", "/x", "/x/y", "\n"))
    return "/" + "/".join(pieces) + end
