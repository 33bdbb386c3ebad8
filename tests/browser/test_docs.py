"""The API reference under the strict policy: usable, and nothing is switched off for it
(secure#43: a policy that breaks /docs makes people remove the policy)."""

from __future__ import annotations

import pytest
from tests.attacks.shops import running_shop


@pytest.fixture(scope="module")
def shop():
    with running_shop() as running:
        yield running


def test_it_lists_the_operations_and_violates_nothing(shop, visit):
    visitor = visit(shop.url)
    assert visitor.goto("/docs", until="networkidle").status == 200
    assert visitor.page.get_by_text("/api/orders").count() >= 1
    assert visitor.violations() == []
    assert visitor.errors == []


def test_it_loads_nothing_from_elsewhere(shop, visit):
    visitor, asked = visit(shop.url), []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.goto("/docs", until="networkidle")
    assert asked
    assert [url for url in asked if not url.startswith((shop.url, "data:"))] == []


def test_it_follows_the_scheme_and_fits_a_phone(shop, visit):
    brightness = {}
    for scheme in ("light", "dark"):
        phone = {"viewport": {"width": 375, "height": 667}, "color_scheme": scheme}
        visitor = visit(shop.url, **phone)
        visitor.goto("/docs")
        brightness[scheme] = visitor.background()
        page, window = visitor.width()
        assert page <= window
    assert brightness["dark"] < brightness["light"]
