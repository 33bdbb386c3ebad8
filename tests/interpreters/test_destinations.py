"""Destinations that an operator declares."""

import pytest

from ringfence import Settings
from ringfence.errors import SettingsError
from ringfence.interpreters.addresses import strict
from ringfence.interpreters.destinations import (
    Destinations,
    declared,
    look_up,
    read_entry,
)


@pytest.mark.parametrize(
    ("line", "address", "port", "holds"),
    [
        ("10.0.0.5", "10.0.0.5", 22, True),
        ("10.0.0.5:5432", "10.0.0.5", 5432, True),
        ("10.0.0.5:5432", "10.0.0.5", 22, False),
        ("10.0.0.5:5432", "::ffff:10.0.0.5", 5432, True),
        ("10.0.0.0/8", "10.9.9.9", 1, True),
        ("10.0.0.0/8:443", "10.9.9.9", 443, True),
        ("10.0.0.0/8:443", "10.9.9.9", 80, False),
        ("fd00::/8", "fd00::1", 1, True),
        ("[fd00::1]:5432", "fd00::1", 5432, True),
        ("[fd00::]/8:443", "fd00::9", 443, True),
        ("public", "93.184.216.34", 443, True),
        ("public", "10.0.0.5", 443, False),
    ],
)
def test_networks_and_ports(line, address, port, holds):
    assert declared((line,)).hold(strict(address), port) is holds


@pytest.mark.parametrize(
    "line",
    [
        "",
        "http://db.internal",
        "db internal",
        "10.0.0.5:0",
        "10.0.0.5:99999",
        "*.x",
        "a/b",
    ],
)
def test_what_is_no_destination_stops_the_start(line):
    """And the message shows how one is written."""
    with pytest.raises(ValueError, match=r"write 10\.0\.0\.5:5432"):
        read_entry(line)
    with pytest.raises(SettingsError, match=r"interpreters\.egress_private"):
        Settings.load(
            environ={},
            env="development",
            interpreters={"egress_private": (line,)},
        )


def test_settings_of_the_environment():
    settings = Settings.load(
        environ={"RINGFENCE_INTERPRETERS_EGRESS": "public,10.0.0.0/8"},
        env="development",
    )
    assert settings.interpreters.egress == ("public", "10.0.0.0/8")


def test_names():
    """They are asked for again when a while has passed, and not each time."""
    asked = []

    def resolve(name):
        asked.append(name)
        return (strict("10.0.0.5"),)

    entries = (read_entry("DB.internal:5432"),)
    destinations = Destinations(entries, resolve=resolve)
    for _ in range(3):
        assert destinations.hold(strict("10.0.0.5"), 5432)
    assert not destinations.hold(strict("10.0.0.6"), 5432)
    assert not destinations.hold(strict("10.0.0.5"), 22)
    assert asked == ["db.internal"]
    assert destinations.name("db.INTERNAL", 5432)
    assert not destinations.name("db.internal", 22)


def test_resolver_of_the_system():
    assert strict("127.0.0.1") in look_up("localhost")
    assert look_up("no such name\x00") == ()
