"""How the guard answers, and what it writes down about it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import cast

from ringfence.access.ownership.refusals import NOT_FOUND
from ringfence.audit.budget import Budget
from ringfence.audit.events import (
    AccessRefused,
    RequestFailed,
    RequestRefused,
    WouldRefuse,
)
from ringfence.audit.log import AuditLog
from ringfence.browser.cookies import Hardener
from ringfence.browser.cors import sharing_of
from ringfence.browser.overrides import HeaderMaker
from ringfence.clock import Clock, system_clock
from ringfence.denial import Answer, Denial
from ringfence.exchange import End, Exchange, Message, Send, Step
from ringfence.guard.field_errors import tell_faults
from ringfence.guard.plan import RoutePlan
from ringfence.guard.refuse import brief, respond
from ringfence.guard.rewrite import finish_start
from ringfence.guard.trace import trace
from ringfence.settings import Settings

logger = logging.getLogger("ringfence")

_BRIEF_REMEMBERED = 256  # answers, one for each second that somebody has to wait


FinishStart = Callable[[Message, Exchange, RoutePlan], Message]
"""Returns the start of the application's answer as it may leave."""


class Answers:
    """Sends refusals, finishes the application's answers, and keeps the ledger.

    Args:
        settings: as loaded; headers are encoded here, once.
        audit: takes the events.
        sign_in: path of the sign-in page, ``""`` for none.
        clock: times the budget of traces.
    """

    def __init__(
        self,
        settings: Settings,
        audit: AuditLog,
        *,
        sign_in: str,
        clock: Clock = system_clock,
    ) -> None:
        secure = not settings.development
        self.headers = HeaderMaker(settings.browser, secure=secure)
        # What is refused before its route is known answers for all routes.
        self._sharing = sharing_of(
            (),
            None,
            usual=settings.browser.cors,
            public_origins=settings.public_origins,
            development=settings.development,
        )
        self.street: Sequence[Step] = ()
        self._audit = audit
        self._clock = clock
        self._traces = Budget(settings.audit.failures_per_second)
        self._floods = Budget(settings.audit.floods_per_second)
        self._turned_away = 0
        self._brief: dict[int, tuple[Denial, tuple[Message, Message]]] = {}
        self._untold = 0
        self._hang_ups = 0
        self.finish_start: FinishStart = partial(
            finish_start,
            harden=Hardener(
                secure=secure,
                readable=settings.browser.readable_cookies,
                tell=logger.warning if settings.development else None,
            ),
            origins=settings.public_origins,
        )
        self._respond = partial(
            respond,
            document_headers=self.headers.usual.document,
            data_headers=self.headers.usual.data,
            sign_in=sign_in,
        )

    async def respond(
        self,
        denial: Denial,
        exchange: Exchange,
        send: Send,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """Send a denial."""
        self._share(exchange)
        await self._respond(denial, exchange, send, errors=errors)

    def _share(self, exchange: Exchange) -> None:
        """Let scripts of other origins read a refusal that answers for all routes."""
        if self._sharing is not None and _is_unplanned(exchange):
            exchange.response_headers += self._sharing.lines(exchange)

    # Not coroutines of their own: for a flood, each one more is felt.

    def end(self, end: End, exchange: Exchange, send: Send) -> Awaitable[None]:
        """Send what ends a request before the application hears of it."""
        if isinstance(end, Answer):
            return self.answer(end, exchange, send)
        return self.refuse(end, exchange, send)

    def refuse(self, denial: Denial, exchange: Exchange, send: Send) -> Awaitable[None]:
        """Send a denial and write down that, whom and why."""
        if denial.brief and self._is_flood():
            self._turned_away += 1
            return self._turn_away(denial, exchange, send)
        self.record_refusal(denial, exchange)
        return self.respond(denial, exchange, send, tell_faults(denial.faults))

    async def answer(self, answer: Answer, exchange: Exchange, send: Send) -> None:
        """Send what the guard itself answers."""
        start = {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [*answer.headers, *exchange.response_headers],
        }
        await send(start)
        await send({"type": "http.response.body", "body": answer.body})

    async def _turn_away(self, denial: Denial, exchange: Exchange, send: Send) -> None:
        if exchange.kind != "http":
            await self.respond(denial, exchange, send)
            return
        self._share(exchange)
        start, body = self._briefly(denial)
        if exchange.response_headers:
            lines = [*start["headers"], *exchange.response_headers]
            start = {**start, "headers": lines}
        await send(start)
        await send(body)

    def _briefly(self, denial: Denial) -> tuple[Message, Message]:
        """Return the shortest answer, made once for each denial: stages return the very
        same one for as long as it holds."""
        known = self._brief.get(id(denial))
        if known is None or known[0] is not denial:
            if len(self._brief) >= _BRIEF_REMEMBERED:
                self._brief.clear()
            known = self._brief[id(denial)] = denial, brief(denial)
        return known[1]

    def _is_flood(self) -> bool:
        """Return whether a refusal that many may get is one of too many to write down.

        Turning a flood away must cost less than to answer it, or the flood has won
        (CWE-400).
        """
        if not self._floods.take(self._clock()):
            return True
        self.tell_turned_away()
        return False

    def tell_turned_away(self) -> None:
        """Write down how many were turned away with the shortest answer."""
        if self._turned_away:
            self._audit.lose(self._turned_away, "turned away in a flood")
            self._turned_away = 0

    def record_refusal(self, denial: Denial, exchange: Exchange) -> None:
        """Write down in the ledger what was refused, whom and why."""
        # Whoever may help themselves has asked for nothing that they may not have; nor
        # is it known of what was not found that there is such a thing at all.
        is_access = denial.code.startswith("access.") and not (
            denial.remedy or denial == NOT_FOUND
        )
        self._record(AccessRefused if is_access else RequestRefused, denial, exchange)

    def record_watched(self, denial: Denial, exchange: Exchange) -> None:
        """Write down what would have been refused, were it not only watched."""
        self._record(WouldRefuse, denial, exchange)

    def _record(
        self, kind: type[RequestRefused], denial: Denial, exchange: Exchange
    ) -> None:
        self._audit.record(
            kind(
                request_id=exchange.request_id,
                client=exchange.client,
                account=_account(exchange),
                method=exchange.method,
                path=exchange.path,
                status=denial.status,
                code=denial.code,
                private=denial.private,
                **trace(self.street, exchange)._asdict(),
            )
        )

    def log_failure(self, exchange: Exchange, error: BaseException) -> None:
        """Write the trace of a failure to the log, for the developer.

        Of many in one second only so many as the ledger would take, since a failure
        that strangers can repeat would fill the disk (CWE-779); the others are counted,
        and the count goes along with the next trace.
        """
        if not self._traces.take(self._clock()):
            self._untold += 1
            return
        untold, self._untold = self._untold, 0
        if untold:
            logger.error("%d failures before this one were not traced", untold)
        logger.error(
            "%s %s failed (request %s)",
            exchange.method,
            exchange.path,
            exchange.request_id,
            exc_info=error,
        )

    @property
    def hang_ups(self) -> int:
        """Requests whose client was gone before they could be answered."""
        return self._hang_ups

    def count_hang_up(self) -> None:
        """Count a request that failed only because its client is gone."""
        self._hang_ups += 1

    def record_failure(self, exchange: Exchange, error: BaseException | None) -> None:
        """Write down in the ledger that the application, or a stage, has failed.

        Args:
            exchange: the request.
            error: what was raised; ``None`` if the application answered so itself.
        """
        self._audit.record(
            RequestFailed(
                request_id=exchange.request_id,
                client=exchange.client,
                account=_account(exchange),
                method=exchange.method,
                path=exchange.path,
                error="" if error is None else type(error).__qualname__,
            )
        )


def _is_unplanned(exchange: Exchange) -> bool:
    plan = cast("RoutePlan | None", exchange.plan)
    return plan is None or plan.kind == "nowhere"


def _account(exchange: Exchange) -> str:
    return exchange.principal.id if exchange.principal else ""
