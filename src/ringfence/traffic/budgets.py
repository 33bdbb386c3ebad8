"""How many requests a client, an account or everybody has, and what they are told."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from math import ceil
from typing import Literal, NamedTuple, get_args

from ringfence.denial import Denial
from ringfence.errors import SettingsError
from ringfence.exchange import Exchange
from ringfence.marks import Mark
from ringfence.stores.contracts import Charge, Verdict, counter_key
from ringfence.traffic.rate import Rate, parse_optional_rate, parse_rate
from ringfence.traffic.settings import TrafficSettings

By = Literal["address", "account", "route", "global"]

_EXACT_UP_TO = 60  # of larger amounts not every time is kept
_MOST_AT_ONCE = 1_000_000
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


ChargeMaker = Callable[[str, str], Charge]
"""Makes a charge for a network and the id of an account, empty for nobody."""


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

    def charge(
        self, key: bytes, coarser: tuple[bytes, ...] = (), owner: str = ""
    ) -> Charge:
        """Return what one request takes from it, for whom ``key`` names."""
        amount, period = self.rate.amount, float(self.rate.period)
        exact = not self.burst and amount <= _EXACT_UP_TO
        return Charge(key, amount, period, exact, (), self.burst, coarser, owner)


def described(marks: Sequence[Mark]) -> tuple[str, ...]:
    """Return the limits among the marks of a route, as the plan shows them."""
    return tuple(str(mark) for mark in marks if isinstance(mark, Limit))


def wide(settings: TrafficSettings, name: str) -> Budget | None:
    """Return a budget that holds everywhere, ``None`` where the settings have none."""
    field = f"limits_{name}"
    rate = parse_optional_rate(getattr(settings, field), f"traffic.{field}")
    return None if rate is None else Budget(name, rate)


def named(limits: Sequence[Limit]) -> list[Budget]:
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


def street_charges(
    address: Budget | None, everybody: Budget | None, site: Budget | None, network: str
) -> tuple[Charge, ...]:
    """Return what every request of a network takes, in the order of the budgets."""
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


def account_charges(account: Budget | None, account_id: str) -> tuple[Charge, ...]:
    """Return what every request of an account takes."""
    if account is None:
        return ()
    return (account.charge(counter_key("account", account_id), owner=account_id),)


def charge_maker(mark: Limit, budget: Budget, route: str) -> ChargeMaker:
    """Return what makes the charge of a limit on a route.

    Args:
        mark: the limit.
        budget: of the mark, with the name that it has on this route.
        route: tells it from all others.
    """
    purpose = counter_key("limit", str(mark), budget.name)
    if mark.by == "global":
        shared = budget.charge(counter_key("limit", str(mark)))
        return lambda *_: shared
    if mark.by == "route":
        whole = budget.charge(counter_key(purpose, route))
        return lambda *_: whole

    @lru_cache(_CLIENTS_OF_A_ROUTE)
    def of_network(network: str) -> Charge:
        around = tuple(
            counter_key(purpose, route, "around", part) for part in _packed(network)
        )
        return budget.charge(counter_key(purpose, route, "address", network), around)

    if mark.by == "address":
        return lambda network, _: of_network(network)

    @lru_cache(_CLIENTS_OF_A_ROUTE)
    def of_account(account_id: str) -> Charge:
        key = counter_key(purpose, route, "account", account_id)
        return budget.charge(key, owner=account_id)

    def by_account(network: str, account_id: str) -> Charge:
        return of_account(account_id) if account_id else of_network(network)

    return by_account


def refuser(budgets: Sequence[Budget]) -> Callable[[Verdict], Denial]:
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


def teller(budgets: Sequence[Budget]) -> Callable[[Verdict, Exchange], None]:
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
