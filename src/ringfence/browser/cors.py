"""Which other origins may use what is served here, and what browsers are told of it."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from ringfence.browser.origins import fault_of
from ringfence.denial import Answer, Denial
from ringfence.errors import SettingsError
from ringfence.exchange import Exchange, Headers, Stage, at_once
from ringfence.marks import Mark

logger = logging.getLogger("ringfence.browser")

ANYONE = "*"
ALLOWED_HEADERS = ("authorization", "content-type", "x-csrf-token")
EXPOSED_HEADERS = ("ratelimit", "ratelimit-policy", "retry-after", "x-request-id")
MAX_AGE = 600

REQUEST_METHOD = b"access-control-request-method"

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_LONGEST_AGE = 86_400  # seconds; Firefox keeps no preflight longer, Chromium 7,200
_LONGEST_TOLD = 200  # bytes of a foreign origin that the ledger is told
_WEBSOCKET = "WEBSOCKET"

# What a browser sends to another origin without asking first (WHATWG Fetch,
# CORS-safelisted request-header): so a form, or a script with cookies, may have sent
# it.
_FORM_TYPES = frozenset(
    {b"", b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"}
)

_ALLOW_ORIGIN = b"access-control-allow-origin"
ANSWERED_HERE = frozenset(
    {
        _ALLOW_ORIGIN,
        b"access-control-allow-credentials",
        b"access-control-allow-headers",
        b"access-control-allow-methods",
        b"access-control-allow-private-network",
        b"access-control-expose-headers",
        b"access-control-max-age",
    }
)
"""Response headers that only the guard sends. An application's own would be a second
opinion: frameworks reflect whatever origin asks when they are told ``*`` with
credentials. The one about private networks nobody sends (CVE-2024-6221)."""

_VARY_ORIGIN = (b"vary", b"origin")
_VARY_PREFLIGHT = (
    b"vary",
    b"origin, access-control-request-method, access-control-request-headers",
)

FOREIGN_PREFLIGHT = Denial(
    403,
    "browser.cors_origin",
    "Pages of this origin may not use this address.",
    headers=(_VARY_PREFLIGHT,),
)
METHOD_NOT_SHARED = Denial(
    403,
    "browser.cors_method",
    "Pages of other origins may not use this method here.",
    headers=(_VARY_PREFLIGHT,),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors(Mark):
    """Which other origins may use a route, and how. Made by ``cors(...)``, or by the
    settings ``browser.cors_...``.

    Args:
        origins: each as browsers write it, or ``*`` alone for everybody.
        credentials: whether their requests may carry cookies, and count as our own.
        methods: that they may use; empty for all that the route answers.
        headers: that their scripts may set, besides those that always may be.
        exposed_headers: of our answers that their scripts may read.
        max_age: seconds for which browsers keep the answer to a preflight.
        named: how these fields are called in messages.

    Raises:
        SettingsError: a combination that gives the user's data away, or that browsers
            would not understand; says the likely fix.
    """

    origins: tuple[str, ...] = ()
    credentials: bool = False
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ALLOWED_HEADERS
    exposed_headers: tuple[str, ...] = EXPOSED_HEADERS
    max_age: int = MAX_AGE
    named: str = field(default="cors: ", repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, fault in self._faults():
            raise SettingsError(f"{self.named}{name}: {fault}")

    @property
    def is_for_anyone(self) -> bool:
        """Whether every origin is meant."""
        return ANYONE in self.origins

    def _faults(self) -> Iterator[tuple[str, str]]:
        for fault in self._origin_faults():
            yield "origins", fault
        for method in self.methods:
            if method not in _METHODS:
                yield "methods", _method_fault(method)
        for name in ("headers", "exposed_headers"):
            for header in getattr(self, name):
                if header == ANYONE or not _HEADER_NAME.fullmatch(header):
                    yield name, f"{header!r} is no header's name; write each in full"
        if not 0 <= self.max_age <= _LONGEST_AGE:
            yield (
                "max_age",
                f"{self.max_age} is in seconds; write 0 to {_LONGEST_AGE}",
            )

    def _origin_faults(self) -> Iterator[str]:
        if self.is_for_anyone and self.credentials:
            yield (
                "'*' with credentials would show every site what belongs to whoever "
                "visits it; name the origins, or leave credentials off"
            )
        if self.is_for_anyone and len(self.origins) > 1:
            yield "'*' means everybody already; leave out it or the others"
        for origin in self.origins:
            fault = "" if origin == ANYONE else fault_of(origin)
            if fault:
                yield fault


def _method_fault(method: str) -> str:
    guess = method.strip().upper()
    if guess in _METHODS:
        return f"{method!r}: methods are upper case; write {guess!r}"
    return f"{method!r} is none of {', '.join(_METHODS)}"


def cors(
    *origins: str,
    credentials: bool = False,
    methods: tuple[str, ...] = (),
    headers: tuple[str, ...] = ALLOWED_HEADERS,
    exposed_headers: tuple[str, ...] = EXPOSED_HEADERS,
    max_age: int = MAX_AGE,
) -> Cors:
    """Say which other origins may use a route, in place of the settings::

        @api.get("/prices")
        @cors("*")
        @access.require(access.public)
        async def read_prices() -> Prices: ...

    ``cors("*")`` opens a route to scripts of every site, without cookies; ``cors()``
    closes it to all but our own.

    Args:
        origins: exact, as in ``https://app.example``; ``*`` for everybody; none for
            nobody.
        credentials: whether requests may carry cookies. Pages of these origins can
            then do whatever our own pages can.
        methods: that may be used; empty for all that the route answers.
        headers: that scripts may set besides those that always may be.
        exposed_headers: of our answers that scripts may read.
        max_age: seconds for which browsers keep the answer to a preflight, to 86,400.

    Raises:
        SettingsError: a combination that gives the user's data away, or that browsers
            would not understand.

    Source: WHATWG Fetch, CORS protocol; ASVS 5.0 V3.4.2, V3.5.2; CWE-942, CWE-346.
    """
    return Cors(
        origins=origins,
        credentials=credentials,
        methods=methods,
        headers=headers,
        exposed_headers=exposed_headers,
        max_age=max_age,
    )


def unsafe_origins(
    rules: Cors, public_origins: tuple[str, ...], *, development: bool
) -> Iterator[str]:
    """Yield what is wrong with the origins where they are used, with the likely fix.

    Args:
        rules: of the settings or of a route.
        public_origins: origins of this service.
        development: loopback only; plain http is fine there.
    """
    ours = {origin.rstrip("/").lower() for origin in public_origins}
    for origin in rules.origins:
        if ours == {origin}:  # of several, each is another origin to the others
            yield (
                f"{rules.named}origins: {origin!r} is where this service itself is "
                "reached, so its pages need no leave; name the origin of the others, "
                "or leave it out"
            )
        elif origin.startswith("http://") and not development:
            yield (
                f"{rules.named}origins: {origin!r} is over http, where everybody on "
                "the way can write its pages; write https://"
                f"{origin.removeprefix('http://')}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Sharing:
    """What one route shares with other origins, decided at start-up.

    Args:
        origins: that are named, each with the lines of an answer to it.
        anyone: every origin is meant, and none named.
        others: the lines of an answer to everybody else.
        methods: that other origins may use.
        credentials: whether named origins count as our own.
        preflight: the lines that follow the origin in the answer to a preflight.
    """

    origins: Mapping[bytes, Headers]
    anyone: bool
    others: Headers
    methods: AbstractSet[str]
    credentials: bool
    preflight: Headers

    def __str__(self) -> str:
        if self.anyone:
            return ANYONE
        named = ", ".join(origin.decode("ascii") for origin in self.origins)
        return f"{named} with cookies" if self.credentials else named

    def invites(self, exchange: Exchange) -> bool:
        """Return whether pages of the request's origin may use this route by this
        method."""
        if exchange.method not in self.methods:
            return False
        return self.anyone or exchange.headers.get(b"origin") in self.origins

    def trusts(self, exchange: Exchange) -> bool:
        """Return whether the request counts as one of our own pages."""
        return self.credentials and self.invites(exchange)

    def admits(self, exchange: Exchange) -> bool:
        """Return whether a request of another origin may change something.

        An origin that may send cookies is trusted. The others may send what a browser
        sends only after a preflight, which has told it to leave cookies out, and never
        what a form or a script with cookies could have sent unasked (CSRF).
        """
        if not self.invites(exchange):
            return False
        return self.credentials or (
            b"cookie" not in exchange.headers and _was_asked_for(exchange)
        )

    def lines(self, exchange: Exchange) -> Headers:
        """Return the lines of an answer to this request."""
        if exchange.method not in self.methods:
            return ()
        origin = exchange.headers.get(b"origin")
        return self.others if origin is None else self.origins.get(origin, self.others)

    def answer_preflight(self, origin: bytes, method: str) -> Answer | Denial:
        """Answer a browser that asks before it sends a script's request."""
        if not self.anyone and origin not in self.origins:
            told = origin[:_LONGEST_TOLD].decode("latin-1")
            return replace(FOREIGN_PREFLIGHT, private=f"the origin is {told!r}")
        if method not in self.methods:
            return METHOD_NOT_SHARED
        allowed = (_ALLOW_ORIGIN, b"*" if self.anyone else origin)
        return Answer(204, (allowed, *self.preflight))


def _was_asked_for(exchange: Exchange) -> bool:
    """Return whether a browser sends this only after a preflight."""
    headers = exchange.headers
    if exchange.method == _WEBSOCKET:  # has no preflight; without cookies harmless
        return True
    if exchange.method != "POST":
        return True
    # Other schemes (Basic, Negotiate) a browser adds by itself.
    if headers.get(b"authorization", b"").lower().startswith((b"bearer ", b"dpop ")):
        return True
    media_type = headers.get(b"content-type", b"").partition(b";")[0]
    return media_type.strip().lower() not in _FORM_TYPES


def sharing_of(
    marks: Sequence[Mark],
    methods: AbstractSet[str] | None,
    *,
    usual: Cors,
    public_origins: tuple[str, ...] = (),
    development: bool = False,
) -> Sharing | None:
    """Decide what a route shares with other origins; ``None`` if nothing.

    Args:
        marks: of the route, the outermost first; its innermost ``cors(...)`` counts.
        methods: that the route answers, ``None`` for every one.
        usual: what counts where there is none.
        public_origins: origins of this service.
        development: loopback only; plain http is fine there.

    Raises:
        SettingsError: an origin that must not be trusted here.
    """
    own = [mark for mark in marks if isinstance(mark, Cors)]
    rules = own[-1] if own else usual
    for fault in unsafe_origins(rules, public_origins, development=development):
        raise SettingsError(fault)
    return compile_sharing(rules, methods) if rules.origins else None


def compile_sharing(rules: Cors, methods: AbstractSet[str] | None) -> Sharing:
    """Encode what a route shares.

    Args:
        rules: with an origin at least.
        methods: that the route answers, ``None`` for every one.
    """
    answered = methods or frozenset(_METHODS)
    shared = answered & _with_head(rules.methods or _METHODS)
    exposed = _listed(b"access-control-expose-headers", rules.exposed_headers)
    credentials: Headers = ()
    if rules.credentials:
        credentials = ((b"access-control-allow-credentials", b"true"),)
    anyone = rules.is_for_anyone
    named = () if anyone else tuple(one.encode("ascii") for one in rules.origins)
    return Sharing(
        origins={
            origin: ((_ALLOW_ORIGIN, origin), *credentials, *exposed, _VARY_ORIGIN)
            for origin in named
        },
        anyone=anyone,
        # The same to all: a cache need not keep it for each origin anew.
        others=((_ALLOW_ORIGIN, b"*"), *exposed) if anyone else (_VARY_ORIGIN,),
        methods=shared | {_WEBSOCKET},
        credentials=rules.credentials,
        preflight=(
            *credentials,
            (b"access-control-allow-methods", ", ".join(sorted(shared)).encode()),
            *_listed(b"access-control-allow-headers", rules.headers),
            (b"access-control-max-age", b"%d" % rules.max_age),
            _VARY_PREFLIGHT,
        ),
    )


def _with_head(methods: tuple[str, ...]) -> frozenset[str]:
    """A HEAD tells less than the GET that is allowed."""
    return frozenset(methods) | ({"HEAD"} if "GET" in methods else set())


def _listed(name: bytes, values: tuple[str, ...]) -> Headers:
    return ((name, ", ".join(values).lower().encode("ascii")),) if values else ()


def share(sharing: Sharing) -> Stage:
    """Return the stage that tells browsers which other origins may read the answers.

    A preflight ends here: it meets no session, no policy and no application. The lines
    stand on refusals too, so that a script of an invited origin can read why.

    Args:
        sharing: of the route.

    Source: WHATWG Fetch, CORS protocol.
    """

    def cors_lines(exchange: Exchange) -> Answer | Denial | None:
        asked = asked_method(exchange) if exchange.method == "OPTIONS" else ""
        if asked:
            return sharing.answer_preflight(exchange.headers[b"origin"], asked)
        exchange.response_headers += sharing.lines(exchange)
        return None

    return at_once(cors_lines)


def tell(sharing: Sharing) -> Stage:
    """Return the stage that adds the lines of an answer, and answers no preflight: for
    what a framework answers by itself, such as 405 and the redirects of slashes.

    Args:
        sharing: what the settings say.
    """

    def cors_lines(exchange: Exchange) -> None:
        exchange.response_headers += sharing.lines(exchange)

    return at_once(cors_lines)


def notes_on_middleware(names: Sequence[str]) -> Iterator[str]:
    """Yield what to tell at start-up about an application's own middleware.

    Args:
        names: of its classes.
    """
    if "CORSMiddleware" in names:
        yield (
            "CORSMiddleware has no say behind the guard, which drops its headers: name "
            "the origins in RINGFENCE_BROWSER_CORS_ORIGINS, or beside a route with "
            "cors(...), and take the middleware out"
        )


@functools.cache
def tell_unheard() -> None:
    """Tell the developer, once a process, that what the application says of other
    origins is not sent. Every answer would fill the log; none would be a riddle."""
    logger.warning(
        "an Access-Control- header of the application was dropped: the guard alone "
        "says which origins may read; name them in RINGFENCE_BROWSER_CORS_ORIGINS, or "
        "beside a route with cors(...)"
    )


def asked_method(exchange: Exchange) -> str:
    """Return the method of the script's request that a browser asks about with this
    OPTIONS, ``""`` if it is no preflight."""
    if b"origin" not in exchange.headers:
        return ""
    asked = exchange.headers.get(REQUEST_METHOD, b"").decode("latin-1")
    return asked if asked in _METHODS else ""
