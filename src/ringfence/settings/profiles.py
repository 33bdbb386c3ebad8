"""What production and development each refuse to start with."""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ringfence.browser.origins import canonical
from ringfence.errors import SettingsError
from ringfence.settings.settings import Settings
from ringfence.traffic.rewritten_peer import rewriting

_DAY = 86_400
_LONGEST_DRY_RUN = 90  # days
_CURE = "; to try things out on this machine run: ringfence dev TARGET"


def refuse_unsafe(settings: Settings, *, debug: bool = False) -> None:
    """Stop the start-up if these settings are not safe where they are used.

    Production needs its keys, its public addresses and its proxies stated, and nothing
    that shows or loses what is inside. Development accepts this machine only.

    Args:
        settings: as loaded.
        debug: the application sends traces to its clients.

    Raises:
        SettingsError: everything that is unsafe, at once, each with the likely fix.

    Source: ASVS 5.0 V13.4.2 (debug modes), V3.3.1, V13.3.1; CWE-489, CWE-1188.

    Not covered: the strength of the keys, which ``Keyring.open`` judges.
    """
    found = list(_wrong_anywhere(settings))
    if settings.development:
        found += _wrong_in_development(settings)
    else:
        found += _wrong_in_production(settings, debug=debug)
    if not found:
        return
    listed = "".join(f"\n  - {line}" for line in found)
    cure = "" if settings.development else _CURE
    raise SettingsError(f"not safe for {settings.env}:{listed}\n{cure.lstrip('; ')}")


def refuse_open_ways(settings: Settings) -> None:
    """Stop a command in production that would reach a store on another machine without
    a certificate that is checked: with the password of whoever may change its tables.

    Args:
        settings: as loaded; their URLs have been read, so that none shows a password
            where a host belongs.

    Raises:
        SettingsError: what is to be written instead.

    Source: ASVS 5.0 V12.3.1; CWE-295, CWE-319.
    """
    if settings.development:
        return
    found = [
        *_wrong_way_to("store", settings.store),
        *_wrong_way_to("database", settings.database),
    ]
    if found:
        raise SettingsError("; and ".join(found))


def _wrong_anywhere(settings: Settings) -> Iterator[str]:
    days = (settings.dry_run_ends - time.time()) / _DAY
    if days > _LONGEST_DRY_RUN:
        yield (
            f"dry_run_until is {settings.dry_run_until}, {days:.0f} days ahead; a dry "
            f"run lasts {_LONGEST_DRY_RUN} days at most, since it protects nobody"
        )


def _wrong_in_production(settings: Settings, *, debug: bool) -> Iterator[str]:
    if debug:
        yield (
            "the application's debug mode is on, which sends traces to anybody; "
            "make it with debug=False"
        )
    yield from rewriting(os.environ)
    yield from _wrong_lock(settings)
    yield from _wrong_way_to("store", settings.store)
    yield from _wrong_way_to("database", settings.database)
    yield from _wrong_way_of_letters(settings)
    if settings.keys_file is None:
        yield (
            "keys_file is not set, so no session or token would outlive the process; "
            "make one with: ringfence keys create FILE - and set RINGFENCE_KEYS_FILE"
        )
    if not settings.public_origins:
        yield (
            "public_origins is not set; name where browsers reach the backend, as in "
            "RINGFENCE_PUBLIC_ORIGINS=https://shop.example"
        )
    for origin in settings.public_origins:
        yield from _wrong_origin(origin)
    if not settings.proxies:
        yield (
            "proxies is not set, so nobody knows who the client is; write "
            "RINGFENCE_PROXIES=none if clients connect directly, or the networks of "
            "your proxies, as in RINGFENCE_PROXIES=10.0.0.0/8"
        )
    if is_in_memory(settings.database):
        yield (
            "database is in memory, so every account and every revoked session is "
            "forgotten at a restart; name a file, as in "
            "RINGFENCE_DATABASE=sqlite:////srv/shop/ringfence.db"
        )
    for host in settings.traffic.allowed_hosts:
        if "*" in host or host.count(".") == 1 and host.startswith("."):  # noqa: RUF021 - reads as said
            yield (
                f"traffic.allowed_hosts has {host!r}, which anybody can own a name "
                "below; write the names of this service"
            )


def _wrong_lock(settings: Settings) -> Iterator[str]:
    if settings.interpreters.sql_lock_mode == "learn":
        yield (
            "interpreters.sql_lock_mode is learn, so that strangers would teach the "
            "statement lock; learn from tests, and write enforce"
        )


def _wrong_way_of_letters(settings: Settings) -> Iterator[str]:
    """Whoever reads along on the way to the mail server has every link that sets a new
    password (CWE-319; ASVS 5.0 V12.3.1)."""
    if not settings.mail.server:
        return
    server = settings.mail.where()
    if server.way == "plain" and not server.is_near:
        yield (
            f"mail.server reaches {server.host} in clear text; write smtp:// (which "
            "demands STARTTLS) or smtps://"
        )


def _wrong_way_to(name: str, url: str) -> Iterator[str]:
    """Whoever reads along on the way to a store has its password and every session that
    it holds (CWE-319; ASVS 5.0 V12.3.1)."""
    scheme, _, rest = url.partition("://")
    plain, dot, kind = scheme.lower().partition("+")
    if plain in {"postgresql", "postgres"}:
        yield from _wrong_way_to_postgres(name, url)
    if plain != "redis" or kind == "unix":
        return
    place = rest.partition("?")[0].partition("/")[0]
    nodes = place.rpartition("@")[2].split(",")
    far = [node for node in nodes if not _is_loopback(_split(f"http://{node}"))]
    if far:
        yield (
            f"{name} reaches {far[0]} without TLS; write rediss{dot}{kind}:// (and "
            "?ca_file=... where its certificate is your own)"
        )


def _wrong_way_to_postgres(name: str, url: str) -> Iterator[str]:
    """Its own default (``prefer``) goes on in clear text where somebody on the way asks
    for that, and ``require`` takes anybody for the server (CWE-295, CWE-319).

    What the URL leaves open libpq takes from its own variables, or from the file of a
    service, which is not looked into.
    """
    parts = _split_postgres(url)
    given = dict(parse_qsl(parts.query))
    hosts = f"{parts.netloc.rpartition('@')[2]},{given.get('host', '')}"
    if hosts == ",":
        hosts = os.environ.get("PGHOST", "")
    hosts += f",{os.environ.get('PGHOSTADDR', '')}"
    far = [host for host in unquote(hosts).split(",") if host and not _is_near(host)]
    service = given.get("service") or os.environ.get("PGSERVICE")
    far += [f"the service {service}"] if service else []
    mode = given.get("sslmode") or os.environ.get("PGSSLMODE")
    if far and mode not in {"verify-full", "verify-ca"}:
        yield (
            f"{name} reaches {far[0]} without a TLS certificate that is checked; add "
            "?sslmode=verify-full&sslrootcert=system (or the file of your own "
            "authority)"
        )


def _split_postgres(url: str) -> SplitResult:
    """Split a URL that may name several hosts, each with its port."""
    try:
        return urlsplit(url)
    except ValueError:  # what reads the address refuses it
        return SplitResult("", "", "", "", "")


def _is_near(host: str) -> bool:
    """Return whether a host of PostgreSQL, with or without its port, is a socket or
    this machine."""
    is_bare = host.count(":") > 1 and not host.startswith("[")  # an address of IPv6
    place = _split(f"//[{host}]" if is_bare else f"//{host}")
    return host.startswith(("/", "@")) or _is_loopback(place)


def _wrong_in_development(settings: Settings) -> Iterator[str]:
    for origin in settings.public_origins:
        if not _is_loopback(_split(origin)):
            yield (
                f"public_origins has {origin!r}, but development is for this machine "
                "only; write http://127.0.0.1:8000, or unset RINGFENCE_ENV for "
                "production"
            )
    if settings.proxies not in {(), ("none",)}:
        yield (
            "proxies are set, but development takes no forwarded requests (a proxy "
            "in front of it would open it to others); unset RINGFENCE_PROXIES"
        )


def _wrong_origin(origin: str) -> Iterator[str]:
    parts = _split(origin)
    if parts.scheme == "http":
        yield (
            f"public_origins has {origin!r}: over http everybody on the way reads and "
            f"changes what is sent; write https://{parts.netloc}"
        )
    elif parts.scheme != "https" or not parts.hostname:
        yield (
            f"public_origins has {origin!r}, which is no origin; write "
            "https://shop.example"
        )
    elif "*" in parts.netloc:
        yield (
            f"public_origins has {origin!r}; a pattern would trust names that others "
            "can get, so write each origin in full"
        )
    elif parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        yield (
            f"public_origins has {origin!r}; an origin is scheme, host and port only: "
            f"https://{parts.netloc.rpartition('@')[2]}"
        )
    elif canonical(origin) != origin.lower():
        # It would be compared with what browsers send, and never be the same.
        written = canonical(origin) or "https://shop.example"
        yield (
            f"public_origins has {origin!r}, which no browser writes so; write "
            f"{written}"
        )


def _split(origin: str) -> SplitResult:
    try:
        parts = urlsplit(origin)
        parts.port  # noqa: B018 - raises if it is none
    except ValueError:
        return SplitResult("", "", origin, "", "")
    return parts


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_in_memory(database: str) -> bool:
    """Return whether a URL names what ends with the process."""
    scheme, _, rest = database.partition("://")
    if ":memory:" in database or "mode=memory" in database:
        return True
    return database.startswith("memory:") or (
        scheme.startswith("sqlite") and rest in {"", "/"}
    )
