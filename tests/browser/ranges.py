"""Alice's browser on the range, on either side of the guard."""

from __future__ import annotations

from examples.range.gate import KEY_COOKIE, KEY_HEADER
from tests.attacks.ranges import ALICE, BOB, Range
from tests.browser.witness import Witness

# The guarded side has accounts of its own; both know the same people.
ALICE_GUARDED = {"email": "alice@example.com", "password": "a long pass phrase"}
BOB_GUARDED = {"email": "bob@example.com", "password": "another pass phrase"}


def signed_in(visit, running: Range, *, guarded: bool) -> Witness:
    """Return Alice's browser, with the key of the range and her session in it."""
    witness = visit(running.url, extra_http_headers={KEY_HEADER: running.key})
    key = {"name": KEY_COOKIE, "value": running.key, "httpOnly": True}
    witness.context.add_cookies([{**key, "url": running.url}])  # for WebSockets
    witness.goto("/greet?name=Alice")
    if guarded:
        for account in (ALICE_GUARDED, BOB_GUARDED):
            witness.send("/auth/register", **account)
    status = witness.send(sign_in_path(guarded), **alice(guarded))
    assert status == 200
    return witness


def alice(guarded) -> dict[str, str]:
    return ALICE_GUARDED if guarded else ALICE


def bob(guarded) -> dict[str, str]:
    return BOB_GUARDED if guarded else BOB


def sign_in_path(guarded) -> str:
    return "/auth/login" if guarded else "/signin"
