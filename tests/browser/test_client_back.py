"""The way back after a sign-out, in a Chromium that keeps pages as people's do."""

from __future__ import annotations

import os
from importlib import import_module

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.attacks.serving import served
from tests.browser.clients import Tab, page, script

from ringfence.identity.client.files import read_client

SAW = """addEventListener("pageshow", (event) => {
    if (event.persisted) setTimeout(() => {
        window.cameBack = getComputedStyle(document.body).visibility;
    });
})"""


class House:
    """A site that forgets ``no-store``, so that browsers keep its pages whole."""

    signed_in = True

    async def private(self, request):
        shown = "Ann has 100 euros" if self.signed_in else "Sign in, please"
        return page("private", shown, "token" if self.signed_in else "")

    async def start(self, request):
        return page("start")

    async def me(self, request):
        if self.signed_in:
            return JSONResponse({"id": "ann", "csrf_token": "token"})
        refusal = {"code": "access.not_signed_in"}
        return JSONResponse(refusal, 401, media_type="application/problem+json")

    async def logout(self, request):
        self.signed_in = False
        return Response(status_code=204)

    def app(self, port):
        source = read_client()["ringfence.js"].content

        async def client(request):
            return Response(source, media_type="text/javascript")

        return Starlette(
            routes=[
                Route("/", self.start),
                Route("/private", self.private),
                Route("/app.js", script),
                Route("/auth/assets/ringfence.js", client),
                Route("/auth/me", self.me),
                Route("/auth/logout", self.logout, methods=["POST"]),
            ]
        )


@pytest.fixture(scope="module")
def keeping(chromium):
    """Chromium with its back/forward cache, which Playwright switches off."""
    sync_api = import_module("playwright.sync_api")
    flags = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium,
            args=flags,
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield launched
        launched.close()


@pytest.fixture
def ann(keeping):
    house = House()
    with served(house.app) as running:
        context = keeping.new_context(base_url=running.url)
        context.add_init_script(SAW)
        tab = Tab(context.new_page()).goto("/private")
        yield tab
        context.close()


def back(tab):
    tab.page.go_back(wait_until="commit")


def test_the_page_is_kept_while_somebody_is_signed_in(ann):
    """So that the next test is about something."""
    ann.run("() => rf.me()")
    ann.run("() => { window.kept = true; }")
    ann.goto("/")
    back(ann)
    ann.page.get_by_text("100 euros").wait_for()
    ann.until("window.cameBack")
    ann.until("getComputedStyle(document.body).visibility === 'visible'")
    assert ann.run("[window.kept, window.cameBack]") == [True, "hidden"]


def test_the_page_is_gone_after_a_sign_out(ann):
    ann.run("() => rf.me()")
    ann.goto("/")
    ann.run("() => rf.signOut()")
    back(ann)
    ann.page.get_by_text("Sign in, please").wait_for()
    assert ann.errors == []


def test_so_is_the_page_that_the_sign_out_was_on(ann):
    ann.run("() => rf.signOut()")
    ann.goto("/")
    back(ann)
    ann.page.get_by_text("Sign in, please").wait_for()
