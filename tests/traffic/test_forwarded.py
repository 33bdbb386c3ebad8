import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.traffic.client_ip import locate
from ringfence.traffic.forwarded import Hop, read_forwarded
from ringfence.traffic.request_line import refuse_ambiguous
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

SETTINGS = TrafficSettings(proxies=("10.0.0.0/8",), forwarding_header="forwarded")
STAGE = locate(SETTINGS, development=False)


@pytest.mark.parametrize(
    ("value", "hops"),
    [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", [Hop("192.0.2.60", "http")]),
        ('For="[2001:db8:cafe::17]:4711"', [Hop("[2001:db8:cafe::17]:4711", "")]),
        ("for=192.0.2.4, for=1.2.3.4", [Hop("192.0.2.4", ""), Hop("1.2.3.4", "")]),
        ("for=192.0.2.43:80;PROTO=HTTPS", [Hop("192.0.2.43:80", "https")]),
        ("for=_hidden ; by=_me,for=unknown", [Hop("_hidden", ""), Hop("unknown", "")]),
        ('for="_a\\"b"', [Hop('_a"b', "")]),
        ("by=10.0.0.1;host=shop.example", [Hop("", "")]),
        ("for=1.2.3.4;x-y=z", [Hop("1.2.3.4", "")]),
    ],
)  # fmt: skip
def test_what_proxies_say(value, hops):
    """The forms of RFC 7239, section 4, and those of proxies that write no quotes."""
    assert read_forwarded(value) == hops


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1.2.3.4",
        "for=",
        "for=1.2.3.4,",
        "for=1.2.3.4;",
        "for=1.2.3.4 5.6.7.8",
        "for=1.2.3.4;for=5.6.7.8",
        'for="1.2.3.4',
        'for="1.2.3.4"5.6.7.8',
        "for = 1.2.3.4",
        "for=1.2.3.4\\",
        "for=" + "1" * 5_000,
    ],
)
def test_what_cannot_be_understood(value):
    assert read_forwarded(value) is None


@pytest.mark.parametrize("start", ['for="', 'for=6.6.6.6;by="', 'for=6.6.6.6;by="\\'])
@pytest.mark.parametrize(
    "appended", ["for=203.0.113.7", 'for="203.0.113.7"', 'for="[2001:db8::7]:9"']
)
async def test_an_open_quote_cannot_swallow_the_proxy(exchange_of, start, appended):
    """What the client left open, and what our proxy appended behind it."""
    headers = [("forwarded", f"{start}, {appended}")]
    exchange = exchange_of(client=("10.0.0.1", 1), headers=headers)
    assert (await STAGE(exchange)).code == "traffic.bad_forwarding"


@pytest.mark.parametrize(
    ("value", "client", "scheme"),
    [
        ("for=203.0.113.7", "203.0.113.7", "http"),
        ("for=6.6.6.6;proto=http, for=203.0.113.7;proto=https", "203.0.113.7", "https"),
        ("for=203.0.113.7;proto=https,for=10.2.2.2;proto=http", "203.0.113.7", "https"),
        ("for=_hidden, for=203.0.113.7", "203.0.113.7", "http"),
        ('for="[2001:DB8::7]:80", for="10.2.2.2:80"', "2001:db8::7", "http"),
    ],
)  # fmt: skip
async def test_the_client_is_found_from_the_right(exchange_of, value, client, scheme):
    """The scheme is the one of the element that names the client."""
    exchange = exchange_of(
        client=("10.0.0.1", 1),
        headers=[("forwarded", value), ("x-forwarded-proto", "ftp"), ("", "http")],
    )
    assert await STAGE(exchange) is None
    assert (exchange.client, exchange.scheme) == (client, scheme)
    assert exchange.headers.keys() == {b"forwarded", b""}


async def test_all_lines_count_in_their_order(exchange_of):
    """GHSA-8xvm-856x-7hwp: only the first of repeated lines was read."""
    headers = [
        ("forwarded", "for=6.6.6.6"),
        ("accept", "*/*"),
        ("forwarded", "for=203.0.113.7"),
    ]
    exchange = exchange_of(client=("10.0.0.1", 1), headers=headers)
    assert await refuse_ambiguous(SETTINGS)(exchange) is None
    assert await STAGE(exchange) is None
    assert exchange.client == "203.0.113.7"


@pytest.mark.parametrize(
    "value",
    ["for=unknown", "for=_x", "proto=https", "for=1.2.3.4;proto=ftp", "for=10.1.1.1,"],
)
async def test_a_client_that_nobody_names_is_refused(exchange_of, value):
    exchange = exchange_of(client=("10.0.0.1", 1), headers=[("forwarded", value)])
    assert (await STAGE(exchange)).code == "traffic.bad_forwarding"


async def test_the_proxy_itself_may_ask(exchange_of):
    exchange = exchange_of(client=("10.0.0.1", 1))
    assert await STAGE(exchange) is None
    assert exchange.client == "10.0.0.1"


@given(st.text(alphabet='for=by;,"\\ \t1.[:]_p', max_size=60))
def test_no_text_breaks_the_reader(text):
    hops = read_forwarded(text)
    assert hops is None or all(isinstance(hop, Hop) for hop in hops)


def test_the_reader_takes_linear_time():
    began = time.process_time()
    for text in ('for="' + "\\" * 4_000, "a=" * 2_000, "for=1;" * 680, " " * 4_000):
        read_forwarded(text)
    assert time.process_time() - began < 0.2
