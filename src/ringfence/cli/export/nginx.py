"""The rules in nginx's language: a file for ``http { include ...; }``."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from ringfence.cli.export.rules import Route, Rules
from ringfence.traffic.rate import Rate
from ringfence.traffic.settings import FORWARDING_HEADERS

_HEAD = """\
# Written by: ringfence export nginx TARGET. Write it again when the plan changes.
#
# A first fence, in front of the guard and never in its place: who may do what is
# decided behind it. Include this file inside http { ... }, add TLS where it listens,
# and let the guard believe this proxy: RINGFENCE_PROXIES=<its network>.
"""

# Of IPv6 one customer has 2**64 addresses: they share a budget. nginx writes addresses
# without leading zeros, so the first groups are the same text for one network, or at
# worst two. A translator's IPv6 side (64:ff9b::/96) holds all of IPv4.
_CLIENT = """\
map $remote_addr $ringfence_client {
    default                                  $remote_addr;
    "~^64:ff9b::"                            $remote_addr;
    "~^(?P<ringfence_four>(?:[0-9a-f]+:){4})"       $ringfence_four;
    "~^(?P<ringfence_few>(?:[0-9a-f]+:){1,3}):"     $ringfence_few;
}
"""
# To no other protocol: a backend that speaks h2c would be handed a tunnel, in which
# nobody looks at paths, methods or addresses any more (CWE-444).
_UPGRADES = """\
map $http_upgrade $ringfence_upgrade {
    default         "";
    "~*^websocket$" websocket;
}
map $ringfence_upgrade $ringfence_connection {
    default upgrade;
    ""      "";
}
"""
_MINUTE = 60
_WRITTEN = frozenset({"x-forwarded-for", "x-forwarded-proto"})


def render(rules: Rules, *, listen: str, upstream: str) -> str:
    """Return the file.

    Args:
        rules: what of the plan a gateway can carry out.
        listen: what nginx listens on, ``80`` or ``127.0.0.1:8080``.
        upstream: where the backend listens, ``127.0.0.1:8000``.

    Not covered: limits by account, which nginx cannot know; parameters' types; TLS.
    """
    return "\n".join((_HEAD, *_zones(rules), *_servers(rules, listen, upstream)))


def _zones(rules: Rules) -> Iterator[str]:
    yield _CLIENT
    if rules.address is not None:
        yield _zone("ringfence_address", rules.address, "ringfence_client")
    for number, route in enumerate(rules.routes):
        for index, limit in enumerate(route.limits):
            name = f"ringfence_{number}_{index}"
            yield from _counted(f"{name}_client", limit.methods)
            yield _zone(name, limit.rate, f"{name}_client")
    yield _UPGRADES


def _counted(name: str, methods: tuple[str, ...]) -> Iterator[str]:
    """Write what a budget is counted by: an empty text is not counted."""
    yield f"map $request_method ${name} {{"
    yield '    default "";'
    yield from (f"    {method} $ringfence_client;" for method in methods)
    yield "}"


def _zone(name: str, rate: Rate, key: str) -> str:
    # Whole numbers a minute are the finest that nginx knows.
    minute = max(1, ceil(rate.amount * _MINUTE / rate.period))
    return f"limit_req_zone ${key} zone={name}:10m rate={minute}r/m;  # {rate.text}"


def _servers(rules: Rules, listen: str, upstream: str) -> Iterator[str]:
    yield "limit_req_status 429;"
    yield "# Other hosts are not served here.\nserver {"
    yield f"    listen {listen} default_server;"
    yield "    merge_slashes off;  # nginx asks the default server about this"
    yield "    return 421;\n}\n"
    yield "server {"
    yield f"    listen {listen};"
    yield f"    server_name {' '.join(rules.hosts) or 'localhost'};"
    yield "    server_tokens off;"
    yield "    merge_slashes off;  # doubled slashes are refused, not mended"
    yield f"    client_max_body_size {rules.max_body or 1};  # bytes"
    yield f"    client_body_timeout {rules.body_seconds}s;"
    yield f"    client_header_timeout {rules.body_seconds}s;"
    yield f"    large_client_header_buffers 4 {max(8192, rules.head_bytes)};"
    yield from (f"    deny {network};" for network in rules.blocked)
    if rules.address is not None:
        # A location with limits of its own would leave these out.
        yield f"    {_limit('ringfence_address', rules.address)}"
    yield ""
    yield "    proxy_http_version 1.1;"
    yield from _headers("    ")
    yield ""
    for number, route in enumerate(rules.routes):
        yield from _location(number, route, rules, upstream)
    yield "    # What the plan does not know.\n    location / {\n        return 404;"
    yield "    }\n}\n"


def _location(number: int, route: Route, rules: Rules, upstream: str) -> Iterator[str]:
    yield f"    # {_comment(route.template)}"
    yield f'    location ~ "{route.pattern}" {{'
    methods = "|".join(route.methods)
    yield f"        if ($request_method !~ ^({methods})$) {{ return 405; }}"
    if route.limits and rules.address is not None:
        yield f"        {_limit('ringfence_address', rules.address)}"
    for index, limit in enumerate(route.limits):
        yield f"        {_limit(f'ringfence_{number}_{index}', limit.rate)}"
    if route.websocket:
        yield from _upgrade()
    yield f"        proxy_pass http://{upstream};"
    yield "    }"


def _upgrade() -> Iterator[str]:
    yield "        proxy_set_header Upgrade $ringfence_upgrade;"
    yield "        proxy_set_header Connection $ringfence_connection;"
    # A location that sets headers leaves out those of its server.
    yield from _headers("        ")


def _headers(indent: str) -> Iterator[str]:
    """Write the one forwarding header anew, and drop the others: what clients say about
    themselves must not reach the backend."""
    yield f"{indent}proxy_set_header Host $http_host;"
    yield f"{indent}proxy_set_header X-Forwarded-For $remote_addr;"
    yield f"{indent}proxy_set_header X-Forwarded-Proto $scheme;"
    for name in sorted(FORWARDING_HEADERS - _WRITTEN):
        yield f'{indent}proxy_set_header {name} "";'


def _limit(zone: str, rate: Rate) -> str:
    burst = max(0, rate.amount - 1)
    at_once = f" burst={burst} nodelay" if burst else ""
    return f"limit_req zone={zone}{at_once};"


def _comment(text: str) -> str:
    return " ".join(text.split())
