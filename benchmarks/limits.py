"""What one rate-limit decision costs, beside the packages that are used today.

    python -m benchmarks.limits

In process, in memory, CPU time. All decide for the same clients with the same rate,
which is evaluated and never reached (but where a row says so); they take turns, and the
least of many rounds is shown: what the machine's other work adds is nobody's cost.
"""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.report import Figure, Section
from limits import RateLimitItemPerMinute, aio, storage, strategies
from throttled import RateLimiterType, Throttled
from throttled import store as throttled_store
from throttled.asyncio import MemoryStore as AsyncMemoryStore
from throttled.asyncio import Throttled as AsyncThrottled
from throttled.rate_limiter import per_min

from ringfence.clock import system_clock
from ringfence.exchange import Exchange, Stage, step_of
from ringfence.stores.contracts import Charge, counter_key
from ringfence.stores.memory_counters import MemoryCounters
from ringfence.traffic.budgets import limit
from ringfence.traffic.rate_limit import Limits
from ringfence.traffic.settings import TrafficSettings

ROUNDS, TIMES = 60, 1_000
RATE = 3_000  # a minute; each of the clients is far from it
CLIENTS = tuple(f"198.51.{high}.{low}" for high in range(10) for low in range(100))
GOAL = 10.0  # times faster than what is used today

Decide = Callable[[Any], object]
Wait = Callable[[Any], Awaitable[object]]
Measured = tuple[Decide, Sequence[Any]]
"""What is called, and with what, in turn."""


def ours() -> dict[str, Measured]:
    """Decisions of the store, then whole stages."""
    counters = MemoryCounters()
    decide, passes, clock = counters.decide, counters.passes, system_clock
    gcra = [_charge(client, RATE) for client in CLIENTS]
    exact = [(_charge(client, 30, period=1.0),) for client in CLIENTS]
    over = (_charge("over", 1, period=1e9),)
    for charge in (*((one,) for one in gcra), over):
        decide(charge, clock())
    six = [f"2001:db8:{number:x}::/64" for number in range(len(CLIENTS))]
    return {
        "ringfence GCRA": (lambda charge: passes(charge, clock()), gcra),
        "ringfence GCRA, and what remains": (
            lambda charges: decide(charges, clock()),
            [(one,) for one in gcra],
        ),
        "ringfence exact window": (lambda charges: decide(charges, clock()), exact),
        "ringfence, a new client without room": _crowded(),
        "ringfence, refused": (lambda charges: decide(charges, clock()), [over]),
        "ringfence, the street's stage": _street(TrafficSettings(), CLIENTS),
        "the same for IPv6 (two budgets)": _street(TrafficSettings(), six),
        "the same for a client over its limit": _street(
            TrafficSettings(limits_address="1/31 days"), ["192.0.2.1"]
        ),
        "a route with @limit": _route(),
    }


def _crowded() -> Measured:
    """A flood of names against a store that is full of keys that may not go."""
    counters, clock = MemoryCounters(keys=1_000), system_clock
    for number in range(1_000):
        counters.decide((_charge(f"busy {number}", 1, period=1e6),), clock())
    charges = [(_charge(client, RATE),) for client in CLIENTS]
    return lambda charges: counters.decide(charges, clock()), charges


def _charge(client: str, amount: int, *, period: float = 60.0) -> Charge:
    key = counter_key("address", client)
    return Charge(key, amount, period, exact=period == 1.0)


def _street(settings: TrafficSettings, networks: Sequence[str]) -> Measured:
    stage = Limits(settings, MemoryCounters()).street()
    return _asked(stage), [_exchange(network) for network in networks]


def _route() -> Measured:
    limits = Limits(TrafficSettings(), MemoryCounters())
    stage = limits.route((limit("100000/minute"),), "GET /items")
    ask = _asked(stage)

    def ask_anew(exchange: Exchange) -> object:
        exchange.response_headers.clear()
        return ask(exchange)

    return ask_anew, [_exchange("192.0.2.1")]


def _asked(stage: Stage | None) -> Decide:
    if stage is None:
        raise RuntimeError("there is no limit to measure")
    return step_of(stage)


def _exchange(network: str) -> Exchange:
    async def receive() -> dict[str, object]:
        return {}

    scope = {"type": "http", "method": "GET", "path": "/items", "headers": []}
    exchange = Exchange(scope, receive)
    exchange.network = network
    return exchange


def peers() -> dict[str, Measured]:
    """The same decision with the others."""
    item = RateLimitItemPerMinute(RATE)
    found: dict[str, Measured] = {}
    for name, strategy in (
        ("fixed window", strategies.FixedWindowRateLimiter),
        ("moving window", strategies.MovingWindowRateLimiter),
        ("sliding window counter", strategies.SlidingWindowCounterRateLimiter),
    ):
        hit = strategy(storage.MemoryStorage()).hit
        found[f"limits {name}"] = (partial(hit, item), CLIENTS)
    for name, kind in (
        ("GCRA", RateLimiterType.GCRA),
        ("fixed window", RateLimiterType.FIXED_WINDOW),
    ):
        store = throttled_store.MemoryStore()
        throttled = Throttled(using=kind.value, quota=per_min(RATE), store=store)
        found[f"throttled-py {name}"] = (throttled.limit, CLIENTS)
    return found


def awaited() -> dict[str, tuple[Wait, Sequence[Any]]]:
    """The same where a store may have to be waited for."""
    item = RateLimitItemPerMinute(RATE)
    window = aio.strategies.FixedWindowRateLimiter(aio.storage.MemoryStorage())
    moving = aio.strategies.MovingWindowRateLimiter(aio.storage.MemoryStorage())
    throttled = AsyncThrottled(
        using=RateLimiterType.GCRA.value,
        quota=per_min(RATE),
        store=AsyncMemoryStore(),
    )
    charges = [(_charge(client, RATE),) for client in CLIENTS]
    return {
        "ringfence GCRA, awaited": (MemoryCounters().take, charges),
        "limits fixed window, awaited": (partial(window.hit, item), CLIENTS),
        "limits moving window, awaited": (partial(moving.hit, item), CLIENTS),
        "throttled-py GCRA, awaited": (throttled.limit, CLIENTS),
    }


def spend(decide: Decide, asked: Sequence[Any]) -> float:
    """Return CPU microseconds a decision."""
    asked = (*asked,) * (TIMES // len(asked))
    started = time.process_time()
    for one in asked:
        decide(one)
    return (time.process_time() - started) / len(asked) * 1e6


async def spend_waiting(decide: Wait, asked: Sequence[Any]) -> float:
    """Return the same for one that is awaited."""
    started = time.process_time()
    for one in asked:
        await decide(one)
    return (time.process_time() - started) / len(asked) * 1e6


async def measured() -> dict[str, float]:
    """Return the least cost of each, all taking turns."""
    plain = {**ours(), **peers()}
    waiting = awaited()
    least: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, one in plain.items():
            least[name] = min(least.get(name, 1e9), spend(*one))
        for name, other in waiting.items():
            least[name] = min(least.get(name, 1e9), await spend_waiting(*other))
    return least


def bytes_per_key() -> dict[str, float]:
    """Return the memory that one client takes."""
    count = 20_000
    found: dict[str, float] = {}
    for name, amount, period in (("GCRA", RATE, 60.0), ("exact, 10 times", 10, 1.0)):
        tracemalloc.start()
        counters = MemoryCounters()
        before, _ = tracemalloc.get_traced_memory()
        now = system_clock()
        for number in range(count):
            charge = (_charge(str(number), amount, period=period),)
            for _ in range(10):
                counters.decide(charge, now)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        found[name] = (after - before) / count
    return found


def section() -> Section:
    """Measure; return the tables."""
    costs = asyncio.run(measured())
    lines = ["| decision | CPU µs | x of ringfence GCRA |", "|---|---:|---:|"]
    for name, cost in costs.items():
        base = "ringfence GCRA, awaited" if "awaited" in name else "ringfence GCRA"
        lines.append(f"| {name} | {cost:.2f} | {cost / costs[base]:.1f} |")
    lines += ["", "| one client's budget | bytes |", "|---|---:|"]
    lines += [f"| {name} | {size:.0f} |" for name, size in bytes_per_key().items()]
    ours = costs["ringfence GCRA"]
    peers = [costs[f"limits {name} window"] for name in ("fixed", "moving")]
    figure = Figure(
        "one decision of a limit, in memory",
        f"limits: {min(peers):.1f} to {max(peers):.1f} µs",
        f"{GOAL:.0f} x faster",
        f"{ours:.2f} µs, {min(peers) / ours:.0f} x faster",
        kept=min(peers) / ours >= GOAL,
    )
    return Section("What one decision of a limit costs", tuple(lines), (figure,))


if __name__ == "__main__":
    print("\n".join(section().lines))
