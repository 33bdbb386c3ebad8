"""Imported before anything else by the process that all others are forked from: whoever
takes ``time.time`` later takes the clock that tests can set."""

import time

from tests.faults.clock import wall

time.time = wall
