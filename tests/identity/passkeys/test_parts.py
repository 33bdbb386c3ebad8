"""The parts of passkeys by themselves: where they work, and what a challenge is."""

import sys
from types import SimpleNamespace

import pytest
from tests.identity.gatehouse import Clock, Keys, gatehouse, visit

from ringfence.audit.events import PasskeyCopied
from ringfence.errors import MissingExtraError, SettingsError
from ringfence.exchange import Exchange
from ringfence.identity.notices import _HEARD, SENTENCES
from ringfence.identity.passkeys.authenticators import keeper_of
from ringfence.identity.passkeys.challenges import Challenges
from ringfence.identity.passkeys.messages import label_of
from ringfence.identity.passkeys.open import open_passkeys
from ringfence.identity.passkeys.relying_party import RelyingParties
from ringfence.identity.settings import IdentitySettings

pytestmark = pytest.mark.anyio


class Seen:
    """Replays in a set."""

    def __init__(self):
        self.keys = set()

    async def first(self, key, seconds):
        is_new = key not in self.keys
        self.keys.add(key)
        return is_new


class RotatedKeys(Keys):
    """A newer key before the one that everybody knows."""

    def derive_all(self, purpose):
        return (b"n" * 32, self.derive(purpose))


def at(host, scheme="https"):
    exchange = visit()
    exchange.host, exchange.scheme = host, scheme
    return exchange


def parties(*origins, **options):
    return RelyingParties(origins, name="Shop", **options)


# ---- where they work


@pytest.mark.parametrize(
    ("origins", "domain"),
    [
        (("https://shop.example",), "shop.example"),
        (("https://shop.example:8443/",), "shop.example"),
        (("https://www.shop.example", "https://shop.example"), "shop.example"),
        (("https://WWW.Shop.example",), "www.shop.example"),
        (("https://intranet",), "intranet"),
        (("https://shop.example", "https://192.0.2.1"), "shop.example"),
        (("https://a.shop.co.uk", "https://b.shop.co.uk"), ""),
        (("https://shop.example", "https://myshop.example"), ""),
        (("https://192.0.2.1",), ""),
        (("https://[2001:db8::1]:8443",), ""),
        ((), ""),
    ],
)
def test_the_domain_is_one_of_our_hosts(origins, domain):
    """Never a parent that others may be below as well."""
    assert parties(*origins).domain == domain


def test_each_page_at_or_below_the_domain_may_ask():
    origins = ("https://a.shop.example", "https://b.shop.example:444")
    found = parties(*origins, "https://other.example", domain="Shop.Example")
    for host in ("a.shop.example", "b.shop.example:444"):
        party = found.at(at(host))
        assert (party.id, party.origins) == ("shop.example", origins)
    for host in ("other.example", "evilshop.example", "[2001:db8::1]:443", ""):
        assert found.at(at(host)) is None
    assert found.elsewhere(at("other.example")) == origins[0]
    assert parties().elsewhere(at("other.example")) == ""


def test_a_domain_that_is_none_of_ours_stops_the_start():
    with pytest.raises(SettingsError, match="passkey_domain is"):
        parties("https://other.example", domain="shop.example")


def test_development_is_at_localhost():
    found = parties(development=True)
    party = found.at(at("localhost:8000", "http"))
    assert (party.id, party.origins) == ("localhost", ("http://localhost:8000",))
    assert found.at(at("localhost", "https")).origins == ("https://localhost",)
    for host in ("127.0.0.1:8000", "[::1]:8000", "evil.example"):
        assert found.at(at(host, "http")) is None
    assert found.elsewhere(at("127.0.0.1:81", "http")) == "http://localhost:81"
    assert found.elsewhere(at("127.0.0.1", "http")) == "http://localhost"


# ---- challenges


def cookie_of(exchange, name="passkey-8000"):
    [said] = [value for key, value in exchange.response_headers if key == b"set-cookie"]
    pair, _, attributes = said.decode().partition("; ")
    assert pair.startswith(f"{name}=")
    return pair, attributes


def challenges(keys=None, **options):
    clock, seen = options.pop("clock", Clock()), Seen()
    keys = keys or Keys()
    options.setdefault("development", True)
    return Challenges(
        lambda: keys.derive_all("identity.passkey"), seen, clock=clock, **options
    )


def begun(made, purpose="verify", account="ann"):
    exchange = visit()
    challenge = made.issue(exchange, purpose, account)
    return challenge, visit(cookie=cookie_of(exchange)[0])


async def test_a_challenge_holds_for_its_browser_its_purpose_and_its_account():
    made = challenges()
    challenge, here = begun(made)
    assert made.holds(challenge, here, "verify", "ann")
    assert not made.holds(challenge, here, "sign-in", "ann")
    assert not made.holds(challenge, here, "verify", "bob")
    assert not made.holds(challenge, here, "verify")
    assert not made.holds(challenge, visit(), "verify", "ann")
    other = begun(made)[1]
    assert not made.holds(challenge, other, "verify", "ann")
    for broken in (b"", challenge[:-1], challenge + b"x", bytes(72)):
        assert not made.holds(broken, here, "verify", "ann")
    for place in range(0, 72, 7):
        changed = bytearray(challenge)
        changed[place] ^= 1
        assert not made.holds(bytes(changed), here, "verify", "ann")


async def test_a_challenge_is_used_once():
    made = challenges()
    challenge, _ = begun(made)
    assert await made.redeem(challenge)
    assert not await made.redeem(challenge)


async def test_a_challenge_has_its_time():
    clock = Clock()
    made = challenges(clock=clock)
    challenge, here = begun(made)
    for moved, holds in ((299, True), (300, False), (-1, True), (-2, False)):
        clock.now = 1_000_000.0 + moved
        assert made.holds(challenge, here, "verify", "ann") is holds


async def test_keys_rotate():
    """What was begun under an older key is completed under it."""
    challenge, here = begun(challenges())
    assert challenges(RotatedKeys()).holds(challenge, here, "verify", "ann")
    challenge, here = begun(challenges(RotatedKeys()))
    assert not challenges().holds(challenge, here, "verify", "ann")


async def test_the_cookie_is_the_browsers_own():
    """Kept while ceremonies go on; a planted one is replaced, and two are none."""
    made = challenges(development=False)
    exchange = visit()
    made.issue(exchange, "sign-in")
    pair, attributes = cookie_of(exchange, "__Host-passkey")
    assert attributes == "Max-Age=300; Path=/; Secure; HttpOnly; SameSite=Strict"
    again = visit(cookie=pair)
    made.issue(again, "sign-in")
    made.issue(again, "sign-in")
    assert cookie_of(again, "__Host-passkey")[0] == pair
    for planted in ("__Host-passkey=short", f"{pair}; __Host-passkey={'x' * 43}"):
        other = visit(cookie=planted)
        made.issue(other, "sign-in")
        assert cookie_of(other, "__Host-passkey")[0] not in planted


async def test_a_server_without_a_port_has_a_cookie_too():
    exchange = Exchange({**visit().scope, "server": None}, None)
    challenges().issue(exchange, "sign-in")
    assert cookie_of(exchange, "passkey-0")


# ---- names


def test_names_of_passkeys():
    assert label_of("  Blue \t key ", "Key") == "Blue key"
    assert label_of("", "Key") == "Key"
    assert label_of("x" * 64, "") == "x" * 64
    assert label_of("x" * 65, "") is None
    assert label_of("a\u200bb", "") is None
    assert keeper_of("bada5566-a7aa-401f-bd96-45619a55120d") == "1Password"
    assert keeper_of("00000000-0000-0000-0000-000000000000") == ""


# ---- opening


async def test_a_missing_library_is_named(tmp_path, monkeypatch):
    """With the extra that has it; switched off, nothing is missing."""
    name = "ringfence.identity.passkeys.passkeys"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "webauthn", None)
    monkeypatch.delitem(
        sys.modules, "ringfence.identity.passkeys.verification", raising=False
    )
    with pytest.raises(MissingExtraError, match=r"ringfence\[mfa\]"):
        async with gatehouse(tmp_path):
            pass
    off = SimpleNamespace(
        settings=IdentitySettings(passkeys=False), stores=None, development=True
    )
    assert open_passkeys(off, None, object()) is None


def test_an_owner_hears_of_a_copy():
    """In words, by mail, where there is mail."""
    assert "copy" in SENTENCES[_HEARD[PasskeyCopied]].sentence
