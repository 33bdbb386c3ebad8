"""The shop as a visitor meets it, from sign-up to sign-out, and what is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count
from urllib.parse import quote

import httpx2
import pytest
from tests.attacks.shops import OPERATOR, running_shop
from tests.browser.witness import STEAL

PHONE = {"viewport": {"width": 375, "height": 667}, "has_touch": True}
PASSWORD = "a long pass phrase"
PUBLIC_PAGES = ("/", "/?q=kale", "/products/kale", "/auth/login", "/auth/register")
CUSTOMER_PAGES = (
    "/orders",
    "/transfers",
    "/transfers/new",
    "/profile",
    "/auth/account",
)

_numbers = count(1)


@pytest.fixture(scope="module")
def shop():
    with running_shop() as running:
        yield running


def sign_up(witness):
    """Make an account by the page, and return its address."""
    email = f"visitor{next(_numbers)}@example.com"
    witness.goto("/auth/register")
    witness.page.locator("[name=email]").fill(email)
    witness.page.locator("[name=password]").fill(PASSWORD)
    witness.page.locator("[name=password]").press("Enter")
    witness.page.wait_for_url(lambda url: "/auth/login" in url)
    return email


def sign_in(witness, email, password=PASSWORD):
    """Sign in by the page that is shown."""
    witness.page.locator("[name=email]").fill(email)
    witness.page.locator("[name=password]").fill(password)
    witness.page.locator("[name=password]").press("Enter")
    witness.page.wait_for_url(lambda url: "/auth/login" not in url)


@pytest.fixture(scope="module")
def account(shop):
    """One account that the tests may share."""
    made = {"email": "carol@example.com", "password": PASSWORD}
    httpx2.post(f"{shop.url}/auth/register", json=made)
    return made


@pytest.fixture
def visitor(shop, visit):
    return visit(shop.url)


@pytest.fixture
def customer(visitor, account):
    """A browser that is signed in."""
    assert visitor.context.request.post("/auth/login", data=account).ok
    return visitor


def place_order(witness, product="kale", quantity="2"):
    witness.goto(f"/products/{product}")
    witness.page.get_by_label("How many").fill(quantity)
    witness.page.get_by_role("button", name="Order", exact=True).click()
    witness.page.wait_for_url("**/orders?done=ordered")


def test_from_sign_up_to_sign_out(visitor):
    """A visitor signs up, signs in, orders, sees the order, and signs out."""
    email = sign_up(visitor)
    sign_in(visitor, email)
    place_order(visitor)
    assert "Thank you" in visitor.page.get_by_role("status").first.inner_text()
    assert visitor.page.locator(".order").count() == 1
    visitor.page.get_by_role("button", name="Sign out").click()
    visitor.page.wait_for_url(lambda url: "/auth/login" in url)
    visitor.goto("/orders")
    assert "/auth/login" in visitor.page.url
    assert visitor.errors == []


def test_who_has_not_signed_in_is_led_to_the_sign_in(visitor, account):
    """Pages of customers lead a stranger to the sign-in, and back after it."""
    visitor.goto("/profile")
    assert "/auth/login" in visitor.page.url
    sign_in(visitor, **account)
    assert visitor.page.url.endswith("/profile")
    assert account["email"] in visitor.page.inner_text("main")


def test_a_wrong_password_is_told_and_forgotten(visitor, account):
    visitor.goto("/auth/login")
    visitor.page.locator("[name=email]").fill(account["email"])
    visitor.page.locator("[name=password]").fill("not the pass phrase")
    with visitor.page.expect_navigation():
        visitor.page.locator("[name=password]").press("Enter")
    assert "/auth/login" in visitor.page.url
    assert visitor.page.locator("[name=password]").input_value() == ""
    assert visitor.page.locator("[name=email]").input_value() == account["email"]
    assert visitor.page.get_by_role("alert").count() >= 1


def test_a_customer_is_refused_at_the_admin_pages(customer):
    """A page says so, and says nothing else."""
    answer = customer.goto("/admin/users")
    assert answer.status == 403
    text = customer.page.inner_text("body")
    assert OPERATOR["email"] not in text
    assert "Traceback" not in text


def test_an_operator_sees_the_customers(visitor, account):
    visitor.goto("/auth/login")
    sign_in(visitor, **OPERATOR)
    assert visitor.goto("/admin/users").status == 200
    assert account["email"] in visitor.page.inner_text("main")


def test_a_page_that_is_not_there_says_so(visitor):
    answer = visitor.goto("/nowhere")
    assert answer.status == 404
    assert visitor.page.locator("h1").count() == 1


def test_the_session_cookie_is_out_of_reach_of_scripts(customer):
    customer.goto("/")
    cookies = customer.context.cookies()
    (session,) = (cookie for cookie in cookies if "session" in cookie["name"])
    assert session["httpOnly"]
    assert session["sameSite"] == "Lax"
    assert session["value"] not in customer.page.evaluate("document.cookie")


def test_an_inline_script_is_blocked(shop, visit):
    """A script that gets into a page by whatever hole does not run: the policy names
    the page's own origin only (guide: ``script-src 'self'``)."""
    visitor = visit(shop.url)
    injected = "<script>window.ran = true</script><img src=x onerror='window.ran = 1'>"

    def inject(route):
        answer = route.fetch()
        body = answer.text().replace("</body>", f"{injected}</body>")
        route.fulfill(response=answer, body=body)

    visitor.context.route(shop.url + "/", inject)
    visitor.goto("/")
    assert visitor.page.locator("script:not([src])").count() == 1
    assert visitor.page.evaluate("window.ran") is None
    assert "script-src-elem inline" in visitor.violations()
    assert "script-src-attr inline" in visitor.violations()


def test_a_script_in_a_review_is_text(customer):
    """The guide's payload as a review is shown as it was written, to everybody."""
    customer.goto("/products/carrot")
    customer.page.get_by_label("Your words").fill(STEAL)
    customer.page.get_by_role("button", name="Publish").click()
    customer.page.wait_for_url("**/products/carrot?done=reviewed")
    assert STEAL in customer.page.locator("blockquote").first.inner_text()
    assert customer.stolen == []
    assert customer.errors == []
    assert customer.violations() == []


def test_a_script_in_a_search_is_text(visitor):
    """The guide's payload in the address is shown as text."""
    visitor.goto("/?q=" + quote(STEAL))
    assert STEAL in visitor.page.inner_text("h1")
    assert visitor.stolen == []
    assert visitor.violations() == []


def test_a_page_cannot_be_framed(shop, visitor):
    """Nobody lays the shop invisibly over a page of theirs (clickjacking, CWE-1021)."""
    visitor.goto("/auth/login")
    framed = visitor.page.evaluate(
        """(url) => new Promise((resolve) => {
            const frame = document.createElement("iframe");
            frame.src = url;
            frame.onload = () => resolve(frame.contentDocument?.title ?? "blocked");
            document.body.append(frame);
        })""",
        shop.url + "/",
    )
    assert framed in {"blocked", ""}


def test_no_page_has_an_error(customer):
    """Neither console nor policy complains on any page."""
    place_order(customer)
    for path in (*PUBLIC_PAGES, *CUSTOMER_PAGES):
        assert customer.goto(path).status == 200, path
        assert customer.violations() == [], path
    assert customer.errors == []


def tab_to(page, *, within=60, **attributes):
    """Press Tab until the focus is on an element with these attributes, and visible."""
    for _ in range(within):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """(wanted) => {
                const it = document.activeElement;
                const text = (it.innerText || "").trim();
                return Object.entries(wanted).every(([name, value]) =>
                    (name === "text" ? text : it.getAttribute(name)) === value);
            }""",
            attributes,
        )
        if found:
            outline = page.evaluate(
                "getComputedStyle(document.activeElement).outlineStyle"
            )
            assert outline != "none", f"no visible focus on {attributes}"
            return
    pytest.fail(f"the Tab key never reaches {attributes}")


def test_the_keyboard_is_enough(visitor, account):
    """Sign-in and order by keyboard alone, with a focus that can be seen."""
    page = visitor.page
    visitor.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tab_to(page, text="Sign in")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/auth/login" in url)
    if page.evaluate("document.activeElement.name") != "email":
        tab_to(page, name="email")
    page.keyboard.type(account["email"])
    tab_to(page, name="password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/auth/login" not in url)
    visitor.goto("/products/kale")
    tab_to(page, name="quantity")
    tab_to(page, text="Order")
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders?done=ordered")


def await_focus(page, name):
    """Wait until the cursor stands in a field by itself."""
    page.wait_for_function("(name) => document.activeElement.name === name", arg=name)


def test_credit_after_a_pause_by_keyboard_on_a_phone(shop, visit):
    """Whoever has been signed in for a while gives the password once more, and is back
    at the form with the cursor in its first field."""
    phone = visit(shop.url, **PHONE)
    page, email = phone.page, sign_up(phone)
    sign_in(phone, email)
    with closing(sqlite3.connect(shop.data / "ringfence.db")) as database, database:
        database.execute("UPDATE ringfence_sessions SET proved = proved - 660")
    phone.goto("/transfers")
    tab_to(page, text="Send credit")
    page.keyboard.press("Enter")
    page.wait_for_url("**/auth/confirm?next=**")
    await_focus(page, "password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/transfers/new")
    await_focus(page, "to")
    page.keyboard.type("friend@example.com")
    tab_to(page, name="amount")
    page.keyboard.type("12.50")
    page.keyboard.press("Enter")
    page.wait_for_url("**/transfers?done=sent")
    assert "€87.50" in page.inner_text("main")
    assert phone.errors == []
    assert phone.violations() == []


def test_the_devices_are_a_click_away(customer):
    customer.goto("/profile")
    customer.page.get_by_role("link", name="devices").click()
    customer.page.wait_for_url("**/auth/account#sessions")
    assert "this browser" in customer.page.inner_text("#sessions")


def test_a_phone_needs_no_sideways_scrolling(shop, visit, account):
    """Every page fits a phone's width."""
    phone = visit(shop.url, **PHONE)
    for path in (*PUBLIC_PAGES, "/nowhere", *CUSTOMER_PAGES):
        if path == CUSTOMER_PAGES[0]:
            assert phone.context.request.post("/auth/login", data=account).ok
            place_order(phone)
        phone.goto(path)
        page, window = phone.width()
        assert page <= window, path


@pytest.mark.parametrize("path", ["/", "/auth/login", "/nowhere"])
def test_dark_is_dark_and_light_is_light(shop, visit, path):
    """Each page follows the visitor's scheme."""
    brightness = {}
    for scheme in ("light", "dark"):
        witness = visit(shop.url, color_scheme=scheme)
        witness.goto(path)
        brightness[scheme] = witness.background()
    assert brightness["dark"] < brightness["light"]
