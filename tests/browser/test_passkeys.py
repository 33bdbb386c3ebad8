"""Passkeys in Chromium, with the authenticator that it brings for tests."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from tests.attacks.serving import NO_TLS, RAISED, served
from tests.browser.witness import Witness

from ringfence import Guard, Settings, access

PASSWORD = "plum kettle window 9"
PHONE = {"width": 360, "height": 740}
SHOTS = os.environ.get("RINGFENCE_TEST_SCREENSHOTS", "")

HOME = re.compile(r":\d+/$")
LIST = re.compile(r":\d+/auth/passkeys$")

_counts = count(1000, 1000)  # so that no test's passkey is a copy of another's
_people = (f"person-{number}@example.com" for number in count())


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse("<title>Shop</title><h1>Send money</h1>")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A backend with one page that asks for a recent proof."""
    data = tmp_path_factory.mktemp("passkeys")

    def make(port):
        fresh = access.routes([Route("/transfers", page)], access.fresh(minutes=10))
        home = access.routes([Route("/", page)], access.signed_in)
        api = Starlette(routes=[*fresh, *home])
        settings = Settings.load(environ=RAISED, env="development", data=data)
        return Guard(api, settings)

    with served(make) as server:
        yield server, data / "ringfence.db"


@dataclass
class Device:
    """Chromium's own authenticator: a device that knows its owner's finger."""

    cdp: object
    id: str

    @classmethod
    def of(cls, witness, **options):
        cdp = witness.context.new_cdp_session(witness.page)
        cdp.send("WebAuthn.enable", {"enableUI": False})
        kind = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
            **options,
        }
        made = cdp.send("WebAuthn.addVirtualAuthenticator", {"options": kind})
        return cls(cdp, made["authenticatorId"])

    def credentials(self):
        named = {"authenticatorId": self.id}
        return self.cdp.send("WebAuthn.getCredentials", named)["credentials"]

    def take(self, credential):
        """Have a passkey of another device, as a thief or a copy would."""
        content = {"authenticatorId": self.id, "credential": credential}
        self.cdp.send("WebAuthn.addCredential", content)

    def touched(self, *, yes):
        """Have the owner touch the device whenever it asks from now on, or never."""
        content = {"authenticatorId": self.id, "enabled": yes}
        self.cdp.send("WebAuthn.setAutomaticPresenceSimulation", content)

    def verifies(self, *, its_user):
        content = {"authenticatorId": self.id, "isUserVerified": its_user}
        self.cdp.send("WebAuthn.setUserVerified", content)


def shot(page, name):
    if SHOTS:
        page.screenshot(path=Path(SHOTS, f"{name}.png"), full_page=True)


def change(database, statement):
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


def sign_in(page, email, next_page="/auth/passkeys"):
    page.goto(f"/auth/login?next={next_page}")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def register(shop):
    """Make an account, and return its address."""
    account = {"email": next(_people), "password": PASSWORD}
    with httpx2.Client(base_url=shop[0].url, verify=NO_TLS) as client:
        assert client.post("/auth/register", json=account).status_code == 202
    return account["email"]


@pytest.fixture
def email(shop):
    """The address of somebody with an account."""
    return register(shop)


def add_passkey(page, name=""):
    page.get_by_role("textbox", name="Name").last.fill(name)
    page.get_by_role("button", name="Add a passkey").click()


def keep_codes(page):
    """Read the recovery codes, and go on."""
    page.get_by_role("heading", name="Keep these codes").wait_for()
    codes = page.locator(".codes li").all_inner_texts()
    page.get_by_role("link", name="I have kept them").click()
    page.wait_for_url(LIST)
    return codes


@pytest.fixture(scope="module")
def passkey(shop, browser):
    """The address of somebody with a passkey, and the passkey."""
    context = browser.new_context(base_url=shop[0].other_site)
    witness = Witness(context)
    address, device = register(shop), Device.of(witness)
    sign_in(witness.page, address)
    witness.page.wait_for_url(LIST)
    add_passkey(witness.page, "My telephone")
    keep_codes(witness.page)
    [credential] = device.credentials()
    context.close()
    return address, credential


@pytest.fixture
def ready(shop, visit, passkey):
    """A telephone with that passkey, which has counted on since; nobody is signed in
    there. It is not touched before it is told to."""
    phone = visit(shop[0].other_site, viewport=PHONE)
    device = Device.of(phone, automaticPresenceSimulation=False)
    device.take({**passkey[1], "signCount": next(_counts)})
    return phone, device


def sign_out(page):
    page.goto("/auth/account")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url("**/auth/login?note=signed-out")


def test_a_passkey_from_the_first_to_the_last_day(shop, visit, email):
    """Made, used without a name and a password, renamed, removed; on a telephone, in
    the dark, under the policies that every page has."""
    phone = visit(shop[0].other_site, viewport=PHONE, color_scheme="dark")
    page, device = phone.page, Device.of(phone)
    sign_in(page, email)
    page.wait_for_url(LIST)
    shot(page, "none")
    add_passkey(page, "My telephone")
    page.get_by_role("heading", name="Keep these codes").wait_for()
    shot(page, "codes")
    assert phone.width()[0] <= PHONE["width"]
    assert len(keep_codes(page)) == 10
    assert page.get_by_text("Not used yet").is_visible()
    shot(page, "list")
    [credential] = device.credentials()
    assert credential["isResidentCredential"]
    assert credential["rpId"] == "localhost"

    device.touched(yes=False)  # else it answers the offer among the addresses, too
    sign_out(page)
    page.goto("/auth/login?next=/auth/passkeys")
    button = page.get_by_role("button", name="Sign in with a passkey")
    button.wait_for()
    shot(page, "login")
    device.touched(yes=True)
    button.click()
    page.wait_for_url(LIST)
    assert page.get_by_text("Last used").is_visible()

    page.get_by_text("Rename").click()
    page.get_by_role("textbox", name="Name").first.fill("Old telephone")
    page.get_by_role("button", name="Save the name").click()
    page.wait_for_url("**/auth/passkeys?note=passkey-renamed")
    assert page.get_by_text("Old telephone", exact=True).first.is_visible()
    page.get_by_role("button", name=re.compile("Remove Old telephone")).click()
    page.wait_for_url("**/auth/passkeys?note=passkey-removed")
    assert page.get_by_text("There is no passkey yet.").is_visible()
    assert phone.width()[0] <= PHONE["width"]
    assert phone.violations() == []
    assert phone.errors == []


def test_the_offer_among_the_addresses(ready):
    """Nothing is pressed: the browser offers the passkey in the address field, and the
    device says yes. It makes no second one for the same account."""
    phone, device = ready
    page = phone.page
    device.touched(yes=True)
    page.goto("/auth/login?next=/auth/passkeys")
    page.wait_for_url(LIST)
    assert page.request.get("/auth/me").json()["factors"] == ["passkey"]
    assert phone.errors == []
    add_passkey(page)
    page.get_by_text("This device has a passkey for you already.").wait_for()


def test_the_passkey_after_the_password(ready, passkey):
    """The password is half a sign-in; the other half is asked for on a page of its
    own."""
    phone, device = ready
    page = phone.page
    sign_in(page, passkey[0], "/")
    page.wait_for_url("**/auth/second-factor**")
    shot(page, "second-factor")
    assert page.request.get("/auth/me").status == 401
    device.touched(yes=True)
    page.get_by_role("button", name="Use your passkey").click()
    page.wait_for_url(HOME)
    assert page.request.get("/auth/me").json()["factors"] == ["passkey", "password"]


def test_a_proof_that_is_asked_for_on_the_way(ready, shop):
    """A page that asks for a recent proof takes the passkey, and leads back."""
    phone, device = ready
    page = phone.page
    device.touched(yes=True)
    page.goto("/auth/login")
    page.wait_for_url(HOME)
    change(shop[1], "UPDATE ringfence_sessions SET proved = proved - 601")
    page.goto("/transfers?to=7")
    page.wait_for_url("**/auth/confirm?next=**")
    shot(page, "confirm")
    page.get_by_role("button", name="Use your passkey").click()
    page.wait_for_url("**/transfers?to=7")
    assert phone.violations() == []
    assert phone.errors == []


def press(page, device):
    """Press the button on the sign-in page, and touch the device."""
    page.goto("/auth/login")
    button = page.get_by_role("button", name="Sign in with a passkey")
    button.wait_for()
    device.touched(yes=True)
    button.click()


def test_a_device_that_does_not_know_its_user_proves_nothing(ready):
    """Whoever holds it cannot sign in: the browser itself says no."""
    phone, device = ready
    device.verifies(its_user=False)
    press(phone.page, device)
    phone.page.get_by_text("No passkey was used.").wait_for()
    shot(phone.page, "refused")
    assert phone.page.request.get("/auth/me").status == 401


def test_a_copy_that_comes_second(ready, shop, visit):
    """The counters give it away, and it cannot try again."""
    phone, device = ready
    thief = visit(shop[0].other_site)
    copy = Device.of(thief, automaticPresenceSimulation=False)
    copy.take(device.credentials()[0])
    press(phone.page, device)
    phone.page.wait_for_url(HOME)
    press(thief.page, copy)
    thief.page.get_by_text("counted backwards").wait_for()
    assert thief.page.request.get("/auth/me").status == 401


def test_a_number_leads_to_the_name(shop, visit, email):
    """On 127.0.0.1 no browser knows passkeys; the page says where they are."""
    witness = visit(shop[0].url)
    page = witness.page
    sign_in(page, email)
    page.wait_for_url(LIST)
    link = page.get_by_role("link", name=re.compile("localhost"))
    assert link.get_attribute("href") == f"{shop[0].other_site}/auth/passkeys"
    assert witness.errors == []


def test_without_scripts_nothing_is_promised(shop, visit):
    witness = visit(shop[0].other_site, java_script_enabled=False)
    witness.goto("/auth/login")
    page = witness.page
    assert page.get_by_role("button", name="Sign in", exact=True).is_visible()
    assert page.get_by_role("button", name="Sign in with a passkey").count() == 0
