"""One try, bound to the browser that began it."""

import hashlib

import pytest
from tests.identity.gatehouse import Clock, visit

from ringfence.identity.openid.attempt import LIFETIME, Attempts
from ringfence.identity.tokens.base64url import encode

pytestmark = pytest.mark.anyio

OLD, NEW = b"o" * 32, b"n" * 32


class Replays:
    """Remembers what was used."""

    def __init__(self):
        self.seen = set()

    async def first(self, key, seconds):
        assert seconds == LIFETIME
        is_new = key not in self.seen
        self.seen.add(key)
        return is_new


class Desk:
    """Attempts with keys and a clock that a test moves."""

    def __init__(self, **options):
        self.keys = [OLD]
        self.clock = Clock()
        options.setdefault("development", True)
        self.attempts = Attempts(
            lambda: self.keys, Replays(), clock=self.clock, **options
        )

    def begin(self, wanted="/x", **more):
        self.first = visit()
        return self.attempts.begin(
            self.first, "a", "sign-in", next_=wanted, origin="https://b", **more
        )

    def read(self, sealed, provider="a", state=None, cookie=None, name="openid-8000"):
        text = f"{name}={sealed.cookie}" if cookie is None else cookie
        state = sealed.state if state is None else state
        return self.attempts.read(visit(cookie=text), provider, state)


def test_what_was_begun_is_known_again():
    desk = Desk()
    sealed = desk.begin(account_id="ann", session="s-1")
    assert desk.read(sealed) == sealed
    assert sealed.attempt.next == "/x"
    assert sealed.attempt.account_id == "ann"
    digest = hashlib.sha256(sealed.verifier.encode()).digest()
    assert sealed.challenge == encode(digest).decode()
    assert len({sealed.state, sealed.nonce, sealed.verifier, sealed.attempt.id}) == 4


def test_another_provider_state_or_browser_is_none():
    desk = Desk()
    sealed, other = desk.begin(), desk.begin()
    assert desk.read(sealed, provider="b") is None
    for state in ("", other.state, sealed.state + "x", "ö", "\ud800"):
        assert desk.read(sealed, state=state) is None
    both = f"openid-8000={sealed.cookie}; openid-8000={other.cookie}"
    for cookie in ("", "openid-8000=", "openid-8000=x", both, "openid-8000=a*b"):
        assert desk.read(sealed, cookie=cookie) is None
    assert desk.read(sealed, name="openid-8001") is None
    assert desk.read(sealed, name="__Host-openid") is None


def test_it_ends_after_ten_minutes():
    desk = Desk()
    sealed = desk.begin()
    desk.clock.now += LIFETIME - 1
    assert desk.read(sealed)
    desk.clock.now += 1
    assert desk.read(sealed) is None
    desk.clock.now -= LIFETIME + 2
    assert desk.read(sealed) is None


async def test_it_is_used_once():
    desk = Desk()
    sealed = desk.begin()
    used = [await desk.attempts.redeem(sealed.attempt) for _ in range(3)]
    assert used == [True, False, False]


def test_it_outlives_a_change_of_keys():
    desk = Desk()
    sealed = desk.begin()
    desk.keys = [NEW, OLD]
    assert desk.read(sealed) == sealed
    assert desk.begin().attempt
    desk.keys = [NEW]
    assert desk.read(sealed) is None


def test_a_way_back_that_no_cookie_holds_is_given_up():
    """A browser would drop the cookie, and nobody could sign in."""
    desk = Desk()
    sealed = desk.begin("/" + "x" * 2047)
    assert sealed.attempt.next
    sealed = desk.begin("/" + "x" * 3000)
    assert not sealed.attempt.next
    assert desk.read(sealed) == sealed
    assert len(desk.first.response_headers) == 1


def test_production_takes_no_cookie_that_a_sibling_can_set():
    desk = Desk(development=False)
    sealed = desk.begin()
    ((_, cookie),) = desk.first.response_headers
    assert cookie.startswith(b"__Host-openid=")
    assert b"; Secure; HttpOnly; SameSite=Lax" in cookie
    assert desk.read(sealed, name="__Host-openid") == sealed
    assert desk.read(sealed) is None
    desk.attempts.expire(desk.first)
    ((_, gone),) = desk.first.response_headers
    assert gone.startswith(b"__Host-openid=; Max-Age=0")
