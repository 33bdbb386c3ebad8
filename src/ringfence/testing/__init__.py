"""For users' own tests: a clock that stands still, visitors, and what refusals are."""

from ringfence.testing.clock import FakeClock
from ringfence.testing.local import local
from ringfence.testing.refused import assert_refused
from ringfence.testing.visitor import Visitor, signed_in

__all__ = ["FakeClock", "Visitor", "assert_refused", "local", "signed_in"]
