"""The rules in Cloudflare's language: rulesets as its API takes them."""

from __future__ import annotations

import json
from math import ceil
from typing import Any

from ringfence.cli.export.rules import Route, Rules
from ringfence.traffic.rate import Rate

# The periods, in seconds, that a rate limiting rule may have.
_PERIODS = (10, 60, 120, 300, 600, 3_600)


def render(rules: Rules) -> str:
    """Return two rulesets: one that refuses, one that limits.

    ``PUT /zones/{zone}/rulesets/phases/{phase}/entrypoint`` takes each of them.

    Not covered: Cloudflare cannot be run here, so nobody has given it this file. What a
    plan allows depends on the contract: body sizes need Enterprise, regular
    expressions Business, several limits and long periods a paid plan.
    """
    rulesets = [
        {
            "phase": "http_request_firewall_custom",
            "rules": [
                _block("Other hosts are not served here", f"not ({_hosts(rules)})"),
                _block("No route has this method", f"not ({_methods(rules.methods)})"),
                _block(
                    "The body is too large",
                    f"http.request.body.size gt {rules.max_body}",
                ),
                *_blocked(rules),
                _block("There is no such route", _unknown(rules)),
            ],
        },
        {"phase": "http_ratelimit", "rules": _limits(rules)},
    ]
    return json.dumps(rulesets, indent=2) + "\n"


def _block(description: str, expression: str) -> dict[str, Any]:
    return {"description": description, "expression": expression, "action": "block"}


def _hosts(rules: Rules) -> str:
    exact = " ".join(_quoted(name) for name in rules.hosts if name[0] != ".")
    below = [
        f"ends_with(http.host, {_quoted(name)}) or http.host eq {_quoted(name[1:])}"
        for name in rules.hosts
        if name[0] == "."
    ]
    return " or ".join([*([f"http.host in {{{exact}}}"] if exact else ()), *below])


def _methods(methods: tuple[str, ...]) -> str:
    names = " ".join(map(_quoted, methods))
    return f"http.request.method in {{{names}}}"


def _blocked(rules: Rules) -> list[dict[str, Any]]:
    if not rules.blocked:
        return []
    return [_block("Blocked networks", f"ip.src in {{{' '.join(rules.blocked)}}}")]


def _unknown(rules: Rules) -> str:
    known = [
        f"({_matches(route)} and {_methods(route.methods)})" for route in rules.routes
    ]
    return f"not ({' or '.join(known)})"


def _matches(route: Route) -> str:
    return f'http.request.uri.path matches r#"{route.raw_pattern}"#'


def _limits(rules: Rules) -> list[dict[str, Any]]:
    limits = [
        _limit(
            f"{limit.rate.text} on {route.template}",
            f"{_matches(route)} and {_methods(limit.methods)}",
            limit.rate,
        )
        for route in rules.routes
        for limit in route.limits
    ]
    if rules.address is not None:
        limits.append(_limit(f"{rules.address.text} by address", "true", rules.address))
    return limits


def _limit(description: str, expression: str, rate: Rate) -> dict[str, Any]:
    """Return a rule with the nearest period there is, and never a narrower limit than
    the guard's: whoever keeps to that one must not be shut out here."""
    period = next((one for one in _PERIODS if one >= rate.period), _PERIODS[-1])
    amount = ceil(rate.amount * max(period, rate.period) / rate.period)
    return {
        **_block(description, expression),
        "ratelimit": {
            "characteristics": ["cf.colo.id", "ip.src"],
            "period": period,
            "requests_per_period": amount,
            "mitigation_timeout": period,
        },
    }


def _quoted(text: str) -> str:
    return json.dumps(text)
