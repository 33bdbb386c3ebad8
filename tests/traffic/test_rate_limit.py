"""Who is refused for asking too often, and who is not."""

import pytest

import ringfence
from ringfence import Settings
from ringfence.errors import SettingsError, StoreError
from ringfence.exchange import settle, step_of
from ringfence.marks import marks_of
from ringfence.principal import Principal
from ringfence.stores.contracts import Reply, Told, Verdict
from ringfence.stores.memory_counters import MemoryCounters
from ringfence.testing import FakeClock
from ringfence.traffic.addresses import network_of
from ringfence.traffic.budgets import described, limit
from ringfence.traffic.rate_limit import Limits
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

OFF = {
    "limits_address": "none",
    "limits_ipv6_site": "none",
    "limits_account": "none",
    "limits_global": "none",
}


class Awaited:
    """Counters that are not of this process, and may be down."""

    def __init__(self, clock):
        self.inside = MemoryCounters(clock=clock)
        self.asked = 0
        self.is_down = False

    async def take(self, charges):
        self.asked += 1
        if self.is_down:
            raise StoreError("gone")
        return await self.inside.take(charges)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(params=[MemoryCounters, Awaited])
def limits_of(request, clock):
    """Make limits from the settings that a case is about."""

    def make(counters=None, **settings):
        return Limits(
            TrafficSettings(**{**OFF, **settings}),
            counters or request.param(clock=clock),
            clock,
        )

    return make


@pytest.fixture
def ask(exchange_of):
    """Ask a stage in somebody's name."""

    async def ask(stage, address="192.0.2.1", *, account=""):
        exchange = exchange_of()
        exchange.client, exchange.network = address, network_of(address)
        if account:
            exchange.principal = Principal(account)
        end = await settle(step_of(stage)(exchange))
        ask.headers = dict(exchange.response_headers)
        return end

    return ask


async def passed(ask, stage, times, *args, **kwargs):
    """Return how many of so many requests were let through."""
    ends = [await ask(stage, *args, **kwargs) for _ in range(times)]
    return sum(end is None for end in ends)


# The street


async def test_an_address_has_its_own_budget(limits_of, ask):
    stage = limits_of(limits_address="3/minute").street()
    assert await passed(ask, stage, 5, "192.0.2.1") == 3
    assert await passed(ask, stage, 5, "192.0.2.2") == 3


async def test_a_refusal_says_when_to_come_back(limits_of, ask, clock):
    """429 with Retry-After and the draft's fields, and a sentence for people."""
    stage = limits_of(limits_address="3/minute").street()
    for _ in range(3):
        await ask(stage)
        clock.advance(10)
    denial = await ask(stage)
    assert (denial.status, denial.code) == (429, "traffic.rate_limited")
    assert denial.detail == "Too many requests. Try again in 30 seconds."
    assert denial.private == "address 3/minute"
    assert dict(denial.headers) == {
        b"retry-after": b"30",
        b"ratelimit-policy": b'"address";q=3;w=60',
        b"ratelimit": b'"address";r=0;t=30',
    }
    clock.advance(29)
    assert (await ask(stage)).detail == "Too many requests. Try again in 1 second."
    clock.advance(1)
    assert await ask(stage) is None


@pytest.mark.parametrize(
    ("rate", "words"),
    [("1/2 minutes", "120 seconds"), ("1/hour", "60 minutes"), ("1/day", "24 hours")],
)
async def test_long_waits_are_told_in_words(limits_of, ask, rate, words):
    stage = limits_of(limits_address=rate).street()
    await ask(stage)
    assert (await ask(stage)).detail == f"Too many requests. Try again in {words}."


async def test_refusals_are_made_once(ask, clock):
    """A flood is refused by looking up: the same object again and again."""
    limits = Limits(
        TrafficSettings(**{**OFF, "limits_address": "1/minute"}),
        MemoryCounters(),
        clock,
    )
    stage = limits.street()
    await ask(stage)
    assert await ask(stage) is await ask(stage)


async def test_an_allowed_request_gets_no_header_line(limits_of, ask):
    """What holds everywhere is not told with every answer."""
    assert await ask(limits_of(limits_address="3/minute").street()) is None
    assert ask.headers == {}


@pytest.mark.parametrize(
    "address",
    [
        "2001:db8::1",
        "2001:db8::2",
        "2001:DB8:0:0::3",
        "2001:0db8:0000:0000:ffff:ffff:ffff:ffff",
        "2001:db8::192.0.2.1",
    ],
)
async def test_one_network_is_one_client(limits_of, ask, address):
    """Rotating within a /64, or spelling it otherwise, is no new identity: 12 of 12
    passed another limiter (CVE-2026-45364)."""
    stage = limits_of(limits_address="1/minute").street()
    assert await passed(ask, stage, 1, "2001:db8::") == 1
    assert await passed(ask, stage, 1, address) == 0


async def test_mapped_addresses_are_ipv4(limits_of, ask):
    stage = limits_of(limits_address="1/minute").street()
    assert await passed(ask, stage, 1, "192.0.2.1") == 1
    for address in ("::ffff:192.0.2.1", "::ffff:c000:201", "64:ff9b::c000:201"):
        assert await passed(ask, stage, 1, address) == 0


async def test_a_site_full_of_networks_has_one_budget_more(limits_of, ask):
    """Whoever is given a /48 has 65,536 networks, and would have as many budgets."""
    stage = limits_of(limits_address="2/minute", limits_ipv6_site="5/minute").street()
    through = 0
    for subnet in range(50):
        through += await passed(ask, stage, 2, f"2001:db8:1:{subnet:x}::1")
    assert through == 5
    assert await passed(ask, stage, 2, "2001:db8:2::1") == 2
    assert await passed(ask, stage, 2, "192.0.2.1") == 2


async def test_a_full_site_costs_its_networks_nothing(limits_of, ask, clock):
    stage = limits_of(limits_address="1/hour", limits_ipv6_site="1/minute").street()
    assert await passed(ask, stage, 1, "2001:db8:1:1::1") == 1
    assert await passed(ask, stage, 3, "2001:db8:1:2::1") == 0
    clock.advance(60)
    assert await passed(ask, stage, 1, "2001:db8:1:2::1") == 1


async def test_everybody_together_can_be_limited(limits_of, ask):
    stage = limits_of(limits_global="5/minute").street()
    through = [await passed(ask, stage, 1, f"192.0.2.{n}") for n in range(9)]
    assert sum(through) == 5


async def test_a_refused_client_costs_everybody_nothing(limits_of, ask):
    """One flood must not use up what all others have."""
    stage = limits_of(limits_address="2/minute", limits_global="5/minute").street()
    assert await passed(ask, stage, 100, "192.0.2.1") == 2
    assert await passed(ask, stage, 2, "192.0.2.2") == 2


async def test_clients_without_an_address_share_one_budget(limits_of, ask):
    """Where nobody knows who asks, all count as one, never as nobody."""
    stage = limits_of(limits_address="2/minute").street()
    assert await passed(ask, stage, 5, "unix") == 2


async def test_nothing_to_limit_is_no_stage(limits_of):
    """What is off costs a request nothing."""
    assert limits_of().street() is None
    assert limits_of().route((), "GET /") is None


# Routes


async def test_a_mark_limits_its_route(limits_of, ask):
    limits = limits_of()
    stage = limits.route((limit("2/minute"),), "GET /a")
    assert await passed(ask, stage, 4, "192.0.2.1") == 2
    assert await passed(ask, stage, 4, "192.0.2.2") == 2
    assert await passed(ask, limits.route((limit("2/minute"),), "GET /b"), 4) == 2


async def test_an_account_is_limited_wherever_it_comes_from(limits_of, ask):
    stage = limits_of().route((limit("2/minute", by="account"),), "GET /a")
    through = [
        await passed(ask, stage, 1, f"192.0.2.{n}", account="ann") for n in range(9)
    ]
    assert sum(through) == 2
    assert await passed(ask, stage, 4, "192.0.2.1", account="bob") == 2


async def test_who_is_not_signed_in_counts_by_address(limits_of, ask):
    stage = limits_of().route((limit("2/minute", by="account"),), "GET /a")
    assert await passed(ask, stage, 4, "192.0.2.1") == 2
    assert await passed(ask, stage, 4, "192.0.2.2") == 2
    assert await passed(ask, stage, 4, "192.0.2.1", account="ann") == 2


async def test_an_account_cannot_be_named_like_an_address(limits_of, ask):
    """Keys say what they are: another's budget cannot be drawn from by choosing a
    name (CVE-2026-25480)."""
    stage = limits_of().route((limit("2/minute", by="account"),), "GET /a")
    assert await passed(ask, stage, 4, "192.0.2.9", account="192.0.2.1") == 2
    assert await passed(ask, stage, 4, "192.0.2.1") == 2


async def test_a_route_can_be_limited_for_all_together(limits_of, ask):
    limits = limits_of()
    mark = limit("3/minute", by="route")
    stage = limits.route((mark,), "GET /a")
    through = [await passed(ask, stage, 1, f"192.0.2.{n}") for n in range(9)]
    assert sum(through) == 3
    assert await passed(ask, limits.route((mark,), "GET /b"), 1) == 1


async def test_routes_can_share_a_budget(limits_of, ask):
    """One handler under two paths is no way to two budgets."""
    limits = limits_of()
    mark = limit("3/minute", by="global")
    one, two = limits.route((mark,), "GET /a"), limits.route((mark,), "GET /b")
    assert await passed(ask, one, 2, "192.0.2.1") == 2
    assert await passed(ask, two, 2, "192.0.2.2") == 1


async def test_several_limits_all_hold(limits_of, ask, clock):
    """What one of them refuses, the others do not pay for."""
    marks = (limit("2/second"), limit("3/minute"))
    stage = limits_of().route(marks, "GET /a")
    assert await passed(ask, stage, 9) == 2
    clock.advance(1)
    assert await passed(ask, stage, 9) == 1
    clock.advance(1)
    denial = await ask(stage)
    assert denial.private == "route-address-2 3/minute"


async def test_the_wide_limit_holds_on_every_route(limits_of, ask):
    limits = limits_of(limits_account="3/minute")
    plain = limits.route((), "GET /a")
    marked = limits.route((limit("2/minute"),), "GET /b")
    assert await passed(ask, plain, 2, account="ann") == 2
    assert await passed(ask, marked, 2, account="ann") == 1
    assert await passed(ask, plain, 9) == 9, "by address there is no limit here"


async def test_a_limited_route_says_what_is_left(limits_of, ask):
    """Clients can slow down before they are refused."""
    marks = (limit("9/minute", by="account"), limit("2/second"))
    stage = limits_of().route(marks, "GET /a")
    assert await ask(stage) is None
    assert ask.headers == {
        b"ratelimit-policy": b'"route-account";q=9;w=60, "route-address";q=2;w=1',
        b"ratelimit": b'"route-address";r=1',
    }


async def test_the_account_of_everywhere_is_told_where_it_is_scarcer(limits_of, ask):
    limits = limits_of(limits_account="2/minute")
    stage = limits.route((limit("9/minute"),), "GET /a")
    await ask(stage, account="ann")
    assert ask.headers[b"ratelimit"] == b'"account";r=1'
    assert b'"account";q=2;w=60' in ask.headers[b"ratelimit-policy"]


async def test_a_burst_is_less_than_the_rate(limits_of, ask, clock):
    stage = limits_of().route((limit("60/minute", burst=2),), "GET /a")
    assert await passed(ask, stage, 9) == 2
    clock.advance(1.001)
    assert await passed(ask, stage, 9) == 1


async def test_small_amounts_have_no_window_edge(limits_of, ask, clock):
    """Ten a minute are never nineteen in any minute, wherever it begins."""
    stage = limits_of().route((limit("10/minute"),), "GET /a")
    times = []
    for _ in range(400):
        if await ask(stage) is None:
            times.append(clock())
        clock.advance(0.5)
    assert len(times) > 20
    for start in times:
        assert sum(start <= at < start + 60 for at in times) <= 10


# Stores that fail


async def test_a_store_that_is_down_does_not_switch_limits_off(ask, clock):
    """Limits go on in process, so that taking the store down opens nothing."""
    counters = Awaited(clock)
    limits = Limits(
        TrafficSettings(**{**OFF, "limits_address": "2/minute"}), counters, clock
    )
    stage = limits.street()
    counters.is_down = True
    assert await passed(ask, stage, 5) == 2
    counters.is_down = False
    assert await passed(ask, stage, 5) == 0, "who was over stays so until their time"
    assert await passed(ask, stage, 5, "192.0.2.2") == 2
    assert counters.asked


async def test_all_charges_of_a_request_are_one_question(ask, clock):
    """One round trip, however many limits there are."""
    counters = Awaited(clock)
    limits = Limits(TrafficSettings(), counters, clock)
    marks = (limit("9/minute"), limit("9/hour", by="account"))
    await ask(limits.street(), "2001:db8::1")
    assert counters.asked == 1
    await ask(limits.route(marks, "GET /"), "2001:db8::1", account="ann")
    assert counters.asked == 2


# Declaring


def test_limit_is_a_public_name_and_a_mark():
    @ringfence.limit("30/minute", by="account")
    @ringfence.limit("5/second", burst=2)
    def handler(): ...

    assert described(marks_of(handler)) == (
        "30/minute by account",
        "5/second by address, 2 at once",
    )


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [
        ({"rate": "30/min"}, "did you mean '30/minute'?"),
        ({"rate": "30/minute", "by": "adress"}, "did you mean 'address'?"),
        ({"rate": "30/minute", "by": "user"}, "one of"),
        ({"rate": "30/minute", "burst": -1}, "whole number"),
        ({"rate": "30/minute", "burst": True}, "whole number"),
        ({"rate": "30/minute", "burst": 1.5}, "whole number"),
        ({"rate": "30/minute", "burst": 10**7}, "whole number"),
    ],
)
def test_a_wrong_limit_stops_the_import(arguments, guess):
    with pytest.raises(SettingsError) as caught:
        limit(**arguments)
    assert guess in str(caught.value)


# Settings


def test_limits_are_set_by_the_environment():
    """For a load test they are raised in the open, by the same settings."""
    settings = Settings.load(
        environ={
            "RINGFENCE_TRAFFIC_LIMITS_ADDRESS": "1000000/minute",
            "RINGFENCE_TRAFFIC_LIMITS_ACCOUNT": "none",
        }
    )
    assert settings.traffic.limits_address == "1000000/minute"
    assert settings.traffic.limits_account == "none"


def test_limits_are_set_by_the_file(tmp_path):
    file = tmp_path / "ringfence.toml"
    file.write_text('[traffic]\nlimits_global = "5000/minute"\n')
    settings = Settings.load(toml=file, environ={})
    assert settings.traffic.limits_global == "5000/minute"


@pytest.mark.parametrize("name", ["address", "ipv6_site", "account", "global"])
def test_a_wrong_limit_stops_the_start(name):
    variable = f"RINGFENCE_TRAFFIC_LIMITS_{name.upper()}"
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ={variable: "600/min"})
    message = str(caught.value)
    assert f"traffic.limits_{name}" in message
    assert "did you mean '600/minute'?" in message
    assert variable in message


# Honest traffic, at the limits that hold when nothing is set


HONEST = {
    "a page with 80 parts, all at once": [(1, 80)],
    "somebody who reloads it ten times": [(1, 800)],
    "an office of 200 on a Monday morning, at once": [(1, 2000)],
    "the same office through the day, 15 a minute each": [(480, 50)],
    "a school class of 30 that opens the same page": [(1, 30 * 80)],
    "a program that polls each second behind the office": [(300, 51 - 1)],
}


@pytest.mark.parametrize("steps", HONEST.values(), ids=HONEST)
async def test_honest_people_behind_one_address_pass(exchange_of, clock, steps):
    """At the default limits an office NAT keeps working; each step is (seconds,
    requests in each of them)."""
    limits = Limits(TrafficSettings(), MemoryCounters(), clock)
    step = step_of(limits.street())
    exchange = exchange_of()
    exchange.client = exchange.network = "192.0.2.1"
    for seconds, each in steps:
        for _ in range(seconds):
            assert all(step(exchange) is None for _ in range(each))
            clock.advance(1)


async def test_a_flood_from_one_address_does_not(exchange_of, clock):
    """It is held to its rate: after the first 3000, 50 a second are let through."""
    limits = Limits(TrafficSettings(), MemoryCounters(), clock)
    step = step_of(limits.street())
    exchange = exchange_of()
    exchange.client = exchange.network = "192.0.2.1"
    through = []
    for _ in range(10):
        through.append(sum(step(exchange) is None for _ in range(4000)))
        clock.advance(1)
    assert through[0] == pytest.approx(3000, abs=1)
    assert through[1:] == pytest.approx([50] * 9, abs=1)


async def test_who_is_over_costs_a_database_nothing(clock, limits_of, ask):
    """CWE-400: a flood of one address would make a decision of each of its requests."""
    counters = Awaited(clock)
    stage = limits_of(counters, limits_address="2/minute").street()
    assert await passed(ask, stage, 9) == 2
    assert counters.asked == 3
    assert await passed(ask, stage, 1, "192.0.2.2") == 1
    clock.advance(60)
    assert await passed(ask, stage, 9) == 2


async def test_while_the_node_of_a_budget_is_away_it_counts_in_process(
    limits_of, exchange_of
):
    """On a cluster; who is asked for may still be known then."""
    limits = limits_of(limits_address="2/hour", limits_account="1/hour")
    one_go = limits.in_one_go((), "")
    found = []
    for _ in range(3):
        exchange = exchange_of()
        exchange.network = "192.0.2.1"
        exchange.principal = Principal("ann")
        exchange.reply = Reply(
            Verdict(-1, 0.0, 9), Told("ann"), -1, settled=False, failure=StoreError("")
        )
        stages = (one_go.judge(), one_go.rest())
        found.append([await settle(step_of(one)(exchange)) for one in stages])
    names = [[one and one.private.split()[0] for one in ends] for ends in found]
    assert names == [[None, None], [None, "account"], ["address", "account"]]
