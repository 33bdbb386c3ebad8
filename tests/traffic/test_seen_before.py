"""What was found plain once is not let pass for anything else."""

import pytest

from ringfence.traffic import client_ip, request_line
from ringfence.traffic.client_ip import locate
from ringfence.traffic.request_line import refuse_ambiguous
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio

HEADERS = (("host", "shop.example"), ("accept", "*/*"))


@pytest.fixture
async def stage(exchange_of):
    """A stage that has seen an honest request, twice."""
    stage = refuse_ambiguous(TrafficSettings())
    for _ in range(2):
        assert await stage(exchange_of("/orders/7", headers=HEADERS)) is None
    return stage


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"path": "/admin", "raw_path": b"/orders/7"}, "path_mismatch"),
        ({"path": "/orders/7", "raw_path": b"/orders/%37%2F"}, "path_encoding"),
        ({"root_path": "/api"}, "path_outside_root"),
        ({"method": "TRACE"}, "unknown_method"),
        ({"query_string": b"q" * 100_000}, "query_too_long"),
        ({"headers": [*HEADERS, HEADERS[0]]}, "repeated_header"),
        ({"headers": [HEADERS[0], ("accept", "a\nb")]}, "bad_header"),
        ({"headers": [HEADERS[0], ("accept", "a\rb")]}, "bad_header"),
        ({"headers": [HEADERS[0], ("accept", "a" * 100_000)]}, "headers_too_large"),
        ({"headers": [*HEADERS, ("x_forwarded_for", "::1")]}, "header_twin"),
        ({"headers": [*HEADERS, ("content-length", "+1")]}, "bad_content_length"),
        (
            {"headers": [*HEADERS, ("x-http-method-override", "PUT")]},
            "method_override",
        ),
    ],
)
async def test_what_differs_is_judged(stage, exchange_of, changed, code):
    changed = {"path": "/orders/7", "headers": HEADERS, **changed}
    denial = await stage(exchange_of(changed.pop("path"), **changed))
    assert denial.code == f"traffic.{code}"


async def test_a_length_is_read_each_time(exchange_of):
    """Names alone say nothing of it (request smuggling, CWE-444)."""
    stage = refuse_ambiguous(TrafficSettings())
    for _ in range(2):
        exchange = exchange_of(headers=[*HEADERS, ("content-length", "1")])
        assert await stage(exchange) is None
    denial = await stage(exchange_of(headers=[*HEADERS, ("content-length", "1 1")]))
    assert denial.code == "traffic.bad_content_length"


async def test_a_refused_path_is_refused_again(stage, exchange_of):
    for _ in range(3):
        assert (await stage(exchange_of("/a/../b"))).status == 400


async def test_new_paths_and_names_fill_no_memory(exchange_of, monkeypatch):
    monkeypatch.setattr(request_line, "_REMEMBERED", 3)
    stage = refuse_ambiguous(TrafficSettings())
    names = ("accept", "dnt", "te", "pragma", "range")
    for number in range(10):
        line = (names[number % 5], "x")
        assert await stage(exchange_of(f"/{number}", headers=[line])) is None
    kept = [
        cell.cell_contents
        for cell in stage.step.__closure__
        if isinstance(cell.cell_contents, (dict, set))
    ]
    assert len(kept) == 2
    assert all(0 < len(one) <= 3 for one in kept)


async def test_a_long_path_is_not_kept(exchange_of):
    stage = refuse_ambiguous(TrafficSettings())
    assert await stage(exchange_of("/" + "a" * 500)) is None
    assert not any(
        cell.cell_contents
        for cell in stage.step.__closure__
        if isinstance(cell.cell_contents, dict)
    )


@pytest.mark.parametrize("development", [False, True])
async def test_a_known_peer_cannot_begin_to_lie(exchange_of, development):
    """CVE-2025-46814: that an address is known makes its headers no truer."""
    stage = locate(TrafficSettings(proxies=("none",)), development=development)
    for _ in range(2):
        assert await stage(exchange_of()) is None
    exchange = exchange_of(headers=[("x-forwarded-for", "6.6.6.6")])
    denial = await stage(exchange)
    if development:
        assert denial.code == "traffic.forwarded_in_development"
    else:
        assert exchange.client == "127.0.0.1"
        assert b"x-forwarded-for" not in exchange.headers


async def test_a_stranger_is_refused_each_time(exchange_of):
    stage = locate(TrafficSettings(), development=True)
    for _ in range(3):
        denial = await stage(exchange_of(client=("203.0.113.7", 1)))
        assert denial.code == "traffic.remote_in_development"


async def test_the_scheme_is_asked_each_time(exchange_of):
    stage = locate(TrafficSettings(proxies=("none",)), development=False)
    for scheme in ("http", "https", "http"):
        exchange = exchange_of(scheme=scheme)
        assert await stage(exchange) is None
        assert exchange.scheme == scheme


async def test_peers_fill_no_memory(exchange_of, monkeypatch):
    monkeypatch.setattr(client_ip, "_ADDRESSES_REMEMBERED", 3)
    stage = locate(TrafficSettings(proxies=("none",)), development=False)
    for number in range(10):
        exchange = exchange_of(client=(f"203.0.113.{number}", 1))
        assert await stage(exchange) is None
        assert exchange.network == f"203.0.113.{number}"
    (known,) = (
        cell.cell_contents
        for cell in stage.step.__closure__
        if isinstance(cell.cell_contents, dict)
    )
    assert 0 < len(known) <= 3
