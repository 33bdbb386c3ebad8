from dataclasses import replace
from pathlib import Path

import pytest

from ringfence import Settings
from ringfence.errors import SettingsError
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.settings import refuse_unsafe
from ringfence.traffic.settings import TrafficSettings

SAFE = Settings(
    keys_file=Path("/run/secrets/keys.json"),
    public_origins=("https://shop.example",),
    proxies=("none",),
)
DEVELOPMENT = Settings(env="development")


def refused(settings, *, debug=False):
    with pytest.raises(SettingsError) as caught:
        refuse_unsafe(settings, debug=debug)
    return str(caught.value)


def test_safe_production_starts():
    refuse_unsafe(SAFE)


def test_development_needs_nothing():
    refuse_unsafe(DEVELOPMENT, debug=True)


UNSAFE = {
    "no keys": (replace(SAFE, keys_file=None), "ringfence keys create"),
    "no origins": (replace(SAFE, public_origins=()), "RINGFENCE_PUBLIC_ORIGINS="),
    "no proxies": (
        Settings(keys_file=Path("k"), public_origins=SAFE.public_origins),
        "RINGFENCE_PROXIES=none",
    ),
    "http": (replace(SAFE, public_origins=("http://shop.example",)), "write https://"),
    "one of two": (
        replace(SAFE, public_origins=("https://a.example", "http://b.example")),
        "'http://b.example'",
    ),
    "a host": (replace(SAFE, public_origins=("shop.example",)), "no origin"),
    "another scheme": (replace(SAFE, public_origins=("ftp://a.example",)), "no origin"),
    "a pattern": (replace(SAFE, public_origins=("https://*.example",)), "in full"),
    "a store far away": (
        replace(SAFE, store="redis+sentinel://127.0.0.1,shop:pass@10.0.0.7:26379/main"),
        "store reaches 10.0.0.7:26379 without TLS; write rediss+sentinel://",
    ),
    "a star": (replace(SAFE, public_origins=("*",)), "no origin"),
    "null": (replace(SAFE, public_origins=("null",)), "no origin"),
    "a path": (replace(SAFE, public_origins=("https://a.example/",)), "host and port"),
    "a login": (
        replace(SAFE, public_origins=("https://u@a.example",)),
        "host and port",
    ),
    "a default port": (
        replace(SAFE, public_origins=("https://Shop.Example:443",)),
        "write https://shop.example",
    ),
    "a dot at the end": (
        replace(SAFE, public_origins=("https://shop.example.",)),
        "write https://shop.example",
    ),
    "an international name": (
        replace(
            SAFE,
            public_origins=(
                "https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
            ),
        ),
        "write https://xn--bcher-kva.example",
    ),
    "no port": (replace(SAFE, public_origins=("https://a.example:x",)), "no origin"),
    "memory": (replace(SAFE, database="sqlite://"), "in memory"),
    "memory alone": (replace(SAFE, database="memory:"), "in memory"),
    "memory by name": (replace(SAFE, database="sqlite:///:memory:"), "in memory"),
    "memory by mode": (
        replace(SAFE, database="sqlite:///file:x?mode=memory&uri=true"),
        "in memory",
    ),
    "a top-level domain": (
        replace(SAFE, traffic=TrafficSettings((".com",), ("none",))),
        "'.com'",
    ),
}


@pytest.mark.parametrize(("settings", "expected"), UNSAFE.values(), ids=UNSAFE)
def test_unsafe_production_does_not_start(settings, expected):
    message = refused(settings)
    assert message.startswith("not safe for production:")
    assert expected in message
    assert "ringfence dev" in message


@pytest.mark.parametrize(
    "origin",
    [
        *("https://Shop.Example", "https://shop.example:8443", "https://intranet"),
        *("https://[2001:db8::1]", "https://my_shop.example", "https://192.0.2.7:444"),
    ],
)
def test_origins_that_browsers_write_so_pass(origin):
    refuse_unsafe(replace(SAFE, public_origins=(origin,)))


def test_production_learns_no_statements(tmp_path):
    """Whoever sends requests there would write the lock (CWE-89)."""
    learning = InterpretersSettings(sql_lock=tmp_path / "x", sql_lock_mode="learn")
    message = refused(replace(SAFE, interpreters=learning))
    assert "sql_lock_mode is learn" in message


def test_debug_does_not_start_in_production():
    """CWE-489: traces would be sent to anybody."""
    assert "debug=False" in refused(SAFE, debug=True)


def test_everything_is_told_at_once():
    message = refused(Settings(), debug=True)
    for part in ("debug", "keys_file", "public_origins", "proxies"):
        assert part in message


@pytest.mark.parametrize(
    "origin",
    [
        *("http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"),
        *("http://shop.localhost", "https://127.0.0.1"),
    ],
)
def test_development_is_reached_on_this_machine(origin):
    refuse_unsafe(replace(DEVELOPMENT, public_origins=(origin,)))


@pytest.mark.parametrize(
    "origin",
    [
        *("https://shop.example", "http://192.168.1.5:8000", "http://0.0.0.0:8000"),
        *("http://localhost.example", "http://127.0.0.1.example", "x", "http://[::]"),
    ],
)
def test_development_is_not_for_other_machines(origin):
    settings = replace(DEVELOPMENT, public_origins=(origin,))
    assert "this machine only" in refused(settings)


def test_development_takes_no_forwarded_requests():
    """Trap 6: nginx in front of 127.0.0.1 is not development."""
    settings = Settings(env="development", proxies=("127.0.0.1/32",))
    assert "forwarded" in refused(settings)
    refuse_unsafe(Settings(env="development", proxies=("none",)))


FAR_POSTGRES = "postgresql://app:secret@db.internal:5432/shop"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@127.0.0.1/shop",
        "postgresql://app@[::1]:5432/shop",
        "postgresql+asyncpg://app@localhost/shop",
        "postgresql://app@/shop?host=/run/postgresql",
        "postgresql:///shop",
        "postgresql://app@127.0.0.1:5432,[::1]:5433/shop",
        "postgresql://app@%2Frun%2Fpostgresql/shop",
        "postgresql://app@a.internal:5432,b.internal:5433/shop?sslmode=verify-full",
        f"{FAR_POSTGRES}?sslmode=verify-full&sslrootcert=system",
        f"{FAR_POSTGRES}?sslmode=verify-ca&sslrootcert=/etc/ca.pem",
    ],
)
def test_postgres_nearby_or_over_checked_tls_is_safe(url):
    refuse_unsafe(replace(SAFE, database=url, store=url))


@pytest.mark.parametrize(
    "url",
    [
        FAR_POSTGRES,
        f"{FAR_POSTGRES}?sslmode=prefer",
        f"{FAR_POSTGRES}?sslmode=require",
        "postgresql+asyncpg://app:secret@127.0.0.1,10.0.0.7/shop",
        "postgres://app:secret@/shop?host=db.internal",
        "postgresql://app:secret@db.internal:5432,spare.internal:5432/shop",
        "postgresql://app:secret@127.0.0.1:5432,10.0.0.7:5432/shop",
        "POSTGRESQL://app:secret@db.internal/shop",
        "postgresql:///shop?service=shop",
    ],
)
@pytest.mark.parametrize("name", ["database", "store"])
def test_postgres_elsewhere_proves_who_it_is(name, url):
    """With sslmode=require anybody on the way may answer in its place."""
    said = refused(replace(SAFE, **{name: url}))
    assert f"{name} reaches" in said
    assert "sslmode=verify-full" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PGHOST", "db.internal"), ("PGHOSTADDR", "10.0.0.7"), ("PGSERVICE", "shop")],
)
def test_what_libpq_takes_from_its_variables_counts(monkeypatch, variable, value):
    """A URL without a host says nothing of where the passwords go."""
    monkeypatch.setenv(variable, value)
    settings = replace(SAFE, database="postgresql:///shop")
    assert value in refused(settings)
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    refuse_unsafe(settings)


@pytest.mark.parametrize(
    "store",
    [
        "redis://127.0.0.1:6379/0",
        "redis://[::1]",
        "redis+unix:///run/valkey.sock",
        "rediss://valkey.internal:6380/0",
        "rediss+cluster://a.internal,b.internal",
        "sqlite:///var/counters.db",
        "memory://",
    ],
)
def test_a_store_nearby_or_over_tls_is_safe(store):
    """Whoever reads along on the way to a store has every session that it holds."""
    refuse_unsafe(replace(SAFE, store=store))
