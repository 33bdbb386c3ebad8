"""Stop with the cure when a port is taken: python tools/port.py PORT."""

import socket
import sys

HIGHEST = 65535


def main(port: str) -> str | None:
    """Return what is wrong with the port, or None."""
    if not port.isdecimal() or not 0 < int(port) <= HIGHEST:
        return f"PORT={port} is no port number; write for instance PORT=8001"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except PermissionError:
            return f"port {port} needs more rights than yours; take one above 1023"
        except OSError:
            return (
                f"port {port} is in use by another program; "
                f"take another one: PORT={int(port) + 1}"
            )
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
