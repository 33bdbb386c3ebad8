"""For users' own tests: a clock that stands still, visitors, what refusals are, and a
proof that nobody reaches what is another's."""

from ringfence.testing.clock import FakeClock
from ringfence.testing.local import local
from ringfence.testing.refused import assert_refused
from ringfence.testing.trespass import Party, find_trespass, prove_no_trespass
from ringfence.testing.visitor import Visitor, signed_in

__all__ = [
    "FakeClock",
    "Party",
    "Visitor",
    "assert_refused",
    "find_trespass",
    "local",
    "prove_no_trespass",
    "signed_in",
]
