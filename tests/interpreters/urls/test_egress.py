"""Which connections a request may not have: what it has chosen, and nothing else."""

import socket

import pytest
from tests.interpreters.test_untrusted import exchange

from ringfence.errors import InjectionRefusedError
from ringfence.exchange import live
from ringfence.interpreters.addresses import strict
from ringfence.interpreters.boundary_map import BoundaryMap
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Here, Sinks
from ringfence.interpreters.urls.egress import Egress, carefully, judge_request, vouch

DATABASE = ("10.0.0.5", 5432)
METADATA = ("169.254.169.254", 80)


class Process:
    """A process that answers one request at a time."""

    def __init__(self, **settings):
        self.egress = Egress()
        self.events = []
        self.settings = InterpretersSettings(**settings)

    def answer(self, body=b"", kind="application/json", **scope):
        """Begin to answer a request."""
        made = exchange(
            headers=((b"content-type", kind.encode()), *scope.pop("headers", ())),
            **scope,
        )
        if body:
            made.received = [body]
        made.sinks = Sinks(self.settings, self.events.append)
        return Here(made)

    def look_up(self, whom, host, port=80):
        self.egress.looked_up("socket.getaddrinfo", (host, port, 0, 1, 0), whom)

    def dial(self, whom, address, event="socket.connect", sock=None):
        self.egress.dialled(event, (sock, address), whom)

    def refuses(self, whom, address, **options):
        with pytest.raises(InjectionRefusedError) as refused:
            self.dial(whom, address, **options)
        assert refused.value.denial.code == "interpreters.url"
        return refused.value.denial.private


@pytest.fixture
def process():
    return Process()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (b"http://10.0.0.5:5432/", DATABASE),
        (b"http://2130706433/", ("127.0.0.1", 80)),
        (b"http://0x7f.1:9000/", ("127.0.0.1", 9000)),
        (b"http://0177.1/", ("127.0.0.1", 80)),
        (b"http://[::ffff:7f00:1]/", ("::ffff:127.0.0.1", 80, 0, 0)),
        (b"http://[::ffff:7f00:1]/", ("127.0.0.1", 80)),
        (b"http://[fe80::1%25eth0]/", ("fe80::1%eth0", 80, 0, 2)),
        (b"http://localhost:9000/", ("::1", 9000, 0, 0)),
        (b"http://x@169.254.169.254/latest", METADATA),
        (b"http://169.254.169.254#", METADATA),
        (b"169.254.169.254", METADATA),
        (b"10.0.0.5:5432", DATABASE),
        (b"http://0/", ("0.0.0.0", 80)),
        (b"http://0/", ("", 80)),
        (b"http://[64:ff9b::a9fe:a9fe]/", ("64:ff9b::a9fe:a9fe", 80, 0, 0)),
    ],
)
def test_an_address_that_the_request_names(process, url, address):
    """In every spelling, and whatever the connecting library makes of it."""
    assert "names" in process.refuses(process.answer(b'["%s"]' % url), address)


def test_database_of_a_handler_that_gets_a_url(process):
    """A URL that nobody follows changes nothing: the application dials its own."""
    process.dial(process.answer(b'{"site": "https://ann.example/"}'), DATABASE)


@pytest.mark.parametrize(
    "body",
    [
        b'["http%3A//localhost%3A8000"]',
        b'["a@localhost"]',
        b'["10.0"]',
        b'["http://localhost:3000/"]',
        b'["db"]',
    ],
)
def test_database_on_this_machine(process, body):
    """Neither a mail address, nor a number, nor another port is the database."""
    whom = process.answer(body)
    process.look_up(whom, "localhost", 5432)
    process.dial(whom, ("127.0.0.1", 5432))


def test_rebound_name(process):
    """The name was harmless when it was checked: what counts is what is dialled."""
    whom = process.answer(b'["http://rebind.example/"]')
    process.look_up(whom, "rebind.example")
    assert "follows" in process.refuses(whom, ("10.9.9.9", 80))


def test_port_that_parsers_read_otherwise(process):
    whom = process.answer(b'["http://rebind.example:80:8080/"]')
    process.look_up(whom, "rebind.example", 8080)
    process.refuses(whom, ("10.9.9.9", 8080))


@pytest.mark.parametrize("port", [0, None, "https", b"443", 443])
def test_ports_of_lookups(process, port):
    whom = process.answer(b'["https://rebind.example/"]')
    process.look_up(whom, "rebind.example", port)
    process.look_up(whom, "other.example", port)
    process.refuses(whom, ("10.9.9.9", 80))


def test_redirect_to_a_private_address(process):
    """The address dialled stands in no input."""
    whom = process.answer(b'["http://93.184.216.34/"]')
    process.dial(whom, ("93.184.216.34", 80))
    process.look_up(whom, "10.9.9.9")
    process.look_up(whom, "internal.example")
    assert "follows" in process.refuses(whom, ("10.9.9.9", 80))


def test_resolver_that_nobody_hears(process):
    """An aiohttp asks c-ares where that is installed: only the port tells."""
    url = b'["http://rebind.example:8080/"]'
    whom = process.answer(url)
    process.dial(whom, ("10.9.9.9", 5432))
    process.look_up(whom, "10.9.9.9", 8080)  # uvloop announces addresses, too
    assert "follows" in process.refuses(whom, ("10.9.9.9", 8080))
    whom = process.answer(url)
    process.dial(whom, ("93.184.216.34", 8080))
    process.refuses(whom, ("10.9.9.9", 80))  # where it redirects to
    whom = process.answer(url)
    process.look_up(whom, "api.internal", 8080)
    process.dial(whom, ("10.9.9.9", 8080))


def test_referer_leads_nobody(process):
    """Browsers name a site with the port of the web in nearly every request."""
    referer = ((b"referer", b"http://search.example/"),)
    process.dial(process.answer(headers=referer), ("10.9.9.9", 80))


def test_a_host_without_a_url(process):
    whom = process.answer(query=b"host=rebind.example")
    process.look_up(whom, "REBIND.example.")
    process.refuses(whom, ("10.9.9.9", 80))


def test_a_short_spelling_alone(process):
    whom = process.answer(query=b"host=127.1")
    process.look_up(whom, "127.1")
    process.refuses(whom, ("127.0.0.1", 80))


def test_lookup_in_a_thread_without_context(process):
    """Asyncio looks names up in threads that do not know for whom."""
    whom = process.answer(b'["http://rebind.example/"]')
    live.add(whom.exchange)
    try:
        process.look_up(Here(None), "rebind.example")
        process.refuses(Here(None), ("10.9.9.9", 80))
    finally:
        live.discard(whom.exchange)
    process.refuses(whom, ("10.9.9.9", 80))


def test_own_destinations_of_a_request_that_follows(process):
    """What was dialled at start-up, or by a request that follows nothing, is known."""
    process.egress.noticed("socket.connect", (None, DATABASE))
    process.dial(process.answer(), ("10.0.0.6", 6379))
    whom = process.answer(b'["http://news.example/"]')
    process.look_up(whom, "news.example")
    process.dial(whom, ("93.184.216.34", 80))
    process.dial(whom, DATABASE)
    process.dial(whom, ("10.0.0.6", 6379))
    process.refuses(whom, ("10.0.0.6", 22))


def test_nothing_is_learnt_after_the_start(process):
    """A background task may follow a stored URL."""
    process.dial(process.answer(), ("93.184.216.34", 80))
    process.egress.noticed("socket.connect", (None, DATABASE))
    whom = process.answer(b'["http://news.example/"]')
    process.look_up(whom, "news.example")
    process.refuses(whom, DATABASE)


def test_declared_destinations():
    process = Process(egress_private=("10.0.0.5:5432", "fd00:1::/64"))
    whom = process.answer(b'["http://news.example/"]')
    process.look_up(whom, "news.example")
    process.dial(whom, DATABASE)
    process.dial(whom, ("fd00:1::7", 80, 0, 0))
    process.refuses(whom, ("10.0.0.5", 22))


def test_an_own_destination_that_the_request_names():
    """The application's own database is nothing for a visitor's URL."""
    process = Process(egress_private=("10.0.0.5:5432",))
    process.refuses(process.answer(b'["http://10.0.0.5:5432/"]'), DATABASE)
    process.dial(process.answer(b'["10.0.0.5"]'), DATABASE)  # in a list of servers, say


def test_metadata(process):
    """A stored URL leads there without any input (second order)."""
    assert "credentials" in process.refuses(process.answer(), METADATA)
    declared = Process(egress_private=("169.254.169.254",))
    declared.dial(declared.answer(), METADATA)


def test_library_of_a_cloud_renews_credentials(process):
    names = {"__name__": "botocore.utils", "dial": process.dial}
    exec("def renew(*args): dial(*args)", names)
    names["renew"](process.answer(), METADATA)


def test_request_that_is_not_known_in_full(process):
    """Whoever pads a body must not hide a URL behind it."""
    whom = process.answer(b"x")
    whom.exchange.too_much = True
    assert "not known" in process.refuses(whom, ("10.9.9.9", 80))
    process.dial(whom, ("93.184.216.34", 80))


def test_name_given_to_connect(process):
    """What connect() looks up by itself cannot be judged where the request chose it."""
    process.dial(process.answer(), ("cache.internal", 11211))
    whom = process.answer(b'["http://rebind.example/"]')
    process.refuses(whom, ("rebind.example", 80))
    process.look_up(whom, "rebind.example")
    process.refuses(whom, ("other.example", 80))
    process.dial(whom, ("cache.internal", 11211))


@pytest.mark.parametrize("event", ["socket.sendto", "socket.sendmsg"])
def test_datagrams(process, event):
    """Metrics and lookups of the application's own leave; what is named does not."""
    whom = process.answer(b'["http://news.example/", "10.9.9.9"]')
    process.look_up(whom, "news.example")
    process.dial(whom, ("127.0.0.1", 8125), event=event)
    process.refuses(whom, ("10.9.9.9", 53), event=event)
    process.dial(whom, None, event=event)


def test_kinds_of_sockets(process):
    """A datagram socket is connected to find out one's own address, say."""
    whom = process.answer(b'["http://news.example/"]')
    process.look_up(whom, "news.example")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        process.dial(whom, ("10.255.255.255", 1), sock=sock)
    with socket.socket(socket.AF_UNIX) as sock:
        process.dial(whom, (1, 2), sock=sock)
    process.dial(whom, (3, 4))


@pytest.mark.parametrize("path", ["/var/run/docker.sock", b"/var/run/docker.sock"])
def test_sockets_in_the_file_system(process, path):
    process.dial(process.answer(b'["http://a.example"]'), path)
    url = b'["http+unix://%2Fvar%2Frun%2Fdocker.sock/info"]'
    process.refuses(process.answer(url), path)


def test_referer_and_origin(process):
    """Browsers send addresses along that nobody follows; some programs do."""
    own = ((b"referer", b"http://127.0.0.1:8000/x"), (b"origin", b"http://a.test"))
    whom = process.answer(headers=own)
    whom.exchange.host = "127.0.0.1:8000"
    process.dial(whom, ("127.0.0.1", 8000))
    foreign = ((b"referer", b"http://169.254.169.254/"),)
    process.refuses(process.answer(headers=foreign), METADATA)


def test_only_what_is_listed():
    """``interpreters.egress``: nothing else, chosen or not."""
    process = Process(
        egress=("public", "10.20.0.0/16", "localhost:9000"),
        egress_private=("10.0.0.5:5432",),
    )
    process.dial(process.answer(), ("93.184.216.34", 443))
    process.dial(process.answer(b'["http://10.20.1.1/"]'), ("10.20.1.1", 80))
    process.dial(process.answer(), ("127.0.0.1", 9000))
    process.dial(process.answer(), ("localhost", 9000))
    process.dial(process.answer(), DATABASE)
    process.refuses(process.answer(b'["http://10.0.0.5:5432/"]'), DATABASE)
    assert "egress" in process.refuses(process.answer(), ("10.0.0.9", 80))
    process.refuses(process.answer(), ("localhost", 9001))


def test_proxy_of_the_environment(process, monkeypatch):
    """An operator has set it; nobody learns from it what it dials, though."""
    monkeypatch.setenv("HTTPS_PROXY", "http://10.0.0.8:3128")
    whom = process.answer(b'["https://news.example/"]')
    process.look_up(whom, "news.example", 443)
    process.dial(whom, ("10.0.0.8", 3128))


@pytest.mark.parametrize("url", ["http://", "http://[::1", "x y", "http://p:x"])
def test_proxy_that_is_none(process, monkeypatch, url):
    """A slip of an operator's refuses nobody."""
    monkeypatch.setenv("HTTPS_PROXY", url)
    process.dial(process.answer(b'["https://news.example/"]'), DATABASE)


def test_proxy_with_a_password(process, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://ann:secret@10.0.0.8:3128/")
    whom = process.answer(b'["https://news.example/"]')
    process.look_up(whom, "news.example", 443)
    process.dial(whom, ("10.0.0.8", 3128))
    process.refuses(whom, ("10.0.0.8", 22))


def test_our_own_transport_is_believed(process):
    """It has judged the address by what its maker allows."""
    whom = process.answer(b'["http://10.9.9.9/"]')
    with vouch(strict("10.9.9.9"), 80):
        process.dial(whom, ("10.9.9.9", 80))
    process.refuses(whom, ("10.9.9.9", 80))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "FILE:/etc/passwd", "ftp://h/x"])
def test_other_schemes(process, url):
    whom = process.answer(query=b"url=" + url.encode())
    with pytest.raises(InjectionRefusedError, match="urllib"):
        judge_request("urllib.Request", (url, None, {}, "GET"), whom)


def test_honest_schemes(process):
    """An application's own files stay open; so does the web."""
    whom = process.answer(query=b"url=http://a.example/&file=report")
    judge_request("urllib.Request", ("http://a.example/", None, {}, "GET"), whom)
    judge_request("urllib.Request", ("file:///srv/report", None, {}, "GET"), whom)
    whom = process.answer(query=b"lesson=file:///etc/hosts")
    judge_request("urllib.Request", ("file:///srv/report", None, {}, "GET"), whom)


def test_a_dry_run_lets_pass(process):
    whom = process.answer(b'["http://10.0.0.5:5432/"]')
    whom.exchange.sinks = Sinks(
        process.settings, process.events.append, is_watched=lambda: True
    )
    process.dial(whom, DATABASE)
    assert process.events[0].watched


def test_boundary_map(process):
    """It shows which input leads where, and by which way."""
    whom = process.answer(query=b"url=http://news.example/")
    kept = BoundaryMap()
    whom.exchange.sinks = Sinks(
        process.settings, process.events.append, boundary_map=kept
    )
    process.look_up(whom, "news.example")
    with carefully():
        process.look_up(whom, "news.example")
    found = {(each.name, each.interpreter, each.way) for each in kept.crossings}
    assert {("url", "url", "raw"), ("url", "url", "escaped")} <= found


def test_memory_is_bounded(process):
    """Requests cannot fill the list of what is the application's own."""
    for number in range(5_000):
        process.dial(process.answer(), ("10.0.0.1", number))
    assert len(process.egress._own) == 4_096
