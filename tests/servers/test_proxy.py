"""The proxy does to connections what it is told, and counts what goes over them."""

import ssl
import time

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Cut
from redis.exceptions import TimeoutError as Late
from redis.retry import Retry
from tests.browser.secure import HOST, _certificate
from tests.servers.proxy import running_proxy
from tests.servers.valkey import await_true


@pytest.fixture
def proxy(valkey):
    with running_proxy(valkey.port) as proxy:
        yield proxy


@pytest.fixture
def through(proxy):
    """A client that has asked once."""
    with client_of(proxy.port) as client:
        client.ping()
        proxy.forget()
        yield client


def client_of(port, **more):
    settings = {"socket_timeout": 5, "decode_responses": True, **more}
    return Redis(port=port, retry=Retry(NoBackoff(), 0), **settings)


def test_forwards_and_counts_round_trips(proxy, through):
    through.set("a", "x" * 200_000)
    assert through.get("a") == "x" * 200_000
    with through.pipeline(transaction=False) as pipeline:
        for _ in range(50):
            pipeline.incr("b")
        assert pipeline.execute()[-1] == 50
    (link,) = proxy.links
    assert link.round_trips == proxy.round_trips == 3
    assert link.sent > 200_000
    assert link.received > 200_000


def test_refuses_until_it_accepts(proxy, through):
    proxy.refuse()
    with pytest.raises(Cut):
        through.ping()
    with client_of(proxy.port) as other, pytest.raises(Cut, match="refused"):
        other.ping()
    proxy.accept()
    assert through.ping()


def test_cuts_what_is_there_and_takes_new_connections(proxy, through):
    held = through.connection_pool.get_connection()
    proxy.cut()
    with pytest.raises(Cut):
        held.read_response()
    through.connection_pool.release(held)
    assert through.ping()
    assert proxy.connections == 2
    await_true(lambda: proxy.open == 1, "the old connection is still there")


@pytest.mark.parametrize("way", ["request", "reply"])
def test_delays_each_way(proxy, through, way):
    proxy.delay(**{way: 50})
    before = time.monotonic()
    through.ping()
    assert time.monotonic() - before >= 0.05
    proxy.delay()


def test_loses_the_reply_to_what_was_executed(proxy, through, valkey):
    proxy.lose_replies(1)
    with pytest.raises(Cut):
        through.incr("a")
    with valkey.client() as direct:
        assert direct.get("a") == "1"
    assert through.incr("a") == 2


def test_pauses_and_forwards_what_has_waited(proxy, through, valkey):
    with client_of(proxy.port, socket_timeout=0.2) as hasty:
        hasty.ping()
        proxy.pause()
        with pytest.raises(Late):
            hasty.ping()
    proxy.resume()
    assert through.ping()


def test_a_server_that_is_away_ends_the_connection(proxy, through, valkey):
    proxy.target = 1
    proxy.cut()
    with pytest.raises(Cut):
        through.ping()
    with pytest.raises(Cut):
        through.ping()


def test_speaks_tls_for_a_server_that_does_not(valkey, tmp_path):
    certificate = _certificate(tmp_path / "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with (
        running_proxy(valkey.port, tls=context) as proxy,
        client_of(
            proxy.port, host=HOST, ssl=True, ssl_ca_certs=str(certificate)
        ) as client,
    ):
        assert client.ping()
