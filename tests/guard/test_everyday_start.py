"""The short way of an answer ends where the long way ends."""

from functools import partial
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence import access
from ringfence.browser.cookies import harden
from ringfence.exchange import Exchange
from ringfence.guard.rewrite import everyday_start, finish_start, must_rewrite
from ringfence.principal import Principal

HTML = (b"content-type", b"text/html")
ANN = Principal("ann")


def plan_of(*, policy=access.public, is_own=False, caching=None):
    return SimpleNamespace(
        document_headers=((b"content-security-policy", b"page"),),
        data_headers=((b"content-security-policy", b"data"),),
        nonced_headers=lambda nonce: ((b"content-security-policy", nonce.encode()),),
        policy=policy,
        caching=caching,
        is_own=is_own,
        endings={},
    )


def exchange_of(principal=None):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    exchange = Exchange(scope, None)
    exchange.principal = principal
    return exchange


def start(*lines, status=200):
    return {"type": "http.response.start", "status": status, "headers": list(lines)}


def finish(message, exchange, plan):
    cookies = partial(harden, secure=True, readable=frozenset())
    return finish_start(message, exchange, plan, harden=cookies)


NAMES = st.sampled_from(
    [
        b"content-type",
        b"content-length",
        b"etag",
        b"vary",
        b"Content-Type",
        b"cache-control",
        b"set-cookie",
        b"x-frame-options",
        b"server",
    ]
)
VALUES = st.sampled_from([b"text/html", b"application/json", b"a=b", b"17", b""])
STARTS = st.builds(
    start,
    st.tuples(NAMES, VALUES),
    st.tuples(NAMES, VALUES),
    status=st.sampled_from([200, 204, 304, 404, 422, 500]),
)
CACHING = ((b"cache-control", b"max-age=9"), (b"cache-control", b"private"))


@given(
    starts=st.lists(st.tuples(STARTS, st.sampled_from([None, ANN])), max_size=8),
    policy=st.sampled_from([access.public, access.signed_in]),
    caching=st.sampled_from([None, CACHING]),
)
def test_both_ways_lead_to_the_same(starts, policy, caching):
    plan = plan_of(policy=policy, caching=caching)
    for message, principal in starts * 2:
        exchange = exchange_of(principal)
        short = everyday_start(message, exchange, plan)
        fresh = plan_of(policy=policy, caching=caching)
        finished = finish(message, exchange, fresh)
        assert short in (None, finished)
        if short is not None:
            assert not must_rewrite(message["status"])
        finish(message, exchange, plan)


def test_the_second_of_a_kind_takes_it():
    plan, message = plan_of(), start(HTML)
    assert everyday_start(message, exchange_of(), plan) is None
    finished = finish(message, exchange_of(), plan)
    assert everyday_start(message, exchange_of(), plan) == finished
    assert everyday_start(message, exchange_of(ANN), plan) is None, "for one reader"
    assert message == start(HTML), "the application's message stays what it is"


def known():
    plan = plan_of()
    finish(start(HTML), exchange_of(), plan)
    return plan


@pytest.mark.parametrize("value", [b"a\nb", b"a\rset-cookie: x"])
def test_a_line_break_is_found_on_it(value):
    """Response splitting, CVE-2020-7695."""
    message = start(HTML, (b"etag", value))
    plan = known()
    assert everyday_start(message, exchange_of(), plan) is None
    with pytest.raises(ValueError, match="line break"):
        finish(message, exchange_of(), plan)


def test_what_stages_or_pages_have_added_does_not_take_it():
    plan, given_cookie, with_nonce = known(), exchange_of(), exchange_of()
    given_cookie.response_headers.append((b"set-cookie", b"a=b"))
    with_nonce.nonce = "r4nd0m"
    assert everyday_start(start(HTML), given_cookie, plan) is None
    assert everyday_start(start(HTML), with_nonce, plan) is None
    for exchange in (given_cookie, with_nonce):
        before = dict(plan.endings)
        finish(start(HTML, status=201), exchange, plan)
        assert plan.endings == before, "nor is it kept"


def test_headers_may_come_in_any_iterable():
    lines = iter([HTML])
    message = {"type": "http.response.start", "status": 200, "headers": lines}
    assert everyday_start(message, exchange_of(), known()) is None
    assert HTML in finish(message, exchange_of(), known())["headers"]


@pytest.mark.parametrize("status", [422, 500, 503])
def test_only_the_guard_s_own_errors_take_it(status):
    """What may have to be written anew is never kept."""
    for is_own in (False, True):
        plan = plan_of(is_own=is_own)
        finish(start(HTML, status=status), exchange_of(), plan)
        assert bool(plan.endings) is is_own


def test_kinds_are_bounded():
    """An application may take a Content-Type from its visitors."""
    plan = plan_of()
    for number in range(500):
        finish(start((b"content-type", b"a/%d" % number)), exchange_of(), plan)
    assert len(plan.endings) == 64
