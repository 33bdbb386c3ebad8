"""URLs of PostgreSQL."""

import asyncio
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from ringfence.errors import SettingsError
from ringfence.stores.postgres.address import parse_address


def test_a_url_says_where_and_how():
    url = "postgresql://ann:wonder%2Fland@db.internal:6432/shop?sslmode=verify-full"
    address = parse_address(url)
    assert address.driver == "psycopg"
    assert address.place == "db.internal:6432/shop"
    assert address.dsn.startswith(
        "postgresql://ann:wonder%2Fland@db.internal:6432/shop"
    )
    assert "sslmode=verify-full" in address.dsn


@pytest.mark.parametrize(
    ("scheme", "driver"),
    [
        ("postgres", "psycopg"),
        ("postgresql", "psycopg"),
        ("postgresql+psycopg", "psycopg"),
        ("postgresql+asyncpg", "asyncpg"),
    ],
)
def test_the_scheme_names_the_driver(scheme, driver):
    assert parse_address(f"{scheme}://db/shop").driver == driver


def test_only_servers_that_take_writes_are_asked_for():
    """A standby may be behind: a session that was ended lives on there."""
    assert "target_session_attrs=read-write" in parse_address("postgresql://a,b/c").dsn
    assert "target_session_attrs=primary" in (
        parse_address("postgresql://a,b/c?target_session_attrs=primary").dsn
    )
    for looser in ("any", "standby", "prefer-standby", "read-only"):
        with pytest.raises(SettingsError, match="behind"):
            parse_address(f"postgresql://a/c?target_session_attrs={looser}")


def test_what_is_ours_does_not_reach_the_driver(tmp_path):
    """The library refuses parameters that it does not know."""
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text("wonder land\n")
    ours = f"password_file={tmp_path}/password&pool_size=7&max_overflow=0"
    address = parse_address(
        f"postgresql://db/shop?{ours}&timeout=1.5&connect_timeout=0.5&sslmode=disable"
    )
    assert (address.pool_size, address.max_overflow) == (7, 0)
    assert (address.timeout, address.connect_timeout) == (1.5, 0.5)
    assert address.password_file == Path(tmp_path / "password")
    assert asyncio.run(address.password()) == "wonder land"
    query = address.dsn.partition("?")[2]
    assert {pair.partition("=")[0] for pair in query.split("&")} == {
        "sslmode",
        "application_name",
        "target_session_attrs",
    }


def test_a_plus_is_a_plus():
    """As libpq reads it; and as it is in the names of folders."""
    address = parse_address("postgresql:///shop?host=/run/a+b")
    assert "host=%2Frun%2Fa%2Bb" in address.dsn.replace("/", "%2F")


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_the_system_is_trusted_where_its_authorities_are(monkeypatch, tmp_path, driver):
    """The OpenSSL of psycopg's wheel has none, and asyncpg knows no such word."""
    (tmp_path / "authorities.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authorities.pem"))
    address = parse_address(f"postgresql+{driver}://db/shop?sslrootcert=system")
    said = conninfo_to_dict(address.dsn)
    assert said["sslrootcert"] == str(tmp_path / "authorities.pem")
    assert said["sslmode"] == "verify-full"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresqll://db/shop", "write postgresql://"),
        ("postgresql+psycopg2://db/shop", "scheme is unknown"),
        ("postgresql:db/shop", "scheme is unknown"),
        ("postgresql://db/shop#part", "%23"),
        ("postgresql://ann@[::1/shop", "IPv6"),
        ("postgresql://ann:won/der@db/shop", "%2F"),
        ("postgresql://db/shop?ssl_mode=require", "did you mean sslmode"),
        ("postgresql://db/shop?sslmode=", "empty or given twice"),
        ("postgresql://db/shop?timeout=1&timeout=2", "empty or given twice"),
        ("postgresql://db/shop?password=secret", "unknown"),
        ("postgresql://a:secret@db/shop?password_file=/x", "leave one of them out"),
        ("postgresql://db/shop?passfile=/y&password_file=/x", "leave one of them out"),
        ("postgresql://db/shop?pool_size=0", "pool_size"),
        ("postgresql://db/shop?pool_size=1e3", "pool_size"),
        ("postgresql://db/shop?max_overflow=99999", "max_overflow"),
        ("postgresql://db/s?sslrootcert=system&sslmode=verify-ca", "verify-full"),
        ("postgresql://db/shop?timeout=0", "timeout"),
        ("postgresql://db/shop?timeout=nan", "timeout"),
        ("postgresql://db/shop?timeout=forever", "timeout"),
        ("postgresql://ann:100%won@db/shop", "write % as %25"),
        ("postgresql://ann:secret%00@db/shop", "write % as %25"),
        ("postgresql://ann:sec ret won@db/shop", "it has a space"),
        ("postgresql://ann:se@won:d@db/shop", "write @ in a password as %40"),
        ("postgresql://ann:won[der@db/shop", "in a password [ as %5B"),
        ("postgresql://ann:secret@w\N{CARE OF}n/shop", "with % too"),
        ("postgresql://db:54won/shop", "one of its hosts or ports is none"),
        ("postgresql://db:5432,won:x/shop", "one of its hosts or ports is none"),
        ("postgresql+asyncpg://db/shop?options=-c%20x%3Dy", "unknown"),
    ],
)
def test_what_is_wrong_is_said_without_passwords(url, said):
    with pytest.raises(SettingsError) as caught:
        parse_address(url)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "won" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:won:der@db/shop",
        "postgresql://ann:won%25der%40@db.internal:5432,[2001:db8::1]:5433/shop",
        "postgresql://%2Frun%2Fpostgresql/shop",
        "postgresql:///shop",
    ],
)
def test_what_libpq_reads_as_we_do_is_left_as_it_is(url):
    assert conninfo_to_dict(parse_address(url).dsn)["dbname"] == "shop"


def test_a_password_is_not_shown():
    address = parse_address("postgresql://ann:wonderland@db/shop")
    assert "wonderland" not in f"{address}{address!r}"
