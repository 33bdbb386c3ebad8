"""Watching what a check would refuse, before it refuses."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.exchange import End, Exchange, Stage, at_once, settle, step_of

Tell = Callable[[Denial, Exchange], None]


@dataclass(frozen=True, slots=True)
class DryRun:
    """Lets pass, and writes down, what some of the checks would have refused.

    For the day on which a service gets its limits or its CSRF checks: what honest users
    send is seen first. Only checks that find out abuse can be watched so. Who a request
    is from, where it goes and what it may do is never a question of trying out, so the
    request line, hosts, identity and access always refuse. It ends by itself: a dry run
    that is forgotten would be no protection at all.

    Args:
        parts: what is watched: ``limits``, ``csrf``, ``csp``.
        until: Unix time at which everything refuses again.
        clock: tells the time.
        tell: writes down what would have been refused, and to whom.
    """

    parts: frozenset[str]
    until: float
    clock: Clock
    tell: Tell

    def covers(self, part: str) -> bool:
        """Return whether a part is watched now."""
        return part in self.parts and self.clock() < self.until

    def watch(self, part: str, stage: Stage | None) -> Stage | None:
        """Return a stage that refuses nothing while the dry run lasts."""
        if stage is None or part not in self.parts:
            return stage
        step = step_of(stage)

        @functools.wraps(step)
        def watched(exchange: Exchange) -> Awaitable[End | None] | None:
            said = step(exchange)
            return None if said is None else self._consider(said, exchange)

        return at_once(watched)

    async def _consider(
        self, said: End | Awaitable[End | None], exchange: Exchange
    ) -> End | None:
        end = await settle(said)
        if not isinstance(end, Denial) or self.clock() >= self.until:
            return end
        if end is exchange.denial:
            # The body was refused while a token was looked for in it. It is used up:
            # the application would wait for the rest for ever.
            return end
        self.tell(end, exchange)
        return None


NOTHING_WATCHED = DryRun(frozenset(), 0.0, clock=lambda: 0.0, tell=lambda *_: None)
"""No dry run: every check refuses."""
