import pytest
from granian.utils.proxies import wrap_asgi_with_proxy_headers
from hypercorn.middleware.proxy_fix import ProxyFixMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ringfence.exchange import Exchange
from ringfence.traffic.client_ip import locate
from ringfence.traffic.rewritten_peer import rewriting
from ringfence.traffic.settings import TrafficSettings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("proxies", [("none",), ("10.0.0.0/8",), ("203.0.113.0/24",)])
async def test_a_rewritten_peer_is_noticed(exchange_of, proxies):
    """The header is still there, and no connection comes from port 0."""
    exchange = exchange_of(
        client=("203.0.113.7", 0), headers=[("x-forwarded-for", "203.0.113.7")]
    )
    stage = locate(TrafficSettings(proxies=proxies), development=False)
    denial = await stage(exchange)
    assert (denial.status, denial.code) == (500, "traffic.peer_rewritten")
    assert "--no-proxy-headers" in denial.private


@pytest.mark.parametrize("client", [("", 0), ("/run/app.sock", 0), None])
async def test_a_socket_file_has_no_port_either(exchange_of, client):
    headers = [("x-forwarded-for", "203.0.113.7")]
    stage = locate(TrafficSettings(proxies=("unix",)), development=False)
    exchange = exchange_of(client=client, headers=headers)
    assert await stage(exchange) is None
    assert exchange.client == "203.0.113.7"


async def found_by(wrap):
    """What is found when a server starts an application through ``wrap``."""
    found = []

    async def start(scope, receive, send):
        found.extend(rewriting({}))

    await wrap(start)({"type": "lifespan"}, None, None)
    return found


async def test_uvicorn_s_default_is_seen_at_the_start():
    """It wraps every application so, unless told not to."""
    assert await found_by(lambda app: app) == []
    [fault] = await found_by(ProxyHeadersMiddleware)
    assert "--no-proxy-headers" in fault


def test_a_deep_stack_is_not_searched_for_ever():
    def down(levels):
        return down(levels - 1) if levels else list(rewriting({}))

    assert down(300) == []


async def test_hypercorn_s_middleware_is_seen_at_the_start():
    """It rewrites the Host header besides."""
    [fault] = await found_by(ProxyFixMiddleware)
    assert "ProxyFixMiddleware" in fault


async def test_granian_s_wrapper_is_seen_on_a_request(exchange_of):
    """It has left the stack by the time that the guard starts, and leaves no port."""
    found = []
    stage = locate(TrafficSettings(proxies=("none",)), development=False)

    async def app(scope, receive, send):
        found.append(await stage(Exchange(scope, receive)))

    scope = exchange_of(
        client=("127.0.0.1", 4711), headers=[("x-forwarded-for", "6.6.6.6")]
    ).scope
    await wrap_asgi_with_proxy_headers(app)(scope, None, None)
    assert [denial.code for denial in found] == ["traffic.peer_rewritten"]


@pytest.mark.parametrize("value", ["*", " * "])
def test_believing_everybody_stops_the_start(value):
    """Many container images set it."""
    [fault] = rewriting({"FORWARDED_ALLOW_IPS": value})
    assert "RINGFENCE_PROXIES" in fault


@pytest.mark.parametrize("value", ["", "127.0.0.1", "10.0.0.1,10.0.0.2"])
def test_other_values_matter_only_where_they_are_used(value):
    assert list(rewriting({"FORWARDED_ALLOW_IPS": value})) == []
