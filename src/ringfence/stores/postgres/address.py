"""URLs that name a PostgreSQL: one server, or several of which one takes writes."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NoReturn
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from ringfence.errors import SettingsError
from ringfence.secrets.private_file import read_private

DriverName = Literal["psycopg", "asyncpg"]

_DRIVERS: dict[str, DriverName] = {
    "postgres": "psycopg",
    "postgresql": "psycopg",
    "postgresql+psycopg": "psycopg",
    "postgresql+asyncpg": "asyncpg",
}

_OURS = ("password_file", "pool_size", "max_overflow", "timeout", "connect_timeout")
_OF_BOTH = (
    *("host", "port", "user", "dbname", "passfile", "application_name"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "target_session_attrs"),
)
_OF_LIBPQ = (
    *("sslnegotiation", "channel_binding", "require_auth", "load_balance_hosts"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "gssencmode", "krbsrvname", "service", "options"),
)
_is_misspelt = re.compile(r"[\x00-\x20\x7f]|%(?![0-9A-Fa-f]{2})|%00").search
_is_host = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(:\d{1,5})?", re.ASCII).fullmatch
_WRITABLE = ("read-write", "primary")

_POOL_SIZE = 3
_MAX_OVERFLOW = 5
_MOST_CONNECTIONS = 1000
_TIMEOUT = 2.5
_CONNECT_TIMEOUT = 2.0
_LONGEST = 60.0


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Everything that a URL says.

    Args:
        driver: what speaks to the server.
        place: hosts and database, to be shown: no user, no password.
        dsn: what the driver connects to, with a password if the URL has one.
        password_file: holds the password; read anew for each connection, so that a
            password can be changed while the process runs.
        pool_size: connections kept for writes and lists.
        max_overflow: further ones, opened under load and closed again.
        timeout: seconds that a call may take.
        connect_timeout: seconds that an attempt to connect may take.
    """

    driver: DriverName
    place: str
    dsn: str = field(repr=False)
    password_file: Path | None = None
    pool_size: int = _POOL_SIZE
    max_overflow: int = _MAX_OVERFLOW
    timeout: float = _TIMEOUT
    connect_timeout: float = _CONNECT_TIMEOUT

    async def password(self) -> str | None:
        """Return what is in the password file, without the end of its line; ``None`` if
        there is no such file.

        Raises:
            OSError: it cannot be read, or others could read it.
        """
        if self.password_file is None:
            return None
        cure = "write the password into it, readable by this user only"
        name = "password file of the database"
        try:
            raw = await asyncio.to_thread(
                read_private, self.password_file, name, cure=cure
            )
            return raw.decode().rstrip("\r\n")
        except UnicodeDecodeError:  # shows what it could not read
            raise OSError(f"the {name} {self.password_file} is no UTF-8") from None
        except SettingsError as error:
            raise OSError(str(error)) from error


def parse_address(url: str) -> PostgresAddress:
    """Read a URL.

    - ``postgresql://user:password@host:5432/database``
    - ``postgresql://user@/database?host=/run/postgresql``
    - ``postgresql://host,host/database``: of several, the one that takes writes
    - ``postgresql+asyncpg://...``: through asyncpg; else through psycopg

    Parameters: those of libpq that both drivers know (``sslmode``, ``sslrootcert``,
    ``passfile``, ``application_name`` ...), with psycopg more of them;
    ``password_file`` instead of a password in the URL; ``pool_size`` and
    ``max_overflow``; ``timeout`` and ``connect_timeout`` in seconds.

    A server that only answers reads is not used: what it knows may be old, and a
    session that was ended would live on there.

    Raises:
        SettingsError: it is none of these. The text never repeats what may be part of
            a password (CWE-532).
    """
    parts = _split(url)
    if parts is None:
        _refuse(
            "it has a bracket without the other, or a letter that no host has",
            "write IPv6 as [::1], and in a password [ as %5B, ] as %5D, others with % "
            "too",
        )
    driver = _DRIVERS.get(parts.scheme)
    if driver is None or "://" not in url:
        near = get_close_matches(parts.scheme, _DRIVERS, n=1) or ["postgresql"]
        _refuse("its scheme is unknown", f"write {near[0]}://user@host/database")
    if parts.fragment:
        _refuse("it has a fragment", "write # in a password as %23")
    user_info, _, hosts = parts.netloc.rpartition("@")
    if "/" in unquote(parts.path[1:]) or "@" in parts.path:
        _refuse("its path has several steps", "write / in a password as %2F")
    _refuse_misread(user_info, hosts, parts.path)
    given = _parameters(parts.query, driver)
    if (":" in user_info or "passfile" in given) and "password_file" in given:
        _refuse("it has a password and a password_file", "leave one of them out")
    ours = {name: given.pop(name) for name in _OURS if name in given}
    given.setdefault("application_name", "ringfence")
    attributes = given.setdefault("target_session_attrs", "read-write")
    if attributes not in _WRITABLE:
        _refuse(
            "target_session_attrs allows a server that is behind",
            "write read-write, or leave it out",
        )
    if given.get("sslrootcert") == "system":
        _trust_the_system(given)
    database = given.get("dbname") or unquote(parts.path[1:])
    where = hosts or given.get("host", "")
    return PostgresAddress(
        driver=driver,
        place=f"{where or 'the default host'}/{database}",
        dsn=f"postgresql://{parts.netloc}{parts.path}?{_written(given)}",
        password_file=Path(ours["password_file"]) if "password_file" in ours else None,
        pool_size=_number(ours, "pool_size", _POOL_SIZE, least=1),
        max_overflow=_number(ours, "max_overflow", _MAX_OVERFLOW, least=0),
        timeout=_seconds(ours, "timeout", _TIMEOUT),
        connect_timeout=_seconds(ours, "connect_timeout", _CONNECT_TIMEOUT),
    )


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # whose text may show a password: not to be raised from
        return None


def _refuse_misread(user_info: str, hosts: str, path: str) -> None:
    """Refuse what the drivers would read otherwise, or quote in their errors: an
    unwritten @ ends a password for libpq, and the rest of it is taken for the host."""
    if "@" in user_info:
        _refuse("its user or password has an @", "write @ in a password as %40")
    if _is_misspelt(user_info + hosts + path):
        _refuse("it has a space, or a % that starts no %XX", "write % as %25")
    if not all(map(_is_host, hosts.split(","))):
        _refuse("one of its hosts or ports is none", "write host:5432, or [::1]:5432")


def _refuse(what: str, instead: str) -> NoReturn:
    raise SettingsError(f"the URL of PostgreSQL cannot be used: {what}; {instead}")


def _trust_the_system(given: dict[str, str]) -> None:
    """Name the file with the authorities of this machine: the wheel of psycopg brings
    an OpenSSL of its own, which looks for them where there are none, and asyncpg takes
    ``system`` for the name of a file.

    Any of them would sign for anybody's name: so that has to be compared, too.
    """
    if given.setdefault("sslmode", "verify-full") != "verify-full":
        _refuse(
            "sslrootcert=system trusts whoever has a certificate of any name",
            "write sslmode=verify-full with it",
        )
    given["sslrootcert"] = ssl.get_default_verify_paths().cafile or "system"


def _written(given: dict[str, str]) -> str:
    return urlencode(given, quote_via=quote)  # libpq takes a + for itself


def _parameters(query: str, driver: DriverName) -> dict[str, str]:
    known = (*_OURS, *_OF_BOTH, *(_OF_LIBPQ if driver == "psycopg" else ()))
    given: dict[str, str] = {}
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if name not in known:
            near = get_close_matches(name, known, n=1)
            guess = f"did you mean {near[0]}?" if near else "known: " + ", ".join(known)
            shown = repr(name) if name.isidentifier() and "@" not in query else "one"
            _refuse(f"it has a parameter that is unknown, {shown}", guess)
        if name in given or not value:
            _refuse(f"{name} is empty or given twice", "give it once, with a value")
        given[name] = value
    return given


def _number(given: dict[str, str], name: str, default: int, *, least: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit() and least <= int(text[:9])):
        _refuse(f"{name} is no number of connections", f"write {name}={default}")
    if int(text) > _MOST_CONNECTIONS:
        _refuse(f"{name} is more than {_MOST_CONNECTIONS}", f"write {name}={default}")
    return int(text)


def _seconds(given: dict[str, str], name: str, default: float) -> float:
    try:
        seconds = float(given.get(name, default))
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= _LONGEST:
        _refuse(f"{name} is not a number of seconds, at most 60", f"write {name}=2.5")
    return seconds
