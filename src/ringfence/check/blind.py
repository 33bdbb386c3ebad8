"""Libraries through which text reaches an interpreter unseen by the guards.

What is not seen is said: a guard of which somebody only believes that it stands is
worse than none.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ringfence.findings import Finding

_SQL = "its statements are not judged"
_USE_GUARDED = "use psycopg, asyncpg, aiomysql, sqlite3 or SQLAlchemy on one of these"


@dataclass(frozen=True, slots=True)
class Blind:
    """A library that the guards do not see into.

    Args:
        module: as it is imported.
        what: escapes.
        instead: what to use, or to do.
    """

    module: str
    what: str
    instead: str


BLIND: tuple[Blind, ...] = (
    Blind("psycopg2", _SQL, _USE_GUARDED),
    Blind("pg8000", _SQL, _USE_GUARDED),
    Blind("MySQLdb", _SQL, _USE_GUARDED),
    Blind("mysql.connector", _SQL, _USE_GUARDED),
    Blind("pyodbc", _SQL, _USE_GUARDED),
    Blind("oracledb", _SQL, _USE_GUARDED),
    Blind("pymssql", _SQL, _USE_GUARDED),
    Blind("duckdb", _SQL, _USE_GUARDED),
    Blind("apsw", _SQL, _USE_GUARDED),
    Blind("clickhouse_connect", _SQL, _USE_GUARDED),
    Blind(
        "motor",
        "its queries run in threads that carry no request",
        "use pymongo's AsyncMongoClient",
    ),
    Blind(
        "elasticsearch",
        "its queries are not judged",
        "build queries from constants and put input in as values only",
    ),
    Blind(
        "neo4j",
        "its Cypher statements are not judged",
        "pass parameters beside the statement, never inside it",
    ),
    Blind(
        "ldap",
        "python-ldap's filters are not judged",
        "use ldap3, or build filters with ringfence.ldap",
    ),
    Blind(
        "bonsai",
        "its filters are not judged",
        "use ldap3, or build filters with ringfence.ldap",
    ),
    Blind(
        "lxml",
        "its parsers are guarded; xinclude(), XSLT, schemas and xpath() work in C",
        "call none of them on what was sent; ringfence.xml parses and asks safely",
    ),
    Blind(
        "cffi",
        "calls into C libraries raise no event",
        "see that no text from outside decides what is called with what",
    ),
    Blind(
        "ctypes",
        "calls into C libraries raise no event",
        "see that no text from outside decides what is called with what",
    ),
    Blind(
        "pycurl",
        "it connects in C, where no address is judged",
        "use httpx2 with ringfence.urls",
    ),
    Blind(
        "grpc",
        "it connects in C, where no address is judged",
        "see that no text from outside decides where it connects to",
    ),
    Blind(
        "mako",
        "its templates are guarded; its pages escape nothing by themselves",
        "use Jinja2 with html.environment",
    ),
    Blind(
        "dill",
        "what it loads is code",
        "use JSON or msgspec for what comes from outside",
    ),
    Blind(
        "re2",
        "its patterns are not judged",
        "escape what goes into a pattern",
    ),
)


def find_blind(modules: Mapping[str, ModuleType] | None = None) -> list[Finding]:
    """Return which blind libraries an application uses, and where.

    Looks at the names in the application's own modules: what a library uses inside
    itself (argon2 uses cffi) is that library's affair.

    Args:
        modules: by name; those of this process if left out.

    Not covered: imports inside functions that have not run.
    """
    loaded = dict(sys.modules) if modules is None else modules
    found: set[Finding] = set()
    for name, module in loaded.items():
        if _is_own(module):
            found.update(_used_in(name, module))
    return sorted(found)


def _used_in(name: str, module: ModuleType) -> Iterator[Finding]:
    origins = {_origin(value) for value in list(vars(module).values())}
    for blind in BLIND:
        if any(
            origin == blind.module or origin.startswith(f"{blind.module}.")
            for origin in origins
        ):
            yield Finding(
                "check.blind",
                name,
                f"{name} uses {blind.module}: {blind.what}",
                blind.instead,
            )


def _origin(value: object) -> str:
    """Return the module that a global is, or comes from."""
    if isinstance(value, ModuleType):
        return value.__name__
    origin = getattr(value, "__module__", "")
    return origin if isinstance(origin, str) else ""


def _is_own(module: ModuleType) -> bool:
    """Return whether a module is the application's: neither Python's nor installed."""
    file = getattr(module, "__file__", None)
    if not file or module.__name__.partition(".")[0] == "ringfence":
        return False
    path = Path(file).resolve()
    return not any(path.is_relative_to(folder) for folder in _not_own())


def _not_own() -> Iterable[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return {Path(sysconfig.get_path(name)).resolve() for name in names}
