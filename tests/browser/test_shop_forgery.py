"""A page of another site against the shop: whoever visits it orders nothing."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from tests.attacks.shops import running_shop
from tests.browser.sites import other_site

ACCOUNT = {"email": "alice@example.com", "password": "a long pass phrase"}


@pytest.fixture(scope="module")
def evil():
    with other_site() as server:
        yield server


@pytest.fixture(scope="module")
def shop():
    with running_shop() as running:
        yield running


@pytest.fixture
def alice(shop, visit):
    """Alice's browser, signed in by its own page."""
    witness = visit(shop.url)
    witness.goto("/")
    witness.send("/auth/register", **ACCOUNT)
    assert witness.send("/auth/login", **ACCOUNT) == 200
    return witness


FORMS = {
    "/transfers": {"to": "mallory@example.com", "amount": "100"},
    "/orders": {"product_id": "kale", "quantity": "99"},
    "/auth/logout": {},
    "/auth/login": {"email": "m@example.com", "password": "mallory's phrase"},
}


@pytest.mark.parametrize("site", ["other_site", "url"])
@pytest.mark.parametrize("path", FORMS)
def test_a_form_of_another_origin_does_nothing(shop, evil, alice, site, path):
    """The form is refused with 403, from another site and from another origin of the
    same site (127.0.0.1 with another port), for which SameSite is no obstacle."""
    query = urlencode({"target": shop.url + path, **FORMS[path]})
    with alice.page.expect_response(shop.url + path) as answered:
        alice.page.goto(f"{getattr(evil, site)}/form?{query}", wait_until="commit")
    alice.page.wait_for_url(shop.url + path)
    assert answered.value.status == 403
    ask = alice.context.request
    assert ask.get("/auth/me").json()["email"] == ACCOUNT["email"]
    assert ask.get("/api/orders").json() == []
    alice.goto("/transfers")
    assert "€100.00" in alice.page.inner_text("main")


def test_a_script_of_another_origin_reads_nothing(shop, evil, alice):
    """No CORS header lets another origin read an answer."""
    alice.page.goto(evil.url)
    read = alice.page.evaluate(
        """async (url) => {
            try {
                return (await fetch(url, {credentials: "include"})).status;
            } catch (error) { return "refused"; }
        }""",
        f"{shop.url}/auth/me",
    )
    assert read == "refused"
