"""For whom the running code works."""

import contextvars
import threading

import pytest

from ringfence import Principal, access, unscoped
from ringfence.access.ownership.acting import acting
from ringfence.access.ownership.refusals import NOT_FOUND, UNFILTERED, refuse
from ringfence.errors import OwnershipRefusedError
from ringfence.exchange import Exchange, active

ANN = Principal("ann")


@pytest.fixture
def exchange():
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    exchange = Exchange(scope, None)  # type: ignore[arg-type] # nothing is received
    token = active.set(exchange)
    yield exchange
    active.reset(token)


def test_outside_requests_code_works_for_nobody():
    assert acting() is None


def test_in_a_request_it_works_for_its_principal(exchange):
    assert acting() is None
    exchange.principal = ANN
    assert acting() is ANN


def test_a_job_works_for_whom_it_says():
    with access.acting_as(ANN):
        assert acting() is ANN
    assert acting() is None


def test_no_request_works_for_somebody_else(exchange):
    exchange.principal = ANN
    with pytest.raises(RuntimeError, match="outside requests"), access.acting_as(ANN):
        pass
    assert acting() is ANN


@pytest.mark.parametrize("somebody", ["ann", None, Exchange])
def test_a_job_says_it_by_a_principal(somebody):
    """An id alone would be found out at the first statement, far from the mistake."""
    with pytest.raises(TypeError, match="Principal"), access.acting_as(somebody):
        pass


def test_who_was_named_outside_is_forgotten_in_a_request():
    """A job that calls the application in its own process lends it nothing."""
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with access.acting_as(ANN):
        token = active.set(Exchange(scope, None))  # type: ignore[arg-type] # likewise nothing
        assert acting() is None
        active.reset(token)


def test_an_escape_is_over_at_its_end(exchange):
    exchange.principal = ANN
    with unscoped("nightly report") as escape:
        assert acting() is escape
        with unscoped("another one") as inner:
            assert acting() is inner
        assert acting() is escape
    assert acting() is ANN


def test_an_escape_is_over_when_something_is_raised():
    with pytest.raises(ZeroDivisionError), unscoped("nightly report"):
        raise ZeroDivisionError
    assert acting() is None


def test_what_was_started_inside_an_escape_does_not_outlive_it(exchange):
    exchange.principal = ANN
    with unscoped("nightly report") as escape:
        carried = contextvars.copy_context()
        assert carried.run(acting) is escape
    assert carried.run(acting) is ANN


def test_threads_that_carry_no_context_work_for_nobody(exchange):
    exchange.principal = ANN
    seen = []
    with unscoped("nightly report"):
        thread = threading.Thread(target=lambda: seen.append(acting()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_what_waits_for_the_end_is_called_once():
    calls = []
    escape = unscoped("nightly report")
    for _ in range(2):
        with escape:
            escape.at_end(lambda: calls.append(acting()))
    assert calls == [None, None]


def test_an_escape_is_no_place_for_two():
    with unscoped("nightly report") as escape:
        with pytest.raises(RuntimeError, match="entered already"):
            escape.__enter__()
        assert acting() is escape
    assert acting() is None


@pytest.mark.parametrize("reason", ["", "  ", "x", " a "])
def test_a_reason_says_something(reason):
    with pytest.raises(ValueError, match="needs a reason"):
        unscoped(reason)


def test_a_reason_is_text():
    with pytest.raises(TypeError, match="as text"):
        unscoped(lambda: None)  # type: ignore[arg-type] # as @unscoped would


@pytest.mark.parametrize("denial", [NOT_FOUND, UNFILTERED], ids=lambda it: it.code)
def test_a_refusal_stands_whatever_becomes_of_the_exception(exchange, denial):
    with pytest.raises(OwnershipRefusedError, match="no row of ann's"):
        refuse(denial, "no row of ann's")
    assert exchange.denial.code == denial.code
    assert exchange.denial.private == "no row of ann's"
    first = exchange.denial
    with pytest.raises(OwnershipRefusedError):
        refuse(UNFILTERED, "later")
    assert exchange.denial is first


def test_what_is_not_found_answers_as_what_is_anothers(exchange):
    assert access.found("row") == "row"
    assert access.found(0) == 0
    with pytest.raises(OwnershipRefusedError):
        access.found(None)
    assert exchange.denial == NOT_FOUND
