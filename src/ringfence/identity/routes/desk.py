"""What every address under ``/auth`` shares: reading, answering, refusing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ringfence import current
from ringfence.denial import Denial
from ringfence.errors import OutsideRequestError, StoreBusyError, StoreError
from ringfence.exchange import Exchange, active
from ringfence.identity import bodies
from ringfence.identity.answers import problem
from ringfence.identity.bodies import Nothing, Submission
from ringfence.identity.destination import same_site_path
from ringfence.identity.entrance import SecondFactorNeeded
from ringfence.identity.pages.render import NOTES, Pages
from ringfence.identity.refusals import Invalid, unavailable
from ringfence.identity.routes.route import Access, Handler, IdentityRoute

NO_STORE = {"cache-control": "no-store"}
FOREVER = {"cache-control": "public, max-age=31536000, immutable"}

End = Callable[[str, Exchange], Coroutine[Any, Any, bool]]
"""Ends one of the owner's, by its id; returns whether the owner has such a one."""

_T = TypeVar("_T", bound=msgspec.Struct)
_Result = TypeVar("_Result")


class Voucher(NamedTuple):
    """A provider that vouches for people, as pages speak of it.

    Args:
        name: in addresses.
        label: for people.
        issuer: as it calls itself.
    """

    name: str
    label: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Desk:
    """Answers for every address, to programs and to people.

    Args:
        pages: renders the pages.
        after_sign_in: where a browser goes after signing in, if nowhere else.
        registration: whether strangers may make an account.
        shortest_password: fewest characters of a new password.
        features: what else is switched on, for the pages: ``recovery``, say.
        providers: that people sign in with.
    """

    pages: Pages
    after_sign_in: str
    registration: bool
    shortest_password: int
    features: frozenset[str] = frozenset()
    providers: tuple[Voucher, ...] = ()

    def route(
        self, method: str, path: str, handler: Handler, access: Access
    ) -> IdentityRoute:
        """Return the route of an address.

        Args:
            method: one HTTP method; GET answers HEAD as well.
            path: below ``/auth/``; from the root if it begins with a slash.
            handler: answers; may raise ``StoreError``, which becomes a 503.
            access: who may use it.
        """

        async def endpoint(request: Request) -> Response:
            exchange = active.get()
            if exchange is None:
                message = "the routes of ringfence.identity answer only behind a Guard"
                raise OutsideRequestError(message)
            answer = await attempt(handler(request, exchange))
            if isinstance(answer, Denial):
                return self.refuse(request, exchange, answer)
            return answer

        endpoint.__qualname__ = handler.__qualname__
        whole = path if path.startswith("/") else f"/auth/{path}"
        route = IdentityRoute(whole, endpoint, methods=[method])
        route.identity_access = access
        return route

    def ending(
        self, path: str, end: End, *, missing: Denial, afterwards: str
    ) -> list[IdentityRoute]:
        """Return the two addresses that end one of the owner's by its id: ``DELETE``
        for programs, and a ``POST`` for forms.

        Args:
            path: of what is ended, below ``/auth/``.
            end: ends it; returns whether the owner has one of this id.
            missing: the refusal where there is none.
            afterwards: the page that a browser is shown, below ``/auth/``.
        """

        async def ended(request: Request, exchange: Exchange) -> Response:
            if await end(request.path_params["id"], exchange):
                return Response(status_code=204, headers=NO_STORE)
            return self.refuse(request, exchange, missing)

        async def ended_by_form(request: Request, exchange: Exchange) -> Response:
            sent = await decode(request, Nothing)
            if isinstance(sent, Denial):
                return self.refuse(request, exchange, sent)
            answer = await ended(request, exchange)
            if answer.status_code == HTTPStatus.NO_CONTENT and wants_page(exchange):
                return see_other(f"{root_of(request)}/auth/{afterwards}")
            return answer

        ended.__qualname__ = ended_by_form.__qualname__ = end.__qualname__
        return [
            self.route("DELETE", f"{path}/{{id}}", ended, "signed_in"),
            self.route("POST", f"{path}/{{id}}/end", ended_by_form, "signed_in"),
        ]

    def refuse(
        self,
        request: Request,
        exchange: Exchange,
        refusal: Denial,
        page: str = "problem",
        **values: object,
    ) -> Response:
        """Answer a refusal: a problem to programs, to people the page that they came
        from, or the one that asks for a second factor.

        Args:
            request: as it came.
            exchange: of the request.
            refusal: why.
            page: to be shown again.
            values: for the page: what was typed, but never a password.
        """
        if wants_page(exchange):
            if isinstance(refusal, SecondFactorNeeded):
                path = root_of(request) + "/auth/second-factor"
                return see_other(
                    path + and_next(str(values.get("next", "")), first=True)
                )
            return self.page(request, page, refusal, **values)
        response = Response(
            problem(refusal, exchange.request_id),
            refusal.status,
            NO_STORE,
            "application/problem+json",
        )
        return _with_headers(response, refusal)

    def page(
        self,
        request: Request,
        name: str,
        refusal: Denial | None = None,
        **values: object,
    ) -> Response:
        """Answer with a page.

        Args:
            request: as it came.
            name: of the template, without ``.html``.
            refusal: what went wrong, if something did; decides the status.
            values: for the template.
        """
        faults = dict(refusal.fields) if isinstance(refusal, Invalid) else {}
        message = "" if refusal is None or faults else refusal.detail
        text = self.pages.render(
            name,
            **{
                "email": "",
                "next": "",
                "destination": self.destination(request, str(values.get("next", ""))),
                "note": NOTES.get(request.query_params.get("note", ""), ""),
                "root": root_of(request),
                "registration": self.registration,
                "features": self.features,
                "providers": self.providers,
                "shortest": self.shortest_password,
                "csrf_token": current.csrf_token(),
                "faults": faults,
                "message": message,
                **values,
            },
        )
        if refusal is None:
            return Response(text, 200, NO_STORE, "text/html")
        response = Response(text, refusal.status, NO_STORE, "text/html")
        return _with_headers(response, refusal)

    def destination(self, request: Request, wanted: str) -> str:
        """Return where a browser goes after signing in: to a path of this site."""
        return same_site_path(wanted, root_of(request) + self.after_sign_in)


async def attempt(work: Awaitable[_Result]) -> _Result | Denial:
    """Turn a store that is down, or a full queue, into a refusal that a form can be
    shown with."""
    try:
        return await work
    except StoreBusyError as error:
        return unavailable(str(error), error.retry_after)
    except StoreError as error:
        return unavailable(str(error))


async def decode(request: Request, type_: type[_T]) -> Submission[_T] | Denial:
    """Read a small body, counting while it arrives, and decode it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bodies.MOST_BYTES:
            return bodies.TOO_LARGE
    content_type = request.headers.get("content-type", "").encode("latin-1")
    return bodies.decode(bytes(body), content_type, type_)


def as_json(content: Any, status: int = 200) -> Response:
    """Answer a program."""
    body = msgspec.json.encode(content)
    return Response(body, status, NO_STORE, "application/json")


def see_other(path: str, headers: Mapping[str, str] = NO_STORE) -> Response:
    """Send a browser to another page of this site."""
    location = quote(path, safe="/?#[]@!$&'()*+,;=:%-._~")
    return Response(status_code=303, headers={**headers, "location": location})


def wants_page(exchange: Exchange) -> bool:
    """Return whether a browser asks; a program does not ask for ``text/html``, or
    names JSON as well."""
    accept = exchange.headers.get(b"accept", b"").lower()
    return b"text/html" in accept and b"application/json" not in accept


def next_of(request: Request) -> str:
    """Return where the browser wants to go afterwards, not checked yet."""
    return request.query_params.get("next", "")


def and_next(wanted: str, *, first: bool = False) -> str:
    """Return the part of a query that hands on where the browser wants to go.

    Args:
        wanted: not checked yet.
        first: nothing stands before it.
    """
    if not wanted:
        return ""
    return f"{'?' if first else '&'}next={quote(wanted, safe='/')}"


def root_of(request: Request) -> str:
    """Return the path that the application is mounted at."""
    return str(request.scope.get("root_path", ""))


def _with_headers(response: Response, refusal: Denial) -> Response:
    for name, value in refusal.headers:
        response.headers[name.decode()] = value.decode()
    return response
