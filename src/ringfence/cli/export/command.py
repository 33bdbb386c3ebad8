"""Writing the rules of a guard for one gateway."""

from __future__ import annotations

import re
import sys

from ringfence.cli.export import cloudflare, envoy, nginx
from ringfence.cli.export.rules import rules_of
from ringfence.cli.target import load_target
from ringfence.errors import SettingsError

_ADDRESS = re.compile(r"(?:(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):)?[0-9]{1,5}")


def export(gateway: str, target: str, *, listen: str, upstream: str) -> int:
    """Print the rules.

    Raises:
        SettingsError: there is no such guard, or an address is none.
        PlanError: a route cannot be guarded as it stands.
    """
    for option, address in (("--listen", listen), ("--upstream", upstream)):
        if not _ADDRESS.fullmatch(address):
            message = f"{option} {address!r} is no address; write 127.0.0.1:8000"
            raise SettingsError(message)
    if ":" not in upstream:  # nginx would read 8000 as the address 0.0.31.64
        message = (
            f"--upstream {upstream!r} says no host; write 127.0.0.1:{upstream}, or "
            "where the backend listens"
        )
        raise SettingsError(message)
    rules = rules_of(load_target(target))
    if not rules.hosts:
        sys.stderr.write(
            "ringfence: no host is known; set RINGFENCE_PUBLIC_ORIGINS, or only "
            "localhost is served\n"
        )
    if gateway == "cloudflare":
        sys.stdout.write(cloudflare.render(rules))
    else:
        render = nginx.render if gateway == "nginx" else envoy.render
        sys.stdout.write(render(rules, listen=listen, upstream=upstream))
    return 0
