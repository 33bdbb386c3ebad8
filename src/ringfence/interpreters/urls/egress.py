"""Where a request leads our own connections (server-side request forgery).

The rule. While a request is answered, a connection to an address that is not of the
public internet is refused where the request has *chosen* it, which is seen in four
ways:

- an input names the address, in whatever spelling;
- the request has before looked up, or dialled, a host that an input names: from then
  on it *follows* an address from outside, and what the name stands for (DNS rebinding)
  and where an answer redirects to is the sender's choice, although it stands in no
  input;
- nobody has been asked for a name, and an input is a URL with a name and this very
  port: a resolver of another make (c-ares, DNS over HTTPS) must have answered;
- part of what the request brought is not known, so that nobody can say.

What counts is the address that is dialled, at the moment of dialling, and never the
name, so that nothing can change between the check and the use (CWE-367).

Nothing else is refused, so that handlers go on talking to databases, caches and mail
servers on private addresses: a URL in a body that nobody follows changes nothing. In a
request that follows an address from outside, the application's *own* destinations stay
open: those declared in ``interpreters.egress_private``, the proxies of the environment,
and what has been dialled at start-up or by requests that follow nothing. Where an input
says host and port of one of them, this is refused all the same.

Addresses at which clouds tell credentials are only for those to whom they are declared,
who ask at start-up, and the clouds' own libraries: a stored URL leads there, too.

With ``interpreters.egress``, requests reach what it lists and nothing else.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import urlsplit

from ringfence.errors import InjectionRefusedError
from ringfence.exchange import Exchange, live
from ringfence.interpreters.addresses import (
    Address,
    is_metadata,
    not_public,
    readings,
    strict,
)
from ringfence.interpreters.destinations import declared, read_entry
from ringfence.interpreters.hook import Judge
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Here, Sink
from ringfence.interpreters.untrusted import Inputs, inputs_of
from ringfence.interpreters.urls.named import Named, fold_host, hosts_of

SINK = Sink("url", "socket")
FILES = Sink("url", "urllib")

_MOST_LEARNT = 4_096
_BY_BROWSERS = frozenset({"origin", "referer"})
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_SPECIAL = {"": "0.0.0.0", "<broadcast>": "255.255.255.255"}  # noqa: S104 - of connect()
_WEB = frozenset({"http", "https"})
_SERVICES = {"http": 80, "https": 443}

# The clouds' own libraries, where they renew the credentials of a machine.
_ASK_FOR_CREDENTIALS = (
    *("botocore.utils", "botocore.credentials", "aiobotocore.utils"),
    *("google.auth.compute_engine", "azure.identity", "msal.managed_identity"),
)

_vouched: ContextVar[tuple[Address, int] | None] = ContextVar(
    "ringfence_vouched", default=None
)


_careful: ContextVar[bool] = ContextVar("ringfence_careful", default=False)


@contextmanager
def carefully() -> Iterator[None]:
    """Tell the boundary map that an address is followed by the safe way."""
    token = _careful.set(True)
    try:
        yield
    finally:
        _careful.reset(token)


@contextmanager
def vouch(address: Address, port: int) -> Iterator[None]:
    """Let one address be dialled that our own transport has judged by the rules that
    its maker has set."""
    token = _vouched.set((address, port))
    try:
        yield
    finally:
        _vouched.reset(token)


@dataclass(frozen=True, slots=True)
class Dialled:
    """What a socket is about to reach.

    Args:
        host: as it was given.
        port: the port.
        address: ``None`` where the host is a name.
        is_stream: whether it is a connection, and no single datagram.
    """

    host: str
    port: int
    address: Address | None
    is_stream: bool = True

    @property
    def key(self) -> tuple[str, int]:
        """How it is remembered."""
        return str(self.address or fold_host(self.host)), self.port


@dataclass(slots=True)
class Noticed:
    """What is kept of a request between its connections; ``Exchange.trail``."""

    inputs: Inputs | None = None
    hosts: tuple[Named, ...] = ()
    followed: Named | None = None
    has_looked_up: bool = False


class Trail:
    """Which hosts one request names, and which of them it follows."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        if not isinstance(exchange.trail, Noticed):
            exchange.trail = Noticed()
        self._noticed: Noticed = exchange.trail

    @property
    def followed(self) -> Named | None:
        """The host from outside that the request follows."""
        return self._noticed.followed

    def look_up(self, host: str, port: int | None) -> Named | None:
        """Notice a lookup of any name; return what names it."""
        addresses = readings(host)
        noticed = self._noticed
        if not addresses:
            noticed.has_looked_up = True
        if not addresses and "." in host.strip("."):
            port = None  # parsers differ on it, too: http://a.example:80:8080/
        named = self.find(host, addresses, port)
        noticed.followed = noticed.followed or named
        return named

    def dial(self, dialled: Dialled, addresses: tuple[Address, ...]) -> Named | None:
        """Notice a connection; return what names its end.

        If nobody has been asked for a name, a URL with this very port is followed:
        resolvers of other makes (c-ares, DNS over HTTPS) are not heard of.
        """
        named = self.find(dialled.host, addresses, dialled.port)
        noticed = self._noticed
        if noticed.followed is None and dialled.is_stream:
            if not any(map(not_public, addresses)):
                noticed.followed = named
            if noticed.followed is None and not noticed.has_looked_up:
                noticed.followed = self._unheard(dialled.port)
        return named

    def _unheard(self, port: int) -> Named | None:
        return next(
            (
                named
                for named in self._named()
                if named.exactly
                and strict(named.host) is None
                and port in named.ports
                # Browsers and robots name sites in headers that nobody follows.
                and named.given.place != "header"
            ),
            None,
        )

    @property
    def inputs(self) -> Inputs:
        """What the request has brought so far."""
        return inputs_of(self._exchange)

    def find(
        self, host: str, addresses: Iterable[Address], port: int | None
    ) -> Named | None:
        """Return what names a host or one of its addresses; what does so most exactly
        comes first."""
        wanted, folded = set(addresses), fold_host(host)
        found = [
            named
            for named in self._named()
            if named.is_about(port)
            and (named.is_host(folded) or not wanted.isdisjoint(named.addresses))
        ]
        if not found and wanted and strict(host) is None:
            given = self.inputs.brings(host)  # 127.1 alone
            if given is not None:
                found.append(Named(folded, (), tuple(wanted), given, exactly=False))
        return max(found, key=_exactness, default=None)

    def _named(self) -> tuple[Named, ...]:
        inputs = self.inputs
        noticed = self._noticed
        if noticed.inputs is not inputs:
            noticed.inputs = inputs
            noticed.hosts = tuple(
                named
                for named in hosts_of(inputs.values)
                if not self._is_our_own_page(named)
            )
        return noticed.hosts

    def _is_our_own_page(self, named: Named) -> bool:
        """Browsers say which page of ours they come from."""
        if named.given.name not in _BY_BROWSERS:
            return False
        own, _, port = self._exchange.host.rpartition(":")
        return named.host == fold_host(own if port.isdigit() else self._exchange.host)


def _exactness(named: Named) -> bool:
    return named.exactly and named.given.name not in _BY_BROWSERS


class Egress:
    """Judges what a process dials.

    It is an object because it learns: which destinations are the application's own.
    """

    def __init__(self) -> None:
        self._own: set[tuple[str, int]] = set()
        self._is_serving = False

    @property
    def judges(self) -> Mapping[str, Judge]:
        """Which event is judged by what."""
        return {
            "socket.getaddrinfo": self.looked_up,
            "socket.gethostbyname": self.looked_up,
            "socket.connect": self.dialled,
            "socket.sendto": self.dialled,
            "socket.sendmsg": self.dialled,
        }

    def looked_up(self, event: str, args: tuple[object, ...], whom: Here) -> None:
        """Notice that a request follows a host that one of its inputs names."""
        del event
        host = _text(args[0]) if args else ""
        if host:
            port = (_port(args[1]) or None) if len(args) > 1 else None
            for trail in _trails(whom):
                _tell(whom, trail.look_up(host, port))

    def dialled(self, event: str, args: tuple[object, ...], whom: Here) -> None:
        """Refuse what a request has chosen and must not reach."""
        self._is_serving = True
        sock, address = args[0], args[1]
        if isinstance(address, (str, bytes)):
            _judge_path(_text(address), whom)
            return
        is_stream = event == "socket.connect"
        dialled = _read(sock, address, is_stream=is_stream)
        if dialled is None:
            return
        try:
            self._judge(dialled, whom)
        except InjectionRefusedError:
            # Clients close what failed by an OSError, and nothing else.
            if is_stream and isinstance(sock, socket.socket):
                sock.close()
            raise

    def noticed(self, event: str, args: tuple[object, ...]) -> None:
        """Learn what the application dials while it starts: it is its own."""
        if self._is_serving or event != "socket.connect":
            return
        dialled = _read(args[0], args[1], is_stream=True)
        if dialled is not None:
            self._learn(dialled)

    def _judge(self, dialled: Dialled, whom: Here) -> None:
        settings = _settings(whom)
        trails = _trails(whom)
        address, port = dialled.address, dialled.port
        addresses = () if address is None else (address,)
        each = [trail.dial(dialled, addresses) for trail in trails]
        named = max(filter(None, each), key=_exactness, default=None)
        _tell(whom, named)
        own = self._is_own(dialled, settings)
        exactly = named is not None and _exactness(named)
        if settings.egress:
            if (exactly or not own) and not _is_listed(dialled, settings):
                why = f"{_shown(dialled)} is not among interpreters.egress"
                whom.refuse(SINK, why, None if named is None else named.given)
            return
        if address is not None and not not_public(address):
            return
        if _vouched.get() == (address, port):
            return
        if named is not None and (exactly or not own):
            why = f"the request names {_shown(dialled)}"
            whom.refuse(SINK, why, named.given)
            return
        if own:
            return
        objection, followed = _objection(dialled, trails)
        if objection:
            whom.refuse(SINK, objection, None if followed is None else followed.given)
            return
        self._learn(dialled)

    def _is_own(self, dialled: Dialled, settings: InterpretersSettings) -> bool:
        if dialled.key in self._own:
            return True
        lines = declared((*settings.egress_private, *_proxies()))
        address, port = dialled.address, dialled.port
        if address is None:
            return lines.name(dialled.host, port)
        return lines.hold(address, port)

    def _learn(self, dialled: Dialled) -> None:
        if len(self._own) < _MOST_LEARNT:
            self._own.add(dialled.key)


def _tell(whom: Here, named: Named | None) -> None:
    if named is not None:
        way = "escaped" if _careful.get() else "raw"
        whom.reached(SINK, way, named.given.text)


def _objection(dialled: Dialled, trails: tuple[Trail, ...]) -> tuple[str, Named | None]:
    """Say what is wrong with a destination that nobody has named or declared."""
    advice = "; if it is the application's own, add it to interpreters.egress_private"
    if dialled.is_stream:
        followed = next((trail.followed for trail in trails if trail.followed), None)
        if followed is not None:
            why = f"the request follows an address from outside to {_shown(dialled)}"
            return why + advice, followed
        if not all(trail.inputs.complete for trail in trails):
            why = f"part of the request is not known, and it leads to {_shown(dialled)}"
            return why + advice, None
    address = dialled.address
    if address is not None and is_metadata(address) and not _is_for_credentials():
        return f"{_shown(dialled)} is where a cloud tells credentials{advice}", None
    return "", None


def _judge_path(path: str, whom: Here) -> None:
    """Refuse a socket in the file system whose path an input says: Docker's, say."""
    if len(path) > 1:
        for given in whom.inputs.values:
            if path in given.text:
                whom.refuse(SINK, "the request names a socket of this machine", given)
                return


def judge_request(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Refuse that ``urllib`` opens ``file:`` or ``ftp:`` because an input says so."""
    del event
    url = _text(args[0])
    scheme = url.partition(":")[0].strip().lower()
    if scheme in _WEB:
        return
    rest = url.partition(":")[2].lstrip("/").lower()
    for given in whom.inputs.values:
        said = given.text.strip().lower().removeprefix("url:")
        begins, colon, goes_on = said.partition(":")
        if colon and begins == scheme and rest.startswith(goes_on.lstrip("/")):
            whom.refuse(FILES, f"the request chooses {scheme}: for a URL", given)
            return


def _read(sock: object, address: object, *, is_stream: bool) -> Dialled | None:
    """Read the address of a socket; ``None`` for what is not of the internet."""
    if isinstance(sock, socket.socket):
        if sock.family not in {socket.AF_INET, socket.AF_INET6}:
            return None
        is_stream = is_stream and sock.type != socket.SOCK_DGRAM
    if not isinstance(address, tuple) or len(address) < 2:  # noqa: PLR2004 - host, port
        return None
    host, port = _text(address[0]), _port(address[1])
    if not isinstance(address[0], (str, bytes)) or port is None:
        return None
    host = _SPECIAL.get(host, host)
    found = readings(host)
    return Dialled(host, port, found[0] if found else None, is_stream)


def _text(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else ""


def _port(value: object) -> int | None:
    if isinstance(value, int):
        return value
    text = _text(value)
    if text.isascii() and text.isdigit():
        return int(text)
    return _SERVICES.get(text)


def _settings(whom: Here) -> InterpretersSettings:
    sinks = whom.sinks
    return InterpretersSettings() if sinks is None else sinks.settings


def _trails(whom: Here) -> tuple[Trail, ...]:
    exchanges = tuple(live) if whom.exchange is None else (whom.exchange,)
    return tuple(map(Trail, exchanges))


def _is_listed(dialled: Dialled, settings: InterpretersSettings) -> bool:
    listed = declared(settings.egress)
    if dialled.address is None:
        return listed.name(dialled.host, dialled.port)
    return listed.hold(dialled.address, dialled.port)


def _proxies() -> Iterator[str]:
    """Yield the proxies that the operator has set for the whole process."""
    for name in _PROXIES:
        url = os.environ.get(name) or os.environ.get(name.upper()) or ""
        with contextlib.suppress(ValueError):  # then no library can use it either
            line = urlsplit(url if "//" in url else f"//{url}").netloc.rpartition("@")[
                2
            ]
            read_entry(line)
            yield line


def _is_for_credentials() -> bool:
    """Return whether a cloud's own library asks."""
    frame = inspect.currentframe()
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name.startswith(_ASK_FOR_CREDENTIALS):
            return True
        frame = frame.f_back
    return False


def _shown(dialled: Dialled) -> str:
    """Say where it goes, without what was sent."""
    if dialled.address is None:
        return f"port {dialled.port} of a name that connect() looks up by itself"
    what = not_public(dialled.address) or "public"
    return f"{dialled.address} port {dialled.port} ({what})"


EGRESS = Egress()

JUDGES: Mapping[str, Judge] = {**EGRESS.judges, "urllib.Request": judge_request}
WITNESSES = {"socket.connect": EGRESS.noticed}
