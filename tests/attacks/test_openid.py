"""Attacks on the sign-in with another provider, with each defence taken out, and in its
place (RFC 9700; CVE-2025-68481, CVE-2025-14546, CVE-2025-68158; CWE-352, CWE-287,
CWE-601, CWE-347).

The other side of each twin is this very code without the one defence: what it lets
through shows that nothing else would have stopped the attack.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager, nullcontext
from unittest import mock
from urllib.parse import parse_qs, urlencode, urlsplit

import pyotp
import pytest
from tests.identity.openid.guarded import (
    HTML,
    agree,
    begin,
    come_back,
    guarded,
    me,
    running_provider,
    sign_in,
)
from tests.servers.openid_provider import ANN

from ringfence.identity.openid import id_token, identities
from ringfence.identity.openid.attempt import Attempts
from ringfence.identity.openid.identities import Identities
from ringfence.identity.openid.provider import Provider
from ringfence.identity.routes import desk, openid
from ringfence.identity.routes.openid import OpenIdRoutes

pytestmark = pytest.mark.anyio

MALLORY = {
    "sub": "mallory-1",
    "email": "mallory@example.com",
    "email_verified": True,
}
PASSWORD = "plum kettle window 9"


@pytest.fixture
def provider():
    with running_provider() as running:
        yield running


@asynccontextmanager
async def shop_of(folder, *providers, off=None):
    """A shop, on the off side without one defence."""
    settings = [each.settings(name) for name, each in providers]
    with off() if off else nullcontext():
        async with guarded(folder, *settings) as shop:
            yield shop


def forgotten(target, name, instead):
    """Take a defence out."""
    return lambda: mock.patch.object(target, name, instead)


# The answer counts in whichever browser it turns up: kept on the server, as in the
# libraries of the CVEs, and bound to nothing.
@contextmanager
def _state_of_anybody():
    kept = {}
    begun = Attempts.begin

    def begin_(self, *args, **kwargs):
        sealed = begun(self, *args, **kwargs)
        kept[sealed.state] = sealed
        return sealed

    with (
        mock.patch.object(Attempts, "begin", begin_),
        mock.patch.object(Attempts, "read", lambda _, __, ___, state: kept.get(state)),
    ):
        yield


async def test_an_answer_of_the_attackers_signs_no_victim_in(tmp_path, provider):
    """Login CSRF: the victim follows a link with the attacker's code and state, and
    writes into the attacker's account what is private."""
    for off, falls in ((_state_of_anybody, True), (None, False)):
        async with shop_of(
            tmp_path / str(falls), ("honest", provider), off=off
        ) as shop:
            mallory, victim = shop.browser(), shop.browser()
            provider.person = MALLORY
            trap = agree(await begin(mallory), provider)
            answer = await come_back(victim, trap)
            assert ((await me(victim)) is not None) is falls
            if not falls:
                assert answer.status_code == 400
                assert "not begun in this browser" in answer.text
                # An attempt of the victim's own does not help either.
                await begin(victim)
                assert (await come_back(victim, trap)).status_code == 400
                assert (await come_back(mallory, trap)).status_code == 303


async def test_an_answer_is_good_once(tmp_path, provider):
    """Who reads the address of an answer in a log or a history, and has the cookie of
    the browser, comes too late."""

    async def always(*_):
        return True

    off = forgotten(Attempts, "redeem", always)
    for off_, falls in ((off, True), (None, False)):
        async with shop_of(
            tmp_path / str(falls), ("honest", provider), off=off_
        ) as shop:
            browser = shop.browser()
            address = agree(await begin(browser), provider)
            cookie = "; ".join(f"{k}={v}" for k, v in browser.cookies.items())
            code = parse_qs(urlsplit(address).query)["code"][0]
            grant = provider.grants[code]
            assert (await come_back(browser, address)).status_code == 303
            provider.grants[code] = grant  # a provider that takes codes twice
            thief = shop.browser("127.0.0.2")
            await come_back(thief, address, cookie=cookie)
            assert ((await me(thief)) is not None) is falls


async def test_a_code_is_not_taken_to_another_provider(tmp_path, provider):
    """Mix-up: the victim begins at the attacker's provider, which leads on to the
    honest one and back to its own address, and so is handed the honest code."""

    async def anybody(*_):
        return None

    off = forgotten(Provider, "judge_issuer", anybody)
    with running_provider(person=MALLORY) as evil:
        for off_, falls in ((off, True), (None, False)):
            evil.bodies.clear()
            async with shop_of(
                tmp_path / str(falls), ("honest", provider), ("evil", evil), off=off_
            ) as shop:
                victim = shop.browser()
                asked = await begin(victim, "evil")
                to_honest = asked.replace(evil.issuer, provider.issuer)
                await come_back(victim, agree(to_honest, provider))
                stolen = [form["code"] for form in evil.bodies if "code" in form]
                assert bool(stolen) is falls


async def test_a_provider_does_not_speak_for_another(tmp_path, provider):
    """The attacker's provider says that its token is of the honest one: who keys on the
    subject alone lets it in as anybody."""
    with running_provider(person={**MALLORY, "sub": ANN["sub"]}) as evil:
        async with shop_of(tmp_path, ("honest", provider), ("evil", evil)) as shop:
            ann, mallory = shop.browser(), shop.browser()
            await sign_in(ann, provider)
            await sign_in(mallory, evil, "evil")
            assert (await me(ann))["id"] != (await me(mallory))["id"]
            evil.says = {"iss": provider.issuer}
            again = shop.browser()
            assert (await sign_in(again, evil, "evil")).status_code == 401
            assert await me(again) is None


# By address: what libraries do that link accounts by themselves.
async def _by_address(self, identity, exchange):
    found = await self._accounts.by_email(identity.email)
    return found or await _account_of(self, identity, exchange)


_account_of = Identities.account_of


@pytest.mark.parametrize("verified", [True, False])
async def test_an_address_is_no_proof(tmp_path, provider, verified):
    """The attacker has the victim's address at the provider: claimed there, or passed
    on to them (CVE-2026-22747, CVE-2025-65431)."""
    off = forgotten(Identities, "account_of", _by_address)
    for off_, falls in ((off, True), (None, False)):
        async with shop_of(
            tmp_path / str(falls), ("honest", provider), off=off_
        ) as shop:
            victim, mallory = shop.browser(), shop.browser()
            body = {"email": ANN["email"], "password": PASSWORD}
            await victim.post("/auth/register", json=body)
            provider.person = {
                **MALLORY,
                "email": ANN["email"].upper() if verified else ANN["email"],
                "email_verified": verified,
            }
            answer = await sign_in(mallory, provider)
            assert ((await me(mallory)) is not None) is falls
            assert answer.status_code == (303 if falls else 409 if verified else 403)
            assert (await victim.post("/auth/login", json=body)).status_code == 200


async def test_nobody_waits_in_an_account_for_its_owner(tmp_path, provider):
    """Pre-hijacking: an account at an address that is not the attacker's, so that the
    owner finds one there, resets its password, and shares it from then on."""
    provider.person = {**MALLORY, "email": ANN["email"], "email_verified": False}
    honest = identities.Identities._welcome

    async def unchecked(self, identity, exchange):
        return await honest(self, identity._replace(email_verified=True), exchange)

    off = forgotten(Identities, "_welcome", unchecked)
    for off_, falls in ((off, True), (None, False)):
        async with shop_of(
            tmp_path / str(falls), ("honest", provider), off=off_
        ) as shop:
            mallory = shop.browser()
            await sign_in(mallory, provider)
            assert ((await me(mallory)) is not None) is falls


AWAY = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example/",
    "\\\\evil.example",
    "/\t/evil.example/",
    "https:evil.example",
    "javascript:alert(1)",
    "///evil.example",
    "http://127.0.0.1:8000@evil.example/",
]


async def test_nobody_is_led_away_afterwards(tmp_path, provider):
    """A link to this site, through an honest sign-in, that ends on another one."""
    for falls in (True, False):
        async with shop_of(tmp_path / str(falls), ("honest", provider)) as shop:
            for target in AWAY:
                with _led_anywhere() if falls else nullcontext():
                    answer = await sign_in(shop.browser(), provider, wanted=target)
                led = answer.headers.get("location", "")
                assert (led not in {"", "/"}) is falls, target


@contextmanager
def _led_anywhere():
    with (
        mock.patch.object(openid, "same_site_path", _anywhere),
        mock.patch.object(desk, "same_site_path", _anywhere),
    ):
        yield


def _anywhere(target, otherwise):
    return target or otherwise


async def test_the_way_back_is_not_the_answers_to_choose(tmp_path, provider):
    """It stands in the sealed cookie: what is added to the answer changes nothing."""
    async with shop_of(tmp_path, ("honest", provider)) as shop:
        browser = shop.browser()
        address = agree(await begin(browser, wanted="/orders"), provider)
        more = urlencode({"next": "/admin", "redirect_uri": "https://evil.example"})
        answer = await come_back(browser, f"{address}&{more}")
        assert answer.headers["location"] == "/orders"


async def test_a_forged_cookie_begins_nothing(tmp_path, provider):
    """An attempt is signed: who can set a cookie cannot make one up."""
    async with shop_of(tmp_path, ("honest", provider)) as shop:
        browser = shop.browser()
        address = agree(await begin(browser), provider)
        good = browser.cookies["openid-8000"]
        for bad in (
            good[:-4] + ("A" if good[-4] != "A" else "B") + good[-3:],
            "A" + good[1:],
            good + "AAAA",
            "x",
            "",
            f"{good}; openid-8000=other",
        ):
            cookie = f"openid-8000={bad}"
            answer = await come_back(shop.browser(), address, cookie=cookie)
            assert answer.status_code == 400, bad
        cookie = f"openid-8000={good}"
        answer = await come_back(shop.browser(), address, cookie=cookie)
        assert answer.status_code == 303


async def test_a_token_of_another_attempt_is_not_taken(tmp_path, provider):
    """Token substitution: a genuine token, for this service, of somebody else, put into
    the answer to this browser's question."""
    faults = id_token._fault

    def unbound(claims, expected, now):
        return faults(claims, expected._replace(nonce=claims.nonce), now)

    off = forgotten(id_token, "_fault", unbound)
    for off_, falls in ((off, True), (None, False)):
        provider.answers = {}
        async with shop_of(
            tmp_path / str(falls), ("honest", provider), off=off_
        ) as shop:
            ann, mallory = shop.browser(), shop.browser()
            tokens = []
            provider.says = {"at_hash": None}
            provider.make = lambda *parts, kept=tokens: (
                kept.append(provider.sign(*parts)) or kept[-1]
            )
            await sign_in(ann, provider)
            provider.person = MALLORY
            provider.answers = {"id_token": tokens[0]}
            await sign_in(mallory, provider)
            found = await me(mallory)
            assert (found is not None) is falls
            if falls:
                assert found["id"] == (await me(ann))["id"]
            provider.person = dict(ANN)


async def test_a_victims_account_is_not_connected_with_the_attackers(
    tmp_path, provider
):
    """The attacker begins to connect, and has the victim's browser finish it: the
    victim's account would open to the attacker's sign-in from then on."""

    async def whoever(self, exchange, begun):
        owner = begun.account_id
        if exchange.session is not None:
            owner = exchange.session.account_id
        return await self.accounts.by_id(owner)

    for falls in (True, False):
        off = mock.patch.object(OpenIdRoutes, "_owner", whoever)
        with off if falls else nullcontext():
            async with shop_of(tmp_path / str(falls), ("honest", provider)) as shop:
                provider.person = MALLORY
                mallory, victim = shop.browser(), shop.browser()
                await _with_password(mallory, "mallory@example.com")
                await _with_password(victim, "victim@example.com")
                answer = await mallory.post("/auth/openid/honest/link")
                trap = agree(answer.json()["location"], provider)
                planted = f"openid-8000={mallory.cookies['openid-8000']}"
                session = f"session-8000={victim.cookies['session-8000']}"
                answer = await come_back(victim, trap, cookie=f"{planted}; {session}")
                connected = (await victim.get("/auth/openid")).json()[0]["connected"]
                assert connected is falls


async def _with_password(browser, email):
    body = {"email": email, "password": PASSWORD}
    await browser.post("/auth/register", json=body)
    signed_in = (await browser.post("/auth/login", json=body)).json()
    browser.headers["x-csrf-token"] = signed_in["csrf_token"]


async def test_another_site_connects_nothing(tmp_path, provider):
    """CSRF: another site's form begins to connect, at a provider where it has had the
    victim's browser signed in as the attacker."""
    async with shop_of(tmp_path, ("honest", provider)) as shop:
        victim = shop.browser()
        await _with_password(victim, "victim@example.com")
        del victim.headers["x-csrf-token"]
        answer = await victim.post(
            "/auth/openid/honest/link",
            headers={**HTML, "sec-fetch-site": "cross-site", "origin": "https://e.vil"},
        )
        assert answer.status_code == 403


async def test_the_providers_document_leads_to_no_private_address(tmp_path, provider):
    """Server-side request forgery by a provider that has been taken over: the document
    names the cloud's credentials (CWE-918)."""
    provider.document = {
        "token_endpoint": "https://169.254.169.254/latest/meta-data/",
        "jwks_uri": "https://metadata.google.internal/keys",
    }
    async with shop_of(tmp_path, ("honest", provider)) as shop:
        answer = await sign_in(shop.browser(), provider)
        assert answer.status_code == 503
        assert "169.254" not in answer.text
        (failed,) = [
            event for event in shop.recorded if event.name == "authn_login_fail"
        ]
        assert "must not be dialled" in failed.reason


async def test_the_second_factor_is_asked_for_all_the_same(tmp_path, provider):
    """Who has taken over the account at the provider has not got the telephone."""
    async with shop_of(tmp_path, ("honest", provider)) as shop:
        ann, mallory = shop.browser(), shop.browser()
        await _with_password(ann, ANN["email"])
        answer = await ann.post("/auth/openid/honest/link")
        await come_back(ann, agree(answer.json()["location"], provider))
        enrolment = (await ann.post("/auth/totp/enrol")).json()
        body = {
            "enrolment": enrolment["enrolment"],
            "code": _code(enrolment["secret"]),
            "label": "phone",
        }
        answer = await ann.post("/auth/totp/confirm", json=body)
        assert answer.status_code == 201, answer.text
        answer = await sign_in(mallory, provider, wanted="/orders")
        assert answer.headers["location"] == "/auth/second-factor?next=/orders"
        assert await me(mallory) is None


def _code(secret):
    return pyotp.TOTP(secret).now()
