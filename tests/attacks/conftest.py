"""Both sides of the range, one process each for a module."""

from __future__ import annotations

import pytest
from tests.attacks.ranges import running_range


@pytest.fixture(scope="module")
def off():
    """The range as the guide's developer wrote it."""
    with running_range("off") as running:
        yield running


@pytest.fixture(scope="module")
def on():
    """The same range with the guard in front of it."""
    with running_range("on") as running:
        yield running
