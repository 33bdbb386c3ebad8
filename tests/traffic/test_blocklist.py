import asyncio
import json

import pytest

from ringfence.denial import Answer, Denial
from ringfence.errors import SettingsError, StoreError
from ringfence.exchange import Exchange, step_of
from ringfence.stores.contracts import Block, Blocks, Reply, Told, Verdict
from ringfence.testing import FakeClock
from ringfence.traffic.blocklist import Blocklist
from ringfence.traffic.client_ip import locate
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

SETTINGS = TrafficSettings(
    proxies=("10.0.0.0/24", "2001:db8:ffff::/48"), blocked=("198.51.100.0/24",)
)


SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "headers": [],
}


class Ledger(list):
    def record(self, event):
        self.append(event)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def blocklist(clock, ledger):
    return Blocklist(SETTINGS, record=ledger.record, clock=clock, most=3)


def names(blocklist):
    return [str(entry.network) for entry in blocklist.list()]


class Shared:
    """A list that other processes write to, and that takes a turn to be read."""

    def __init__(self):
        self.version, self.changed, self.reads = 1, [], 0
        self.failure = None

    def block(self, network):
        self.version += 1
        self.changed = [*self.changed, Block(network, 60.0, "scans")]

    async def since(self, version):
        self.reads += 1
        found = Blocks(self.version, self.changed, complete=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return found


@pytest.fixture
async def shared(blocklist):
    shared = Shared()
    await blocklist.start(shared)
    shared.reads = 0
    yield shared
    await blocklist.stop()


def told(version, address="203.0.113.7"):
    """Return a request that the store has told which version is the newest."""
    exchange = Exchange(SCOPE, None)
    exchange.client = exchange.network = address
    exchange.reply = Reply(Verdict(-1, 0.0, 1), Told(""), version, settled=True)
    return exchange


async def test_of_many_requests_one_reads_what_is_new(blocklist, shared):
    """CWE-400: a long list, read by each of them, takes the store longer than it has;
    so nobody comes to know it, and the next ones begin anew."""
    stage = step_of(blocklist.news())
    shared.block("203.0.113.7")
    found = await asyncio.gather(*(stage(told(shared.version)) for _ in range(50)))
    assert {denial.code for denial in found[:1]} == {"traffic.blocked"}
    assert shared.reads == 1


async def test_what_was_asked_too_early_is_asked_again(blocklist, shared):
    """A request does not make do with what another has read before its turn."""
    stage = step_of(blocklist.news())
    shared.block("203.0.113.8")
    early = asyncio.ensure_future(stage(told(shared.version)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert shared.reads == 1
    shared.block("203.0.113.7")
    assert (await stage(told(shared.version))).code == "traffic.blocked"
    await early
    assert shared.reads == 2


async def test_a_reading_that_fails_fails_everybody_and_is_tried_again(
    blocklist, shared
):
    shared.block("203.0.113.7")
    shared.failure = StoreError("away")
    found = await asyncio.gather(
        blocklist.refresh(), blocklist.refresh(), return_exceptions=True
    )
    assert [type(one) for one in found] == [StoreError, StoreError]
    shared.failure = None
    await blocklist.refresh()
    assert blocklist.find("203.0.113.7")


async def test_who_hangs_up_ends_nobody_else_s_reading(blocklist, shared):
    shared.block("203.0.113.7")
    gone = asyncio.ensure_future(blocklist.refresh())
    stays = asyncio.ensure_future(blocklist.refresh())
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert blocklist.find("203.0.113.7")


async def test_what_is_no_network_is_passed_over(blocklist, shared):
    """CWE-20: one that somebody has written into the store would end the reading of all
    others, for good."""
    for network in ("", "anywhere", "203.0.113.7/99", "203.0.113.7"):
        shared.block(network)
    await blocklist.refresh()
    assert names(blocklist) == ["203.0.113.7/32", "198.51.100.0/24"]


async def test_a_long_list_is_taken_in_parts(blocklist, shared):
    shared.changed = [
        Block(f"203.0.{n // 256}.{n % 256}/32", 60.0, "") for n in range(3_000)
    ]
    shared.version += 1
    turns = 0
    reading = asyncio.ensure_future(blocklist.refresh())
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 6


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
        ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
        ("2001:DB8:0::7", "2001:db8::8", "2001:db8:0:1::7"),
        ("2001:DB8:0::7/128", "2001:db8::7", "2001:db8::8"),
        ("64:ff9b::203.0.113.7", "203.0.113.7", "203.0.113.8"),
        ("2001:db8:1:2::/64", "2001:db8:1:2:ffff::1", "2001:db8:1:3::1"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.8"),
        ("::ffff:203.0.113.0/120", "203.0.113.7", "203.0.114.7"),
    ],
)
async def test_an_address_is_found_in_its_network(blocklist, network, inside, outside):
    await blocklist.add(network, seconds=60, reason="scans")
    assert blocklist.find(inside).reason == "scans"
    assert blocklist.find(outside) is None


@pytest.mark.parametrize("address", ["unix", "testclient", "no:address", ""])
def test_what_is_no_address_is_never_blocked(blocklist, address):
    assert blocklist.find(address) is None


async def test_a_block_ends(blocklist, clock):
    """Addresses change hands: what is blocked for ever blocks somebody else."""
    await blocklist.add("203.0.113.7", seconds=60, reason="x")
    clock.advance(59)
    assert blocklist.find("203.0.113.7")
    clock.advance(1)
    assert blocklist.find("203.0.113.7") is None
    assert names(blocklist) == ["198.51.100.0/24"]


async def test_a_wider_block_holds_when_the_smaller_one_has_ended(blocklist, clock):
    await blocklist.add("203.0.113.0/24", seconds=60, reason="wide")
    await blocklist.add("203.0.113.7", seconds=10, reason="narrow")
    assert blocklist.find("203.0.113.7").reason == "narrow"
    clock.advance(10)
    assert blocklist.find("203.0.113.7").reason == "wide"


async def test_a_second_block_replaces_the_first(blocklist, clock):
    await blocklist.add("203.0.113.7", seconds=1_000, reason="x")
    await blocklist.add("203.0.113.7", seconds=10, reason="y")
    clock.advance(10)
    assert blocklist.find("203.0.113.7") is None
    await blocklist.add("203.0.113.7", seconds=10, reason="x")
    await blocklist.add("203.0.113.7", seconds=1_000, reason="y")
    clock.advance(10)
    await blocklist.add("203.0.113.8", seconds=10, reason="z")
    assert blocklist.find("203.0.113.7").reason == "y"


async def test_a_block_is_lifted(blocklist, ledger):
    await blocklist.add("203.0.113.7", seconds=60, reason="x")
    assert await blocklist.remove("::ffff:203.0.113.7")
    assert blocklist.find("203.0.113.7") is None
    assert not await blocklist.remove("203.0.113.7")
    assert [event.name for event in ledger] == ["address_blocked", "address_unblocked"]
    assert ledger[0].network == "203.0.113.7/32"


async def test_who_ends_by_itself_is_not_lifted(blocklist, clock, ledger):
    await blocklist.add("203.0.113.7", seconds=60, reason="x")
    clock.advance(60)
    assert not await blocklist.remove("203.0.113.7")
    assert len(ledger) == 1


async def test_those_of_the_settings_stay(blocklist, clock):
    clock.advance(10_000_000)
    assert blocklist.find("198.51.100.9").reason == "traffic.blocked"
    with pytest.raises(ValueError, match="take it out there"):
        await blocklist.remove("198.51.100.0/24")
    with pytest.raises(ValueError, match="for good"):
        await blocklist.add("198.51.100.0/24", seconds=1, reason="x")
    assert await blocklist.add("198.51.100.9", seconds=1, reason="x")


async def test_memory_is_bounded(blocklist):
    """A flood of addresses must not fill it; who would be free first gives place."""
    for number, seconds in enumerate((50, 10, 90, 70)):
        await blocklist.add(f"203.0.113.{number}", seconds=seconds, reason="x")
    assert names(blocklist) == [
        "203.0.113.0/32",
        "203.0.113.3/32",
        "203.0.113.2/32",
        "198.51.100.0/24",
    ]
    await blocklist.add(
        "203.0.113.3", seconds=80, reason="again"
    )  # takes no further place
    assert len(names(blocklist)) == 4


@pytest.mark.parametrize("times", [range(1, 1_000), range(1_000, 1, -1)])
async def test_one_address_blocked_over_and_over_fills_nothing(blocklist, times):
    for seconds in times:
        await blocklist.add("203.0.113.7", seconds=seconds, reason="x")
    assert len(blocklist._queue) < 100
    assert len(names(blocklist)) == 2


async def test_a_block_that_is_renewed_meanwhile_stays(blocklist):
    """Two threads: one finds a block that has ended, the other renews it."""
    await blocklist.add("203.0.113.7", seconds=1, reason="old")
    ended = blocklist._find("203.0.113.7", 0)
    await blocklist.add("203.0.113.7", seconds=60, reason="new")
    blocklist._forget(ended)
    assert blocklist.find("203.0.113.7").reason == "new"


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("127.0.0.1", "this very machine"),
        ("127.0.0.0/8", "this very machine"),
        ("::1", "this very machine"),
        ("0.0.0.0", "this very machine"),
        ("::ffff:127.0.0.1", "this very machine"),
        ("10.0.0.1", "the proxy 10.0.0.0/24"),
        ("10.0.0.0/8", "the proxy 10.0.0.0/24"),
        ("2001:db8::/32", "the proxy 2001:db8:ffff::/48"),
        ("0.0.0.0/0", "part of the Internet"),
        ("32.0.0.0/7", "part of the Internet"),
        ("2000::/3", "part of the Internet"),
        ("unix", "does not appear to be"),
        ("203.0.113.9/24", "host bits set"),
        ("fe80::1%eth0/64", "host bits|does not appear"),
        ("no:address", "does not appear to be"),
        ("203.0.113.7:80", "does not appear to be"),
    ],
)
async def test_what_nobody_means_to_block(blocklist, network, words):
    """A proxy on the list would shut out everybody behind it."""
    with pytest.raises(ValueError, match=words):
        await blocklist.add(network, seconds=60, reason="x")


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
async def test_the_time_is_stated(blocklist, seconds):
    with pytest.raises(ValueError, match="seconds"):
        await blocklist.add("203.0.113.7", seconds=seconds, reason="x")


@pytest.mark.parametrize(
    ("blocked", "words"),
    [
        ("127.0.0.1", "this very machine"),
        ("10.0.0.7", "the proxy"),
        ("203.0.113.7/24", "host bits set"),
        ("somewhere", "no address or network"),
    ],
)
def test_settings_that_block_the_wrong_ones_stop_the_start(blocked, words):
    with pytest.raises(SettingsError, match=words):
        TrafficSettings(proxies=("10.0.0.0/24",), blocked=(blocked,))


async def test_a_blocked_client_is_refused(exchange_of, blocklist):
    where, stage = locate(SETTINGS, development=False), blocklist.stage()
    await blocklist.add("203.0.113.7", seconds=60, reason="scans")
    await blocklist.add("2001:db8:1:2::/64", seconds=60, reason="scans")
    for client, status in (
        ("203.0.113.7", 403),
        ("::ffff:203.0.113.7", 403),
        ("64:ff9b::203.0.113.7", 403),
        ("203.0.113.8", None),
        ("2001:db8:1:2::9", 403),
        ("", None),
    ):
        exchange = exchange_of(client=(client, 4711))
        assert await where(exchange) is None
        answer = await stage(exchange)
        assert (answer and answer.status) == status


async def test_a_flood_is_written_down_once_a_second(exchange_of, blocklist, clock):
    """The ledger says how much it was; each answer names the entry with the reason."""
    stage = blocklist.stage()

    async def ask(**scope):
        exchange = exchange_of(**scope)
        exchange.client = exchange.network = "203.0.113.7"
        exchange.request_id = str(next(numbers))
        return await stage(exchange)

    numbers = iter(range(100))
    await blocklist.add("203.0.113.7", seconds=60, reason="scans")
    first, *others = [await ask() for _ in range(10)]
    assert isinstance(first, Denial)
    assert first.private == "203.0.113.7/32: scans"
    assert {type(answer) for answer in others} == {Answer}
    assert {answer.status for answer in others} == {403}
    problem = json.loads(others[-1].body)
    assert (problem["code"], problem["request_id"]) == ("traffic.blocked", "0")
    assert isinstance(await ask(type="websocket"), Denial)  # has no other answer
    clock.advance(1)
    assert (await ask()).private == "203.0.113.7/32: scans"
    assert isinstance(await ask(), Answer)
    clock.advance(1)
    assert (await ask()).private.endswith("; 1 more since the last entry")


async def test_behind_a_proxy_the_client_is_meant(exchange_of, blocklist):
    """The proxy goes on bringing the others."""
    where, stage = locate(SETTINGS, development=False), blocklist.stage()
    await blocklist.add("203.0.113.7", seconds=60, reason="scans")
    for client, code in (("203.0.113.7", "traffic.blocked"), ("203.0.113.8", None)):
        exchange = exchange_of(
            client=("10.0.0.1", 1), headers=[("x-forwarded-for", client)]
        )
        assert await where(exchange) is None
        denial = await stage(exchange)
        assert (denial and denial.code) == code


async def test_an_empty_list_asks_nothing(exchange_of, ledger, clock):
    stage = Blocklist(TrafficSettings(), record=ledger.record).stage()
    assert await stage(exchange_of()) is None
