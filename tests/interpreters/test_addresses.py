"""One address has many spellings; each of them is known."""

from ipaddress import ip_address

import pytest

from ringfence.interpreters.addresses import (
    is_metadata,
    not_public,
    readings,
)

LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "0x7f.0x0.0x0.0x1",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.1.",
    "[::1]",
    "::1",
    "0:0:0:0:0:0:0:1",
    "[::ffff:127.0.0.1]",
    "::ffff:7f00:1",  # CVE-2026-43929
    "::ffff:0:7f00:1",
    "::7f00:1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "127。0。0。1",
    "１２７.０.０.１",  # noqa: RUF001 - full-width on purpose
    "①②⑦.⓪.⓪.①",
    "%31%32%37.0.0.1",
    "fe80::5efe:7f00:1",
    "2a00:1450::200:5efe:7f00:1",
]


@pytest.mark.parametrize("spelled", LOOPBACK)
def test_every_spelling_of_loopback(spelled):
    """Whatever a program reads there, one reading is no public address."""
    found = readings(spelled)
    assert found
    assert any(not_public(address) for address in found)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "169.254.169.254", "172.31.0.1"),
        *("192.0.0.8", "192.168.0.1", "198.18.0.1", "203.0.113.1", "224.0.0.1"),
        *("240.0.0.1", "255.255.255.255", "168.63.129.16", "100.100.100.200"),
        *("::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1"),
        *("2001:db8::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "100::1"),
        *("64:ff9b:1::1", "2002:a00:1::1", "4000::1", "64:ff9b::a9fe:a9fe"),
    ],
)
def test_addresses_that_are_not_of_the_public_internet(address):
    """Special addresses are known by the registries, not by the Python version."""
    assert not_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "192.0.1.1"),
        *("2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
    ],
)
def test_public_addresses(address):
    """Services in the internet stay what they are, behind NAT64 too."""
    assert not not_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "168.63.129.16"),
        *("100.100.100.200", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    ],
)
def test_metadata_of_clouds(address):
    """Where credentials are told, in every wrapping."""
    assert is_metadata(ip_address(address))


@pytest.mark.parametrize(
    "name",
    ["example.com", "0xgame.com", "1.2.3.4.5", "a", "", "1.2.3.x", "99999999999"],
)
def test_names_are_no_addresses(name):
    """A name with figures in it is still a name."""
    assert readings(name) == ()


def test_what_two_programs_read_otherwise():
    """A leading zero is octal to one and nothing to another: both count."""
    assert set(map(str, readings("010.0.0.1"))) == {"8.0.0.1", "10.0.0.1"}
