import ipaddress

import pytest

from ringfence.traffic.client_ip import locate
from ringfence.traffic.networks import NetworkMap
from ringfence.traffic.proxies import Trust, lookup, published
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

EDGE = "172.64.1.1"
WORKER = "2a06:98c0:3600::103"  # what a request of another customer comes from


def at(proxies, header="x-forwarded-for", **more):
    settings = TrafficSettings(proxies=proxies, forwarding_header=header, **more)
    return locate(settings, development=False)


def asking(exchange_of, peer, **headers):
    lines = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return exchange_of(client=(peer, 4711), headers=lines)


def test_the_shipped_networks_say_where_they_are_from():
    """Data without a date and a source cannot be refreshed by anybody."""
    networks = published("cloudflare")
    assert {network.version for network in networks} == {4, 6}
    assert all(network.is_global for network in networks)
    assert TrafficSettings(proxies=("cloudflare",)).networks == networks


@pytest.mark.parametrize("header", ["x-forwarded-for", "cf-connecting-ip"])
@pytest.mark.parametrize("peer", [EDGE, "2606:4700::1"])
async def test_cloudflare_is_believed_from_its_own_networks(exchange_of, header, peer):
    exchange = exchange_of(client=(peer, 1), headers=[(header, "203.0.113.7")])
    assert await at(("cloudflare",), header)(exchange) is None
    assert exchange.client == "203.0.113.7"


async def test_newer_networks_stand_in_for_the_shipped_ones(exchange_of):
    stage = at(("cloudflare",), cloudflare_networks=("203.0.113.0/24",))
    for peer, client in (("203.0.113.1", "192.0.2.1"), (EDGE, EDGE)):
        exchange = asking(exchange_of, peer, x_forwarded_for="192.0.2.1")
        assert await stage(exchange) is None
        assert exchange.client == client


@pytest.mark.parametrize("header", ["x-forwarded-for", "cf-connecting-ip"])
@pytest.mark.parametrize("peer", ["203.0.113.9", "172.72.0.1", "2001:db8::1"])
async def test_nobody_else_is_taken_for_cloudflare(exchange_of, header, peer):
    """Who finds the origin's address asks it without Cloudflare."""
    exchange = exchange_of(client=(peer, 1), headers=[(header, "203.0.113.7")])
    assert await at(("cloudflare",), header)(exchange) is None
    assert exchange.client == peer
    assert header.encode() not in exchange.headers


async def test_own_proxies_behind_cloudflare(exchange_of):
    stage = at(("cloudflare", "10.0.0.0/8"))
    exchange = asking(
        exchange_of, "10.0.0.1", x_forwarded_for=f"6.6.6.6, 203.0.113.7, {EDGE}"
    )
    assert await stage(exchange) is None
    assert exchange.client == "203.0.113.7"


async def test_a_visitor_that_comes_around_cloudflare(exchange_of):
    stage = at(("cloudflare", "10.0.0.0/8"))
    exchange = asking(
        exchange_of, "10.0.0.1", x_forwarded_for="6.6.6.6, 172.64.9.9, 203.0.113.7"
    )
    assert await stage(exchange) is None
    assert exchange.client == "203.0.113.7"


@pytest.mark.parametrize("visitor", [WORKER, "172.64.9.9"])
async def test_a_provider_is_crossed_once(exchange_of, visitor):
    """Any of its customers can ask from inside of it, and write what they like."""
    for peer, chain in (
        (EDGE, f"6.6.6.6, {visitor}"),
        ("10.0.0.1", f"6.6.6.6, {visitor}, {EDGE}"),
    ):
        exchange = asking(exchange_of, peer, x_forwarded_for=chain)
        assert await at(("cloudflare", "10.0.0.0/8"))(exchange) is None
        assert exchange.client == visitor


@pytest.mark.parametrize(
    "header",
    ["x-real-ip", "true-client-ip", "fastly-client-ip", "x-envoy-external-address"],
)
async def test_a_header_of_one_address(exchange_of, header):
    stage = at(("10.0.0.0/8",), header)
    exchange = exchange_of(client=("10.0.0.1", 1), headers=[(header, "2001:DB8::7")])
    assert await stage(exchange) is None
    assert (exchange.client, exchange.network) == ("2001:db8::7", "2001:db8::/64")


async def test_a_proxy_that_sends_no_such_header_asks_for_itself(exchange_of):
    exchange = asking(exchange_of, "10.0.0.1")
    assert await at(("10.0.0.0/8",), "x-real-ip")(exchange) is None
    assert exchange.client == "10.0.0.1"


@pytest.mark.parametrize("value", ["6.6.6.6, 203.0.113.7", "", "x", "1.2.3.4," * 500])
async def test_a_header_of_one_address_holds_no_list(exchange_of, value):
    stage = at(("10.0.0.0/8",), "x-real-ip")
    exchange = exchange_of(client=("10.0.0.1", 1), headers=[("x-real-ip", value)])
    assert (await stage(exchange)).code == "traffic.bad_forwarding"


async def test_the_scheme_can_be_configured(exchange_of):
    """A proxy that says nothing of the scheme, and passes on what a client says."""
    for proxies, header in (
        (("none",), "x-forwarded-for"),
        (("10.0.0.0/8",), "x-forwarded-for"),
        (("10.0.0.0/8",), "forwarded"),
    ):
        stage = at(proxies, header, public_scheme="https")
        exchange = exchange_of(
            client=("10.0.0.1", 1),
            headers=[("x-forwarded-proto", "http"), ("forwarded", "for=10.1.1.1")],
        )
        assert await stage(exchange) is None
        assert exchange.scheme == "https"
        assert b"x-forwarded-proto" not in exchange.headers


async def test_networks_are_found_for_every_kind_of_client(exchange_of):
    for peer, network in (
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("", "unix"),
    ):
        exchange = exchange_of(client=(peer, 1))
        assert await at(("none",))(exchange) is None
        assert exchange.network == network
    exchange = exchange_of(client=("2001:db8:1:2::7", 1))
    assert await at(("none",), ipv6_prefix=48)(exchange) is None
    assert exchange.network == "2001:db8:1::/48"


def test_an_own_network_inside_a_provider_is_our_own():
    look = lookup([ipaddress.ip_network("172.64.1.0/24")], published("cloudflare"))
    assert look(EDGE) == (EDGE, Trust.OWN)
    assert look("172.64.2.1") == ("172.64.2.1", Trust.PROVIDER)
    assert look("172.64.2.1" + " " * 70) is None


def test_the_longest_prefix_tells():
    known = NetworkMap()
    for text in ("10.0.0.0/8", "10.1.0.0/16", "10.1.1.1/32", "::/8", "2001:db8::/32"):
        known.put(ipaddress.ip_network(text), text)
    found = {
        text: known.find(ipaddress.ip_address(text))
        for text in ("10.9.9.9", "10.1.9.9", "10.1.1.1", "11.0.0.0", "2001:db8::1")
    }
    assert found == {
        "10.9.9.9": "10.0.0.0/8",
        "10.1.9.9": "10.1.0.0/16",
        "10.1.1.1": "10.1.1.1/32",
        "11.0.0.0": None,
        "2001:db8::1": "2001:db8::/32",
    }
    assert known.pop(ipaddress.ip_network("10.1.0.0/16")) == "10.1.0.0/16"
    assert known.pop(ipaddress.ip_network("10.1.0.0/16")) is None
    assert known.get(ipaddress.ip_network("10.1.0.0/16")) is None
    assert known.find(ipaddress.ip_address("10.1.9.9")) == "10.0.0.0/8"
    assert len(list(known.values())) == 4
