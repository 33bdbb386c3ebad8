"""The page on stores names what the stores take, and no more."""

import re
from pathlib import Path

import pytest

from ringfence.errors import SettingsError
from ringfence.settings import Settings, refuse_unsafe
from ringfence.stores.postgres import address
from ringfence.stores.redis import url

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "guides" / "stores.md").read_text("utf-8")
OF_POSTGRES, OF_REDIS = PAGE.split("\n## Redis\n")


def parameters(section):
    """Return the names in the first cells of the table of parameters."""
    table = section.partition("| parameter | |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    return set(re.findall(r"`(\w+)", " ".join(cells)))


def test_every_parameter_of_redis_is_there():
    assert parameters(OF_REDIS) == set(url._KNOWN)


def test_every_parameter_of_postgres_is_there():
    """Those of libpq that hardly anybody needs are not spelt out."""
    said = parameters(OF_POSTGRES)
    assert set(address._OURS) | set(address._OF_BOTH) <= said
    known = {*address._OURS, *address._OF_BOTH, *address._OF_LIBPQ}
    assert said <= known


def test_its_rights_are_those_of_the_shipped_file():
    """Two lists would drift apart."""
    (line,) = re.findall(r"^ACL SETUSER ringfence .*$", PAGE, re.MULTILINE)
    said = {word for word in line.split() if word.startswith("+")}
    said |= {"+cluster|slots", "+asking"}
    users = (PROJECT / "deploy" / "valkey" / "users.acl").read_text()
    (shipped,) = [it for it in users.splitlines() if it.startswith("user ringfence ")]
    given = {word for word in shipped.split() if word.startswith("+")}
    assert said == given
    assert "~ringfence:*" in line.split()
    assert "~ringfence:*" in shipped.split()


@pytest.mark.parametrize(
    ("store", "database"),
    [
        ("redis://cache.example", ""),
        ("redis+cluster://one.example,two.example", ""),
        ("", "postgresql://shop@db.example/shop"),
        ("", "postgresql://shop@db.example/shop?sslmode=require"),
    ],
)
def test_a_store_elsewhere_without_checked_tls_is_refused(store, database):
    """As the page says."""
    settings = Settings(
        store=store,
        database=database,
        keys_file=Path("keys.json"),
        public_origins=("https://shop.example",),
        proxies=("none",),
    )
    with pytest.raises(SettingsError, match="TLS"):
        refuse_unsafe(settings)
