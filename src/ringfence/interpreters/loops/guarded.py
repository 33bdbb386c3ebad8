"""uvloop's loop, armed from its first moment: for servers that take a class of loop."""

from __future__ import annotations

import uvloop

from ringfence.interpreters.loops.announced import arm_loop


class GuardedLoop(uvloop.Loop):
    """A uvloop that announces connections, look-ups of names and programs, as
    asyncio's loops do (PEP 578)::

        uvicorn --loop ringfence.interpreters.loops.guarded:GuardedLoop

    ``ringfence serve`` and ``ringfence dev`` use it wherever they use uvloop.

    Not covered: packets sent from an endpoint that is not connected, and what C code
    does on its own.
    """

    def __init__(self) -> None:
        super().__init__()
        arm_loop(self)
