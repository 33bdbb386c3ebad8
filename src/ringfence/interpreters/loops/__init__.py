"""Event loops: those of asyncio announce what they do; uvloop's does so once it is
armed.

uvloop connects, resolves names and starts programs in C, where no audit event (PEP 578)
is raised, so that the judges of events would never hear of it.
"""

from ringfence.interpreters.loops.announced import arm_loop, is_seen

__all__ = ["arm_loop", "is_seen"]
