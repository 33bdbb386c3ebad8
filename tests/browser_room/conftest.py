import pytest

from ringfence.exchange import Exchange
from ringfence.stores.contracts import SessionRecord

SESSION = SessionRecord(
    token_hash=b"h" * 32,
    public_id="p",
    account_id="a",
    roles=frozenset(),
    factors=frozenset({"password"}),
    created=0.0,
    last_seen=0.0,
    address="127.0.0.1",
    device="",
)


@pytest.fixture
def exchange_of():
    """Make an exchange as it stands once the street has been crossed."""

    def make(method="GET", headers=None, *, body=(), session=None, kind="http"):
        chunks = list(body)
        messages = [
            {
                "type": "http.request",
                "body": chunk,
                "more_body": number < len(chunks) - 1,
            }
            for number, chunk in enumerate(chunks)
        ]

        async def receive():
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        lines = [
            (name.encode(), value.encode("latin-1"))
            for name, value in (headers or {}).items()
        ]
        scope = {"type": kind, "path": "/", "query_string": b"", "headers": lines}
        if kind == "http":
            scope["method"] = method
        exchange = Exchange(scope, receive)
        exchange.scheme, exchange.host = "https", "shop.example"
        exchange.session = session
        return exchange

    return make


@pytest.fixture
def session():
    return SESSION
