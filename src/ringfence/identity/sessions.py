"""Sessions on the server: who a request comes from, and for how long that holds."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from math import inf

from ringfence.audit.events import (
    Event,
    SessionConfirmed,
    SessionMoved,
    SessionsEnded,
    SignedIn,
    SignedOut,
)
from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.exchange import Exchange
from ringfence.identity.cause import Cause
from ringfence.identity.device import describe_device
from ringfence.identity.live import Live
from ringfence.identity.movement import MoveEffect, Place, has_moved
from ringfence.identity.refusals import (
    SIGN_IN_FAILED,
    TWO_CREDENTIALS,
    unavailable,
)
from ringfence.identity.session_cookie import SessionCookie
from ringfence.identity.session_hint import SessionHints, SessionName
from ringfence.identity.tokens.ambient import CookieTokens
from ringfence.identity.tokens.bearer import NO_NAME, Credentials
from ringfence.identity.tokens.refusals import SESSION_NEEDED
from ringfence.principal import Principal
from ringfence.stores.contracts import (
    AccountRecord,
    Reply,
    SessionRecord,
    SessionStore,
    Told,
    Use,
)

logger = logging.getLogger("ringfence.identity")

_TOUCH_SECONDS = 60.0  # how exactly the store knows the last use, at most
_TOUCHES = 10  # and how often in a short idle time
_SKEW_SECONDS = 300.0  # how far ahead another machine's clock may be
_REMEMBERED = 8192
_LONGEST_COOKIE = 1024  # bytes of a header that is worth remembering by its hash
_ROUNDING = 0.001  # seconds; more than sums of Unix times are off
_TOKEN_BYTES = 32  # 256 random bits; ASVS 5.0 V7.2.3 asks for at least 128
_ID_BYTES = 16
_SWEEP_SECONDS = 600.0  # how often what has expired is deleted
_OVERLAP_SECONDS = (
    60.0  # how long requests with a token just replaced may be on the way
)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When sessions end by themselves.

    Args:
        idle: seconds without a request.
        absolute: seconds after the sign-in, in any case.
    """

    idle: float
    absolute: float

    def is_over(self, created: float, used: float, now: float) -> bool:
        """Return whether a session has ended.

        A clock that was wrong and is set back would make sessions of the future, which
        live on until it comes; those have ended too.
        """
        return (
            now - used >= self.idle
            or now - created >= self.absolute
            or now - created < -_SKEW_SECONDS
            or now - used < -_SKEW_SECONDS
        )

    def end(self, created: float, used: float) -> float:
        """Return until when nobody has to ask whether a session has ended that was in
        use at ``used``, as long as the time only goes on."""
        if used < created:
            return -inf
        return min(used + self.idle, created + self.absolute) - _ROUNDING


class _Known:
    """What this process knows of a session beyond its record: it is written on every
    request, and to the store only once a minute."""

    __slots__ = ("agent", "device", "network", "principal", "session", "until", "used")

    def __init__(self, session: SessionRecord, principal: Principal) -> None:
        self.session = session
        self.principal = principal
        self.used = session.last_seen
        self.until = -inf  # until then it neither ends nor has to be marked as seen
        self.network = session.last_network
        self.device = session.last_device
        self.agent: bytes | None = b""  # of no request: the next one is looked at


class Sessions:
    """Opens, recognises and ends sessions.

    The cookie holds 256 random bits and nothing else; the store holds their SHA-256,
    so that a stolen copy of the database signs nobody in. An unsalted fast hash is
    right here: there is nothing to guess in 256 random bits.

    Args:
        store: where sessions are kept.
        cookie: carries the token.
        hints: say in the cookie whose session it is.
        lifetime: when they end by themselves.
        on_move: what happens to one that is used from elsewhere: ``note`` tells the
            owner and the ledger, ``confirm`` asks for the password too where freshness
            matters, ``end`` ends it.
        record: takes the events.
        clock: tells the time.
        credentials: finds out who sends a request without a session.

    Source: ASVS 5.0 V7.2, V7.3, V7.4; CWE-384, CWE-613.
    """

    def __init__(  # noqa: PLR0913 - two rules, and what stands below this room
        self,
        store: SessionStore,
        cookie: SessionCookie,
        hints: SessionHints,
        lifetime: Lifetime,
        *,
        on_move: MoveEffect = "note",
        record: Callable[[Event], None],
        clock: Clock,
        credentials: Credentials,
    ) -> None:
        self._credentials = credentials
        self.tokens: CookieTokens | None = None  # where tokens are switched on
        self._store = store
        self._cookie = cookie
        self._hints = hints
        self._lifetime = lifetime
        self._record = record
        self._clock = clock
        self._on_move = on_move
        self._touch_every = min(_TOUCH_SECONDS, lifetime.idle / _TOUCHES)
        self._seen: dict[bytes, Use] = {}
        self._known: dict[bytes, _Known] = {}
        self._tokens: dict[bytes, tuple[object, SessionName]] = {}
        self._replaced: dict[bytes, float] = {}  # in the order of their times
        self.live = Live(store, self._is_over, clock=clock, holds=credentials.holds)
        self._wake = asyncio.Event()
        self._swept_at = clock()
        self._stopping = False
        self._housekeeper: asyncio.Task[None] | None = None

    def named(self, exchange: Exchange) -> SessionName:
        """Return the name of the session or the token that a request brings, and whose
        it is, both empty unless that is signed; nothing is asked for it.

        For whoever asks a store everything about a request at once.
        """
        cookies = exchange.headers.get(b"cookie")
        if cookies is None:
            if b"authorization" in exchange.headers:
                return self._credentials.named(exchange)
            return NO_NAME
        name = exchange.named = self._remembered(exchange, cookies)
        if name is None:
            value = self._cookie.read(exchange)
            if isinstance(value, Denial):
                return NO_NAME
            if not value:
                return self._credentials.named(exchange)
            if self._credentials.is_ambient(exchange):
                return NO_NAME
            name = self._hints.read(value)
            if name is not None and name.account_id:
                self._remember_cookies(exchange, name)
        return NO_NAME if name is None or not name.account_id else name

    def _remembered(self, exchange: Exchange, cookies: bytes) -> SessionName | None:
        """Return what these cookies have said before."""
        if len(cookies) > _LONGEST_COOKIE:
            return None
        server, name = self._tokens.get(sha256(cookies).digest(), _NO_TOKEN)
        found = name.token_hash and server == exchange.scope.get("server")
        return name if found else None

    def authenticate(
        self, exchange: Exchange
    ) -> Denial | Awaitable[Denial | None] | None:
        """Find out who sends this request: the session stage.

        A token that is unknown or expired leaves the request signed out and the
        cookie is ended by name. Exactly one credential: where two were allowed, the
        server and a proxy could each believe another one.

        A session that was seen a moment ago, and still comes from where it came from,
        is recognised without waiting: by the store itself, or by what it has said in
        answer to the request's one question.
        """
        headers = exchange.headers
        cookies = headers.get(b"cookie")
        if cookies is None and b"authorization" not in headers:
            return None
        reply = exchange.reply
        if cookies is None or isinstance(reply, StoreError):
            return self._examine(exchange)
        # First what nearly every request of somebody signed in looks like: the cookies
        # of the one before it, which had the session that is still as it was then.
        name = exchange.named
        if name is None:
            name = self._remembered(exchange, cookies) or NO_NAME
        token_hash = name.token_hash
        known, now = self._known.get(token_hash), self._clock()
        try:
            if (
                known is None
                or not known.used <= now < known.until
                or known.network != exchange.network
                or known.agent != headers.get(b"user-agent")
                or b"authorization" in headers
                or self._store.recall(token_hash, reply and reply.told)
                is not known.session
            ):
                return self._examine(exchange)
        except StoreError as error:
            return unavailable(str(error))
        known.used = now
        exchange.session = known.session
        exchange.credential = "session"
        exchange.principal = known.principal
        return None

    def _examine(self, exchange: Exchange) -> Denial | Awaitable[Denial | None] | None:
        """Find out who sends a request, by its headers and by the store."""
        value = self._cookie.read(exchange)
        if isinstance(value, Denial):
            return value
        if not value:
            return self._credentials.authenticate(exchange)
        name = self._presented(exchange, value)
        if not isinstance(name, SessionName):
            return name
        token_hash = name.token_hash
        try:
            told = _told(exchange)
            session = self._store.recall(token_hash, told)
        except StoreError as error:
            return unavailable(str(error))
        known, now = self._known.get(token_hash), self._clock()
        if (
            known is None
            or known.session is not session
            or known.network != exchange.network
            or known.agent != exchange.headers.get(b"user-agent")
            or self._lifetime.is_over(session.created, known.used, now)
        ):
            return self._look_up(token_hash, told, exchange, now)
        self._let_pass(known, exchange, now)
        self._remember_cookies(exchange, name)
        return None

    def _presented(
        self, exchange: Exchange, value: bytes
    ) -> SessionName | Denial | None:
        """Return what the session cookie of a request says, if it is the only
        credential. One that we never write so is ended and nobody's."""
        if b"authorization" in exchange.headers:
            return TWO_CREDENTIALS
        if self._credentials.is_ambient(exchange):
            # Two tabs, one that signs in and one that refreshes: the session stays.
            self._credentials.cookies.expire(exchange)
            return TWO_CREDENTIALS
        name = self._hints.read(value)
        if name is None:
            self._cookie.expire(exchange)
        return name

    def _remember_cookies(self, exchange: Exchange, name: SessionName) -> None:
        """Keep which token these cookies hold: under this name, which in development
        depends on the port, always the same. Of neither more than a hash is kept."""
        cookies = exchange.headers[b"cookie"]
        if len(cookies) > _LONGEST_COOKIE:
            return
        if len(self._tokens) >= _REMEMBERED:
            self._tokens.clear()
        server = exchange.scope.get("server")
        self._tokens[sha256(cookies).digest()] = server, name

    def _let_pass(self, known: _Known, exchange: Exchange, now: float) -> None:
        """Say who is there, and that they were."""
        session = known.session
        known.used = now
        if now - session.last_seen >= self._touch_every:
            use = Use(now, known.network, known.device)
            self._seen[session.token_hash] = use
            self._wake.set()
        known.until = min(
            session.last_seen + self._touch_every - _ROUNDING,
            self._lifetime.end(session.created, now),
        )
        exchange.session = session
        exchange.credential = "session"
        exchange.principal = known.principal

    async def _look_up(
        self, token_hash: bytes, told: Told | None, exchange: Exchange, now: float
    ) -> Denial | None:
        """Read a session, and look at where it is used."""
        try:
            session = await self._read(token_hash, told, now)
            known = session and await self._recognise(session, exchange, now)
        except StoreError as error:
            return unavailable(str(error))
        if known is not None:
            self._let_pass(known, exchange, now)
        elif not self._may_be_overtaken(token_hash, exchange, now):
            self._cookie.expire(exchange)
        return None

    def _may_be_overtaken(
        self, token_hash: bytes, exchange: Exchange, now: float
    ) -> bool:
        """Return whether the browser may have a new token by now: ending the cookie,
        which has the same name, would sign out whoever has just signed in or confirmed.

        What was replaced here is known. What another process has replaced a moment ago
        is not; but it is what scripts and pictures ask for that is on its way meanwhile
        (Fetch Metadata says so), and the next page ends the cookie as well.
        """
        is_beside = exchange.headers.get(b"sec-fetch-mode", b"navigate") != b"navigate"
        passed = now - self._replaced.get(token_hash, -inf)
        return is_beside or passed <= _OVERLAP_SECONDS

    async def _read(
        self, token_hash: bytes, told: Told | None, now: float
    ) -> SessionRecord | None:
        """Read a session. Where a copy says that it has expired the database is asked:
        another process may have seen it since the copy was made."""
        session = await self._store.read(token_hash, told)
        if session is None or told is None or told.copy is None:
            return session
        if not self._is_over(session, now):
            return session
        return await self._store.read(token_hash, told._replace(copy=None))

    async def _recognise(
        self, session: SessionRecord, exchange: Exchange, now: float
    ) -> _Known | None:
        """Return what is known of a session that can still be used from here."""
        if session.moved_at and self._on_move == "end":
            # It was marked, and could not be ended: the store has failed in between.
            await self._end_token(session)
            return None
        known = self._known.get(session.token_hash)
        if known is None or known.session is not session:
            known = self._remember(session)
        if self._lifetime.is_over(session.created, known.used, now):
            return None
        return await self._follow(known, exchange, now)

    def _remember(self, session: SessionRecord) -> _Known:
        """Make what is known once for each record that the store hands out."""
        earlier = self._known.get(session.token_hash)
        if earlier is None and len(self._known) >= _REMEMBERED:
            self._known.clear()
        moved = session.moved_at and self._on_move == "confirm"
        known = self._known[session.token_hash] = _Known(
            session,
            Principal(
                session.account_id,
                session.roles,
                session.factors,
                0.0 if moved else session.proved,
                tenant=session.tenant,
            ),
        )
        if earlier is not None and earlier.used >= session.last_seen:
            known.used = earlier.used
            known.network = earlier.network
            known.device = earlier.device
            known.agent = earlier.agent
        return known

    async def _follow(
        self, known: _Known, exchange: Exchange, now: float
    ) -> _Known | None:
        """Look at a request from another address or browser than the one before it;
        return ``None`` if it ends the session."""
        agent = exchange.headers.get(b"user-agent")
        before = Place(known.network, known.device)
        here = Place(exchange.network, describe_device(agent or b""))
        if has_moved(before, here) and not known.session.moved_at:
            session = known.session
            use = Use(now, here.network, here.device)
            # The store decides who was first, so that the move is told of once.
            if await self._store.mark_moved(session.token_hash, use):
                self._record_move(exchange, session, before, here)
            if self._on_move == "end":
                await self._end_token(session)
                return None
            known = self._remember(
                session._replace(
                    moved_at=now, moved_network=here.network, moved_device=here.device
                )
            )
        known.network, known.device = here
        known.agent = agent
        return known

    def _record_move(
        self, exchange: Exchange, session: SessionRecord, before: Place, here: Place
    ) -> None:
        self._record(
            SessionMoved(
                request_id=exchange.request_id,
                client=exchange.client,
                account=session.account_id,
                session=session.public_id,
                from_network=before.network,
                from_device=before.device,
                device=here.device,
                effect=self._on_move,
            )
        )

    def _is_over(self, session: SessionRecord, now: float) -> bool:
        """Return whether a session has expired, as far as this process knows."""
        known = self._known.get(session.token_hash)
        used = session.last_seen if known is None else known.used
        return self._lifetime.is_over(
            session.created, max(used, session.last_seen), now
        )

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
        device = describe_device(exchange.headers.get(b"user-agent", b""))
        return await self._open(
            SessionRecord(
                token_hash=b"",
                public_id="",
                account_id=account.id,
                roles=account.roles,
                factors=factors,
                created=now,
                last_seen=now,
                address=exchange.client,
                device=device,
                proved=now,
                last_network=exchange.network,
                last_device=device,
                tenant=account.tenant,
            ),
            account,
            exchange,
        )

    async def confirm(
        self, account: AccountRecord, exchange: Exchange, *, factor: str
    ) -> Denial | None:
        """Renew the session of an owner who has just proved who they are once more.

        A new token, so that a stolen one does not become fresh with the owner's proof;
        whatever was noticed about the old one is settled. The absolute end stays.

        Source: ASVS 5.0 V7.2.4, V7.5.1, V7.5.3; CWE-384.
        """
        earlier = _session_of(exchange)
        if earlier is None:
            return await self._confirm_tokens(account, exchange, factor)
        now = self._clock()
        device = describe_device(exchange.headers.get(b"user-agent", b""))
        refused = await self._open(
            earlier._replace(
                roles=account.roles,
                factors=earlier.factors | {factor},
                last_seen=now,
                proved=now,
                last_network=exchange.network,
                last_device=device,
                moved_at=0.0,
                moved_network="",
                moved_device="",
                tenant=account.tenant,
            ),
            account,
            exchange,
        )
        if refused is None:
            self._record(SessionConfirmed(**_where(exchange)))
        return refused

    async def _confirm_tokens(
        self, account: AccountRecord, exchange: Exchange, factor: str
    ) -> Denial | None:
        if self.tokens is None:
            return SESSION_NEEDED
        return await self.tokens.renew(account, exchange, factor=factor)

    async def _open(
        self, session: SessionRecord, account: AccountRecord, exchange: Exchange
    ) -> Denial | None:
        """Store a session under a new token and give it to the browser, in place of
        the one that it came with."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        session = session._replace(
            token_hash=_hash(token), public_id=secrets.token_urlsafe(_ID_BYTES)
        )
        earlier = _session_of(exchange)
        added = await self._store.add(
            session,
            epoch=account.epoch,
            replaces=earlier,
        )
        if not added:
            return SIGN_IN_FAILED
        if earlier is not None:
            self._note_replaced(earlier.token_hash)
            self.live.end_session(earlier.token_hash, earlier.account_id)
        elif self.tokens is not None and exchange.credential != "bearer":
            await self.tokens.leave(exchange)
        self._cookie.write(exchange, self._hints.write(token, account.id))
        exchange.session = session
        exchange.credential = "session"
        exchange.principal = Principal(
            account.id,
            account.roles,
            session.factors,
            session.proved,
            tenant=account.tenant,
        )
        return None

    def _note_replaced(self, token_hash: bytes) -> None:
        now = self._clock()
        gone = now - _OVERLAP_SECONDS
        while self._replaced:
            oldest = next(iter(self._replaced))
            if gone < self._replaced[oldest] and len(self._replaced) < _REMEMBERED:
                break
            del self._replaced[oldest]
        self._replaced[token_hash] = now

    def now(self) -> float:
        """Return the time by which all this is judged, Unix seconds."""
        return self._clock()

    def record_sign_in(self, exchange: Exchange) -> None:
        """Tell the ledger that somebody has signed in."""
        self._record(SignedIn(**_where(exchange)))

    async def end_current(self, exchange: Exchange) -> None:
        """Sign out: end the session that the request came with, if any."""
        session = _session_of(exchange)
        if session is not None:
            await self._end_token(session)
            self._record(SignedOut(**_where(exchange)))
        elif self.tokens is not None and await self.tokens.leave(exchange):
            self._record(SignedOut(**_where(exchange)))
        self._cookie.expire(exchange)

    async def _end_token(self, session: SessionRecord) -> None:
        await self._store.end_token(session.token_hash, session.account_id)
        self.live.end_session(session.token_hash, session.account_id)

    async def of(self, account_id: str) -> list[SessionRecord]:
        """Return the account's sessions that can still be used, the latest first."""
        now = self._clock()
        found = await self._store.of_account(account_id)
        return [session for session in found if not self._is_over(session, now)]

    async def end(self, account_id: str, public_id: str, cause: Cause) -> bool:
        """End one session of this account; return whether it had such a session.

        The account is part of the question: another's session cannot be ended by
        naming it (CWE-639).
        """
        ended = await self._store.end(account_id, public_id)
        if ended:
            self.live.end_public(account_id, public_id)
            self._record_ended(account_id, 1, "one ended by its owner", cause)
        return ended

    async def end_all(
        self, account_id: str, cause: Cause, *, keep: SessionRecord | None
    ) -> int:
        """End all sessions of this account but ``keep``; return how many."""
        kept = None if keep is None else keep.token_hash
        count = await self._store.end_all(account_id, keep=kept)
        self.live.end_account(account_id, keep=kept)
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
        await self.live.start()

    async def stop(self) -> None:
        """Write what is still to be written, and end. Idempotent."""
        await self.live.stop()
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
                # What the store knows of the last use may be that much older.
                seen_before=now - self._lifetime.idle - self._touch_every,
            )
        except StoreError as error:
            logger.warning("expired sessions could not be deleted: %s", error)


_NO_TOKEN: tuple[object, SessionName] = (None, NO_NAME)


def current_session(exchange: Exchange) -> SessionRecord | None:
    """Return the session that a request came with, or has just been given."""
    return _session_of(exchange)


def _session_of(exchange: Exchange) -> SessionRecord | None:
    session = exchange.session
    return session if isinstance(session, SessionRecord) else None


def _told(exchange: Exchange) -> Told | None:
    """Return what the store of copies has said about the session of a request.

    Raises:
        StoreError: it was asked and has not answered.
    """
    reply = exchange.reply
    if isinstance(reply, StoreError):
        raise StoreError(str(reply)) from reply
    return reply.told if isinstance(reply, Reply) else None


def _where(exchange: Exchange) -> dict[str, str]:
    principal = exchange.principal
    return {
        "request_id": exchange.request_id,
        "client": exchange.client,
        "account": "" if principal is None else principal.id,
    }


def _hash(token: str) -> bytes:
    return sha256(token.encode("latin-1")).digest()
