"""A real guard before a provider on loopback, and browsers that walk between them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import httpx2
from starlette.applications import Starlette
from tests.servers.openid_provider import running_provider

from ringfence import Guard, Settings
from ringfence.audit.log import AuditLog
from ringfence.identity.openid.settings import OpenIdProvider
from ringfence.secrets.secret import Secret

HTML = {"accept": "text/html,application/xhtml+xml"}
BASE = "http://127.0.0.1:8000"


def settings_of(*providers):
    """Return the providers as settings."""
    return {
        "providers": tuple(
            OpenIdProvider(**{**each, "client_secret": _secret(each)})
            for each in providers
        )
    }


def _secret(each):
    secret = each.get("client_secret")
    return secret if secret is None else Secret(secret)


@asynccontextmanager
async def guarded(data, *providers, **settings):
    """Open a guard that knows these providers; yield what a test needs of it."""
    loaded = Settings.load(
        environ={},
        env="development",
        data=data,
        database="memory://",
        openid=settings_of(*providers),
        **settings,
    )
    recorded = []
    keep = AuditLog.record

    def record(self, event):
        recorded.append(event)
        keep(self, event)

    with mock.patch.object(AuditLog, "record", record):
        guard = Guard(Starlette(), loaded)
    await guard._open()
    await guard._close_plans()
    opened = []

    def browser(address="127.0.0.1", **options):
        transport = httpx2.ASGITransport(guard, client=(address, 5000))
        made = httpx2.AsyncClient(transport=transport, base_url=BASE, **options)
        opened.append(made)
        return made

    try:
        yield SimpleNamespace(browser=browser, recorded=recorded)
    finally:
        for one in opened:
            await one.aclose()
        await guard._close()


async def begin(browser, name="honest", wanted=""):
    """Begin a sign-in; return the address that the browser is sent to."""
    query = {"next": wanted} if wanted else {}
    answer = await browser.get(f"/auth/openid/{name}/start", params=query, headers=HTML)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def agree(address, provider):
    """Sign in at the provider; return the address that it sends the browser to."""
    return provider.authorize(dict(parse_qsl(urlsplit(address).query)))


async def come_back(browser, address, **headers):
    """Follow the provider's answer."""
    return await browser.get(address, headers={**HTML, **headers})


async def sign_in(browser, provider, name="honest", wanted=""):
    """Walk the whole way."""
    address = await begin(browser, name, wanted)
    return await come_back(browser, agree(address, provider))


async def me(browser):
    """Return who is signed in, ``None`` if nobody is."""
    answer = await browser.get("/auth/me")
    return answer.json() if answer.status_code == 200 else None


__all__ = [
    "BASE",
    "HTML",
    "agree",
    "begin",
    "come_back",
    "guarded",
    "me",
    "running_provider",
    "settings_of",
    "sign_in",
]
