"""A client in the loop of the test: no threads, no server, no library."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlencode, urlsplit

HOST = "127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Reply:
    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")

    def json(self):
        return json.loads(self.content)


@dataclass(frozen=True, slots=True)
class Address:
    scheme: str = "http"
    port: int = 8000


class Inline:
    """What a proof needs of a client, at a third of the price."""

    base_url = Address()

    def __init__(self, app, run) -> None:
        self._app = app
        self._run = run
        self.headers: dict[str, str] = {}
        self.cookies: dict[str, str] = {}

    def get(self, url, **further):
        return self.request("GET", url, **further)

    def post(self, url, **further):
        return self.request("POST", url, **further)

    def request(
        self,
        method,
        url,
        *,
        params=None,
        json=None,
        data=None,
        content=b"",
        headers=None,
        follow_redirects=False,
    ):
        body, kind = _body(json, data, content)
        sent = {"host": HOST, **self.headers, **_lower(headers or {})}
        if kind:
            sent.setdefault("content-type", kind)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if cookies:
            sent["cookie"] = "; ".join(filter(None, (sent.get("cookie"), cookies)))
        if body or method not in {"GET", "HEAD"}:
            sent["content-length"] = str(len(body))
        address = urlsplit(url)
        query = "&".join(filter(None, (address.query, urlencode(params or {}))))
        return self._run(self._answer(method, address.path, query, sent, body))

    async def _answer(self, method, path, query, headers, body):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
            "state": {},
        }
        inbox = [{"type": "http.request", "body": body, "more_body": False}]
        sent = []

        async def receive():
            return inbox.pop() if inbox else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await self._app(scope, receive, send)
        found = {}
        for raw_name, raw_value in sent[0]["headers"]:
            name, value = raw_name.decode().lower(), raw_value.decode()
            if name == "set-cookie":
                self._keep(value)
            found[name] = value
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return Reply(sent[0]["status"], found, content)

    def _keep(self, cookie):
        pair, _, attributes = cookie.partition(";")
        name, _, value = pair.partition("=")
        if not value or "max-age=0" in attributes.lower():
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value


def _body(document, fields, content):
    if document is not None:
        return json.dumps(document).encode(), "application/json"
    if fields is not None:
        return urlencode(fields).encode(), "application/x-www-form-urlencoded"
    return content.encode() if isinstance(content, str) else content, ""


def _lower(headers):
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def inline(app) -> Iterator[Inline]:
    """Run an application's lifespan around the block, and yield a client."""
    with asyncio.Runner() as runner:
        inbox, outbox = asyncio.Queue(), asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

        async def begin():
            task = asyncio.create_task(app(scope, inbox.get, outbox.put))
            return task, await tell("startup")

        async def tell(what):
            await inbox.put({"type": f"lifespan.{what}"})
            return await outbox.get()

        async def end(task):
            await tell("shutdown")
            await task

        task, answer = runner.run(begin())
        if answer["type"] != "lifespan.startup.complete":
            raise RuntimeError(answer)
        try:
            yield Inline(app, runner.run)
        finally:
            runner.run(end(task))
