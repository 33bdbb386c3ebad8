"""Code that works for somebody, as it does behind a guard."""

import contextlib

import pytest

from ringfence.access.permit import Permit
from ringfence.access.roles import expand
from ringfence.exchange import Exchange, active
from ringfence.principal import Principal

PERMIT = Permit(frozenset(), expand({"admin": ["staff"]}))


@pytest.fixture
def as_somebody():
    """Return what runs a block for somebody with these roles, or for nobody."""

    @contextlib.contextmanager
    def work(*roles, id="ann", scopes=None, tenant="", anonymous=False):  # noqa: A002 - what it is called
        who = Principal(id, frozenset(roles), scopes=scopes, tenant=tenant)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        exchange = Exchange(scope, None)
        exchange.principal = None if anonymous else who
        exchange.permitted = PERMIT
        token = active.set(exchange)
        try:
            yield exchange
        finally:
            active.reset(token)

    return work
