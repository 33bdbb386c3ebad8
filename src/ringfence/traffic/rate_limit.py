"""Refuse those who ask too often, and say when to come back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from sys import maxsize
from typing import NamedTuple

from ringfence.clock import Clock, system_clock
from ringfence.denial import Denial
from ringfence.errors import StoreError
from ringfence.exchange import End, Exchange, Stage, at_once, step_of
from ringfence.marks import Mark
from ringfence.stores.contracts import (
    Charge,
    CounterStore,
    ImmediateCounters,
    Question,
    Reply,
    Verdict,
)
from ringfence.stores.open import open_shared
from ringfence.traffic.budgets import (
    Budget,
    ChargeMaker,
    Limit,
    account_charges,
    charge_maker,
    named,
    refuser,
    street_charges,
    teller,
    wide,
)
from ringfence.traffic.settings import TrafficSettings

_CLIENTS_REMEMBERED = 4_096


class Limits:
    """Makes the stages that limit requests.

    Args:
        settings: of the street; the wide limits that hold everywhere.
        counters: keeps the budgets. While they cannot be reached, each process counts
            for itself.
        clock: tells the time.
    """

    def __init__(
        self,
        settings: TrafficSettings,
        counters: CounterStore,
        clock: Clock = system_clock,
    ) -> None:
        self.counters = counters
        self.fallback = open_shared("", clock).counters("limits")
        self.clock = clock
        address, site, everybody = (
            wide(settings, name) for name in ("address", "ipv6_site", "global")
        )
        self.street_budgets = tuple(
            one for one in (address, everybody, site) if one is not None
        )
        self.account = wide(settings, "account")
        self.of_network = lru_cache(_CLIENTS_REMEMBERED)(
            partial(street_charges, address, everybody, site)
        )
        self.of_account = lru_cache(_CLIENTS_REMEMBERED)(
            partial(account_charges, self.account)
        )
        self.question = lru_cache(_CLIENTS_REMEMBERED)(RouteLimits.make_question)
        self._over = Over(self.street_budgets, clock)

    def street(self) -> Stage | None:
        """Return the stage that every request passes before its route is looked for.

        What the application never sees counts, too: a scan for paths that do not exist
        is endless where limits are bound to routes. One client is one
        ``exchange.network``; whoever has a whole IPv6 site, 65,536 networks, has one
        more budget for all of it.

        Returns:
            ``None`` where the settings have no such limit.

        Source: CWE-770, CWE-799; CVE-2026-45364.
        """
        if not self.street_budgets:
            return None
        of_network = self.of_network
        if not isinstance(self.counters, ImmediateCounters):
            return self._street_far_away()
        return self._stage(
            lambda exchange: of_network(exchange.network), self.street_budgets
        )

    def _street_far_away(self) -> Stage:
        """Return the stage of the street for counters that have to be waited for: who
        is known to be over is refused without asking them."""
        of_network, over = self.of_network, self._over
        refuse = step_of(over.stage(of_network))

        async def ask(exchange: Exchange) -> Denial | None:
            charges = of_network(exchange.network)
            verdict = await self.take(charges)
            if verdict.refused < 0:
                return None
            return over.refuse(charges[verdict.refused], verdict)

        def rate_limit(exchange: Exchange) -> End | Awaitable[End | None] | None:
            return refuse(exchange) or ask(exchange)

        return at_once(rate_limit)

    def over(self) -> Stage | None:
        """Return the stage that turns away, without asking the store again, who has
        been refused by it and came back too early.

        Returns:
            ``None`` where the settings have no limit that is known before the route.
        """
        return self._over.stage(self.of_network) if self.street_budgets else None

    def in_one_go(self, marks: Sequence[Mark], route: str) -> RouteLimits:
        """Return all that limits a route, to be asked in one round trip.

        Args:
            marks: of the route; those that are limits are taken.
            route: tells it from all others: its kind, methods, host and path.
        """
        return RouteLimits(self, marks, route, self._over)

    def route(self, marks: Sequence[Mark], route: str) -> Stage | None:
        """Return the stage that limits a route, once it is known who asks.

        Args:
            marks: of the route; those that are limits are taken.
            route: tells it from all others: its kind, methods, host and path.

        Returns:
            ``None`` where nothing limits it.
        """
        made = _made(marks, route)
        if not made:
            if self.account is None:
                return None
            return self._stage(self._everywhere, (self.account,))
        budgets = tuple(one.budget for one in made)
        makers = tuple(one.make for one in made)
        everywhere = self._everywhere

        def charges_of(exchange: Exchange) -> tuple[Charge, ...]:
            network, account_id = exchange.network, _account_of(exchange)
            of_marks = (make(network, account_id) for make in makers)
            return (*of_marks, *everywhere(exchange))

        if self.account is not None:
            budgets = (*budgets, self.account)
        return self._stage(charges_of, budgets, tell=teller(budgets))

    def _everywhere(self, exchange: Exchange) -> tuple[Charge, ...]:
        principal = exchange.principal
        return () if principal is None else self.of_account(principal.id)

    def _stage(
        self,
        charges_of: Callable[[Exchange], tuple[Charge, ...]],
        budgets: Sequence[Budget],
        tell: Callable[[Verdict, Exchange], None] | None = None,
    ) -> Stage:
        """Return a stage; the charges are those of the budgets, in the same order."""
        counters, clock, refuse = self.counters, self.clock, refuser(budgets)

        def judge(verdict: Verdict, exchange: Exchange) -> Denial | None:
            if verdict.refused >= 0:
                return refuse(verdict)
            if tell is not None:
                tell(verdict, exchange)
            return None

        if isinstance(counters, ImmediateCounters):
            decide, passes, tells = counters.decide, counters.passes, tell is not None

            def rate_limit(exchange: Exchange) -> Denial | None:
                charges, now = charges_of(exchange), clock()
                if tells or len(charges) != 1 or not passes(charges[0], now):
                    return judge(decide(charges, now), exchange)
                return None

            return at_once(rate_limit)

        async def wait_for_limit(exchange: Exchange) -> Denial | None:
            return judge(await self.take(charges_of(exchange)), exchange)

        return wait_for_limit

    async def take(self, charges: Sequence[Charge]) -> Verdict:
        """Take charges from the store, or in process while it cannot be reached: a
        limit that is off while its store restarts is no limit."""
        try:
            return await self.counters.take(charges)
        except StoreError:
            return await self.fallback.take(charges)


class RouteLimits:
    """All that limits one route, asked together with everything else that a request
    wants to know from a store in the network.

    First what is known before anybody is: the address, everybody, the route. Then what
    is an account's, if the store finds its session; else ``rest`` takes it, once it is
    known who asks, and if that is nobody, by address.

    Args:
        limits: what holds everywhere.
        marks: of the route.
        route: tells it from all others.
        over: remembers who has been refused.
    """

    def __init__(
        self, limits: Limits, marks: Sequence[Mark], route: str, over: Over
    ) -> None:
        self._limits = limits
        self._over = over
        made = _made(marks, route)
        anyones = [one for one in made if one.mark.by != "account"]
        owned = [one for one in made if one.mark.by == "account"]
        account = () if limits.account is None else (limits.account,)
        of_owner = (*(one.budget for one in owned), *account)
        budgets = (*(one.budget for one in anyones), *of_owner)
        self._anyones = tuple(one.make for one in anyones)
        self._owned = tuple(one.make for one in owned)
        self._refuse = refuser(budgets)
        self._tell = teller(budgets) if made else None
        self._has_owned = bool(of_owner)
        self._refuse_owned = refuser(of_owner)
        self._tell_owned = teller(of_owner) if owned else None

    def question(self, network: str, name: bytes, owner: str) -> Question:
        """Return what a request wants to know; if it has been here before, the same
        object, which the store need not pack again.

        Args:
            network: it comes from.
            name: of its session, empty for none.
            owner: id of the account that it proves to come from, empty for none.
        """
        return self._limits.question(self, network, name, owner)

    def make_question(self, network: str, name: bytes, owner: str) -> Question:
        """Return the same, made anew."""
        street = self._limits.of_network(network)
        charges = (
            *street,
            *(make(network, "") for make in self._anyones),
            *(self._of_owner(network, owner) if owner else ()),
        )
        return Question(charges, name, owner, len(street))

    def street(self, exchange: Exchange) -> tuple[Charge, ...]:
        """Return what a request takes that will be refused anyhow."""
        return self._limits.of_network(exchange.network)

    def _of_owner(self, network: str, owner: str) -> tuple[Charge, ...]:
        of_marks = (make(network, owner) for make in self._owned)
        return (*of_marks, *(self._limits.of_account(owner) if owner else ()))

    def judge(self) -> Stage:
        """Return the stage that refuses by what the store has said."""

        def rate_limit(exchange: Exchange) -> Denial | Awaitable[Denial | None] | None:
            reply = exchange.reply
            if reply is None:
                return None
            if isinstance(reply, StoreError) or reply.failure is not None:
                return self._count_here(exchange)
            return self._judge(reply.verdict, exchange, settled=_is_settled(reply))

        return at_once(rate_limit)

    async def _count_here(self, exchange: Exchange) -> Denial | None:
        charges, *_, inside = self.question(exchange.network, b"", "")
        take = self._limits.fallback.take
        verdict = await take(charges[:inside])
        if verdict.refused < 0:
            verdict = _moved(await take(charges[inside:]), inside)
        return self._judge(verdict, exchange, settled=False)

    def _judge(
        self, verdict: Verdict, exchange: Exchange, *, settled: bool
    ) -> Denial | None:
        refused = verdict.refused
        is_untold = self._tell is None or verdict.remaining == maxsize
        if refused < 0 and is_untold:
            return None
        street = self._limits.of_network(exchange.network)
        if 0 <= refused < len(street):
            return self._over.refuse(street[refused], verdict)
        if refused >= 0:
            return self._refuse(verdict._replace(refused=refused - len(street)))
        if self._tell is not None and (settled or self._tell_owned is None):
            scarcest = max(0, verdict.scarcest - len(street))
            self._tell(verdict._replace(scarcest=scarcest), exchange)
        return None

    def rest(self) -> Stage | None:
        """Return the stage that takes what is an account's, where the store did not
        know whose request it is; ``None`` where nothing is."""
        if not self._has_owned:
            return None

        def rate_limit(exchange: Exchange) -> Awaitable[Denial | None] | None:
            reply = exchange.reply
            if isinstance(reply, Reply) and _is_settled(reply):
                return None
            charges = self._of_owner(exchange.network, _account_of(exchange))
            return self._take(charges, exchange) if charges else None

        return at_once(rate_limit)

    async def _take(
        self, charges: Sequence[Charge], exchange: Exchange
    ) -> Denial | None:
        verdict = await self._limits.take(charges)
        if verdict.refused >= 0:
            return self._refuse_owned(verdict)
        if self._tell_owned is not None:
            self._tell_owned(verdict, exchange)
        return None


class Over:
    """Remembers in process who is over a limit, and until when.

    Until then the store would say the same: what is refused costs nothing, so that
    nobody who is over comes back earlier. A flood of one client costs it no work.

    Args:
        budgets: that they are over.
        clock: tells the time.
    """

    def __init__(self, budgets: Sequence[Budget], clock: Clock) -> None:
        self._clock = clock
        self._refuse = refuser(budgets)
        self._known: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()

    def refuse(self, charge: Charge, verdict: Verdict) -> Denial:
        """Refuse, and remember it.

        Args:
            charge: that was refused.
            verdict: of the store; the index is that of the budget.
        """
        self._known[charge.key] = self._clock(), verdict
        if len(self._known) > _CLIENTS_REMEMBERED:
            self._known.popitem(last=False)
        return self._refuse(verdict)

    def stage(self, of_network: Callable[[str], Sequence[Charge]]) -> Stage:
        """Return the stage that refuses once more.

        Args:
            of_network: tells the charges of a network.
        """
        known = self._known

        def rate_limit(exchange: Exchange) -> Denial | None:
            if not known:
                return None
            now = self._clock()
            for charge in of_network(exchange.network):
                if charge.key in known:
                    since, verdict = known[charge.key]
                    left = since + verdict.retry_after - now
                    if 0 < left <= verdict.retry_after:  # nor after a clock's jump back
                        return self._refuse(verdict._replace(retry_after=left))
                    del known[charge.key]
            return None

        return at_once(rate_limit)


class _Made(NamedTuple):
    """A limit of a route, with its budget and what makes its charges."""

    mark: Limit
    budget: Budget
    make: ChargeMaker


def _made(marks: Sequence[Mark], route: str) -> list[_Made]:
    limits = [mark for mark in marks if isinstance(mark, Limit)]
    return [
        _Made(mark, budget, charge_maker(mark, budget, route))
        for mark, budget in zip(limits, named(limits), strict=True)
    ]


def _moved(verdict: Verdict, by: int) -> Verdict:
    refused, scarcest = verdict.refused, verdict.scarcest + by
    return verdict._replace(
        refused=refused + by if refused >= 0 else -1, scarcest=scarcest
    )


def _is_settled(reply: Reply) -> bool:
    """Return whether the account's limits were asked. Where the question named no
    account they were not in it: else whoever strips the hint from their cookie, or
    brings none, would have no such limit (CWE-799)."""
    return reply.settled and bool(reply.told.owner)


def _account_of(exchange: Exchange) -> str:
    principal = exchange.principal
    return "" if principal is None else principal.id
