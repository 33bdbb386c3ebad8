"""The strength meter, and the button that shows a new password."""

from __future__ import annotations

import httpx2
import pytest
from tests.attacks.shops import running_shop

EMAIL = "ann.smith@example.com"
GOOD = "plum kettle window 9"


@pytest.fixture(scope="module")
def shop():
    with running_shop() as running:
        yield running


@pytest.fixture
def visitor(shop, visit):
    witness = visit(shop.url)
    witness.goto("/auth/register")
    witness.page.get_by_label("E-mail address").fill(EMAIL)
    return witness


def judged(witness, password):
    """Type a new password; return the level of the meter, once it has spoken."""
    page = witness.page
    page.locator("[autocomplete=new-password]").fill(password)
    page.locator(".verdict").filter(has_text=".").wait_for()
    return page.locator("meter").evaluate("meter => meter.value")


@pytest.mark.parametrize(
    ("password", "level", "said"),
    [
        ("anna", 1, "11 more characters"),
        ("passwordpassword", 1, "Too easy"),
        ("ann.smith.2026!!!", 1, "names"),
        ("qwertyuiopasdfghjkl", 1, "Too easy"),
        ("🔒" * 20, 1, "repetitions"),
        (GOOD, 4, "nothing obvious"),
    ],
)
def test_the_meter_says_what_it_sees(visitor, password, level, said):
    assert judged(visitor, password) == level
    assert said in visitor.page.locator(".verdict").inner_text()
    assert visitor.errors == []
    assert visitor.violations() == []


def test_who_cannot_see_the_meter_is_told(visitor):
    judged(visitor, GOOD)
    page = visitor.page
    assert page.get_by_role("meter", name="Strength of the password").count() == 1
    assert page.locator(".verdict").get_attribute("aria-live") == "polite"


def test_nothing_is_shown_before_anything_is_typed(visitor):
    page = visitor.page
    assert not page.locator("meter").is_visible()
    judged(visitor, GOOD)
    page.locator("[name=password]").fill("")
    assert not page.locator("meter").is_visible()


def test_a_password_is_shown_when_asked_for_and_sent_hidden(visitor):
    """A field that is sent as text may be remembered as any other text."""
    page = visitor.page
    field = page.locator("[name=password]")
    field.focus()
    page.keyboard.insert_text(GOOD)  # as pasting does
    page.get_by_role("button", name="Show the password").press("Enter")
    assert field.get_attribute("type") == "text"
    assert field.input_value() == GOOD
    page.get_by_role("button", name="Hide the password").press("Space")
    assert field.get_attribute("type") == "password"
    page.get_by_role("button", name="Show the password").click()
    page.evaluate(
        "document.forms[0].addEventListener('submit', (event) => {"
        "event.preventDefault(); window.sentAs = event.target.password.type})"
    )
    field.press("Enter")
    assert page.evaluate("window.sentAs") == "password"


def test_the_password_leaves_the_page_with_the_form_only(visitor):
    sent = []
    visitor.page.on("request", lambda request: sent.append(request.url))
    judged(visitor, GOOD)
    assert sent == []


def test_without_scripts_the_page_works_all_the_same(shop, visit):
    witness = visit(shop.url, java_script_enabled=False)
    witness.goto("/auth/register")
    page = witness.page
    assert not page.locator("meter").is_visible()
    assert page.get_by_role("button").count() == 1
    page.locator("[name=email]").fill("plain@example.com")
    page.locator("[name=password]").fill("password password")
    page.locator("[name=password]").press("Enter")
    assert "little more than" in page.locator("#password-fault").inner_text()
    page.locator("[name=password]").fill(GOOD)
    page.locator("[name=password]").press("Enter")
    page.wait_for_url(lambda url: "/auth/login" in url)


def test_a_new_password_is_judged_on_the_account_page(shop, visit):
    account = {"email": "carol@example.com", "password": GOOD}
    httpx2.post(f"{shop.url}/auth/register", json=account)
    witness = visit(shop.url)
    assert witness.context.request.post("/auth/login", data=account).ok
    witness.goto("/auth/account")
    assert judged(witness, "carol carol carol") == 1
    assert witness.errors == []
