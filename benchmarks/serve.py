"""One target as a process: ``python -m benchmarks.serve SOCKET TARGET``."""

from __future__ import annotations

import gc
import socket
import sys

import uvicorn
from benchmarks.apps import TARGETS


class Settled(uvicorn.Server):
    """Keeps the collector from what the start-up has made, as ``ringfence serve`` does:
    else a full collection strikes whoever has its turn."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then freeze."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()


def main(descriptor: int, target: str) -> None:
    """Serve a target on a socket that is bound already."""
    config = uvicorn.Config(
        TARGETS[target.rpartition(": ")[2]](),
        loop="uvloop",
        http="httptools",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        timeout_keep_alive=600,  # connections stay open while others have their turns
    )
    Settled(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
