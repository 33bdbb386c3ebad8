"""Records for the contract suites."""

from hashlib import sha256

from ringfence.stores.contracts import AccountRecord, SessionRecord

NOW = 1_000_000.5


def account(name="ann", **changes):
    """Return an account; ``changes`` replace single fields."""
    values = {
        "id": f"id-{name}",
        "email": f"{name.title()}@example.com",
        "email_key": f"{name}@example.com",
        "password_hash": f"hash of {name}",
        "roles": frozenset(),
        "disabled": False,
        "created": NOW,
        "epoch": 0,
    }
    return AccountRecord(**values | changes)


def session(name="one", owner="ann", **changes):
    """Return a session; ``changes`` replace single fields."""
    values = {
        "token_hash": sha256(name.encode()).digest(),
        "public_id": f"public-{name}",
        "account_id": f"id-{owner}",
        "roles": frozenset(),
        "factors": frozenset({"password"}),
        "created": NOW,
        "last_seen": NOW,
        "address": "2001:db8::1",
        "device": "Firefox on Linux",
        "proved": NOW,
        "last_network": "2001:db8::1",
        "last_device": "Firefox on Linux",
    }
    return SessionRecord(**values | changes)
