"""URLs that name a Redis: a server, sentinels, or nodes of a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NoReturn
from urllib.parse import parse_qsl, unquote

from ringfence.errors import SettingsError
from ringfence.secrets.secret import Secret
from ringfence.stores.redis.address import Address

Kind = Literal["single", "sentinel", "cluster"]

_KINDS: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "redis+unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
SCHEMES = frozenset(_KINDS)

_TLS = ("ca_file", "cert_file", "key_file")
_SENTINEL = ("sentinel_user", "sentinel_password_file")
_KNOWN = ("db", "password_file", "timeout", "connect_timeout", *_TLS, *_SENTINEL)

_TIMEOUT = 0.5
"""Seconds. A request waits for at most two of these; a server in the same network
answers in a hundredth of it, a pause of its own (a fork, a slow command) included."""
_LONGEST = 60.0
_DATABASES = 2**31


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are.

    Args:
        user: empty for the server's default user.
        password: ``None`` without one, or with one in a file.
        file: holds the password; read anew for each connection, so that a password
            can be changed while the process runs.
    """

    user: str = ""
    password: Secret | None = None
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Certificates:
    """What TLS is checked with and shown.

    Args:
        ca_file: the only authorities that are trusted (PEM); ``None`` for the system's.
        cert_file: our own certificate, for servers that ask for one.
        key_file: its key, if that is in a file of its own.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Everything that a URL says.

    Args:
        addresses: of the server, the sentinels, or some nodes of the cluster.
        service: the sentinels' name for the primary.
        db: number of the database.
        credentials: for the servers.
        sentinel_credentials: for the sentinels.
        tls: ``None`` without TLS.
        timeout: seconds that a call may take.
        connect_timeout: seconds that an attempt to connect may take, TLS and sign-in
            included.
    """

    kind: Kind
    addresses: tuple[Address, ...]
    service: str = ""
    db: int = 0
    credentials: Credentials = field(default_factory=Credentials)
    sentinel_credentials: Credentials = field(default_factory=Credentials)
    tls: Certificates | None = None
    timeout: float = _TIMEOUT
    connect_timeout: float = _TIMEOUT


def parse_url(url: str) -> Target:
    """Read a URL.

    - ``redis://user:password@host:6379/0``, with TLS ``rediss://``
    - ``redis+unix:///run/valkey.sock?db=0``
    - ``redis+sentinel://host:26379,host:26379/service?db=0``
    - ``redis+cluster://host:6379,host:6379``, both with TLS as ``rediss+...``

    Parameters: ``db``; ``password_file`` (instead of a password in the URL);
    ``timeout`` and ``connect_timeout`` in seconds; ``ca_file``, ``cert_file`` and
    ``key_file`` for TLS; ``sentinel_user`` and ``sentinel_password_file`` where the
    sentinels ask for their own.

    Raises:
        SettingsError: it is none of these. The text never repeats what may be part of
            a password (CWE-532).
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _KINDS:
        near = get_close_matches(scheme.lower(), _KINDS, n=1) if separator else ()
        _refuse("its scheme is unknown", f"write {near[0] if near else 'redis'}://...")
    kind, is_tls = _KINDS[scheme]
    if "#" in rest:
        _refuse("it has a fragment", "write # in a password as %23")
    rest, _, query = rest.partition("?")
    place, _, path = rest.partition("/")
    user_info, _, hosts = place.rpartition("@")
    if scheme == "redis+unix":
        addresses: tuple[Address, ...] = (Address("", path=_socket(hosts, path)),)
        service = db = ""
    else:
        addresses = _addresses(hosts, kind)
        service, db = _path(kind, path)
    given = _parameters(query, kind, is_tls=is_tls)
    return Target(
        kind,
        addresses,
        service,
        _database(kind, db, given.get("db", "")),
        _credentials(user_info, given),
        Credentials(
            given.get("sentinel_user", ""),
            file=_file(given, "sentinel_password_file"),
        ),
        _certificates(given) if is_tls else None,
        _seconds(given, "timeout"),
        _seconds(given, "connect_timeout"),
    )


def _refuse(what: str, instead: str) -> NoReturn:
    raise SettingsError(f"the URL of Redis cannot be used: {what}; {instead}")


def _addresses(hosts: str, kind: Kind) -> tuple[Address, ...]:
    port = 26379 if kind == "sentinel" else 6379
    try:
        found = tuple(Address.parse(host, port) for host in hosts.split(","))
    except ValueError as error:
        _refuse(
            f"it has {error}",
            "write redis://user:password@host:6379/0, in the password / as %2F, ? as "
            "%3F, # as %23, @ as %40; or give password_file",
        )
    if kind == "single" and len(found) > 1:
        _refuse(
            "redis:// names one server, this names several",
            "write redis+cluster://... or redis+sentinel://.../service",
        )
    return found


def _socket(hosts: str, path: str) -> str:
    if hosts or not path:
        _refuse("it names no socket", "write redis+unix:///run/valkey.sock?db=0")
    return "/" + unquote(path)


def _path(kind: Kind, path: str) -> tuple[str, str]:
    """Return the service and the number of the database, as they are written."""
    steps = [unquote(step) for step in path.split("/")] if path else []
    if kind == "sentinel":
        service = steps.pop(0) if steps else ""
        if not service:
            _refuse(
                "it names no service",
                "write redis+sentinel://host:26379/NAME, the name after `sentinel "
                "monitor` in the sentinels' configuration",
            )
    else:
        service = ""
    if len(steps) > 1:
        _refuse("its path has too many steps", "write redis://host:6379/0")
    return service, steps[0] if steps else ""


def _database(kind: Kind, in_path: str, in_query: str) -> int:
    if in_path and in_query:
        _refuse("it names its database twice", "leave one of them out")
    text = in_path or in_query or "0"
    if not (text.isascii() and text.isdigit() and int(text[:11]) < _DATABASES):
        _refuse("its database is not a number", "write redis://host:6379/0")
    if kind == "cluster" and int(text):
        _refuse("a cluster has no database but 0", "leave it out")
    return int(text)


def _parameters(query: str, kind: Kind, *, is_tls: bool) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    if "@" in query and not all(name in _KNOWN for name, _ in pairs):
        _refuse("there is an @ after the ?", "write ? in a password as %3F")
    given: dict[str, str] = {}
    for name, value in pairs:
        _judge(name, kind, is_tls=is_tls)
        if name in given or not value:
            _refuse(f"{name} is empty or given twice", "give it once, with a value")
        given[name] = value
    if "key_file" in given and "cert_file" not in given:
        _refuse("key_file is given without cert_file", "give both")
    return given


def _judge(name: str, kind: Kind, *, is_tls: bool) -> None:
    if name not in _KNOWN:
        near = get_close_matches(name, _KNOWN, n=1)
        shown = repr(name) if name.isidentifier() else "one"
        guess = f"did you mean {near[0]}?" if near else "known: " + ", ".join(_KNOWN)
        _refuse(f"it has a parameter that is unknown, {shown}", guess)
    if name in _TLS and not is_tls:
        _refuse(f"{name} is given without TLS", "write rediss instead of redis")
    if name in _SENTINEL and kind != "sentinel":
        _refuse(f"{name} is given without sentinels", "leave it out")


def _credentials(user_info: str, given: dict[str, str]) -> Credentials:
    user, _, password = user_info.partition(":")
    file = _file(given, "password_file")
    if password and file:
        _refuse("it has a password and a password_file", "leave one of them out")
    if user and not (password or file):
        _refuse("it names a user without a password", "give password_file, say")
    secret = Secret(unquote(password)) if password else None
    return Credentials(unquote(user), secret, file)


def _certificates(given: dict[str, str]) -> Certificates:
    return Certificates(*(_file(given, name) for name in _TLS))


def _file(given: dict[str, str], name: str) -> Path | None:
    return Path(given[name]) if name in given else None


def _seconds(given: dict[str, str], name: str) -> float:
    if name not in given:
        return _TIMEOUT
    try:
        seconds = float(given[name])
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= _LONGEST:
        _refuse(f"{name} is not a number of seconds, at most 60", f"write {name}=0.5")
    return seconds
