import pytest

from ringfence.traffic.client_ip import locate
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

DEVELOPMENT = locate(TrafficSettings(), development=True)
DIRECT = locate(TrafficSettings(proxies=("none",)), development=False)
PROXIED = locate(
    TrafficSettings(proxies=("10.0.0.0/8", "2001:db8::/32", "unix")), development=False
)


def forwarded(value, *more):
    return [("x-forwarded-for", value), *more]


async def test_the_proxy_itself_may_ask(exchange_of):
    """A health check comes without a forwarding header."""
    exchange = exchange_of(client=("10.0.0.1", 1))
    assert await PROXIED(exchange) is None
    assert (exchange.client, exchange.scheme) == ("10.0.0.1", "http")


@pytest.mark.parametrize(
    ("client", "found"),
    [
        (("203.0.113.7", 4711), "203.0.113.7"),
        (["203.0.113.7", 4711], "203.0.113.7"),
        (("2001:DB8:0:0::7", 4711), "2001:db8::7"),
        (("::ffff:203.0.113.7", 4711), "203.0.113.7"),
        (("fe80::1%eth0", 4711), "fe80::1"),
        (None, "unix"),
        (("", 0), "unix"),
        (("/run/app.sock", None), "unix"),
    ],
)
async def test_without_proxies_the_peer_is_the_client(exchange_of, client, found):
    """A scope without a client skipped every check elsewhere (GHSA-634g-4wr8-xwxv)."""
    exchange = exchange_of(client=client)
    assert await DIRECT(exchange) is None
    assert exchange.client == found


@pytest.mark.parametrize(
    "name",
    ["x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-host", "x-original-url"],
)
async def test_a_stranger_cannot_say_who_it_is(exchange_of, name):
    """CVE-2025-46814, CVE-2025-59152: neither guard nor application gets to see it."""
    for stage in (DIRECT, PROXIED):
        exchange = exchange_of(
            client=("203.0.113.7", 1), headers=[("host", "a"), (name, "6.6.6.6")]
        )
        assert await stage(exchange) is None
        assert exchange.client == "203.0.113.7"
        assert exchange.scope["headers"] == [(b"host", b"a")]
        assert exchange.headers == {b"host": b"a"}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 10.9.9.9", "203.0.113.7"),
        ("6.6.6.6,203.0.113.7 ,\t10.9.9.9", "203.0.113.7"),
        ("junk, <script>, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:55555", "203.0.113.7"),
        ("[2001:470::7]:55555", "2001:470::7"),
        ("[2001:470::7]", "2001:470::7"),
        ("2001:470:0::7", "2001:470::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:CB00:7107", "203.0.113.7"),
        ("6.6.6.6, ::ffff:10.1.1.1", "6.6.6.6"),
        ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
        (", ".join(["6.6.6.6"] * 500 + ["203.0.113.7"]), "203.0.113.7"),
    ],
)
async def test_the_chain_is_read_from_the_right(exchange_of, value, found):
    """What a client writes stands left of what the proxies saw."""
    exchange = exchange_of(client=("10.0.0.1", 1), headers=forwarded(value))
    assert await PROXIED(exchange) is None
    assert exchange.client == found
    assert exchange.scope["client"] == (found, 0)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "unknown",
        "6.6.6.6, ",
        "6.6.6.6, 1.2.3",
        "6.6.6.6, 010.1.1.1",
        "6.6.6.6, 1.2.3.4:x",
        "6.6.6.6, [::1",
        "6.6.6.6, [::1]x",
        "6.6.6.6, ::1%eth0",
        "6.6.6.6, " + "1" * 65,
        ", ".join(["10.1.1.1"] * 40),
    ],
)
async def test_a_broken_chain_is_refused(exchange_of, value):
    """Guessing would hand the choice of an address to whoever broke it."""
    exchange = exchange_of(client=("10.0.0.1", 1), headers=forwarded(value))
    assert (await PROXIED(exchange)).code == "traffic.bad_forwarding"


async def test_one_header_is_read_and_the_others_are_dropped(exchange_of):
    """Trap 7: an application must not be told another story than the guard."""
    headers = forwarded(
        "203.0.113.7", ("x-real-ip", "6.6.6.6"), ("x-forwarded-host", "evil.example")
    )
    exchange = exchange_of(client=("10.0.0.1", 1), headers=headers)
    assert await PROXIED(exchange) is None
    assert exchange.client == "203.0.113.7"
    assert exchange.scope["headers"] == [(b"x-forwarded-for", b"203.0.113.7")]


async def test_another_header_can_be_configured(exchange_of):
    stage = locate(
        TrafficSettings(proxies=("10.0.0.1",), forwarding_header="cf-connecting-ip"),
        development=False,
    )
    headers = forwarded("6.6.6.6", ("cf-connecting-ip", "203.0.113.7"))
    exchange = exchange_of(client=("10.0.0.1", 1), headers=headers)
    assert await stage(exchange) is None
    assert exchange.client == "203.0.113.7"


@pytest.mark.parametrize(
    ("kind", "value", "scheme", "told"),
    [
        ("http", "https", "https", "https"),
        ("http", "HTTPS", "https", "https"),
        ("http", "https, https", "https", "https"),
        ("http", "http", "http", "http"),
        ("http", None, "http", "http"),
        ("websocket", "https", "https", "wss"),
        ("websocket", "http", "http", "ws"),
    ],
)
async def test_the_scheme_is_the_proxy_s(exchange_of, kind, value, scheme, told):
    proto = [] if value is None else [("x-forwarded-proto", value)]
    exchange = exchange_of(
        type=kind, client=None, headers=forwarded("203.0.113.7", *proto)
    )
    assert await PROXIED(exchange) is None
    assert exchange.scheme == scheme
    assert exchange.scope["scheme"] == told


@pytest.mark.parametrize("value", ["ftp", "", "https, http", "javascript"])
async def test_an_unclear_scheme_is_refused(exchange_of, value):
    headers = forwarded("203.0.113.7", ("x-forwarded-proto", value))
    exchange = exchange_of(client=("10.0.0.1", 1), headers=headers)
    assert (await PROXIED(exchange)).code == "traffic.bad_forwarding"


async def test_a_stranger_cannot_choose_the_scheme(exchange_of):
    exchange = exchange_of(
        client=("203.0.113.7", 1), headers=[("x-forwarded-proto", "https")]
    )
    assert await PROXIED(exchange) is None
    assert exchange.scheme == "http"


@pytest.mark.parametrize(
    ("scheme", "found"), [("wss", "https"), ("ws", "http"), ("https", "https")]
)
async def test_the_server_s_own_scheme(exchange_of, scheme, found):
    exchange = exchange_of(scheme=scheme)
    assert await DIRECT(exchange) is None
    assert exchange.scheme == found


@pytest.mark.parametrize(
    "client",
    [("127.0.0.1", 1), ("127.8.8.8", 1), ("::1", 1), ("::ffff:127.0.0.1", 1), None],
)
async def test_development_answers_this_machine(exchange_of, client):
    assert await DEVELOPMENT(exchange_of(client=client)) is None


@pytest.mark.parametrize(
    "client", [("192.168.0.9", 1), ("2001:db8::1", 1), ("testclient", 1)]
)
async def test_development_refuses_other_machines(exchange_of, client):
    """Trap 6: development in reach of a network is not development."""
    denial = await DEVELOPMENT(exchange_of(client=client))
    assert (denial.status, denial.code) == (403, "traffic.remote_in_development")


@pytest.mark.parametrize("name", ["x-forwarded-for", "x-forwarded-proto", "forwarded"])
async def test_development_refuses_forwarding(exchange_of, name):
    """Trap 6: nginx in front of 127.0.0.1 is not development."""
    denial = await DEVELOPMENT(exchange_of(headers=[(name, "127.0.0.1")]))
    assert (denial.status, denial.code) == (403, "traffic.forwarded_in_development")
