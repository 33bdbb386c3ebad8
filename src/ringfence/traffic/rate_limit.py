"""Refuse those who ask too often, and say when to come back."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, partial
from math import ceil
from typing import Literal, NamedTuple, get_args

from ringfence.clock import Clock, system_clock
from ringfence.denial import Denial
from ringfence.errors import SettingsError, StoreError
from ringfence.exchange import Exchange, Stage, at_once
from ringfence.marks import Mark
from ringfence.stores.contracts import (
    Charge,
    CounterStore,
    ImmediateCounters,
    Verdict,
    counter_key,
)
from ringfence.stores.open import open_shared
from ringfence.traffic.rate import Rate, parse_optional_rate, parse_rate
from ringfence.traffic.settings import TrafficSettings

By = Literal["address", "account", "route", "global"]

_EXACT_UP_TO = 60  # of larger amounts not every time is kept
_MOST_AT_ONCE = 1_000_000
_CLIENTS_REMEMBERED = 4_096
_CLIENTS_OF_A_ROUTE = 512
_WAITS_REMEMBERED = 1_024
_SITE = 6  # bytes of an IPv6 site, the most that one customer is given (RFC 6177)
_GROUP = 7  # bytes of what many homes are given


@dataclass(frozen=True, slots=True)
class Limit(Mark):
    """What ``limit`` returns; the arguments are explained there."""

    rate: Rate
    by: By
    burst: int

    def __str__(self) -> str:
        at_once = f", {self.burst} at once" if self.burst else ""
        return f"{self.rate} by {self.by}{at_once}"


def limit(rate: str, *, by: By = "address", burst: int = 0) -> Limit:
    """Let a route be asked for only so often::

        @ringfence.limit("30/minute", by="account")
        @access.require(access.signed_in)
        async def export(): ...

    Several limits may stand on one route; all of them must allow, and what is refused
    is charged to none. Whoever runs over is answered 429 with ``Retry-After``. The
    answers of such a route say what is left (``RateLimit``, ``RateLimit-Policy``).

    Amounts up to 60 are exact: never more than so many in *any* stretch of that length.
    Larger ones, and those with a ``burst``, come back one by one (GCRA): 600/minute is
    ten a second, of which ``burst`` may come at once.

    Args:
        rate: ``N/second``, ``N/minute``, ``N/hour``, ``N/day`` or ``N/15 minutes``.
        by: who shares the budget. ``address``: each client on this route, IPv6 by
            network. ``account``: each account on this route; who is not signed in
            counts by address. ``route``: everybody on this route together. ``global``:
            everybody on all routes with an equal limit together.
        burst: how many may come at once, 1 to 1,000,000; 0 for as many as the rate
            has.

    Raises:
        SettingsError: a text or a name that means nothing; with the likely fix.

    Source: CWE-770, CWE-799; ASVS 5.0 V2.4.1.

    Not covered: one handler under two paths has two budgets; ``by="global"`` makes
    them one. Sign-ins have limits of their own (``identity``).
    """
    where = f"limit({rate!r})"
    if by not in get_args(By):
        near = get_close_matches(str(by), get_args(By), n=1)
        guess = f"did you mean {near[0]!r}?" if near else f"one of {get_args(By)}"
        raise SettingsError(f"limit(..., by={by!r}): {guess}")
    if type(burst) is not int or not 0 <= burst <= _MOST_AT_ONCE:
        raise SettingsError(
            f"limit(..., burst={burst!r}): write a whole number, 1 to {_MOST_AT_ONCE}"
        )
    return Limit(parse_rate(rate, where), by, burst)


class Budget(NamedTuple):
    """A rate that is asked for by name.

    Args:
        name: in ``RateLimit``, and for the ledger.
        rate: how many in which time.
        burst: how many at once, 0 for as many as the rate has.
    """

    name: str
    rate: Rate
    burst: int = 0

    def charge(self, key: bytes, coarser: tuple[bytes, ...] = ()) -> Charge:
        """Return what one request takes from it, for whom ``key`` names."""
        amount, period = self.rate.amount, float(self.rate.period)
        exact = not self.burst and amount <= _EXACT_UP_TO
        return Charge(key, amount, period, exact, (), self.burst, coarser)


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
        self._counters = counters
        self._fallback = open_shared("", clock).counters("fallback")
        self._clock = clock
        self._address = _wide(settings, "address")
        self._site = _wide(settings, "ipv6_site")
        self._global = _wide(settings, "global")
        self._account = _wide(settings, "account")
        self._of_account = lru_cache(_CLIENTS_REMEMBERED)(
            partial(_account_charges, self._account)
        )

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
        address, everybody, site = self._address, self._global, self._site
        known = tuple(one for one in (address, everybody, site) if one is not None)
        if not known:
            return None
        of_network = lru_cache(_CLIENTS_REMEMBERED)(
            partial(_street_charges, address, everybody, site)
        )
        return self._stage(lambda exchange: of_network(exchange.network), known)

    def route(self, marks: Sequence[Mark], route: str) -> Stage | None:
        """Return the stage that limits a route, once it is known who asks.

        Args:
            marks: of the route; those that are limits are taken.
            route: tells it from all others: its kind, methods, host and path.

        Returns:
            ``None`` where nothing limits it.
        """
        limits = [mark for mark in marks if isinstance(mark, Limit)]
        if not limits:
            if self._account is None:
                return None
            return self._stage(self._everywhere, (self._account,))
        budgets = tuple(_named(limits))
        makers = tuple(
            _charge_maker(mark, budget, route)
            for mark, budget in zip(limits, budgets, strict=True)
        )
        everywhere = self._everywhere

        def charges_of(exchange: Exchange) -> tuple[Charge, ...]:
            return (*(make(exchange) for make in makers), *everywhere(exchange))

        if self._account is not None:
            budgets = (*budgets, self._account)
        return self._stage(charges_of, budgets, tell=_teller(budgets))

    def _everywhere(self, exchange: Exchange) -> tuple[Charge, ...]:
        principal = exchange.principal
        return () if principal is None else self._of_account(principal.id)

    def _stage(
        self,
        charges_of: Callable[[Exchange], tuple[Charge, ...]],
        budgets: Sequence[Budget],
        tell: Callable[[Verdict, Exchange], None] | None = None,
    ) -> Stage:
        """Return a stage; the charges are those of the budgets, in the same order."""
        counters, clock, refuse = self._counters, self._clock, _refuser(budgets)

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
        fallback = self._fallback

        async def wait_for_limit(exchange: Exchange) -> Denial | None:
            charges = charges_of(exchange)
            try:
                verdict = await counters.take(charges)
            except StoreError:
                # A limit that is off while its store restarts is no limit.
                verdict = await fallback.take(charges)
            return judge(verdict, exchange)

        return wait_for_limit


def described(marks: Sequence[Mark]) -> tuple[str, ...]:
    """Return the limits among the marks of a route, as the plan shows them."""
    return tuple(str(mark) for mark in marks if isinstance(mark, Limit))


def _wide(settings: TrafficSettings, name: str) -> Budget | None:
    field = f"limits_{name}"
    rate = parse_optional_rate(getattr(settings, field), f"traffic.{field}")
    return None if rate is None else Budget(name, rate)


def _named(limits: Sequence[Limit]) -> list[Budget]:
    """Return the budgets of a route under names that differ."""
    names = [f"route-{mark.by}" for mark in limits]
    return [
        Budget(
            name
            if names.count(name) == 1
            else f"{name}-{names[:index].count(name) + 1}",
            mark.rate,
            mark.burst,
        )
        for index, (name, mark) in enumerate(zip(names, limits, strict=True))
    ]


def _street_charges(
    address: Budget | None, everybody: Budget | None, site: Budget | None, network: str
) -> tuple[Charge, ...]:
    packed = _packed(network)
    charges = []
    if address is not None:
        coarser = tuple(counter_key("address", "around", part) for part in packed)
        charges.append(address.charge(counter_key("address", network), coarser))
    if everybody is not None:
        charges.append(everybody.charge(counter_key("global")))
    if site is not None and packed and len(packed[-1]) == _SITE:
        charges.append(site.charge(counter_key("site", packed[-1])))
    return tuple(charges)


def _packed(network: str) -> tuple[bytes, ...]:
    """Return the networks around a network, the smaller first: /24 and /16 of IPv4, /56
    and /48 of IPv6; none around what is no address."""
    text = network.partition("/")[0]
    try:
        if ":" in text:
            raw = socket.inet_pton(socket.AF_INET6, text)
            return raw[:_GROUP], raw[:_SITE]
        raw = socket.inet_pton(socket.AF_INET, text)
    except OSError:
        return ()
    return raw[:3], raw[:2]


def _account_charges(account: Budget | None, account_id: str) -> tuple[Charge, ...]:
    if account is None:
        return ()
    return (account.charge(counter_key("account", account_id)),)


def _charge_maker(
    mark: Limit, budget: Budget, route: str
) -> Callable[[Exchange], Charge]:
    purpose = counter_key("limit", str(mark), budget.name)
    if mark.by == "global":
        shared = budget.charge(counter_key("limit", str(mark)))
        return lambda _: shared
    if mark.by == "route":
        whole = budget.charge(counter_key(purpose, route))
        return lambda _: whole

    @lru_cache(_CLIENTS_OF_A_ROUTE)
    def of_network(network: str) -> Charge:
        around = tuple(
            counter_key(purpose, route, "around", part) for part in _packed(network)
        )
        return budget.charge(counter_key(purpose, route, "address", network), around)

    if mark.by == "address":
        return lambda exchange: of_network(exchange.network)

    @lru_cache(_CLIENTS_OF_A_ROUTE)
    def of_account(account_id: str) -> Charge:
        return budget.charge(counter_key(purpose, route, "account", account_id))

    def by_account(exchange: Exchange) -> Charge:
        principal = exchange.principal
        if principal is None:
            return of_network(exchange.network)
        return of_account(principal.id)

    return by_account


def _refuser(budgets: Sequence[Budget]) -> Callable[[Verdict], Denial]:
    """Return what makes refusals. Each is made once a second, however many need it: a
    flood is refused by looking up."""

    @lru_cache(_WAITS_REMEMBERED)
    def refusal(index: int, seconds: int) -> Denial:
        budget = budgets[index]
        state = f"{_quoted(budget)};r=0;t={seconds}"
        return Denial(
            429,
            "traffic.rate_limited",
            f"Too many requests. Try again in {_spoken(seconds)}.",
            private=f"{budget.name} {budget.rate}",
            headers=(
                (b"retry-after", b"%d" % seconds),
                (b"ratelimit-policy", _policy(budget).encode()),
                (b"ratelimit", state.encode()),
            ),
            brief=True,
        )

    def refuse(verdict: Verdict) -> Denial:
        return refusal(verdict.refused, max(1, ceil(verdict.retry_after)))

    return refuse


def _teller(budgets: Sequence[Budget]) -> Callable[[Verdict, Exchange], None]:
    """Return what says in the answer how much is left of the scarcest budget.

    Source: draft-ietf-httpapi-ratelimit-headers-11.
    """
    policies = (b"ratelimit-policy", ", ".join(map(_policy, budgets)).encode())
    names = tuple(_quoted(budget).encode() for budget in budgets)

    def tell(verdict: Verdict, exchange: Exchange) -> None:
        state = b"%b;r=%d" % (names[verdict.scarcest], verdict.remaining)
        exchange.response_headers += (policies, (b"ratelimit", state))

    return tell


def _quoted(budget: Budget) -> str:
    return f'"{budget.name}"'


def _policy(budget: Budget) -> str:
    return f"{_quoted(budget)};q={budget.rate.amount};w={budget.rate.period}"


def _spoken(seconds: int) -> str:
    for size, unit in ((3_600, "hour"), (60, "minute")):
        if seconds > 2 * size:
            return f"{ceil(seconds / size)} {unit}s"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
