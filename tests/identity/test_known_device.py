"""The cookie of a device that has signed in before."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.identity.gatehouse import EMAIL, PASSWORD, Clock, gatehouse, visit

from ringfence.identity.known_device import MOST_ACCOUNTS, YEAR, KnownDevices

OLD, NEW = b"o" * 32, b"n" * 32
ANN, BOB = "ann@example.com", "bob@example.com"


class Ring:
    """Signing keys that a test turns over."""

    def __init__(self, *keys):
        self.keys = keys

    def __call__(self):
        return self.keys


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ring():
    return Ring(OLD)


@pytest.fixture
def devices(ring, clock):
    return KnownDevices(ring, development=True, clock=clock)


def given_cookie(exchange):
    """Return what the browser sends from now on, and the attributes it was given."""
    (line,) = [v for k, v in exchange.response_headers if k == b"set-cookie"]
    pair, _, attributes = line.decode().partition("; ")
    return pair, attributes


def signed_in(devices, *people, cookie="", epoch=0):
    """Return the cookie of a browser after these sign-ins, one after another."""
    for person in people:
        exchange = visit(cookie=cookie)
        devices.remember(exchange, person, epoch)
        cookie, _ = given_cookie(exchange)
    return cookie


def known(devices, cookie, person):
    device = devices.read(visit(cookie=cookie))
    return None if device is None else devices.epoch(device, person)


def test_a_device_knows_who_has_signed_in_and_nobody_else(devices):
    cookie = signed_in(devices, ANN, epoch=3)
    assert known(devices, cookie, ANN) == 3
    assert known(devices, cookie, BOB) is None
    assert known(devices, "", ANN) is None


def test_a_ready_made_cookie_for_tests(devices, ring, clock):
    cookie = devices.cookie(ANN, 3, port=8000)
    assert known(devices, cookie, ANN) == 3
    served = KnownDevices(ring, development=False, clock=clock)
    assert known(served, served.cookie(ANN, 3, port=443), ANN) == 3


def test_the_cookie_names_nobody(devices):
    """The next person at a shared computer cannot read who was there."""
    _, _, value = signed_in(devices, ANN).partition("=")
    raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    assert b"ann" not in raw
    assert "ann" not in value


def test_development_and_production_use_different_names(ring, clock):
    devices = KnownDevices(ring, development=True, clock=clock)
    exchange = visit(port=8000)
    devices.remember(exchange, ANN, 0)
    pair, attributes = given_cookie(exchange)
    assert pair.startswith("device-8000=")
    assert attributes == "Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax"
    value = pair.partition("=")[2]

    served = KnownDevices(ring, development=False, clock=clock)
    exchange = visit()
    served.remember(exchange, ANN, 0)
    pair, attributes = given_cookie(exchange)
    assert pair.startswith("__Host-device=")
    assert attributes == "Max-Age=31536000; Path=/; Secure; HttpOnly; SameSite=Lax"
    for name in ("device-8000", "device", "__Secure-device", "\u2000__Host-device"):
        cookie = f"{name}={value}".encode().decode("latin-1")
        exchange = visit()
        exchange.headers[b"cookie"] = cookie.encode("latin-1")
        assert served.read(exchange) is None
    assert served.read(visit(cookie=f"__Host-device={value}")) is not None


def test_another_port_is_another_device(devices):
    cookie = signed_in(devices, ANN)
    assert devices.read(visit(cookie=cookie, port=8001)) is None


def test_the_id_is_new_after_each_sign_in(devices):
    """An older copy in other hands no longer draws from the same budget."""
    first = signed_in(devices, ANN)
    second = signed_in(devices, ANN, cookie=first)
    ids = {devices.read(visit(cookie=cookie)).id for cookie in (first, second)}
    assert len(ids) == 2


def test_several_accounts_share_a_browser(devices):
    cookie = signed_in(devices, ANN, BOB)
    assert known(devices, cookie, ANN) == 0
    assert known(devices, cookie, BOB) == 0


def test_the_cookie_stays_small(devices):
    """A handful of accounts; the oldest goes."""
    people = [f"person{n}@example.com" for n in range(MOST_ACCOUNTS + 3)]
    cookie = signed_in(devices, *people)
    assert len(cookie) < 160
    assert [known(devices, cookie, person) for person in people[3:]] == [0] * 5
    assert [known(devices, cookie, person) for person in people[:3]] == [None] * 3


def test_a_second_sign_in_keeps_one_entry(devices):
    cookie = signed_in(devices, ANN, epoch=1)
    cookie = signed_in(devices, ANN, cookie=cookie, epoch=2)
    assert known(devices, cookie, ANN) == 2
    assert len(devices.read(visit(cookie=cookie)).entries) == 1


def test_it_ends_after_a_year(devices, clock):
    cookie = signed_in(devices, ANN)
    clock.now += YEAR - 1
    assert known(devices, cookie, ANN) == 0
    clock.now += 1
    assert known(devices, cookie, ANN) is None


def test_it_outlives_a_rotation_of_the_keys(devices, ring):
    """As long as the old key still verifies; and what it signed is signed anew, with
    everybody in it, at the next sign-in."""
    cookie = signed_in(devices, ANN)
    ring.keys = (NEW, OLD)
    assert known(devices, cookie, ANN) == 0
    cookie = signed_in(devices, BOB, cookie=cookie)
    assert known(devices, cookie, ANN) == 0
    cookie = signed_in(devices, ANN, cookie=cookie)
    assert len(devices.read(visit(cookie=cookie)).entries) == 2
    ring.keys = (NEW,)
    assert known(devices, cookie, ANN) == 0
    assert known(devices, cookie, BOB) == 0


def test_a_key_that_is_gone_makes_strangers(devices, ring):
    cookie = signed_in(devices, ANN)
    ring.keys = (NEW,)
    assert known(devices, cookie, ANN) is None


def test_no_bit_of_it_can_be_changed(devices):
    name, _, value = signed_in(devices, ANN).partition("=")
    raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    for index in range(len(raw) * 8):
        forged = bytearray(raw)
        forged[index // 8] ^= 1 << index % 8
        text = base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
        assert devices.read(visit(cookie=f"{name}={text}")) is None


def test_entries_of_two_cookies_cannot_be_put_together(devices):
    """What one browser knows cannot be moved into another's cookie."""
    name, _, ours = signed_in(devices, BOB).partition("=")
    _, _, theirs = signed_in(devices, ANN).partition("=")
    mixed = ours[: len(ours) // 2] + theirs[len(theirs) // 2 :]
    assert devices.read(visit(cookie=f"{name}={mixed}")) is None


def test_two_different_ones_are_none(devices):
    """Nobody could tell which of them was planted."""
    first, second = signed_in(devices, ANN), signed_in(devices, BOB)
    assert devices.read(visit(cookie=f"{first}; {second}")) is None
    assert devices.read(visit(cookie=f"{first}; x=y; {first}")) is not None


@given(value=st.text(st.characters(max_codepoint=255), max_size=600))
def test_whatever_comes_is_ignored(value):
    devices = KnownDevices(Ring(OLD), development=True, clock=Clock())
    exchange = visit()
    exchange.headers[b"cookie"] = f"device-8000={value}".encode("latin-1")
    assert devices.read(exchange) is None


def test_megabytes_are_not_decoded(devices, monkeypatch):
    def decode(_):
        pytest.fail("decoded")

    monkeypatch.setattr("ringfence.identity.known_device.urlsafe_b64decode", decode)
    cookie = "device-8000=" + "A" * 1_000_000
    assert devices.read(visit(cookie=cookie)) is None


BODY = {"email": EMAIL, "password": PASSWORD}


def device_of(client):
    return client.cookies.get("device-8000")


@pytest.mark.anyio
async def test_a_sign_in_makes_the_browser_known(house, browser):
    answer = await browser.post("/auth/login", json=BODY)
    assert answer.status_code == 200
    assert known(house.identity.devices, f"device-8000={device_of(browser)}", ANN) == 0


@pytest.mark.anyio
async def test_a_failed_sign_in_does_not(browser):
    answer = await browser.post("/auth/login", json={**BODY, "password": "wrong"})
    assert answer.status_code == 401
    assert device_of(browser) is None


@pytest.mark.anyio
async def test_it_survives_the_sign_out(ann):
    """``Clear-Site-Data`` without cookies, and only the session's is ended."""
    before = device_of(ann)
    answer = await ann.post("/auth/logout")
    assert answer.headers["clear-site-data"] == '"cache"'
    assert device_of(ann) == before


@pytest.mark.anyio
async def test_a_change_of_password_ends_the_trust_of_other_devices(house, ann):
    other = house.client()
    assert (await other.post("/auth/login", json=BODY)).status_code == 200
    answer = await ann.post(
        "/auth/password/change",
        json={"current_password": PASSWORD, "new_password": "another long phrase"},
    )
    assert answer.status_code == 200
    devices = house.identity.devices
    assert known(devices, f"device-8000={device_of(other)}", ANN) == 0
    assert known(devices, f"device-8000={device_of(ann)}", ANN) == 1
    account = await house.accounts.by_id(answer.json()["id"])
    assert account.epoch == 1


@pytest.mark.anyio
async def test_ordinary_requests_do_not_read_it(house, ann, monkeypatch):
    """The hot path has no part in this."""

    def read(*_):
        pytest.fail("read")

    monkeypatch.setattr(KnownDevices, "read", read)
    assert (await ann.get("/auth/me")).status_code == 200
    assert (await ann.get("/auth/sessions")).status_code == 200


@pytest.mark.anyio
async def test_production_sends_it_over_https_only(tmp_path):
    async with gatehouse(tmp_path, development=False) as house:
        await house.accounts.register(EMAIL, PASSWORD, visit())
        async with house.client(base_url="https://shop.example") as client:
            answer = await client.post("/auth/login", json=BODY)
            cookies = answer.headers.get_list("set-cookie")
    (cookie,) = [c for c in cookies if c.startswith("__Host-device=")]
    assert cookie.endswith("; Max-Age=31536000; Path=/; Secure; HttpOnly; SameSite=Lax")
