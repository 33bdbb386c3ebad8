"""The session-bound token for requests that say nothing about where they come from."""

from __future__ import annotations

import binascii
import functools
import hmac
import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence

from ringfence.browser.cors import Sharing
from ringfence.browser.fetch_metadata import HARMLESS, SAFE_METHODS, judge_read
from ringfence.browser.form import read_field
from ringfence.denial import Denial
from ringfence.errors import BodyRefusedError
from ringfence.exchange import Exchange, Stage, at_once
from ringfence.stores.contracts import SessionRecord

HEADER = b"x-csrf-token"
FIELD = b"csrf_token"
FIELD_WITHIN = 65_536  # bytes of the body that are searched for the field

_PURPOSE = b"ringfence csrf 1\x00"
_MAC_SIZE = 32

TOKEN_MISSING = Denial(
    403,
    "browser.csrf_missing",
    "The request does not say where it comes from. Send the header X-CSRF-Token or "
    "the form field csrf_token.",
)
TOKEN_WRONG = Denial(
    403,
    "browser.csrf_wrong",
    "The form is out of date. Load the page again and send it once more.",
)
NO_ORIGIN = Denial(
    403, "browser.origin_missing", "A signed-in WebSocket must state its origin."
)


def protect(
    keys: Callable[[], Sequence[bytes]],
    *,
    public_origins: tuple[str, ...] = (),
    sharing: Sharing | None = None,
) -> Stage:
    """Return the stage that demands a token where the browser gave no other proof.

    It acts only on requests whose credential a browser adds by itself: the session
    cookie, or an access token in one. If ``Sec-Fetch-Site`` or ``Origin`` is there,
    ``browser.fetch_metadata`` has judged it already; old browsers and programs with a
    cookie jar send neither, and then the token decides. Also refuses signed-in reads
    that another site makes, and signed-in WebSockets without an origin (cross-site
    WebSocket hijacking).

    The token is bound to the session: one that an attacker got for their own session,
    or planted as a cookie from a sibling domain, is worth nothing here.

    Args:
        keys: returns the keys of 32 bytes, the signing one first; asked at each use,
            since they are opened after start-up, and others take their place.
        public_origins: origins that may read signed-in answers.
        sharing: what other origins may do on this route, ``None`` for nothing.

    Not covered: pages of this very origin (XSS). See the policy for those.

    Source: OWASP CSRF Prevention Cheat Sheet (signed double submit, session-bound);
    ASVS 5.0 V3.5.1; CWE-352.
    """
    ours = frozenset(origin.rstrip("/").lower().encode() for origin in public_origins)
    judge = functools.partial(_judge_read, ours=ours, sharing=sharing)

    def mint_for(exchange: Exchange) -> str:
        # Asked for late: a sign-in gives the request another session than it came with.
        bound = _bound(exchange)
        return mint(keys()[0], bound) if bound else ""

    def csrf(exchange: Exchange) -> Denial | Awaitable[Denial | None] | None:
        exchange.mint_csrf_token = mint_for
        headers = exchange.headers
        is_safe = exchange.method in SAFE_METHODS
        if is_safe and headers.get(b"sec-fetch-site") in HARMLESS:
            return None
        bound = _bound(exchange)
        if not bound:
            return None
        if is_safe:
            return judge(exchange)
        if b"origin" in headers or _says_its_site(exchange):
            return None
        if exchange.kind == "websocket":
            return NO_ORIGIN
        return _demand_token(exchange, keys(), bound)

    return at_once(csrf)


def _bound(exchange: Exchange) -> bytes:
    """Return what the tokens of a request's credential are bound to, empty unless a
    browser adds that by itself: the session, or an access token in a cookie."""
    session = exchange.session
    if isinstance(session, SessionRecord):
        return session.token_hash
    return exchange.ambient


def _says_its_site(exchange: Exchange) -> bool:
    # A handshake has to state its origin.
    return exchange.kind != "websocket" and b"sec-fetch-site" in exchange.headers


def _judge_read(
    exchange: Exchange, *, ours: frozenset[bytes], sharing: Sharing | None
) -> Denial | None:
    denial = judge_read(exchange.headers, ours)
    if denial is not None and sharing is not None and sharing.trusts(exchange):
        return None
    return denial


async def _demand_token(
    exchange: Exchange, keys: Sequence[bytes], bound: bytes
) -> Denial | None:
    token = exchange.headers.get(HEADER)
    if token is None:
        try:
            token = await read_field(exchange, FIELD, within=FIELD_WITHIN)
        except BodyRefusedError:
            return exchange.denial  # written by whoever watches over the body
    if not token:
        return TOKEN_MISSING
    # A page that was loaded before the keys were rotated is still good.
    genuine = [verify(token, key, bound) for key in keys]
    return None if any(genuine) else TOKEN_WRONG


def mint(key: bytes, token_hash: bytes) -> str:
    """Return a token for a session, another text at every call.

    The code is hidden under a random pad: a page that is compressed and reflects input
    would otherwise give its letters away one by one (BREACH).
    """
    pad = secrets.token_bytes(_MAC_SIZE)
    code = hmac.digest(key, _PURPOSE + token_hash, "sha256")
    return urlsafe_b64encode(pad + _xor(code, pad)).rstrip(b"=").decode("ascii")


_TOKEN_LENGTH = 86  # characters of 64 bytes in base64, unpadded


def verify(token: bytes, key: bytes, token_hash: bytes) -> bool:
    """Tell, in constant time, whether ``mint`` made this token for this session."""
    if len(token) != _TOKEN_LENGTH:
        return False
    try:
        raw = b64decode(token + b"==", altchars=b"-_", validate=True)
    except binascii.Error:
        return False
    pad, hidden = raw[:_MAC_SIZE], raw[_MAC_SIZE:]
    code = hmac.digest(key, _PURPOSE + token_hash, "sha256")
    return hmac.compare_digest(_xor(hidden, pad), code)


def _xor(left: bytes, right: bytes) -> bytes:
    mixed = int.from_bytes(left, "big") ^ int.from_bytes(right, "big")
    return mixed.to_bytes(_MAC_SIZE, "big")
