"""JSON that two readers read differently, or that no reader survives (CWE-436,
CWE-674), and fields that nobody asked for, on both sides of the range."""

from __future__ import annotations

import pytest
from tests.attacks.ranges import ALICE

JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount": 1, "amount": 1000000}',
        b'{"amount": 1, "am\\u006funt": 1000000}',
        b'{"note": "\\u0022\\u0022", "amount": 1, "amount": 1000000}',
    ],
)
def test_a_key_that_comes_twice_buys_nothing(off, on, body):
    """What was checked is what is paid out."""
    with off.client() as mallory:
        answer = mallory.post("/pay", content=body, headers=JSON)
        assert answer.json() == {"paid": 1000000}
    with on.client() as mallory:
        answer = mallory.post("/pay", content=body, headers=JSON)
        assert answer.status_code == 400
        assert answer.json()["code"] == "interpreters.json_duplicate_key"


@pytest.mark.parametrize("headers", [JSON, TEXT, {}])
def test_no_number_passes_no_limit(off, on, headers):
    """NaN is neither below nor above a limit; and the type says nothing about what a
    handler reads."""
    with off.client() as mallory:
        answer = mallory.post("/bid", content=b'{"price": NaN}', headers=headers)
        assert answer.text == "your bid of nan stands"
    with on.client() as mallory:
        answer = mallory.post("/bid", content=b'{"price": NaN}', headers=headers)
        assert answer.status_code == 400
        assert answer.json()["code"] == "interpreters.json_number"


def test_deep_json_fails_nobody(off, on):
    """A kilobyte of brackets is a failure with a trace, or a refusal."""
    deep = b"[" * 980 + b"]" * 980
    with off.client() as mallory:
        assert mallory.post("/count", content=deep, headers=JSON).status_code == 500
    with on.client() as mallory:
        answer = mallory.post("/count", content=deep, headers=JSON)
        assert answer.status_code == 400
        assert answer.json()["code"] == "interpreters.json_too_deep"


def test_a_role_in_an_account_is_refused(off, on):
    with off.signed_in(ALICE) as alice:
        assert alice.patch("/account", json={"role": "admin"}).json()["role"] == "admin"
    with on.signed_in(ALICE) as alice:
        answer = alice.patch("/account", json={"name": "A", "role": "admin"})
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert (error["field"], error["type"]) == ("body.role", "extra_forbidden")
        answer = alice.patch("/account", json={"name": "Alice O'Brien"})
        assert (answer.json()["name"], answer.json()["role"]) == (
            "Alice O'Brien",
            "user",
        )


def test_strangers_learn_no_field(on):
    """A body is looked at once it is known who sends it (422 would tell the schema)."""
    with on.client() as stranger:
        for body in (b'{"role": 1}', b"{", b'{"a":1,"a":1}'):
            answer = stranger.patch("/account", content=body, headers=JSON)
            assert answer.status_code == 401


def test_honest_json_is_read_on_both_sides(off, on):
    for side in (off, on):
        with side.client() as ann:
            for body, paid in (
                (b'{"amount": 5}', 5),
                (
                    b' {"note": "a \\u0022b\\u0022: \\ud83d\\ude00", "amount": 1.5e1}',
                    15,
                ),
                ('{"заметка": "O\'Brien {[", "amount": 100}'.encode(), 100),
            ):
                answer = ann.post("/pay", content=body, headers=JSON)
                assert answer.json() == {"paid": paid}
            nodes = ann.post("/count", json=[[], [[1]]] * 100).json()["nodes"]
            assert nodes == 401
            assert ann.post("/bid", json={"price": 7}).text == "your bid of 7 stands"
