"""A forgotten password, from the sign-in page through the mailbox and back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette
from tests.attacks.serving import RAISED, served
from tests.servers.mail import running_mail_server

from ringfence import Guard, Settings

PASSWORD, NEW = "plum kettle window 9", "something longer to say"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    data = tmp_path_factory.mktemp("recovery")
    with running_mail_server() as mail:

        def make(port):
            settings = Settings.load(
                environ=RAISED,
                env="development",
                data=data,
                mail={"server": mail.url, "sender": "Shop <shop@example.com>"},
            )
            return Guard(Starlette(), settings)

        with served(make) as server:
            yield server, mail


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_register_forget_and_recover(shop, visit, scripts):
    """The code of a link is taken from the address, or copied where no script runs; it
    is gone from the address, and no request ever has it in one."""
    server, mail = shop
    email = f"ann-{scripts}@example.com"
    witness = visit(server.url, viewport=PHONE, java_script_enabled=scripts)
    page, asked = witness.page, []
    page.on("request", lambda request: asked.append((request.url, request.headers)))

    def follow(letter, label):
        page.goto(letter.link)
        place = page.get_by_label("Code from the letter")
        if scripts:
            expect(place).to_have_count(0)
            assert page.evaluate("location.href.includes('#')") is False
        else:
            place.fill(letter.code)
        return page.get_by_label(label, exact=True)

    page.goto("/auth/register")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.wait_for_url("**/auth/login?note=registered")
    first = mail.wait_for(1).pop()
    follow(first, "Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm the address").click()
    page.wait_for_url("**/auth/login?note=verified")

    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Send the link").click()
    page.wait_for_url("**/auth/password/forgot?note=sent")
    second = mail.wait_for(1).pop()
    follow(second, "New password").fill("short")
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("alert")).to_contain_text("at least 15 characters")
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_role("button", name="Set the password").click()
    page.wait_for_url("**/auth/login?note=reset")
    assert "was reset" in mail.wait_for(1).pop().message["subject"]

    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(NEW)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/")
    for url, headers in asked:
        for code in (first.code, second.code):
            assert code not in url.partition("#")[0]
            assert code not in headers.get("referer", "")


@pytest.mark.parametrize("path", ["password/forgot", "password/reset", "email/verify"])
def test_the_pages_fit_a_phone(shop, visit, path):
    """Nothing is wider than the screen, and every field has a name."""
    server, _ = shop
    page = visit(server.url, viewport=PHONE, color_scheme="dark").page
    page.goto(f"/auth/{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    unnamed = "input:not([type=hidden]):not([id])"
    assert page.locator(unnamed).count() == 0
