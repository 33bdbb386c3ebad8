"""Records for the contract suites."""

from hashlib import sha256

from ringfence.stores.contracts import (
    AccountRecord,
    ApiKeyRecord,
    Factor,
    Grant,
    Link,
    SessionRecord,
)

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


def digest(name):
    """Return the hash of a token that a test calls by name."""
    return sha256(name.encode()).digest()


def factor(name="one", owner="ann", **changes):
    """Return a factor; ``changes`` replace single fields."""
    made = Factor("passkey", digest(name), f"id-{owner}", b"key", 0, "Laptop", NOW)
    return made._replace(**changes)


def grant(name="one", owner="ann", **changes):
    """Return a family of refresh tokens; ``changes`` replace single fields."""
    values = {
        "id": digest(name)[:16],
        "account_id": f"id-{owner}",
        "token_hash": digest(f"{name} 0"),
        "generation": 0,
        "created": NOW,
        "used": NOW,
        "expires": NOW + 1000,
        "ends": NOW + 5000,
        "factors": frozenset({"password", "totp"}),
        "proved": NOW,
        "key": "thumbprint",
        "address": "2001:db8::1",
        "device": "curl",
    }
    return Grant(**values | changes)


def api_key(name="one", owner="ann", **changes):
    """Return an API key; ``changes`` replace single fields."""
    values = {
        "id": f"public-{name}",
        "token_hash": digest(name),
        "account_id": f"id-{owner}",
        "label": "Nightly export",
        "hint": "rfk_ab...yz",
        "scopes": frozenset({"orders:read", "orders:write"}),
        "created": NOW,
        "expires": NOW + 1000,
    }
    return ApiKeyRecord(**values | changes)


def link(name="one", owner="ann", **changes):
    """Return a link; ``changes`` replace single fields."""
    issuer = "https://login.example.com"
    made = Link(issuer, f"subject-{name}", f"id-{owner}", "ann@example.com", NOW)
    return made._replace(**changes)
