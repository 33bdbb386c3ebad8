"""Put the guards into the libraries that reach interpreters, whenever these are
imported: at once where they are there already, else as soon as they are."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from ringfence.interpreters import lines, threads
from ringfence.interpreters.deserialization import evaluation, pickles
from ringfence.interpreters.hook import NET, gather
from ringfence.interpreters.paths import events as path_events
from ringfence.interpreters.shell import events as shell_events
from ringfence.interpreters.sql import foreign
from ringfence.interpreters.sql.constants import KNOWN
from ringfence.interpreters.urls import egress

# A library, and our module that guards it: imported after the library, it has a
# function ``arm()`` without arguments, called once.
GUARDED: Mapping[str, str] = {
    "re": "ringfence.interpreters.expressions.guard",
    "tarfile": "ringfence.interpreters.archives.tar_guard",
    "zipfile": "ringfence.interpreters.archives.zip_guard",
    "yaml": "ringfence.interpreters.deserialization.yaml_tags",
    "jinja2": "ringfence.interpreters.templates.jinja",
    "mako.template": "ringfence.interpreters.templates.mako",
    "sqlite3": "ringfence.interpreters.sql.drivers.sqlite",
    "aiosqlite": "ringfence.interpreters.sql.drivers.aiosqlite",
    "sqlalchemy": "ringfence.interpreters.sql.drivers.sqlalchemy",
    "psycopg": "ringfence.interpreters.sql.drivers.psycopg",
    "asyncpg": "ringfence.interpreters.sql.drivers.asyncpg",
    "pymysql": "ringfence.interpreters.sql.drivers.mysql",
    "aiomysql": "ringfence.interpreters.sql.drivers.mysql",
    "asyncmy": "ringfence.interpreters.sql.drivers.mysql",
    "ldap3": "ringfence.interpreters.ldap.ldap3",
    "lxml._elementpath": "ringfence.interpreters.xml.element_path",
    "lxml.etree": "ringfence.interpreters.xml.lxml",
    "xml.etree.ElementPath": "ringfence.interpreters.xml.element_path",
    "xml.sax.expatreader": "ringfence.interpreters.xml.sax",
    "pymongo": "ringfence.interpreters.nosql.pymongo",
}


_armed: set[str] = set()  # of this process: what is armed stays so


def arm() -> None:
    """Guard what this process has imported and what it will import.

    For the whole process and for good: the guards ask whether a request is in progress
    and have nothing to say otherwise.
    """
    NET.install(
        gather(
            egress.JUDGES,
            lines.JUDGES,
            shell_events.JUDGES,
            foreign.JUDGES,
            path_events.JUDGES,
            evaluation.JUDGES,
            pickles.JUDGES,
        ),
        {**egress.WITNESSES, **foreign.WITNESSES},
    )
    threads.arm()
    if not any(isinstance(finder, _Arming) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Arming())
    for library in GUARDED:
        if library in sys.modules:
            open_guard(library)
    KNOWN.scan()  # now, rather than in the first request


def arm_sqlite() -> None:
    """Guard the connections to SQLite that are opened from here on, before there is a
    ``Guard``: their C type takes none later."""
    open_guard("sqlite3")


def open_guard(library: str) -> None:
    """Arm one library that has been imported, once."""
    if library not in _armed:
        _armed.add(library)
        importlib.import_module(GUARDED[library]).arm()


class _Arming(MetaPathFinder):
    """Arms a library when it is imported later, by a handler say."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in GUARDED:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Armed(spec.loader, fullname)
                return spec
        return None


class _Armed(Loader):
    """Loads as the other one does, then arms."""

    def __init__(self, loader: Loader, library: str) -> None:
        self._loader = loader
        self._library = library

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        open_guard(self._library)
