"""What the paths lead through: rows of several people, and an eye on all of them.

The eye is a raw connection and rules of its own, written by hand and not taken from the
declarations: a mistake made there is seen here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Session

from ringfence import Principal, access
from ringfence.access.ownership.acting import _appointed

ANN = Principal("ann", frozenset({"member"}), tenant="t1")
BEA = Principal("bea", frozenset({"member"}), tenant="t2")
OTTO = Principal("otto", frozenset({"operator"}), tenant="t1")
STAFF = Principal("stan", frozenset({"staff"}), tenant="t1")
NOBODY = None
EMPTY = Principal("", frozenset({"member"}))
DRIFTER = Principal("dora", frozenset({"operator"}))  # an operator of no tenant

Actor = Principal | None
Rows = Mapping[str, list[dict[str, Any]]]

_TENANTS = {"ann": "t1", "bea": "t2", "": ""}
_PEOPLE = {"ann": "ann", "bea": "bea", "empty": ""}


def seed() -> Rows:
    """Return all rows, by table, parents first: the same for each of three people, of
    whom one has an empty name."""
    rows: dict[str, list[dict[str, Any]]] = {}

    def add(table: str, name: str, readers: str, **values: object) -> None:
        row = {"id": f"{name}-{readers}", "secret": f"secret:{table}:{readers}"}
        rows.setdefault(table, []).append({**row, **values})

    add("products", "product", "public", price=5, owner_id="bea")
    add("tags", "tag", "public", owner_id="bea", shared=True)
    for name, person in _PEOPLE.items():
        tenant = _TENANTS[person]
        add("tags", "tag", name, owner_id=person, shared=False)
        add("orders", "order", name, owner_id=person, total=7)
        rows["orders"][-1]["address"] = f"secret:addresses:{name}"
    for name, person in _PEOPLE.items():
        tenant = _TENANTS[person]
        order = f"order-{name}"
        add("order_lines", "line", name, order_id=order, position=1, price=3)
        add("line_details", "detail", name, order_id=order, position=1)
        add("remarks", "remark", name, order_id=order, author_id=person)
        add("invoices", "invoice", name, owner_id=person, tenant_id=tenant)
        rows["invoices"][-1]["secret"] += f"@{tenant or 'none'}"
        add("notes", "note", name, author_id=person, editor_id=None)
        add("articles", "article", name, author_id=person, published=False)
        add("documents", "document", name, kind="document", owner_id=person)
        add("documents", "report", name, kind="report", owner_id=person)
        add("payments", "payment", name, kind="payment", owner_id=person)
        add("payments", "card", name, kind="card", owner_id=person)
        add("comments", "comment", name, author_id=person, parent_id=None)
        add("teams", "team", name)
        add("memberships", "member", name, team_id=f"team-{name}", account_id=person)
        add("projects", "project", name, team_id=f"team-{name}")
        add("preferences", "preference", name, owner_id=person)
        rows["preferences"][-1]["id"] = "colour"
        link = {"order_id": order, "tag_id": f"tag-{name}"}
        rows.setdefault("order_tags", []).append(
            {**link, "secret": f"secret:order_tags:{name}"}
        )
    for row in rows["payments"]:
        row["number"] = row["secret"] if row["kind"] == "card" else None
    rows["reports"] = [
        {"id": row["id"], "figures": row["secret"].replace("documents", "reports")}
        for row in rows["documents"]
        if row["kind"] == "report"
    ]
    # Rows of one among those of another: to be reached from what is one's own.
    rows["tags"].append(
        {
            "id": "tag-more",
            "secret": "secret:tags:ann",
            "owner_id": "ann",
            "shared": False,
        }
    )
    add("notes", "note", "ann+bea", author_id="bea", editor_id="ann")
    add("notes", "note", "none", author_id=None, editor_id=None)
    add("articles", "article", "public", author_id="bea", published=True)
    more = {"secret": "secret:remarks:bea", "order_id": "order-ann"}
    rows["remarks"].append({"id": "remark-here", "author_id": "bea", **more})
    more = {"secret": "secret:comments:bea", "parent_id": "comment-ann"}
    rows["comments"].append({"id": "comment-reply", "author_id": "bea", **more})
    more = {"secret": "secret:comments:ann", "parent_id": "comment-bea"}
    rows["comments"].append({"id": "comment-answer", "author_id": "ann", **more})
    rows["order_tags"].append(
        {
            "order_id": "order-ann",
            "tag_id": "tag-bea",
            "secret": "secret:order_tags:bea",
        }
    )
    return rows


_SECRET = re.compile(r"secret:(\w+):([\w+]+?)(?:@(\w+))?(?![\w+@])")


def readable(secret: re.Match[str], actor: Actor) -> bool:
    """Return whether somebody may read what a secret stands in."""
    table, readers, tenant = secret.groups()
    names = readers.split("+")
    if "public" in names:
        return True
    if actor is None or not actor.id:
        return False
    if table == "invoices" and "operator" in actor.roles and actor.tenant:
        return actor.tenant == tenant or actor.id in names
    return actor.id in names


def leaked(text: str, actor: Actor) -> set[str]:
    """Return the secrets in a text that somebody may not read."""
    return {
        found.group() for found in _SECRET.finditer(text) if not readable(found, actor)
    }


def seen_by(rows: Rows, actor: Actor) -> Rows:
    """Return the rows that somebody may read."""
    return {
        table: [row for row in listed if not leaked(_text(row), actor)]
        for table, listed in rows.items()
    }


def _text(row: Mapping[str, Any]) -> str:
    return " ".join(map(str, row.values()))


def _column(name: str) -> Callable[[Mapping[str, Any], Rows], set[str]]:
    return lambda row, _: {row[name]}


def _through(column: str, table: str) -> Callable[[Mapping[str, Any], Rows], set[str]]:
    def writers(row: Mapping[str, Any], rows: Rows) -> set[str]:
        for parent in rows[table]:
            if parent["id"] == row[column]:
                return _WRITERS[table](parent, rows)
        return set()

    return writers


def _of_team(row: Mapping[str, Any], rows: Rows) -> set[str]:
    return {
        member["account_id"]
        for member in rows["memberships"]
        if member["team_id"] == row["team_id"]
    }


def _of_line(row: Mapping[str, Any], rows: Rows) -> set[str]:
    return _WRITERS["order_lines"](row, rows)


def _of_link(row: Mapping[str, Any], rows: Rows) -> set[str]:
    whose = _through("order_id", "orders")(row, rows)
    for tag in rows["tags"]:
        if tag["id"] == row["tag_id"]:
            return whose if tag["shared"] else whose & {tag["owner_id"]}
    return set()


_WRITERS: dict[str, Callable[[Mapping[str, Any], Rows], set[str]]] = {
    "products": lambda *_: {"stan"},
    "tags": _column("owner_id"),
    "orders": _column("owner_id"),
    "order_lines": _through("order_id", "orders"),
    "line_details": _of_line,
    "remarks": _column("author_id"),
    "invoices": _column("owner_id"),
    "notes": lambda row, _: {row["author_id"], row["editor_id"]},
    "articles": _column("author_id"),
    "documents": _column("owner_id"),
    "reports": _through("id", "documents"),
    "payments": _column("owner_id"),
    "comments": _column("author_id"),
    "teams": lambda *_: set(),
    "memberships": lambda *_: {"stan"},
    "projects": _of_team,
    "preferences": _column("owner_id"),
    "order_tags": _of_link,
}

_KEYS = {"order_tags": ("order_id", "tag_id"), "preferences": ("id", "owner_id")}


def keyed(table: str, listed: list[dict[str, Any]]) -> dict[tuple[Any, ...], Any]:
    key = _KEYS.get(table, ("id",))
    return {tuple(row[name] for name in key): row for row in listed}


def meddled(before: Rows, after: Rows, actor: Actor) -> list[str]:
    """Return what has changed that somebody may not change, and what of others' has
    come to stand in a row of theirs."""
    found = []
    me = actor.id if actor is not None and actor.id else object()
    for table, writers in _WRITERS.items():
        old, new = keyed(table, before[table]), keyed(table, after[table])
        for key in {**old, **new}:
            was, now = old.get(key), new.get(key)
            if was == now:
                continue
            allowed = (was is None or me in writers(was, before)) and (
                now is None or me in writers(now, after)
            )
            told = leaked(_text(now), actor) if now else set()
            if not allowed or told:
                found.append(f"{table} {key}: {was} -> {now}")
    return found


def shown(value: object, seen: frozenset[int] = frozenset()) -> str:
    """Return everything that somebody who holds a value can read in it, without asking
    the database for more."""
    if id(value) in seen:
        return "..."
    inner = seen | {id(value)}
    match value:
        case str() | int() | float() | None:
            told = repr(value)
        case bytes() | bytearray() | memoryview():
            told = repr(bytes(value))
        case Mapping():
            parts = [f"{name}: {shown(one, inner)}" for name, one in value.items()]
            told = f"{{{', '.join(sorted(parts))}}}"
        case Row() | tuple():
            told = f"({', '.join(shown(one, inner) for one in value)})"
        case list() | set() | frozenset():
            told = f"[{', '.join(sorted(shown(one, inner) for one in value))}]"
        case _:
            told = _shown_object(value, inner)
    return told


def _shown_object(value: object, seen: frozenset[int]) -> str:
    try:
        loaded = dict(inspect(value).dict)
    except (NoInspectionAvailable, AttributeError):
        return repr(value)
    loaded.pop("_sa_instance_state", None)
    return f"{type(value).__name__}{shown(loaded, seen)}"


@contextmanager
def nobody() -> Iterator[None]:
    """Have nobody act in a block, as it is where nobody has been named."""
    token = _appointed.set(None)
    try:
        yield
    finally:
        _appointed.reset(token)


@dataclass(frozen=True, slots=True)
class World:
    """What a path is given besides a session.

    Args:
        engine: the one that sessions work on, guarded or not.
        open: makes another session, of whoever acts.
        whose: whose rows the path reaches for.
        driver: of the database: ``sqlite``, ``psycopg`` or ``asyncpg``.
        file: of the database, where it is one.
    """

    engine: Engine
    open: Callable[[], Session]
    whose: str = "bea"
    driver: str = "sqlite"
    file: str = ""

    def id(self, kind: str) -> str:
        """Return the id of a row: ``order`` of Bea is ``order-bea``."""
        return f"{kind}-{self.whose}"

    @property
    def person(self) -> str:
        """Whose rows are reached for, as owners are called in columns."""
        return _PEOPLE.get(self.whose, self.whose)

    @property
    def other(self) -> Principal:
        """The same, who acts."""
        return ANN if self.whose == "ann" else BEA

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    def told(self, known: object, table: str = "orders") -> str:
        """Return the secret where something has told that there is one."""
        return f"secret:{table}:{self.whose}" if known else "nothing"

    def acting(self, actor: Actor) -> AbstractContextManager[None]:
        """Have somebody act in a block."""
        return nobody() if actor is None else access.acting_as(actor)
