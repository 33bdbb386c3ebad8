"""The addresses under ``/auth``, for programs (JSON) and for people (forms and pages).

The only file of this room that knows a web framework. Each route says in
``identity_access`` who may use it; the guard makes its policy of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from ringfence import current
from ringfence.denial import Denial
from ringfence.errors import OutsideRequestError, StoreBusyError, StoreError
from ringfence.exchange import Exchange, active
from ringfence.identity import bodies
from ringfence.identity.accounts import Accounts
from ringfence.identity.answers import (
    describe_account,
    describe_move,
    describe_session,
    problem,
)
from ringfence.identity.bodies import (
    Confirmation,
    Credentials,
    Nothing,
    PasswordChange,
    SessionsToEnd,
    Submission,
)
from ringfence.identity.cause import Cause
from ringfence.identity.destination import same_site_path
from ringfence.identity.known_device import KnownDevices
from ringfence.identity.pages.render import NOTES, Pages
from ringfence.identity.refusals import (
    NO_SUCH_SESSION,
    SIGN_IN_FAILED,
    Invalid,
    invalid,
    unavailable,
)
from ringfence.identity.sessions import Sessions, current_session
from ringfence.stores.contracts import AccountRecord

PASSWORD = frozenset({"password"})

_NO_STORE = {"cache-control": "no-store"}
# Without "cookies": the cookie that makes a device known stays (and the session's is
# ended by its name).
_FORGET_CACHE = {**_NO_STORE, "clear-site-data": '"cache"'}
_FOREVER = {"cache-control": "public, max-age=31536000, immutable"}

_T = TypeVar("_T", bound=msgspec.Struct)
_Result = TypeVar("_Result")
Handler = Callable[[Request, Exchange], Awaitable[Response]]


class IdentityRoute(Route):
    """A route that says who may use it: ``public`` or ``signed_in``."""

    identity_access: str


@dataclass(frozen=True, slots=True)
class Gatehouse:
    """Answers the requests under ``/auth``.

    Args:
        accounts: decides about accounts.
        sessions: opens and ends sessions.
        devices: makes the browser known to who has signed in with it.
        pages: renders the pages.
        after_sign_in: where a browser goes after signing in, if nowhere else.
        registration: whether strangers may make an account.
    """

    accounts: Accounts
    sessions: Sessions
    devices: KnownDevices
    pages: Pages
    after_sign_in: str
    registration: bool

    def app(self) -> Router:
        """Return the application that answers under ``/auth``."""
        return Router(routes=self.routes())

    def routes(self) -> list[IdentityRoute]:
        """Return every route, with what each of them asks for."""
        public, signed_in = "public", "signed_in"
        registration = [
            self._route("GET", "register", self.register_page, public),
            self._route("POST", "register", self.register, public),
        ]
        return [
            *(registration if self.registration else []),
            self._route("GET", "login", self.login_page, public),
            self._route("POST", "login", self.login, public),
            self._route("POST", "logout", self.logout, public),
            self._route("GET", "confirm", self.confirm_page, signed_in),
            self._route("POST", "confirm", self.confirm, signed_in),
            self._route("GET", "me", self.me, signed_in),
            self._route("GET", "account", self.account_page, signed_in),
            self._route("POST", "password/change", self.change_password, signed_in),
            self._route("GET", "sessions", self.list_sessions, signed_in),
            self._route("DELETE", "sessions", self.end_sessions, signed_in),
            self._route("DELETE", "sessions/{id}", self.end_session, signed_in),
            self._route("POST", "sessions/end", self.end_sessions_form, signed_in),
            self._route("POST", "sessions/{id}/end", self.end_session_form, signed_in),
            self._route("GET", "assets/ringfence.css", self.stylesheet, public),
            self._route("GET", "assets/password.js", self.script, public),
        ]

    async def register_page(self, request: Request, exchange: Exchange) -> Response:
        return self._page(request, "register", next=_next(request))

    async def register(self, request: Request, exchange: Exchange) -> Response:
        """Answer 202 for a free and for a taken address alike."""
        sent = await _decode(request, Credentials)
        if isinstance(sent, Denial):
            return self._refuse(request, exchange, sent, "register")
        refused = await _attempt(
            self.accounts.register(sent.value.email, sent.value.password, exchange)
        )
        if refused is not None:
            return self._refuse(request, exchange, refused, "register", sent)
        if _wants_page(exchange):
            path = f"/auth/login?note=made{_and_next(sent.next)}"
            return _see_other(_root(request) + path)
        return _json({"status": "accepted"}, 202)

    async def login_page(self, request: Request, exchange: Exchange) -> Response:
        if exchange.principal is not None:
            return _see_other(self._destination(request, _next(request)))
        return self._page(request, "login", next=_next(request))

    async def login(self, request: Request, exchange: Exchange) -> Response:
        sent = await _decode(request, Credentials)
        if isinstance(sent, Denial):
            return self._refuse(request, exchange, sent, "login")
        account = await _attempt(
            self.accounts.authenticate(sent.value.email, sent.value.password, exchange)
        )
        if isinstance(account, Denial):
            return self._refuse(request, exchange, account, "login", sent)
        refused = await self._let_in(account, exchange, PASSWORD)
        if refused is not None:
            return self._refuse(request, exchange, refused, "login", sent)
        self.sessions.record_sign_in(exchange)
        if _wants_page(exchange):
            return _see_other(self._destination(request, sent.next))
        return _json(describe_account(account, PASSWORD, current.csrf_token()))

    async def logout(self, request: Request, exchange: Exchange) -> Response:
        sent = await _decode(request, Nothing)
        if isinstance(sent, Denial):
            return self._refuse(request, exchange, sent)
        await self.sessions.end_current(exchange)
        if _wants_page(exchange):
            path = _root(request) + "/auth/login?note=signed-out"
            return _see_other(path, _FORGET_CACHE)
        return Response(status_code=204, headers=_FORGET_CACHE)

    async def confirm_page(self, request: Request, exchange: Exchange) -> Response:
        return await self._confirm_page(request, exchange, _next(request))

    async def confirm(self, request: Request, exchange: Exchange) -> Response:
        """Take the password once more, and renew the session for it."""
        sent = await _decode(request, Confirmation)
        if isinstance(sent, Denial):
            return self._refuse(request, exchange, sent)
        account = await _attempt(
            self.accounts.confirm(current.principal().id, sent.value.password, exchange)
        )
        if isinstance(account, Denial):
            return await self._refuse_confirmation(request, exchange, account, sent)
        refused = await self.sessions.confirm(account, exchange, factor="password")
        if refused is not None:
            return self._refuse(request, exchange, refused)
        if _wants_page(exchange):
            return _see_other(self._destination(request, sent.next))
        factors = current.principal().factors
        return _json(describe_account(account, factors, current.csrf_token()))

    async def _refuse_confirmation(
        self,
        request: Request,
        exchange: Exchange,
        refusal: Denial,
        sent: Submission[Confirmation],
    ) -> Response:
        if isinstance(refusal, Invalid):  # the field has another name here
            refusal = replace(refusal, fields=(("password", refusal.detail),))
        if _wants_page(exchange):
            return await self._confirm_page(request, exchange, sent.next, refusal)
        return self._refuse(request, exchange, refusal)

    async def _confirm_page(
        self,
        request: Request,
        exchange: Exchange,
        wanted: str,
        refusal: Denial | None = None,
    ) -> Response:
        account = await self.accounts.by_id(current.principal().id)
        if account is None:
            return self._refuse(request, exchange, SIGN_IN_FAILED)
        return self._page(
            request,
            "confirm",
            refusal,
            next=wanted,
            email=account.email,
            moved=describe_move(current_session(exchange)),
        )

    async def me(self, request: Request, exchange: Exchange) -> Response:
        account = await self.accounts.by_id(current.principal().id)
        if account is None:  # removed while this request was on its way
            return self._refuse(request, exchange, SIGN_IN_FAILED)
        factors = current.principal().factors
        return _json(describe_account(account, factors, current.csrf_token()))

    async def account_page(self, request: Request, exchange: Exchange) -> Response:
        return await self._account_page(request, exchange)

    async def change_password(self, request: Request, exchange: Exchange) -> Response:
        """Change the password; every session ends, and this browser gets a new one."""
        sent = await _decode(request, PasswordChange)
        if isinstance(sent, Denial):
            return await self._refuse_on_account(request, exchange, sent)
        account = await self.accounts.change_password(
            current.principal().id,
            current=sent.value.current_password,
            new=sent.value.new_password,
            exchange=exchange,
        )
        if isinstance(account, Denial):
            return await self._refuse_on_account(request, exchange, account)
        factors = current.principal().factors
        refused = await self._let_in(account, exchange, factors)
        if refused is not None:
            return self._refuse(request, exchange, refused)
        if _wants_page(exchange):
            return _see_other(_root(request) + "/auth/account?note=changed")
        return _json(describe_account(account, factors, current.csrf_token()))

    async def list_sessions(self, request: Request, exchange: Exchange) -> Response:
        if _wants_page(exchange):
            return _see_other(_root(request) + "/auth/account#sessions")
        found = await self.sessions.of(current.principal().id)
        here = current_session(exchange)
        return _json([describe_session(session, here) for session in found])

    async def end_session(self, request: Request, exchange: Exchange) -> Response:
        if await self._end(request, exchange):
            return Response(status_code=204, headers=_NO_STORE)
        return self._refuse(request, exchange, NO_SUCH_SESSION)

    async def end_session_form(self, request: Request, exchange: Exchange) -> Response:
        sent = await _decode(request, Nothing)
        if isinstance(sent, Denial):
            return self._refuse(request, exchange, sent)
        if not await self._end(request, exchange):
            return self._refuse(request, exchange, NO_SUCH_SESSION)
        if _wants_page(exchange):
            return _see_other(_root(request) + "/auth/account?note=ended")
        return Response(status_code=204, headers=_NO_STORE)

    async def end_sessions(self, request: Request, exchange: Exchange) -> Response:
        keep = request.query_params.get("keep", "")
        return await self._end_all(request, exchange, keep)

    async def end_sessions_form(self, request: Request, exchange: Exchange) -> Response:
        sent = await _decode(request, SessionsToEnd)
        if isinstance(sent, Denial):
            return self._refuse(request, exchange, sent)
        return await self._end_all(request, exchange, sent.value.keep)

    async def stylesheet(self, request: Request, exchange: Exchange) -> Response:
        return Response(self.pages.stylesheet, headers=_FOREVER, media_type="text/css")

    async def script(self, request: Request, exchange: Exchange) -> Response:
        return Response(
            self.pages.script, headers=_FOREVER, media_type="text/javascript"
        )

    def _route(
        self, method: str, path: str, handler: Handler, access: str
    ) -> IdentityRoute:
        async def endpoint(request: Request) -> Response:
            exchange = active.get()
            if exchange is None:
                message = "the routes of ringfence.identity answer only behind a Guard"
                raise OutsideRequestError(message)
            answer = await _attempt(handler(request, exchange))
            if isinstance(answer, Denial):
                return self._refuse(request, exchange, answer)
            return answer

        endpoint.__qualname__ = handler.__qualname__
        route = IdentityRoute(f"/auth/{path}", endpoint, methods=[method])
        route.identity_access = access
        return route

    async def _let_in(
        self, account: AccountRecord, exchange: Exchange, factors: frozenset[str]
    ) -> Denial | None:
        """Open a session, and know this device from now on."""
        refused = await self.sessions.begin(account, exchange, factors=factors)
        if refused is None:
            self.devices.remember(exchange, account.email_key, account.epoch)
        return refused

    async def _end(self, request: Request, exchange: Exchange) -> bool:
        wanted = request.path_params["id"]
        here = current_session(exchange)
        if here is not None and here.public_id == wanted:
            self._leave(exchange)
        return await self.sessions.end(
            current.principal().id, wanted, Cause.of(exchange)
        )

    def _leave(self, exchange: Exchange) -> None:
        """Leave nothing in this browser: its own session is among those that end."""
        self.sessions.forget_cookie(exchange)
        exchange.response_headers.append((b"clear-site-data", b'"cache"'))

    async def _end_all(
        self, request: Request, exchange: Exchange, keep: str
    ) -> Response:
        if keep not in {"", "current"}:
            refusal = invalid(keep="The only value is current.")
            return self._refuse(request, exchange, refusal)
        here = current_session(exchange) if keep else None
        owner, cause = current.principal().id, Cause.of(exchange)
        ended = await self.sessions.end_all(owner, cause, keep=here)
        if not keep:
            self._leave(exchange)
        if not _wants_page(exchange):
            return _json({"ended": ended})
        path = "/auth/account?note=ended" if keep else "/auth/login?note=signed-out"
        return _see_other(_root(request) + path)

    async def _account_page(
        self, request: Request, exchange: Exchange, refusal: Denial | None = None
    ) -> Response:
        account = await self.accounts.by_id(current.principal().id)
        if account is None:
            return self._refuse(request, exchange, SIGN_IN_FAILED)
        here = current_session(exchange)
        found = await self.sessions.of(account.id)
        return self._page(
            request,
            "account",
            refusal,
            email=account.email,
            moved=describe_move(here),
            sessions=[describe_session(session, here) for session in found],
        )

    async def _refuse_on_account(
        self, request: Request, exchange: Exchange, refusal: Denial
    ) -> Response:
        if _wants_page(exchange):
            return await self._account_page(request, exchange, refusal)
        return self._refuse(request, exchange, refusal)

    def _refuse(
        self,
        request: Request,
        exchange: Exchange,
        refusal: Denial,
        page: str = "problem",
        sent: Submission[Credentials] | None = None,
    ) -> Response:
        """Answer a refusal: a problem to programs, to people the page that they came
        from, with what they typed (but never a password)."""
        if _wants_page(exchange):
            values = {} if sent is None else {"next": sent.next}
            if sent is not None:
                values["email"] = sent.value.email
            return self._page(request, page, refusal, **values)
        return _problem(refusal, exchange)

    def _page(
        self,
        request: Request,
        name: str,
        refusal: Denial | None = None,
        **values: object,
    ) -> Response:
        faults = dict(refusal.fields) if isinstance(refusal, Invalid) else {}
        message = "" if refusal is None or faults else refusal.detail
        text = self.pages.render(
            name,
            **{
                "email": "",
                "next": "",
                "note": NOTES.get(request.query_params.get("note", ""), ""),
                "root": _root(request),
                "registration": self.registration,
                "shortest": self.accounts.shortest_password,
                "csrf_token": current.csrf_token(),
                "faults": faults,
                "message": message,
                **values,
            },
        )
        if refusal is None:
            return Response(text, 200, _NO_STORE, "text/html")
        response = Response(text, refusal.status, _NO_STORE, "text/html")
        return _with_headers(response, refusal)

    def _destination(self, request: Request, wanted: str) -> str:
        return same_site_path(wanted, _root(request) + self.after_sign_in)


async def _attempt(work: Awaitable[_Result]) -> _Result | Denial:
    """Turn a store that is down, or a full queue, into a refusal that a form can be
    shown with."""
    try:
        return await work
    except StoreBusyError as error:
        return unavailable(str(error), error.retry_after)
    except StoreError as error:
        return unavailable(str(error))


async def _decode(request: Request, type_: type[_T]) -> Submission[_T] | Denial:
    """Read a small body, counting while it arrives, and decode it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bodies.MOST_BYTES:
            return bodies.TOO_LARGE
    content_type = request.headers.get("content-type", "").encode("latin-1")
    return bodies.decode(bytes(body), content_type, type_)


def _problem(refusal: Denial, exchange: Exchange) -> Response:
    response = Response(
        problem(refusal, exchange.request_id),
        refusal.status,
        _NO_STORE,
        "application/problem+json",
    )
    return _with_headers(response, refusal)


def _with_headers(response: Response, refusal: Denial) -> Response:
    for name, value in refusal.headers:
        response.headers[name.decode()] = value.decode()
    return response


def _json(content: Any, status: int = 200) -> Response:
    body = msgspec.json.encode(content)
    return Response(body, status, _NO_STORE, "application/json")


def _see_other(path: str, headers: Mapping[str, str] = _NO_STORE) -> Response:
    location = quote(path, safe="/?#[]@!$&'()*+,;=:%-._~")
    return Response(status_code=303, headers={**headers, "location": location})


def _wants_page(exchange: Exchange) -> bool:
    """Return whether a browser asks; a program does not ask for ``text/html``, or
    names JSON as well."""
    accept = exchange.headers.get(b"accept", b"").lower()
    return b"text/html" in accept and b"application/json" not in accept


def _next(request: Request) -> str:
    return request.query_params.get("next", "")


def _and_next(wanted: str) -> str:
    return f"&next={quote(wanted, safe='/')}" if wanted else ""


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", ""))
