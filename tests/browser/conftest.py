"""A real Chromium, and pages that remember what went wrong in them."""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from importlib.util import find_spec

import pytest
from tests.browser.witness import Witness

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_MISSING = (
    "NO CHROMIUM: the tests in a real browser did NOT run; "
    "install it (and Playwright), on Debian with: apt-get install chromium"
)
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Reports come at once instead of within a minute, and to a certificate of the test.
    "--short-reporting-delay",
    "--ignore-certificate-errors",
    # Every name but loopback's leads nowhere, whatever a payload asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
_missing = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def chromium(request):
    """The path of Chromium. Without one the test is skipped, loudly; in CI it fails."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None or find_spec("playwright") is None:
        request.config.stash[_missing] = True
        if os.environ.get("CI") == "true":
            pytest.fail(_MISSING, pytrace=False)
        pytest.skip(_MISSING)
    return found


def pytest_terminal_summary(terminalreporter, config):
    if config.stash.get(_missing, False):
        terminalreporter.write_line(_MISSING, red=True, bold=True)


@pytest.fixture(scope="module")
def browser(chromium):
    """Chromium for one module: Playwright's own event loop runs as long as it does,
    and no other may run beside it."""
    # Imported late: without Playwright the other tests still run.
    sync_api = import_module("playwright.sync_api")
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield launched
        launched.close()


@pytest.fixture
def visit(browser):
    """Open a fresh browser profile: ``visit(base_url, **options) -> Witness``."""
    contexts = []

    def open_profile(base_url, **options):
        context = browser.new_context(base_url=base_url, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        return Witness(context)

    yield open_profile
    for context in contexts:
        context.close()
