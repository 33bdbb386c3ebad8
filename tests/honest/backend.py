"""A backend that hands one honest value to every interpreter, as careful code does, and
says where it came back changed."""

from __future__ import annotations

import ast
import csv
import io
import json
import logging
import pickle
import re
import shlex
import sqlite3
import string
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import quote, unquote

import jinja2
import ldap3
import sqlalchemy
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ringfence import access, ldap, nosql, paths, sql
from ringfence.interpreters import html
from ringfence.interpreters.sink import Sink
from ringfence.interpreters.sql.judge import check

OWN_DATABASE = ("10.1.2.3", 5432)
PUBLIC = ("93.184.216.34", 443)
_PAGE = jinja2.Environment(autoescape=True).from_string("<p>{{ value }}</p>")
_OTHER = {name: Sink("sql", name) for name in ("postgres", "mysql")}
_BACK = "\\"
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class World:
    """What the careful handler uses, opened before the first request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = sqlite3.connect(":memory:", check_same_thread=False)
        self.engine = sqlalchemy.create_engine("sqlite://")
        self.directory = ldap3.Connection(
            ldap3.Server("none"), client_strategy=ldap3.MOCK_SYNC
        )
        self.directory.strategy.add_entry("cn=reader", {"userPassword": "x"})
        self.directory.rebind("cn=reader", "x")

    def close(self) -> None:
        self.db.close()
        self.engine.dispose()


Use = Callable[[World, str], object]


def bound(world: World, value: str) -> object:
    return world.db.execute("SELECT ?", (value,)).fetchone()[0]


def quoted(world: World, value: str) -> object:
    """Put into a literal by hand, rightly."""
    literal = "'" + value.replace("'", "''") + "'"
    return world.db.execute(f"SELECT {literal} AS given").fetchone()[0]


def by_template(world: World, value: str) -> object:
    query = sql.query("SELECT {value}", value=value)
    return world.db.execute(*query.qmark).fetchone()[0]


def by_expression(world: World, value: str) -> object:
    with world.engine.connect() as db:
        return db.execute(sqlalchemy.select(sqlalchemy.literal(value))).scalar_one()


def by_text(world: World, value: str) -> object:
    with world.engine.connect() as db:
        statement = sqlalchemy.text("SELECT :value")
        return db.execute(statement, {"value": value}).scalar_one()


def postgres_literal(world: World, value: str) -> object:
    literal = "'" + value.replace("'", "''") + "'"
    check(f"SELECT {literal}", dialect="postgres", sink=_OTHER["postgres"])
    return value


def mysql_literal(world: World, value: str) -> object:
    literal = value.replace(_BACK, _BACK * 2).replace("'", "''")
    check(f"SELECT '{literal}'", dialect="mysql", sink=_OTHER["mysql"])
    return value


def argument(world: World, value: str) -> object:
    words = ["convert", "--", value]
    sys.audit("subprocess.Popen", "convert", words, None, None)
    return value


def shell_word(world: World, value: str) -> object:
    line = f"convert -- {shlex.quote(value)}"
    sys.audit("subprocess.Popen", "/bin/sh", ["/bin/sh", "-c", line], None, None)
    return shlex.split(line)[-1]


def escaped(world: World, value: str) -> object:
    return unescape(str(html.text(value)))


def attribute(world: World, value: str) -> object:
    return unescape(str(html.attribute(value)))


def script(world: World, value: str) -> object:
    return json.loads(str(html.script(value)))


def page(world: World, value: str) -> object:
    return unescape(_PAGE.render(value=value).removeprefix("<p>").removesuffix("</p>"))


def file_name(world: World, value: str) -> object:
    """A name that a file system takes is kept."""
    name = unquote(quote(value))
    if (
        re.search(r'[\x00-\x1f/\\:*?"<>|]', name)
        or len(name.encode()) > 200
        or name.endswith((".", " "))
        or _DEVICES.fullmatch(name)
        or not name
    ):
        return value
    path = paths.join_below(world.folder, name)
    path.write_text("x")
    with (world.folder / name).open() as file:
        file.read()
    path.unlink()
    return path.name


def directory_filter(world: World, value: str) -> object:
    world.directory.search("dc=example", str(ldap.filter("(cn={name})", name=value)))
    return value


def query_value(world: World, value: str) -> object:
    return nosql.value(value)


def json_text(world: World, value: str) -> object:
    return json.loads(json.dumps(value))


def python_literal(world: World, value: str) -> object:
    return ast.literal_eval(repr(value))


def pickled(world: World, value: str) -> object:
    return pickle.loads(pickle.dumps({"value": value}))["value"]


def yaml_text(world: World, value: str) -> object:
    return yaml.safe_load(yaml.safe_dump(value))


def csv_row(world: World, value: str) -> object:
    file = io.StringIO(newline="")
    csv.writer(file).writerow([value, "1"])
    file.seek(0)
    return next(csv.reader(file))[0]


def searched(world: World, value: str) -> object:
    found = re.search(re.escape(value), f"a{value}b")
    return found and found[0]


def filled(world: World, value: str) -> object:
    return string.Template("$value").substitute(value=value)


def logged(world: World, value: str) -> object:
    logging.getLogger("tests.honest").info("somebody wrote %s", value)
    return value


def connected(world: World, value: str) -> object:
    """To its own database, and to somebody on the internet."""
    sys.audit("socket.connect", None, OWN_DATABASE)
    sys.audit("socket.connect", None, PUBLIC)
    return value


USES: dict[str, Use] = {
    use.__name__: use
    for use in (
        bound,
        quoted,
        by_template,
        by_expression,
        by_text,
        postgres_literal,
        mysql_literal,
        argument,
        shell_word,
        escaped,
        attribute,
        script,
        page,
        file_name,
        directory_filter,
        query_value,
        json_text,
        python_literal,
        pickled,
        yaml_text,
        csv_row,
        searched,
        filled,
        logged,
        connected,
    )
}


def application(world: World) -> Starlette:
    """Return the backend; what was wrong stands in a header of its answer."""

    async def use_it(request: Request) -> Response:
        value = (await request.json())["value"]
        wrong = []
        for name, use in USES.items():
            try:
                if use(world, value) != value:
                    wrong.append(f"{name}: changed")
            except Exception as error:  # noqa: BLE001 - told in the answer
                wrong.append(f"{name}: {type(error).__name__}: {error}")
        headers = {"x-wrong": quote("; ".join(wrong)), "location": quote(value)}
        return HTMLResponse(f"<title>t</title><p>{html.text(value)}</p>", 200, headers)

    routes = [Route("/use", use_it, methods=["POST"])]
    return Starlette(routes=access.routes(routes, access.public))
