"""What libraries do within one request, in a process that has imported few of them:
prints which of it was refused, and nothing if all is well."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import functools
import importlib
import inspect
import io
import json
import linecache
import logging.handlers
import mimetypes
import os
import pickle
import sqlite3
import sys
import tempfile
import traceback
import typing
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jinja2
import pydantic
import sqlalchemy
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringfence import Guard, Settings, access
from ringfence.exchange import active

# Each of them opens files, compiles source or patterns, or makes classes when it is
# imported.
LATE = (
    "antigravity",
    "csv",
    "decimal",
    "doctest",
    "email.mime.multipart",
    "fastapi",
    "html.parser",
    "httpx2",
    "lxml.etree",
    "mako.template",
    "multiprocessing.pool",
    "pymongo",
    "smtplib",
    "tarfile",
    "unittest.mock",
    "webbrowser",
    "xml.dom.minidom",
    "yaml",
    "zoneinfo",
)
# Words that files, sources, patterns and templates of libraries hold, too: lessons.
LESSONS = [
    *("self, other", "self.x = x", "return self", "def __init__(self", "import os"),
    *(
        "from __future__ import annotations",
        "class Foo(Bar):",
        "raise ValueError",
        "f(x)",
    ),
    *("a.b", "x = 1", "lambda x: x", "print(1)", "if TYPE_CHECKING:", "dict[str, int]"),
    *(
        "(a+)+$",
        ".*",
        "*/*",
        r"\s*",
        r"[^\s]+",
        "(.*)",
        "(?:a|b)+",
        "[a-z]*",
        "|",
        "()",
    ),
    *("../..", "..", "../index.html", "/usr", "/tmp", "/etc/hosts", "/dev/null", "lib"),
    *("/etc/mime.types", "site-packages", os.__file__, json.__file__, "~", "*.py"),
    *("{{ title }}", "{% block body %}", "${x}", "<%def>", "{name}", "=1+1"),
    *("!!python/object:x.y", "os.system", "posix", "system", "OrderedDict", "os", "re"),
]


def log(folder: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(
        folder / "log", maxBytes=100, backupCount=2
    )
    for _ in range(3):
        record = logging.LogRecord("a", 20, "x", 1, str(LESSONS), (), None)
        handler.emit(record)
    handler.close()


def database(folder: Path) -> None:
    connection = sqlite3.connect(folder / "x.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()


def trace() -> str:
    try:
        LESSONS.index("no lesson")
    except ValueError:
        linecache.clearcache()
        return traceback.format_exc()


def classes() -> None:
    collections.namedtuple("P", "x y other")  # noqa: PYI024 - as libraries do
    dataclasses.make_dataclass("D", ["x", "y"])(1, 2)
    pydantic.create_model("M", x=(dict[str, int], {}))()

    def hinted(x: "typing.List[int]") -> "dict[str, int]": ...  # noqa: UP006, UP037 - text

    typing.get_type_hints(hinted, {"typing": typing})


def page() -> str:
    environment = jinja2.Environment(autoescape=True)
    source = "{{ title }} {% block body %}{% endblock %}"
    return environment.from_string(source).render(title="x")


def statement() -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT :x"), {"x": LESSONS[0]})
    engine.dispose()


def archive(folder: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as written:
        written.writestr("a/b", "c")
    zipfile.ZipFile(packed).extractall(folder / "unpacked")


def cache() -> object:
    value = [collections.OrderedDict(), uuid.uuid4(), ValueError(), Path("/a")]
    return pickle.loads(pickle.dumps(value))


def temporary() -> None:
    with tempfile.SpooledTemporaryFile(max_size=1) as file:
        file.write(b"abc")
    with tempfile.NamedTemporaryFile() as named:
        named.write(b"abc")
    tempfile.TemporaryDirectory().cleanup()


def thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(Path(os.__file__).read_text).result()


def steps(folder: Path) -> Iterator[Callable[[], object]]:
    """Yield one honest piece of work after the other."""
    yield from (functools.partial(importlib.import_module, name) for name in LATE)
    yield from (functools.partial(step, folder) for step in (log, database, archive))
    yield from (trace, classes, page, statement, cache, temporary, thread)
    yield mimetypes.init
    yield functools.partial(inspect.getsource, functools)


async def work(request: Request) -> Response:
    await request.body()
    exchange = active.get()
    refused = []
    with tempfile.TemporaryDirectory() as folder:
        for step in steps(Path(folder)):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - told below
                refused.append(f"{step}: {error!r}")
            if exchange is None:
                return JSONResponse("nobody is asking")
            if exchange.denial is not None:
                refused.append(f"{step}: {exchange.denial}")
                exchange.denial = None
    return JSONResponse(refused)


async def ask(app: Guard) -> bytes:
    """Send the lessons, as text and as JSON, and return what was refused."""
    body = json.dumps(LESSONS).encode()
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    headers += [(b"content-length", b"%d" % len(body)), (b"accept", b"*/*")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/work",
        "raw_path": b"/work",
        "query_string": b"name=../..&page=1",
        "root_path": "",
        "scheme": "http",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }
    told = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        told.append(message.get("body", b""))

    await app(scope, receive, send)
    return b"".join(told)


def main() -> None:
    with tempfile.TemporaryDirectory() as data:
        settings = Settings.load(environ={}, env="development", data=data)
        routes = access.routes([Route("/work", work, methods=["POST"])], access.public)
        sys.stdout.buffer.write(
            asyncio.run(ask(Guard(Starlette(routes=routes), settings)))
        )


if __name__ == "__main__":
    main()
