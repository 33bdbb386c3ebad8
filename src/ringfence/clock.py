"""Time, handed in as an argument so that no test has to sleep."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns Unix time in seconds."""

system_clock: Clock = time.time
