"""One try at a sign-in with another provider, bound to the browser that began it."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as DecodingError
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec

from ringfence.clock import Clock
from ringfence.exchange import Exchange
from ringfence.identity.browser_cookie import BrowserCookie
from ringfence.stores.contracts import ReplayStore, counter_key

LIFETIME = 600  # seconds to sign in at the other service
Purpose = Literal["sign-in", "link", "confirm"]

_MAC_BYTES = 32
_ID_BYTES = 16
_MOST_CHARACTERS = 3_800  # a browser drops cookies of more than 4096


class Attempt(NamedTuple):
    """What was begun.

    Args:
        id: makes it good for one answer.
        provider: that was asked.
        purpose: what for.
        next: where the browser wants to go afterwards, a path of this site or empty.
        origin: of this service, as the browser came to it.
        made: when, Unix seconds.
        account_id: who was signed in, where that matters.
        session: public id of the session it was begun in, where that matters.
    """

    id: str
    provider: str
    purpose: Purpose
    next: str
    origin: str
    made: float
    account_id: str = ""
    session: str = ""


class Sealed(NamedTuple):
    """An attempt with what belongs to it.

    Args:
        attempt: what was begun.
        cookie: that keeps it.
        state: comes back with the answer, from the same browser.
        nonce: comes back in the provider's token.
        verifier: proves to the provider that whoever redeems the code has asked for it.
    """

    attempt: Attempt
    cookie: str
    state: str
    nonce: str
    verifier: str

    @property
    def challenge(self) -> str:
        """The ``S256`` challenge of the verifier. Source: RFC 7636, section 4.2."""
        return _text(sha256(self.verifier.encode()).digest())


class Attempts:
    """Begins attempts, and knows them again.

    State, nonce and verifier are derived from the attempt with this service's key, each
    for its own purpose, so that the cookie holds none of them: who reads it cannot
    finish the sign-in, and who sees the address of an answer cannot make the cookie.
    The answer counts in the browser that holds the cookie and nowhere else: a link with
    the attacker's code and state signs nobody in (login CSRF, CVE-2025-68481,
    CVE-2025-14546, CVE-2025-68158), and once only.

    Args:
        keys: returns the keys that they are signed with, the newest first.
        replays: remembers which ones were used.
        development: plain http on this machine; the cookie is named after the port.
        clock: tells the time.

    Source: RFC 9700, section 2.1; RFC 7636; OpenID Connect Core 1.0, sections 3.1.2.1
    and 15.5.2; CWE-352, CWE-384.

    Not covered: two sign-ins at once in one browser; the later one counts.
    """

    def __init__(
        self,
        keys: Callable[[], Sequence[bytes]],
        replays: ReplayStore,
        *,
        development: bool,
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._replays = replays
        self._clock = clock
        # Lax: the answer is a navigation that comes from another site.
        self._cookie = BrowserCookie("openid", LIFETIME, development=development)

    def begin(  # noqa: PLR0913 - what is kept, each by its name
        self,
        exchange: Exchange,
        provider: str,
        purpose: Purpose,
        *,
        next_: str,
        origin: str,
        account_id: str = "",
        session: str = "",
    ) -> Sealed:
        """Begin one, in place of an earlier one of this browser."""
        attempt = Attempt(
            secrets.token_urlsafe(_ID_BYTES),
            provider,
            purpose,
            next_,
            origin,
            self._clock(),
            account_id,
            session,
        )
        payload = msgspec.json.encode(attempt)
        sealed = _sealed(attempt, payload, self._keys()[0])
        if len(sealed.cookie) > _MOST_CHARACTERS:  # a very long way back is given up
            return self.begin(
                exchange,
                provider,
                purpose,
                next_="",
                origin=origin,
                account_id=account_id,
                session=session,
            )
        self._cookie.write(exchange, sealed.cookie.encode())
        return sealed

    def read(self, exchange: Exchange, provider: str, state: str) -> Sealed | None:
        """Return the attempt of this browser that an answer belongs to, ``None`` if it
        belongs to none.

        Args:
            exchange: of the request; its cookie is read.
            provider: at whose address the answer has come in.
            state: of the answer.
        """
        sealed = self._opened(self._cookie.read(exchange))
        if sealed is None or sealed.attempt.provider != provider:
            return None
        if not hmac.compare_digest(
            sealed.state.encode(), state.encode("utf-8", "replace")
        ):
            return None
        age = self._clock() - sealed.attempt.made
        return sealed if -1.0 <= age < LIFETIME else None

    async def redeem(self, attempt: Attempt) -> bool:
        """Use it: of several answers at once exactly one is told ``True``."""
        return await self._replays.first(counter_key("openid", attempt.id), LIFETIME)

    def expire(self, exchange: Exchange) -> None:
        """Have the browser forget it."""
        self._cookie.expire(exchange)

    def _opened(self, value: bytes) -> Sealed | None:
        if not 0 < len(value) <= _MOST_CHARACTERS:
            return None
        try:
            raw = urlsafe_b64decode(value + b"=" * (-len(value) % 4))
        except DecodingError:
            return None
        payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        for key in self._keys():
            if hmac.compare_digest(mac, _derived(key, "cookie", payload)):
                attempt = msgspec.json.decode(payload, type=Attempt)
                return _sealed(attempt, payload, key)
        return None


def _sealed(attempt: Attempt, payload: bytes, key: bytes) -> Sealed:
    return Sealed(
        attempt,
        _text(payload + _derived(key, "cookie", payload)),
        _text(_derived(key, "state", payload)),
        _text(_derived(key, "nonce", payload)),
        _text(_derived(key, "verifier", payload)),
    )


def _derived(key: bytes, purpose: str, payload: bytes) -> bytes:
    return hmac.digest(
        key, f"ringfence openid {purpose}\0".encode() + payload, "sha256"
    )


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
