"""What the guards at interpreters cost, beside the work that they stand before.

    python -m benchmarks.sinks

In process, CPU time; what is compared takes turns, and the least of many rounds is
shown. Aikido Zen is run as a program of its own (its licence allows no more) where
``AIKIDO_PYTHON`` names a Python that has it::

    uv venv /tmp/zen && uv pip install --python /tmp/zen/bin/python aikido_zen
    AIKIDO_PYTHON=/tmp/zen/bin/python make bench
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import IO

from benchmarks.report import Figure, Section
from sqlglot.dialects.dialect import Dialect

from ringfence.exchange import Exchange, active
from ringfence.interpreters.arm import arm
from ringfence.interpreters.hook import gather, hook_of
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Sink, Sinks
from ringfence.interpreters.sql.judge import check
from ringfence.interpreters.untrusted import inputs_of

ROUNDS, TIMES = 60, 400
SEEN_GOAL, FIRST_GOAL, EVENT_GOAL = 2.0, 2.0, 0.5  # times, times, microseconds

SINK = Sink("sql", "benchmark")
STATEMENT = (
    "SELECT id, name, price, stock FROM products WHERE category = ? AND price < ? "
    "AND name LIKE ? ORDER BY price DESC LIMIT 20"
)
INPUTS = (
    "lamps", "49.90", "reading lamp", "Ann O'Brien", "ann@example.com", "2026-11-23",
    "blue and green", "12 Main Street", "call me after six", "en-IE",
)  # fmt: skip
_AIKIDO = """
import json, sys, time
from aikido_zen.vulnerabilities.sql_injection import detect_sql_injection as detect
inputs, dialect = json.loads(sys.stdin.readline()), "postgres"
for line in sys.stdin:
    statement, hit = json.loads(line)
    values = [*inputs[1:], hit] if hit else inputs
    started = time.process_time()
    for _ in range(400):
        for value in values:
            detect(statement, value, dialect)
    print((time.process_time() - started) / 400 * 1e6, flush=True)
"""


def _exchange() -> Exchange:
    """A request that has brought ten values."""

    async def nothing() -> dict[str, object]:
        raise RuntimeError

    body = json.dumps({f"field{at}": text for at, text in enumerate(INPUTS)}).encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    exchange = Exchange(scope, nothing)
    exchange.received = [body]
    exchange.sinks = Sinks(InterpretersSettings(), lambda _: None)
    return exchange


@contextmanager
def _answering(exchange: Exchange) -> Iterator[None]:
    token = active.set(exchange)
    try:
        yield
    finally:
        active.reset(token)


def _spend(work: Callable[[], object], times: int = TIMES) -> float:
    """Return microseconds of one call."""
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times * 1e6


def _seen() -> None:
    check(STATEMENT, dialect="postgres", sink=SINK)


def _ten_tests() -> None:
    text = STATEMENT
    for value in INPUTS:
        if value in text:
            raise RuntimeError


def _first_sights() -> tuple[Callable[[], object], Callable[[], object]]:
    """A text that nobody has seen, with an honest input in a literal of it: judged, and
    only tokenised."""
    numbers, tokenizer = count(), Dialect.get_or_raise("postgres")

    def text() -> str:
        return (
            "SELECT id, name, price, stock FROM products WHERE category = "
            f"'reading lamp' AND price < {next(numbers)} ORDER BY price DESC LIMIT 20"
        )

    def judged() -> None:
        check(text(), dialect="postgres", sink=SINK)

    return judged, lambda: tokenizer.tokenize(text())


def _events() -> tuple[Callable[[], object], Callable[[], object]]:
    """An event that is judged, and one that nobody judges, with nobody to answer."""
    hook = hook_of(gather({"open": _refuse}))
    args = ("/tmp/x", "r", 0)
    return lambda: hook("open", args), lambda: hook("object.__getattr__", args)


def _refuse(*asked: object) -> None:
    raise RuntimeError(asked)


class Aikido:
    """The other program, asked for one round at a time."""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, "-c", _AIKIDO],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._tell(list(INPUTS))

    def spend(self, hit: str = "") -> float:
        """Return microseconds that a check of ten inputs takes; one of them is in the
        statement if ``hit`` is."""
        text = STATEMENT.replace("?", f"'{hit}'", 1) if hit else STATEMENT
        self._tell([text, hit])
        return float(self._pipe(self._process.stdout).readline())

    def end(self) -> None:
        """End it."""
        self._pipe(self._process.stdin).close()
        self._process.wait(timeout=10)

    def _tell(self, what: object) -> None:
        pipe = self._pipe(self._process.stdin)
        pipe.write(json.dumps(what) + "\n")
        pipe.flush()

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise RuntimeError
        return pipe


def measured() -> dict[str, float]:
    """Return microseconds of each, the least of all rounds."""
    exchange = _exchange()
    inputs_of(exchange)
    arm()  # collects the constants of what is loaded
    first, tokenised = _first_sights()
    judged_event, other_event = _events()
    work: dict[str, Callable[[], object]] = {
        "a statement seen before": _seen,
        "ten `in` tests": _ten_tests,
        "first sight, with a hit": first,
        "one tokenization of it": tokenised,
        "an audit event, nobody answered": judged_event,
        "an audit event that nobody judges": other_event,
    }
    python = os.environ.get("AIKIDO_PYTHON")
    aikido = Aikido(python) if python else None
    least = dict.fromkeys(work, float("inf"))
    with _answering(exchange):
        for name in ("a statement seen before", "first sight, with a hit"):
            work[name]()
    try:
        for _ in range(ROUNDS):
            for name, call in work.items():
                is_asked = not name.startswith("an audit")
                least[name] = min(
                    least[name], _spend_here(call, exchange if is_asked else None)
                )
            if aikido is not None:
                for name, hit in (
                    ("aikido_zen, ten inputs", ""),
                    ("aikido_zen, one of them a hit", "reading lamp"),
                ):
                    spent = aikido.spend(hit)
                    least[name] = min(least.get(name, spent), spent)
    finally:
        if aikido is not None:
            aikido.end()
    return least


def _spend_here(call: Callable[[], object], exchange: Exchange | None) -> float:
    if exchange is None:
        return _spend(call)
    with _answering(exchange):
        return _spend(call)


def section() -> Section:
    """Measure."""
    least = measured()
    seen, tests = least["a statement seen before"], least["ten `in` tests"]
    first, once = least["first sight, with a hit"], least["one tokenization of it"]
    event = least["an audit event, nobody answered"]
    zen = least.get("aikido_zen, ten inputs")
    hit = least.get("aikido_zen, one of them a hit")
    lines = [
        "| | microseconds |",
        "|---|---:|",
        *(f"| {name} | {spent:.2f} |" for name, spent in least.items()),
    ]
    if zen is None:
        lines += ["", "Aikido Zen was not run: `AIKIDO_PYTHON` names no Python."]
    figures = (
        Figure(
            "a parametrised statement, beside ten `in` tests",
            "" if zen is None else f"aikido_zen {zen / tests:.1f} x",
            f"<= {SEEN_GOAL:g} x",
            f"{seen / tests:.2f} x ({seen:.2f} us)",
            seen <= SEEN_GOAL * tests,
        ),
        Figure(
            "a statement at first sight with a hit, beside one tokenization",
            "" if hit is None else f"aikido_zen {hit / once:.1f} x",
            f"<= {FIRST_GOAL:g} x",
            f"{first / once:.2f} x ({first:.0f} us)",
            first <= FIRST_GOAL * once,
        ),
        Figure(
            "an audit event while nobody is answered",
            "",
            f"<= {EVENT_GOAL:g} us",
            f"{event:.2f} us",
            event <= EVENT_GOAL,
        ),
    )
    return Section("Guards at interpreters", tuple(lines), figures)


if __name__ == "__main__":
    print("\n".join(section().lines))
