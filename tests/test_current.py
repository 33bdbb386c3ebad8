"""What a handler may ask about the request that it answers."""

import pytest

from ringfence import current
from ringfence.errors import OutsideRequestError
from ringfence.exchange import Exchange, active
from ringfence.principal import Principal


@pytest.fixture
def exchange():
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    exchange = Exchange(scope, None)
    token = active.set(exchange)
    yield exchange
    active.reset(token)


def test_nobody_is_not_taken_for_somebody(exchange):
    """A handler whose route forgot its policy fails instead of acting for no one."""
    with pytest.raises(OutsideRequestError, match=r"access\.signed_in"):
        current.principal()
    assert current.visitor() is None


def test_whoever_is_known_is_told(exchange):
    exchange.principal = Principal("ann", frozenset())
    assert current.principal() is current.visitor() is exchange.principal


def test_one_answer_has_one_nonce(exchange):
    """The header names one: a second script with another nonce would not run."""
    assert current.nonce() == current.nonce() != ""


@pytest.mark.parametrize(
    "ask", [current.principal, current.visitor, current.nonce, current.csrf_token]
)
def test_outside_a_request_there_is_nothing_to_ask(ask):
    with pytest.raises(OutsideRequestError, match=r"Guard\(app\)"):
        ask()
