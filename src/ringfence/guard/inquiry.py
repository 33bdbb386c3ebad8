"""Asking a store in the network everything at once: one round trip a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ringfence.browser.cors import Sharing
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.exchange import End, Exchange, Stage, at_once, settle, step_of
from ringfence.stores.contracts import Ask, Question, Reply
from ringfence.traffic.rate_limit import RouteLimits

Named = Callable[[Exchange], tuple[bytes, str]]
"""Tells the name of a request's session, and of which account it proves to be; both
empty where there is none."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Makes the stage that asks, first of all once the route is known.

    Where budgets and sessions are in this process each stage asks for itself when its
    turn has come. Over a network that would be a wait for each. So all is asked before
    the first of them, and they find the answer in ``exchange.reply``.

    Args:
        ask: asks the store.
        named: tells whose request it is, as far as it can be known without asking;
            ``None`` where identity is switched off.
    """

    ask: Ask
    named: Named | None

    def stage(
        self,
        limits: RouteLimits,
        *,
        origin: Stage | None,
        is_watched: Callable[[], bool] = lambda: False,
    ) -> Stage:
        """Return the stage; it refuses nothing.

        Args:
            limits: of the route.
            origin: the stage that refuses requests from other origins, if the route
                has one. It comes later, but what it will refuse must not be charged to
                the account whose cookie a foreign page has used (CWE-352).
            is_watched: tells whether that stage only writes down for now. Then such a
                request is served, and charged like any other.
        """
        is_foreign = None if origin is None else step_of(origin)
        ask, named = self.ask, self.named

        async def wait(exchange: Exchange, reply: Awaitable[Reply]) -> None:
            try:
                exchange.reply = await reply
            except StoreError as error:
                exchange.reply = error  # each stage has its own way to go on

        def inquiry(exchange: Exchange) -> Awaitable[None] | None:
            if (
                is_foreign is not None
                and is_foreign(exchange) is not None
                and not is_watched()
            ):
                charges = limits.street(exchange)
                question = Question(charges, told_from=len(charges))
            else:
                name, owner = named(exchange) if named is not None else (b"", "")
                question = limits.question(exchange.network, name, owner)
            if not question.charges and not question.name:
                return None
            return wait(exchange, ask(question))

        return at_once(inquiry)


def readable(stage: Stage, sharing: Sharing | None) -> Stage:
    """Let scripts of invited origins read why this stage refuses: the stage that tells
    them so comes after it."""
    if sharing is None:
        return stage
    step = step_of(stage)

    async def tell(said: End | Awaitable[End | None], exchange: Exchange) -> End | None:
        end = await settle(said)
        if isinstance(end, Denial):
            exchange.response_headers += sharing.lines(exchange)
        return end

    def refuse(exchange: Exchange) -> Awaitable[End | None] | None:
        said = step(exchange)
        return None if said is None else tell(said, exchange)

    refuse.__module__ = step.__module__
    return at_once(refuse)
