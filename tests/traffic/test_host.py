import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.exchange import step_of
from ringfence.traffic.host import allow_hosts, parse_host
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

PRODUCTION = allow_hosts(
    TrafficSettings(
        allowed_hosts=("api.shop.example:8443", ".cdn.example", "[2001:db8::1]")
    ),
    development=False,
    public_origins=("https://shop.example", "https://shop.example:444"),
)
DEVELOPMENT = allow_hosts(
    TrafficSettings(allowed_hosts=("shop.example",)),
    development=True,
    public_origins=("https://shop.example",),
)


def asking(exchange_of, host):
    return exchange_of(headers=[] if host is None else [("host", host)])


@pytest.mark.parametrize(
    "host",
    [
        "shop.example",
        "SHOP.example",
        "shop.example:443",
        "shop.example:444",
        "api.shop.example:8443",
        "cdn.example",
        "a.b.cdn.example:80",
        "[2001:db8::1]",
        "[2001:DB8::1]:8443",
    ],
)
async def test_our_names_pass(exchange_of, host):
    exchange = asking(exchange_of, host)
    assert await PRODUCTION(exchange) is None
    assert exchange.host == host.lower()


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "shopXexample",  # CVE-2026-25479: the dot was a pattern
        "shop.example.evil.example",
        "evilshop.example",
        "evilcdn.example",
        "api.shop.example",
        "api.shop.example:8444",
        "127.0.0.1",
        "localhost",
    ],
)
async def test_other_names_are_refused(exchange_of, host):
    denial = await PRODUCTION(asking(exchange_of, host))
    assert (denial.status, denial.code) == (400, "traffic.host_not_allowed")


@pytest.mark.parametrize(
    "host",
    [
        "shop.example/admin",
        "shop.example?x",
        "shop.example#x",
        "user@shop.example",
        "shop.example\\",
        "shop.example ",
        " shop.example",
        "shop.example\t",
        "shop.example,evil.example",
        "shop.example:",
        "shop.example:80x",
        "shop.example:123456",
        "shop.example:80:80",
        "shop.example.",
        "shop..example",
        ".shop.example",
        "-shop.example",
        "shop.exam%70le",
        "sh\xf6p.example",
        "[::1",
        "::1",
        "[::1%25eth0]",
        "shop.example\n",
        "a" * 300,
    ],
)
async def test_what_is_no_host_is_refused(exchange_of, host):
    """CVE-2026-48710: a slash in Host moved the path that a guard judged."""
    for stage in (PRODUCTION, DEVELOPMENT):
        denial = await stage(asking(exchange_of, host))
        assert (denial.status, denial.code) == (400, "traffic.host_malformed")


@pytest.mark.parametrize("version", ["1.0", "1.1", "2"])
async def test_a_missing_host_is_refused(exchange_of, version):
    """CVE-2026-48061: X-Forwarded-Host is never asked instead."""
    exchange = exchange_of(
        http_version=version, headers=[("x-forwarded-host", "shop.example")]
    )
    assert (await PRODUCTION(exchange)).code == "traffic.host_missing"
    assert (await PRODUCTION(asking(exchange_of, ""))).code == "traffic.host_missing"


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "a.localhost"],
)
async def test_development_answers_loopback_names(exchange_of, host):
    exchange = asking(exchange_of, host)
    assert await DEVELOPMENT(exchange) is None
    assert exchange.host == host


@pytest.mark.parametrize(
    "host", ["shop.example", "rebound.evil.example", "192.168.0.9", "127.0.0.1.evil.ex"]
)
async def test_development_refuses_other_names(exchange_of, host):
    """DNS rebinding: a page's own name points at this machine."""
    denial = await DEVELOPMENT(asking(exchange_of, host))
    assert denial.code == "traffic.host_not_local"


async def test_what_is_remembered_has_an_end(exchange_of):
    """A thousand ports are a thousand spellings of one allowed name."""
    for port in range(1, 1_000):
        assert await PRODUCTION(asking(exchange_of, f"shop.example:{port}")) is None
    remembered = next(
        cell.cell_contents
        for cell in step_of(PRODUCTION).__closure__
        if isinstance(cell.cell_contents, dict)
    )
    assert len(remembered) <= 256


@given(st.binary(max_size=40))
def test_what_is_accepted_builds_one_url(raw):
    """No accepted host can move where the path of a URL begins."""
    host = parse_host(raw)
    if host is not None:
        assert not set(host) & set("/?#@\\%, \t\r\n")
        assert host == host.lower()
