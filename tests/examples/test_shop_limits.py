"""How often one account may write, and what caches may keep."""

import asyncio
import importlib
import json
import re

import httpx2
import pytest
from tests.examples.conftest import OWN_PAGE, started

from ringfence import Settings
from ringfence.secrets.keyring import Keyring
from ringfence.testing import assert_refused

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "body", "most"),
    [
        ("/api/transfers", {"to": "carol@example.org", "amount": 1}, 30),
        ("/api/orders", {"product_id": "kale"}, 60),
        ("/api/products/kale/reviews", {"text": "Good."}, 60),
    ],
)
async def test_an_account_writes_only_so_often(ada, bob, path, body, most):
    """A script with somebody's session fills no table; others are not held up."""
    answers = await asyncio.gather(
        *(ada.api.post(path, json=body) for _ in range(most + 5))
    )
    counted = [answer.status_code for answer in answers]
    assert sorted(counted) == [201] * most + [429] * 5
    refused = await ada.api.post(path, json=body)
    assert_refused(refused, "traffic.rate_limited", 429)
    assert int(refused.headers["retry-after"]) > 0
    assert (await bob.api.post(path, json=body)).status_code == 201


async def test_forms_are_held_as_well(ada):
    for _ in range(30):
        answer = await ada.post("/transfers", to="carol@example.org", amount="0.01")
        assert answer.status_code == 303
    answer = await ada.post("/transfers", to="carol@example.org", amount="0.01")
    assert answer.status_code == 429


async def test_caches_keep_the_stylesheet_and_no_page(stranger, ada):
    answer = await stranger.get("/static/shop.css")
    assert answer.headers["cache-control"] == "public, max-age=600"
    answer = await ada.page.get("/static/shop.css")
    assert answer.headers["cache-control"] == "private, no-cache"
    answer = await ada.page.get("/orders", headers=OWN_PAGE)
    assert answer.headers["cache-control"] == "no-store"


async def test_in_production_browsers_report_what_a_policy_refused(
    tmp_path, make_guard
):
    """Every page names the address, and the shop takes what comes there."""
    shop = importlib.import_module("examples.shop.application")
    Keyring(tmp_path / "made.json", create=True).open()
    settings = Settings.load(
        environ={},
        env="production",
        data=tmp_path,
        keys_file=tmp_path / "made.json",
        public_origins=("https://garden.example",),
        proxies=("none",),
        identity={"password_hash_ms": 0},
    )
    guard = shop.create(settings)
    transport = httpx2.ASGITransport(guard, client=("198.51.100.7", 50_000))
    async with (
        started(guard),
        httpx2.AsyncClient(
            transport=transport, base_url="https://garden.example"
        ) as browser,
    ):
        page = await browser.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 200
        (where,) = re.findall(r'="([^"]+)"', page.headers["reporting-endpoints"])
        report = {"csp-report": {"effective-directive": "script-src"}}
        answer = await browser.post(
            where,
            content=json.dumps(report),
            headers={"Content-Type": "application/csp-report"},
        )
        assert answer.status_code == 204
