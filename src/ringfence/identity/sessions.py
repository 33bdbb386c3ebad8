"""Sessions on the server: who a request comes from, and for how long that holds."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from ringfence.audit.events import Event, SessionsEnded, SignedIn, SignedOut
from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.exchange import Exchange
from ringfence.identity.cause import Cause
from ringfence.identity.device import describe_device
from ringfence.identity.refusals import (
    BEARER_UNSUPPORTED,
    SIGN_IN_FAILED,
    TWO_CREDENTIALS,
    unavailable,
)
from ringfence.identity.session_cookie import SessionCookie
from ringfence.principal import Principal
from ringfence.stores.contracts import AccountRecord, SessionRecord, SessionStore

logger = logging.getLogger("ringfence.identity")

TOUCH_SECONDS = 60  # how exactly the idle time is known
_PRINCIPALS_REMEMBERED = 8192
_TOKEN_BYTES = 32  # 256 random bits; ASVS 5.0 V7.2.3 asks for at least 128
_ID_BYTES = 16
_SWEEP_SECONDS = 600.0  # how often what has expired is deleted


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When sessions end by themselves.

    Args:
        idle: seconds without a request.
        absolute: seconds after the sign-in, in any case.
    """

    idle: float
    absolute: float

    def is_over(self, session: SessionRecord, now: float) -> bool:
        """Return whether a session has ended."""
        return (
            now - session.last_seen >= self.idle
            or now - session.created >= self.absolute
        )


class Sessions:
    """Opens, recognises and ends sessions.

    The cookie holds 256 random bits and nothing else; the store holds their SHA-256,
    so that a stolen copy of the database signs nobody in. An unsalted fast hash is
    right here: there is nothing to guess in 256 random bits.

    Args:
        store: where sessions are kept.
        cookie: carries the token.
        lifetime: when they end by themselves.
        record: takes the events.
        clock: tells the time.

    Source: ASVS 5.0 V7.2, V7.3, V7.4; CWE-384, CWE-613.
    """

    def __init__(
        self,
        store: SessionStore,
        cookie: SessionCookie,
        lifetime: Lifetime,
        *,
        record: Callable[[Event], None],
        clock: Clock,
    ) -> None:
        self._store = store
        self._cookie = cookie
        self._lifetime = lifetime
        self._record = record
        self._clock = clock
        self._seen: dict[bytes, float] = {}
        self._principals: dict[bytes, tuple[SessionRecord, Principal]] = {}
        self._wake = asyncio.Event()
        self._swept_at = clock()
        self._stopping = False
        self._housekeeper: asyncio.Task[None] | None = None

    async def authenticate(self, exchange: Exchange) -> Denial | None:
        """Find out who sends this request: the session stage.

        A token that is unknown or expired leaves the request signed out and the
        cookie is ended by name. Exactly one credential: where two were allowed, the
        server and a proxy could each believe another one.
        """
        token = self._cookie.read(exchange)
        if isinstance(token, Denial):
            return token
        if b"authorization" in exchange.headers:
            return TWO_CREDENTIALS if token else BEARER_UNSUPPORTED
        if not token:
            return None
        token_hash = sha256(token).digest()
        try:
            session = await self._store.read(token_hash)
        except StoreError as error:
            return unavailable(str(error))
        now = self._clock()
        if session is None or self._lifetime.is_over(session, now):
            self._cookie.expire(exchange)
            return None
        if now - session.last_seen >= TOUCH_SECONDS:
            self._seen[token_hash] = now
            self._wake.set()
        exchange.session = session
        exchange.credential = "session"
        known = self._principals.get(token_hash)
        if known is None or known[0] is not session:
            known = self._remember(session)
        exchange.principal = known[1]
        return None

    def _remember(self, session: SessionRecord) -> tuple[SessionRecord, Principal]:
        """Make the principal once for each record that the store hands out."""
        if len(self._principals) >= _PRINCIPALS_REMEMBERED:
            self._principals.clear()
        principal = Principal(
            session.account_id, session.roles, session.factors, session.created
        )
        known = self._principals[session.token_hash] = (session, principal)
        return known

    async def begin(
        self, account: AccountRecord, exchange: Exchange, *, factors: frozenset[str]
    ) -> Denial | None:
        """Open a session for an account that has just proved who it is.

        Always a new token, and the session that the browser came with ends: a token
        that somebody planted before the sign-in (session fixation) is worth nothing
        after it.

        Source: ASVS 5.0 V7.2.4; CWE-384.
        """
        now = self._clock()
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        session = SessionRecord(
            token_hash=_hash(token),
            public_id=secrets.token_urlsafe(_ID_BYTES),
            account_id=account.id,
            roles=account.roles,
            factors=factors,
            created=now,
            last_seen=now,
            address=exchange.client,
            device=describe_device(exchange.headers.get(b"user-agent", b"")),
        )
        earlier = _session_of(exchange)
        added = await self._store.add(
            session,
            epoch=account.epoch,
            replaces=None if earlier is None else earlier.token_hash,
        )
        if not added:
            return SIGN_IN_FAILED
        self._cookie.write(exchange, token)
        exchange.session = session
        exchange.credential = "session"
        exchange.principal = Principal(account.id, account.roles, factors, now)
        return None

    def record_sign_in(self, exchange: Exchange) -> None:
        """Tell the ledger that somebody has signed in."""
        self._record(SignedIn(**_where(exchange)))

    async def end_current(self, exchange: Exchange) -> None:
        """Sign out: end the session that the request came with, if any."""
        session = _session_of(exchange)
        if session is not None:
            await self._store.end_token(session.token_hash)
            self._record(SignedOut(**_where(exchange)))
        self._cookie.expire(exchange)

    async def of(self, account_id: str) -> list[SessionRecord]:
        """Return the account's sessions that can still be used, the latest first."""
        now = self._clock()
        found = await self._store.of_account(account_id)
        return [
            session for session in found if not self._lifetime.is_over(session, now)
        ]

    async def end(self, account_id: str, public_id: str, cause: Cause) -> bool:
        """End one session of this account; return whether it had such a session.

        The account is part of the question: another's session cannot be ended by
        naming it (CWE-639).
        """
        ended = await self._store.end(account_id, public_id)
        if ended:
            self._record_ended(account_id, 1, "one ended by its owner", cause)
        return ended

    async def end_all(
        self, account_id: str, cause: Cause, *, keep: SessionRecord | None
    ) -> int:
        """End all sessions of this account but ``keep``; return how many."""
        count = await self._store.end_all(
            account_id, keep=None if keep is None else keep.token_hash
        )
        reason = "all ended by their owner" if keep is None else "others ended by owner"
        self._record_ended(account_id, count, reason, cause)
        return count

    def _record_ended(
        self, account_id: str, count: int, reason: str, cause: Cause
    ) -> None:
        self._record(
            SessionsEnded(
                request_id=cause.request_id,
                client=cause.client,
                account=account_id,
                count=count,
                reason=reason,
            )
        )

    def forget_cookie(self, exchange: Exchange) -> None:
        """Have the browser forget its session cookie."""
        self._cookie.expire(exchange)

    async def start(self) -> None:
        """Begin to write down when sessions were seen, beside the requests."""
        self._stopping = False
        self._wake = asyncio.Event()
        self._swept_at = self._clock()
        self._housekeeper = asyncio.create_task(self._keep_house())

    async def stop(self) -> None:
        """Write what is still to be written, and end. Idempotent."""
        housekeeper, self._housekeeper = self._housekeeper, None
        if housekeeper is not None:
            self._stopping = True
            self._wake.set()
            await housekeeper

    async def _keep_house(self) -> None:
        while not self._stopping or self._wake.is_set():
            try:
                await asyncio.wait_for(self._wake.wait(), self._until_sweep())
            except TimeoutError:
                await self.sweep()
            else:
                await self.write_seen()
                if not self._until_sweep():
                    await self.sweep()

    def _until_sweep(self) -> float:
        """Return the seconds that are left. On a busy site the wait never runs out:
        somebody's session is always to be marked as seen."""
        passed = self._clock() - self._swept_at
        # At once, too, where the clock was set back.
        return _SWEEP_SECONDS - passed if 0 <= passed < _SWEEP_SECONDS else 0.0

    async def write_seen(self) -> None:
        """Write all new times of last use in one transaction. A failure is logged and
        leaves the old times: sessions end earlier then, never later."""
        self._wake.clear()
        seen, self._seen = self._seen, {}
        try:
            await self._store.touch(seen)
        except StoreError as error:
            logger.warning("sessions could not be marked as seen: %s", error)

    async def sweep(self) -> None:
        """Delete the sessions that have expired."""
        self._swept_at = now = self._clock()
        try:
            await self._store.forget_expired(
                created_before=now - self._lifetime.absolute,
                seen_before=now - self._lifetime.idle,
            )
        except StoreError as error:
            logger.warning("expired sessions could not be deleted: %s", error)


def current_session(exchange: Exchange) -> SessionRecord | None:
    """Return the session that a request came with, or has just been given."""
    return _session_of(exchange)


def _session_of(exchange: Exchange) -> SessionRecord | None:
    session = exchange.session
    return session if isinstance(session, SessionRecord) else None


def _where(exchange: Exchange) -> dict[str, str]:
    principal = exchange.principal
    return {
        "request_id": exchange.request_id,
        "client": exchange.client,
        "account": "" if principal is None else principal.id,
    }


def _hash(token: str) -> bytes:
    return sha256(token.encode("latin-1")).digest()
