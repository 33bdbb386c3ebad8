"""What every test shares, and no more."""

import os

import pytest
from hypothesis import settings

# The same cases on every run where a change is judged; new ones at home.
settings.register_profile("home", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")


@pytest.fixture
def anyio_backend():
    return "asyncio"
