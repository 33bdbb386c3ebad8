import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.traffic.addresses import (
    canonical_peer,
    is_loopback,
    network_of,
    parse_address,
)


@pytest.mark.parametrize(
    "text",
    [
        "2001:db8::7",
        "2001:DB8::7",
        "2001:0db8:0000:0000:0000:0000:0000:0007",
        "2001:db8:0:0::7",
        "[2001:db8::7]",
        "[2001:DB8::7]:443",
    ],
)
def test_an_address_has_one_spelling(text):
    """CVE-2026-45364: a limiter that was keyed on the text of an IPv6 address."""
    assert str(parse_address(text)) == "2001:db8::7"


@pytest.mark.parametrize(
    "text", ["203.0.113.7", "203.0.113.7:80", "::ffff:203.0.113.7", "::FFFF:cb00:7107"]
)
def test_ipv4_in_ipv6_clothes_is_ipv4(text):
    assert str(parse_address(text)) == "203.0.113.7"


@pytest.mark.parametrize(
    "text",
    ["", "unix", "1.2.3", "010.1.1.1", "0x7f.1", "2130706433", "::1%eth0", "1.2.3.4 "],
)
def test_what_is_no_address(text):
    """Octal, hexadecimal, short and decimal forms are read differently elsewhere."""
    assert parse_address(text) is None


@given(st.text(max_size=70))
def test_no_text_breaks_the_parser(text):
    address = parse_address(text)
    assert address is None or parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("unix", "unix"),
        ("testclient", "testclient"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::7", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("64:ff9b::cb00:7107", "203.0.113.7"),
        ("64:ff9b::cb00:7108", "203.0.113.8"),
        ("no:address", "no:address"),
    ],
)
def test_a_network_is_one_client(client, network):
    """One subscriber has 2**64 addresses; a translator holds all of IPv4."""
    assert network_of(client) == network


def test_a_wider_prefix_can_be_asked_for():
    assert network_of("2001:db8:1:2::7", 48) == "2001:db8:1::/48"


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**64 - 1))
def test_every_address_of_a_network_counts_as_it(number, low):
    address = ipaddress.IPv6Address(number)
    neighbour = ipaddress.IPv6Address((number >> 64 << 64) | low)
    if address.ipv4_mapped or neighbour.ipv4_mapped or number >> 96 == 0x64FF9B:
        return
    if 0x64FF9B << 64 in {number >> 32, int(neighbour) >> 32}:
        return  # behind a translator each IPv4 address is a client
    assert network_of(str(address)) == network_of(str(neighbour))


def test_a_peer_loses_its_zone():
    assert canonical_peer("FE80::1%eth0") == "fe80::1"
    assert canonical_peer("no:peer") == "no:peer"


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("unix", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("x", False),
    ],
)
def test_loopback(text, here):
    assert is_loopback(text) is here
