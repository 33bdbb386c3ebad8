"""A backend whose developer has let every origin in, as the commonest recipe does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.attacks.serving import RAISED, Server, served

from ringfence import Guard, Settings, access, cors, current

ALICE = {"email": "alice@example.com", "password": "a long pass phrase"}
SECRET = "alice's orders"
_COOKIE = "sid"
_WILD = Middleware(
    CORSMiddleware,
    allow_origins=["*"],
    allow_methods=["*"],
    allow_headers=["*"],
    allow_credentials=True,
    allow_private_network=True,
)


def _is_signed_in(connection: Request | WebSocket) -> bool:
    if "ringfence" in connection.scope:
        return bool(current.principal().id)
    return connection.cookies.get(_COOKIE) == "alice"


async def read(request: Request) -> Response:
    return PlainTextResponse(SECRET if _is_signed_in(request) else "sign in first")


async def write(request: Request) -> Response:
    if not _is_signed_in(request):
        return PlainTextResponse("sign in first", 401)
    request.app.state.written.append(await request.body())
    return JSONResponse(len(request.app.state.written))


async def written(request: Request) -> Response:
    return JSONResponse(len(request.app.state.written))


async def open_to_all(request: Request) -> Response:
    request.app.state.written.append(await request.body())
    return PlainTextResponse("42", headers={"Access-Control-Allow-Origin": "*"})


async def live(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(SECRET if _is_signed_in(socket) else "sign in first")
    await socket.close()


async def sign_in(request: Request) -> Response:
    """Where no guard is, which brings its own."""
    answer = PlainTextResponse("welcome")
    answer.set_cookie(_COOKIE, "alice", httponly=True)
    return answer


async def page(request: Request) -> Response:
    return Response("<!doctype html><title>page</title>", media_type="text/html")


def backend() -> Starlette:
    """Return the application, with the middleware that lets everybody in."""
    routes = [
        *access.routes(
            [
                Route("/mine", read),
                Route("/mine", write, methods=["POST", "PUT"]),
                WebSocketRoute("/live", live),
            ],
            access.signed_in,
        ),
        *access.routes([Route("/closed", read)], access.signed_in, cors()),
        *access.routes(
            [Route("/prices", open_to_all, methods=["GET", "POST"])],
            access.public,
            cors("*"),
        ),
        *access.routes(
            [
                Route("/written", written),
                Route("/page", page),
                Route("/sign-in", sign_in, methods=["POST"]),
            ],
            access.public,
        ),
    ]
    app = Starlette(routes=routes, middleware=[_WILD])
    app.state.written = []
    return app


@contextmanager
def unguarded() -> Iterator[Server]:
    """Serve it as it is."""
    with served(lambda port: backend()) as server:
        yield server


@contextmanager
def guarded(data: Path, *origins: str, credentials: bool = True) -> Iterator[Server]:
    """Serve it behind the guard, with the origins that are really meant."""
    browser = {"cors_origins": origins, "cors_credentials": credentials}
    settings = Settings.load(
        environ=RAISED, env="development", data=data, browser=browser
    )
    with served(lambda port: Guard(backend(), settings)) as server:
        yield server


@contextmanager
def signed_in(server: Server, *, guarded: bool) -> Iterator[httpx2.Client]:
    """Return Alice's client, signed in from a page of the service's own."""
    with httpx2.Client(base_url=server.url) as client:
        if guarded:
            client.post("/auth/register", json=ALICE)
        path = "/auth/login" if guarded else "/sign-in"
        answer = client.post(path, json=ALICE, headers={"origin": server.url})
        if answer.status_code != httpx2.codes.OK:
            raise RuntimeError(answer.text)
        yield client


def readable(answer: httpx2.Response, origin: str, *, credentials: bool) -> bool:
    """Tell whether a browser hands an answer to a script (WHATWG Fetch, CORS check)."""
    allowed = answer.headers.get_list("access-control-allow-origin")
    if not credentials and allowed == ["*"]:
        return True
    if allowed != [origin]:
        return False
    trusted = answer.headers.get("access-control-allow-credentials")
    return not credentials or trusted == "true"


def allowed(answer: httpx2.Response, method: str, *headers: str) -> bool:
    """Tell whether a browser goes on after this answer to a preflight (WHATWG Fetch,
    CORS-preflight fetch); that its origin passes the check is another question."""
    if not answer.is_success:
        return False
    methods = _listed(answer, "methods")
    names = {name.lower() for name in _listed(answer, "headers")}
    simple = {"GET", "HEAD", "POST"}
    return method in methods | simple and names.issuperset(headers)


def _listed(answer: httpx2.Response, what: str) -> set[str]:
    value = answer.headers.get(f"access-control-allow-{what}", "")
    return {part.strip() for part in value.split(",")}
