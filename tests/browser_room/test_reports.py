import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.audit.events import BrowserReport
from ringfence.browser.reports import (
    LARGEST,
    collect_reports,
    ignore_others,
    read_reports,
)
from ringfence.denial import Answer, Denial
from ringfence.errors import BodyRefusedError, StoreError
from ringfence.stores.memory_counters import MemoryCounters
from ringfence.testing import FakeClock

HOST = "shop.example"
OLD = "application/csp-report"
NEW = "application/reports+json"
PAGE = "https://shop.example/comments"


def old(**fields):
    violation = {
        "document-uri": PAGE,
        "violated-directive": "script-src-elem",
        "effective-directive": "script-src-elem",
        "original-policy": "default-src 'none'",
        "disposition": "enforce",
        "blocked-uri": "inline",
        "line-number": 12,
        "source-file": PAGE,
        "status-code": 200,
        "script-sample": "",
    }
    names = {name.replace("_", "-"): value for name, value in fields.items()}
    return {"csp-report": violation | names}


def new(kind="csp-violation", url=PAGE, **fields):
    body = {
        "documentURL": url,
        "effectiveDirective": "script-src-elem",
        "blockedURL": "https://evil.example/x.js",
        "disposition": "enforce",
        "lineNumber": 3,
        "columnNumber": 1,
        "sourceFile": PAGE,
        "sample": "alert(1)",
        "statusCode": 200,
    }
    return {
        "age": 5,
        "type": kind,
        "url": url,
        "user_agent": "Mozilla/5.0",
        "body": body | fields,
    }


class Ledger:
    def __init__(self):
        self.events = []

    def record(self, event):
        self.events.append(event)


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def post(exchange_of, ledger):
    """Send a body to the stage; return what it answers."""
    clock = FakeClock()
    ignore = ignore_others()
    collect = collect_reports(MemoryCounters(clock=clock), ledger)

    async def send(content, media_type=NEW, *, network="192.0.2.1", **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        exchange = exchange_of(
            "POST", {"content-type": media_type, **named}, body=[body[:7], body[7:]]
        )
        exchange.client = exchange.network = network
        return await ignore(exchange) or await collect(exchange)

    send.clock = clock
    return send


@pytest.mark.anyio
async def test_an_old_report_is_written_down(post, ledger):
    assert await post(old(), OLD) == Answer(204)
    (event,) = ledger.events
    assert event == BrowserReport(
        request_id=event.request_id,
        client="192.0.2.1",
        kind="csp-violation",
        page=PAGE,
        rule="script-src-elem",
        disposition="enforce",
        blocked="inline",
        source=f"{PAGE}:12",
    )


@pytest.mark.anyio
async def test_new_reports_are_written_down(post, ledger):
    coep = new("coep", effectiveDirective="", destination="image", sourceFile=None)
    feature = new(
        "permissions-policy-violation", effectiveDirective="", policyId="camera"
    )
    assert await post([new(), coep, feature]) == Answer(204)
    assert [(event.kind, event.rule, event.source) for event in ledger.events] == [
        ("csp-violation", "script-src-elem", f"{PAGE}:3"),
        ("coep", "image", ""),
        ("permissions-policy-violation", "camera", f"{PAGE}:3"),
    ]
    assert ledger.events[0].sample == "alert(1)"
    assert ledger.events[0].blocked == "https://evil.example/x.js"


def deep(levels):
    return b'[{"type":"csp-violation","url":"","body":' + b"[" * levels


BAD = {
    "nothing": b"",
    "no JSON": b"<script>",
    "another shape": b'{"a": 1}',
    "not a list": json.dumps(new()).encode(),
    "cut": json.dumps([new()]).encode()[:-3],
    "not UTF-8": b'[{"type":"\xff\xfe"}]',
    "lone surrogate": b'[{"type":"csp-violation","url":"\\ud800","body":{}}]',
    "two documents": json.dumps([new()]).encode() * 2,
    "not a number": b"[NaN]",
    "deep": deep(8_000),
    "deep and closed": b"[" * 8_000 + b"]" * 8_000,
    "deep in a string's shadow": b'["\\"",' + b"[" * 5_000,
    "wide": b"[" + b"{}," * 5_000 + b"{}]",
    "a number too large": b'{"csp-report":{"document-uri":"", "line-number":1e999}}',
    "endless number": b'{"csp-report":{"line-number":' + b"9" * 15_000 + b"}}",
}


@pytest.mark.anyio
@pytest.mark.parametrize("media_type", [OLD, NEW])
@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
async def test_nonsense_gets_the_same_answer_and_no_line(
    post, ledger, body, media_type
):
    """The answer is no oracle for what was understood, and the ledger no dump."""
    assert await post(body, media_type) == Answer(204)
    assert ledger.events == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "media_type", ["application/json", "text/plain", "text/html", "", OLD + "x"]
)
async def test_other_types_are_not_read(post, ledger, media_type):
    """What a foreign page can send without asking is no report."""
    assert await post(old(), media_type) == Answer(204)
    assert ledger.events == []


@pytest.mark.anyio
@pytest.mark.parametrize("media_type", [OLD.upper(), f"{OLD}; charset=utf-8"])
async def test_spellings_of_the_type_do_not_matter(post, ledger, media_type):
    await post(old(), media_type)
    assert len(ledger.events) == 1


@pytest.mark.anyio
async def test_one_wrong_report_does_not_spoil_the_others(post, ledger):
    wrong = [7, {"type": "csp-violation"}, new(lineNumber="x"), new(lineNumber=-1)]
    await post([*wrong, new()])
    assert len(ledger.events) == 1


@pytest.mark.anyio
async def test_kinds_that_are_none_of_ours_are_left_out(post, ledger):
    await post([new("deprecation"), new("crash"), new("<script>")])
    assert ledger.events == []


@pytest.mark.anyio
async def test_of_many_reports_only_the_first_are_read(post, ledger):
    await post([new(sample=str(number)) for number in range(14)])
    assert [event.sample for event in ledger.events] == [str(n) for n in range(10)]


@pytest.mark.anyio
async def test_what_is_written_is_inert(post, ledger):
    """No line of the log is forged, no terminal told what to do, no text turned
    around (CWE-117)."""
    nasty = '\r\n{"event":"x"}\x1b[2J\x00\u202e\u2028\u200b\x9b'
    await post([new(sample=nasty, disposition=nasty, effectiveDirective=nasty)])
    (event,) = ledger.events
    for text in (event.sample, event.disposition, event.rule):
        assert text.isprintable()
        assert '{"event":"x"}' in text


@pytest.mark.anyio
async def test_fields_are_cut(post, ledger):
    long = "a" * 3_000
    fields = {"sample": long, "effectiveDirective": long, "sourceFile": long}
    await post([new(blockedURL=f"https://x.example/{long}", **fields)])
    (event,) = ledger.events
    for text in (event.sample, event.rule, event.blocked):
        assert len(text) == 300
    assert len(event.source) < 310


@pytest.mark.anyio
async def test_addresses_lose_what_may_be_secret(post, ledger):
    """The query of a page, of a link in a mail say, may hold a token."""
    page = PAGE + "?reset=s3cret#s3cret"
    blocked = "https://user:s3cret@cdn.example/x.js?key=s3cret"
    await post([new(url=page, sourceFile=page, blockedURL=blocked)])
    (event,) = ledger.events
    assert "s3cret" not in repr(event)
    assert event.page == PAGE
    assert event.blocked == "https://cdn.example/x.js"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://shop.example:8443/",
        "https://shop.example@evil.example/",
        "about:srcdoc",
        "//shop.example/",
        "https://[shop.example/",
        "",
    ],
)
async def test_pages_of_others_are_not_our_business(post, ledger, page):
    await post([new(url=page)])
    await post(old(document_uri=page), OLD)
    assert ledger.events == []


@pytest.mark.anyio
async def test_another_site_cannot_send_its_visitors_reports_here(post, ledger):
    """Its own policy may name this address; the browser says whose page it was."""
    await post(old(), OLD, sec_fetch_site="cross-site")
    assert ledger.events == []
    await post(old(), OLD, sec_fetch_site="same-origin")
    assert len(ledger.events) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["chrome", "moz", "safari-web", "ms-browser"])
async def test_extensions_of_visitors_are_left_out(post, ledger, name):
    """They break every page's policy, and say nothing about it."""
    await post([new(blockedURL=f"{name}-extension://abc/x.js")])
    await post([new(sourceFile=f"{name}-extension")])
    assert ledger.events == []


@pytest.mark.anyio
async def test_a_network_has_a_budget(post, ledger):
    """One page in an endless loop, or one attacker, fills nothing."""
    for _ in range(60):
        assert await post(old(), OLD) == Answer(204)
    assert len(ledger.events) == 30
    await post(old(), OLD, network="192.0.2.2")
    assert len(ledger.events) == 31
    post.clock.advance(60)
    await post(old(), OLD)
    assert len(ledger.events) == 32


@pytest.mark.anyio
async def test_all_networks_together_have_a_budget(post, ledger):
    """A botnet fills no more than that."""
    for number in range(700):
        await post(old(), OLD, network=f"2001:db8:0:{number:x}::/64")
    assert len(ledger.events) == 600


@pytest.mark.anyio
async def test_what_is_over_the_budget_is_not_even_read(exchange_of, ledger):
    collect = collect_reports(MemoryCounters(clock=FakeClock()), ledger)

    def made():
        body = [json.dumps(old()).encode()]
        return exchange_of("POST", {"content-type": OLD}, body=body)

    for _ in range(30):
        await collect(made())
    late = made()
    await collect(late)
    assert (await late.receive())["type"] == "http.request"


class Down:
    async def take(self, charges):
        raise StoreError("down")


@pytest.mark.anyio
async def test_what_is_too_large_is_answered_unread(post, ledger):
    """Browsers try again what is refused."""
    length = str(LARGEST + 1)
    assert await post([new()], content_length=length) == Answer(204)
    assert ledger.events == []
    await post([new()], content_length=str(LARGEST))
    assert len(ledger.events) == 1


SLOW = Denial(408, "traffic.body_too_slow", "")


@pytest.mark.anyio
@pytest.mark.parametrize("denial", [SLOW, None])
async def test_a_body_that_is_cut_off_while_it_is_read(exchange_of, ledger, denial):
    """Whoever caps the body has the last word."""
    exchange = exchange_of("POST", {"content-type": OLD})
    exchange.denial = denial

    async def refuse():
        raise BodyRefusedError

    exchange.receive = refuse
    collect = collect_reports(MemoryCounters(clock=FakeClock()), ledger)
    assert await collect(exchange) == (denial or Answer(204))
    assert ledger.events == []


@pytest.mark.anyio
async def test_a_store_that_is_down_costs_reports_and_nothing_else(exchange_of, ledger):
    collect = collect_reports(Down(), ledger)
    body = [json.dumps(old()).encode()]
    exchange = exchange_of("POST", {"content-type": OLD}, body=body)
    assert await collect(exchange) == Answer(204)
    assert ledger.events == []


@pytest.mark.anyio
async def test_a_client_that_hangs_up_leaves_nothing(exchange_of, ledger):
    collect = collect_reports(MemoryCounters(clock=FakeClock()), ledger)
    exchange = exchange_of("POST", {"content-type": OLD})  # disconnects at once
    assert await collect(exchange) == Answer(204)
    assert ledger.events == []


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "url", "body", "csp-report", "document-uri", "sample"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_anything_can_be_read(body):
    """Whatever comes, it is a list of reports of ours, or nothing."""
    for media_type in (OLD.encode(), NEW.encode()):
        assert isinstance(read_reports(media_type, body, host=HOST), list)
