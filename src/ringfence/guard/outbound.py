"""The application's answer on its way out."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Mapping, Sequence
from typing import cast

from ringfence.access.ownership.data import FleetingData, ParticularData
from ringfence.access.ownership.refusals import NOT_FOUND
from ringfence.denial import Denial
from ringfence.errors import InjectionRefusedError
from ringfence.exchange import Exchange, Message, Ready, Send
from ringfence.guard.answers import Answers
from ringfence.guard.field_errors import refused_input
from ringfence.guard.lifeline import Lifeline, SessionEnded, Watch
from ringfence.guard.plan import RoutePlan
from ringfence.guard.reflected import reflection_of
from ringfence.guard.rewrite import (
    APPLICATION_ERROR,
    INVALID_INPUT,
    UNTOUCHED,
    Rewriter,
    everyday_start,
    must_rewrite,
)
from ringfence.interpreters.html.reflected import Reflection

INTERNAL_ERROR = 1011  # RFC 6455, section 7.4.1
_SWITCHING_PROTOCOLS = 101
_STARTS = frozenset(
    {"http.response.start", "websocket.accept", "websocket.http.response.start"}
)
_BODIES = frozenset({"http.response.body", "websocket.http.response.body"})

# What frameworks raise where a handler waits for a client that has hung up. By name:
# only frameworks/ imports one.
_HANG_UPS = frozenset({"ClientDisconnect", "WebSocketDisconnect"})
_DISCONNECTS = frozenset({"http.disconnect", "websocket.disconnect"})

WRONG_ENDPOINT = Denial(
    500,
    "guard.plan_mismatch",
    "The request reached another address than it was checked for.",
)


class Outbound:
    """Sees one answer out, and sends a refusal in its place where it must not leave.

    Args:
        exchange: the request that is answered.
        send: the server's.
        answers: finishes what leaves, and refuses.
        watch: tells when the session of a request ends; ``None`` where there are none.
    """

    # Defaults stand on the class: most answers change none of them.
    _rewriter: Rewriter | None = None
    _start: Message | None = None  # as it has left
    complete = False  # the application's own answer is out, whole
    _passing = False  # its body may follow as it is
    _reflection: Reflection | None = None  # looks at it, piece by piece
    _held: Message | None = None  # its start, until its first piece has been looked at
    _cut = False  # half of it is out, and the rest must not follow
    _replaced = False
    _explained = False
    _remembered = 0  # bytes of what it has read
    _gone = False  # the application has been told that the client has hung up
    _whole = False  # it had read all of the body by then
    lifeline: Lifeline | None = None  # what stays open is tied to its session
    _failure: BaseException | None = None  # handled, and answered for, by the framework

    def __init__(
        self,
        exchange: Exchange,
        send: Send,
        answers: Answers,
        watch: Watch | None,
    ) -> None:
        self._exchange = exchange
        self._plan: RoutePlan = exchange.plan
        self._send = send
        self._answers = answers
        self._watch = watch

    async def receive(self) -> Message:
        """Give the application the next message of the client's."""
        if self.lifeline is None:
            coming = self._exchange.receive()
            message = coming.message if type(coming) is Ready else await coming
        else:
            message = await self.lifeline.receive(self._exchange.receive)
        kind = message["type"]
        if kind == "http.request":
            self._whole = not message.get("more_body", False)
            if not self._exchange.has_body:  # else this is only a replay
                self._remember(message.get("body"))
        elif kind == "websocket.receive":
            self._remember(message.get("text") or message.get("bytes"))
        elif kind in _DISCONNECTS:
            self._gone = True
        return message

    def _remember(self, piece: bytes | str | None) -> None:
        """Keep what the application gets to read, for the sinks that it may reach."""
        exchange = self._exchange
        if not piece or exchange.too_much or exchange.sinks is None:
            return
        self._remembered += len(piece)
        if self._remembered > exchange.sinks.settings.max_input:
            exchange.too_much = True
        elif exchange.received:
            exchange.received.append(piece)
        else:
            exchange.received = [piece]

    def send(self, message: Message) -> Awaitable[None]:
        """Take one message of the application's. What nearly every answer consists of
        goes straight on to the server."""
        kind = message["type"]
        if kind == "http.response.body" and self._passing:
            if not message.get("more_body", False):
                self.complete = True
            elif self._watch is not None:
                self._tie(self._watch)
            return self._send(message)
        exchange = self._exchange
        if (
            kind == "http.response.start"
            and exchange.mismatch is None
            and exchange.denial is None
            and not self._replaced
        ):
            plan = self._plan
            start = everyday_start(message, exchange, plan)
            if start is None and (plan.is_own or message["status"] in UNTOUCHED):
                start = self._answers.finish_start(message, exchange, plan)
                reflection = reflection_of(start, exchange)
                if reflection is not None:
                    return self._hold(start, reflection)
            if start is not None:
                self._start, self._passing = start, True
                return self._send(start)
        return self._consider(kind, message)

    async def _consider(self, kind: str, message: Message) -> None:
        """Take a message that may have to be answered otherwise."""
        if self._replaced:
            return  # another answer has been sent in place of this one
        if self.lifeline is not None and self.lifeline.cut:
            self._gone = True
            raise SessionEnded
        if self._reflection is not None and await self._show(self._reflection, message):
            return
        if kind in _STARTS:
            if not await self._replace(message):
                finished = self._answers.finish_start(
                    message, self._exchange, self._plan
                )
                self._start = finished
                await self._send(finished)
                if kind == "websocket.accept" and self._watch is not None:
                    self._tie(self._watch)
            return
        if self._rewriter is not None:
            await self._rewrite(self._rewriter, message)
            return
        if kind in _BODIES:
            self.complete = not message.get("more_body", False)
        elif kind == "websocket.close":
            self.complete = True
        await self._send(message)

    async def _hold(self, start: Message, reflection: Reflection) -> None:
        """Keep the start of a page back: what is found in its first piece is answered
        with a refusal, and not with half a page."""
        try:
            concerned = reflection.concerns()
        except InjectionRefusedError:
            await self._refuse(cast("Denial", self._objection()))
            return
        self._held = start
        if concerned:
            self._reflection = reflection
        else:
            await self._let_go()
            self._passing = True

    async def _let_go(self) -> None:
        if self._held is not None:
            self._start, self._held = self._held, None
            await self._send(self._start)

    async def _show(self, reflection: Reflection, message: Message) -> bool:
        """Send a piece of a page, unless it would carry out what was sent; return
        whether that is done with."""
        more = message.get("more_body", False)
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            if more and not body and self._held is not None:
                return True  # nothing to be seen in it: the start waits for the next
            try:
                reflection.look(body, more=more)
            except InjectionRefusedError:
                await self._withhold(more=more)
                return True
        if self._cut:
            raise InjectionRefusedError(self._objection())
        if self._held is not None and self._objection() is not None:
            await self._withhold(more=more)
            return True
        await self._let_go()
        if more and self._watch is not None:
            self._tie(self._watch)
        return False

    async def _withhold(self, *, more: bool) -> None:
        """Answer otherwise if nothing is out yet; else break off, and drop what comes.

        Raises:
            InjectionRefusedError: a stream would go on for nobody, or is broken off.
        """
        denial = cast("Denial", self._objection())
        if self._held is not None:
            self._held = None
            await self._refuse(denial)
        else:
            self._cut = True
        if self._cut or more:
            raise InjectionRefusedError(denial)

    def _tie(self, watch: Watch) -> None:
        """Tie what stays open to its session."""
        self._watch = None
        exchange = self._exchange
        if any(
            shown is not None
            for shown in (exchange.session, exchange.token, exchange.api_key)
        ):
            self._passing = False  # from here on each message is considered
            headers = () if self._start is None else self._start["headers"]
            sized = any(name == b"content-length" for name, _ in headers)
            self.lifeline = Lifeline(self._exchange, self._send, watch, sized=sized)

    async def _replace(self, message: Message) -> bool:
        """Answer otherwise where the application's answer must not leave; return
        whether it must not."""
        exchange = self._exchange
        status = message.get("status", _SWITCHING_PROTOCOLS)
        if exchange.mismatch is not None or exchange.denial is not None:
            await self._refuse(cast("Denial", self._objection()))
            return True
        if not must_rewrite(status) or self._plan.is_own:
            return False
        if not await self._explain(sys.exception()):
            self._rewriter = Rewriter(message)
            await self._rewrite(self._rewriter, message)
        return True

    async def _rewrite(self, rewriter: Rewriter, message: Message) -> None:
        if rewriter.take(message):
            await self._respond(rewriter.denial, rewriter.errors)

    async def _explain(self, error: BaseException | None) -> bool:
        """Answer for a failure that is not the application's own; return whether it is
        none."""
        return await self._blame_input(error) or await self._miss_row(error)

    async def _blame_input(self, error: BaseException | None) -> bool:
        """Answer 422 if the application fails at telling what is wrong with the input;
        return whether it does."""
        faults = refused_input(error, self._plan.input_errors)
        if (
            faults is None
            and isinstance(error, Exception)
            and self._is_unstorable(error)
        ):
            faults = []
            self._log_failure(error)  # where the value was the application's own
        if faults is None or self._exchange.kind != "http":
            return False
        self._explained = True
        await self._respond(INVALID_INPUT, faults)
        return True

    def _is_unstorable(self, error: Exception) -> bool:
        """Return whether a value of the request fits no column of the database."""
        return any(
            isinstance(each, ParticularData) and each.refuses_value(error)
            for each in self._exchange.data or ()
        )

    async def _miss_row(self, error: BaseException | None) -> bool:
        """Answer 404 if a row that was loaded is gone, or somebody else's, by now;
        return whether it is."""
        if (
            self._exchange.kind != "http"
            or not isinstance(error, Exception)
            or not self._has_lost_row(error)
        ):
            return False
        self._log_failure(error)  # where the application has removed it itself
        self._explained = True
        await self._refuse(NOT_FOUND)
        return True

    def _has_lost_row(self, error: Exception) -> bool:
        return any(
            isinstance(each, FleetingData) and each.has_lost(error)
            for each in self._exchange.data or ()
        )

    async def _respond(
        self,
        denial: Denial,
        errors: Sequence[Mapping[str, str]] = (),
        failure: BaseException | None = None,
    ) -> None:
        self._replaced = True
        if denial.status >= APPLICATION_ERROR.status:
            self._failure = failure or sys.exception()
            self._record_failure(self._failure)
        await self._answers.respond(denial, self._exchange, self._send, errors)

    async def _refuse(self, denial: Denial) -> None:
        self._replaced = True
        error = sys.exception()
        if denial.status >= APPLICATION_ERROR.status and isinstance(error, Exception):
            self._log_failure(error)  # the developer's mistake: the trace has the line
        await self._answers.refuse(denial, self._exchange, self._send)

    def _objection(self) -> Denial | None:
        """Return why the application's answer must not leave, if anything."""
        exchange = self._exchange
        if exchange.mismatch is not None:
            return WRONG_ENDPOINT
        return exchange.denial  # a cap was passed while the body was read, say

    async def finish(self) -> None:
        """The application has returned: answer, if it has not, and write down what was
        found out too late."""
        if self._replaced:
            self._log_handled()
            return
        denial = self._objection()
        if self._start is not None:
            if denial is not None:  # found out too late to answer
                self._answers.record_refusal(denial, self._exchange)
            if self._cut:
                raise InjectionRefusedError(denial)  # the server drops the connection
        elif denial is None:
            await self._respond(APPLICATION_ERROR)
        else:
            await self._refuse(denial)

    async def give_up(self, error: Exception) -> bool:
        """The application has raised: return whether the client has a whole answer."""
        if self._cut:
            self._answers.record_refusal(
                cast("Denial", self._objection()), self._exchange
            )
            return False
        if self._start is None and not self._replaced:
            await self._answer_for(error)
            return True
        if not self._is_refused():
            self._log_failure(error)
            if not self._replaced:  # else it was recorded when it was answered for
                self._record_failure(error)
        if self._replaced or self.complete or self._is_hang_up(error):
            return True
        if self._exchange.kind == "websocket":
            if self._gone:  # nobody is left to close it for
                return True
            await self._send({"type": "websocket.close", "code": INTERNAL_ERROR})
            return True
        return False

    def _log_handled(self) -> None:
        """Log what a framework has made a 500 of and kept to itself: Litestar says
        nothing of it in production, and nobody would ever know."""
        failure, self._failure = self._failure, None
        if isinstance(failure, Exception) and not hasattr(failure, "status_code"):
            self._log_failure(failure)

    async def _answer_for(self, error: Exception) -> None:
        denial = self._objection()
        if denial is not None:
            await self._refuse(denial)
        elif not await self._explain(error):
            self._log_failure(error)
            await self._respond(APPLICATION_ERROR, failure=error)

    def _log_failure(self, error: Exception) -> None:
        if not self._is_hang_up(error):
            self._answers.log_failure(self._exchange, error)

    def _record_failure(self, error: BaseException | None) -> None:
        if self._is_hang_up(error):
            self._answers.count_hang_up()
        else:
            self._answers.record_failure(self._exchange, error)

    def _is_hang_up(self, error: BaseException | None) -> bool:
        """Return whether the application has failed only because the client is gone.

        Stops strangers from filling the log and the ledger with traces, and hiding
        real failures among them, by sending half a request and hanging up (CWE-779).
        Only the frameworks' own words for it count: whatever else fails is a failure,
        so that hanging up after an attack hides nothing.
        """
        if not self._gone:
            return False
        if error is None:
            return not self._whole
        while type(error).__name__ not in _HANG_UPS and error.__cause__ is not None:
            error = error.__cause__
        return type(error).__name__ in _HANG_UPS

    def _is_refused(self) -> bool:
        """Return whether what was raised is only how a refusal ended."""
        return self._explained or (self._replaced and self._objection() is not None)
