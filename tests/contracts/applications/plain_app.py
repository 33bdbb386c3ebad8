"""The application of the contract, in plain ASGI."""

from __future__ import annotations

import json
import re

from tests.contracts.applications.parts import (
    SECRET,
    STAFF,
    VERBS,
    Named,
    Story,
    TeapotError,
    below,
)

from ringfence import access, current
from ringfence.frameworks.rule import Rule

FRAMEWORK = "plain"
HEAD_OF_GET = 405
RULES = (
    Rule("GET", "/open", access.public),
    Rule("GET", "/me", access.signed_in),
    Rule("GET", "/staff", STAFF),
    Rule("GET", "/page", access.public, Named("route")),
    *(Rule(verb, "/things", access.public) for verb in VERBS),
    Rule("GET", "/items/{number}", access.public),
    Rule("POST", "/echo", access.public),
    *(
        Rule("GET", f"/{name}", access.public)
        for name in ("stream", "later", "boom", "teapot", "state", "slow")
    ),
    Rule("GET", "/marked", access.public, Named("above"), Named("below")),
    Rule("GET", "/resource", access.public, Named("class")),
    Rule("WEBSOCKET", "/socket", access.public),
    Rule("WEBSOCKET", "/private", access.signed_in),
    Rule("WEBSOCKET", "/refusing", access.public),
    Rule("WEBSOCKET", "/failing", access.public),
    Rule("GET", "/sub/inside", access.public, Named("mount")),
    Rule("GET", "/foreign/{path:path}", access.public),
)


class Plain:
    def __init__(self, story: Story) -> None:
        self.story = story
        self.word = ""

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self.sockets(scope["path"], receive, send)
        elif scope["path"].startswith("/foreign"):
            await below(scope, receive, send)
        else:
            await self.http(scope, receive, send)

    async def lifespan(self, receive, send):
        await receive()
        try:
            self.story.start()
        except RuntimeError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        self.word = "kept"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.story.tell("stopped")
        await send({"type": "lifespan.shutdown.complete"})

    async def http(self, scope, receive, send):
        method, path = scope["method"], scope["path"]
        name = path.split("/")[1]
        handler = getattr(self, f"on_{name}", None)
        if handler is None:
            await answer(send, 404, b"not found")
            return
        try:
            status, body, kind = await handler(method, path, receive, send)
        except TeapotError:
            status, body, kind = 418, b"short and stout", b"text/plain"
        if body is not None:
            await answer(send, status, body, kind)
        if name == "later":
            self.story.tell(f"later {current.request_id()}")

    async def on_open(self, *_):
        self.story.tell("open")
        return as_json(request_id=current.request_id())

    async def on_me(self, *_):
        return as_json(id=current.principal().id, csrf_token=current.csrf_token())

    async def on_staff(self, *_):
        self.story.tell("staff")
        return as_json(staff=True)

    async def on_page(self, *_):
        text = f'<script nonce="{current.nonce()}">1</script>'
        return 200, text.encode(), b"text/html; charset=utf-8"

    async def on_things(self, method, *_):
        if method == "DELETE":
            self.story.tell("remove DELETE")
            return as_json(removed=True)
        self.story.tell(f"things {method}")
        return as_json(method=method)

    async def on_items(self, method, path, *_):
        number = path.split("/")[2]
        if not re.fullmatch("[0-9]+", number):
            return 404, b"not found", b"text/plain"
        return as_json(number=int(number))

    async def on_echo(self, method, path, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return 200, body, b"text/plain"

    async def on_stream(self, method, path, receive, send):
        await start(send, 200, b"text/plain")
        for chunk in ("a", "b", current.request_id()):
            body = chunk.encode()
            message = {"type": "http.response.body", "body": body, "more_body": True}
            await send(message)
        await send({"type": "http.response.body", "body": b""})
        return 200, None, b""

    async def on_later(self, *_):
        return 200, current.request_id().encode(), b"text/plain"

    async def on_boom(self, *_):
        raise RuntimeError(SECRET)

    async def on_teapot(self, *_):
        raise TeapotError

    async def on_state(self, *_):
        return as_json(state=self.word)

    async def on_slow(self, *_):
        self.story.waiting.set()
        try:
            await self.story.release.wait()
        finally:
            self.story.tell("let go")
        return 200, b"done", b"text/plain"

    async def on_marked(self, *_):
        return 200, b"marked", b"text/plain"

    async def on_resource(self, *_):
        return 200, b"resource", b"text/plain"

    async def on_sub(self, *_):
        return 200, b"inside", b"text/plain"

    async def sockets(self, path, receive, send):
        await receive()
        if path == "/refusing":
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        if path == "/failing":
            raise RuntimeError(SECRET)
        if path == "/private":
            self.story.tell("private")
            await send({"type": "websocket.send", "text": current.principal().id})
            await send({"type": "websocket.close", "code": 1000})
            return
        self.story.tell("socket")
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"] == "bye":
                await send({"type": "websocket.close", "code": 1000})
                return
            text = f"{message['text']} {current.request_id()}"
            await send({"type": "websocket.send", "text": text})


def as_json(**content):
    return 200, json.dumps(content).encode(), b"application/json"


async def start(send, status, kind):
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def answer(send, status, body, kind=b"text/plain"):
    await start(send, status, kind)
    await send({"type": "http.response.body", "body": body})


def build(story: Story):
    app = Plain(story)
    for one in reversed(story.middleware):
        app = one(app)
    return app


def undeclared():
    return Plain(Story())


add_late = None  # nothing can be sealed


MARKS = {
    "/marked": "above below",
    "/resource": "class",
    "/page": "route",
    "/sub/inside": "mount",
}
