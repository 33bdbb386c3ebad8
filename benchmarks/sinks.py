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
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import IO

from benchmarks.report import Figure, Section
from sqlglot.dialects.dialect import Dialect

from ringfence.exchange import Exchange, active
from ringfence.interpreters.arm import arm
from ringfence.interpreters.hook import gather, hook_of
from ringfence.interpreters.html.reflected import Reflection
from ringfence.interpreters.json.strict import read
from ringfence.interpreters.paths import events as path_events
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Sink, Sinks
from ringfence.interpreters.sql.judge import check
from ringfence.interpreters.untrusted import inputs_of
from ringfence.interpreters.urls import egress

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


BODY = json.dumps({f"field{at}": text for at, text in enumerate(INPUTS)}).encode()
JSON = b"application/json"
PAGE = b"<html><body>" + b"<p>an <b>honest</b> page</p>\n" * 1_750 + b"</body></html>"
HTML = {b"content-type": b"text/html; charset=utf-8"}
UPLOAD = (
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\n\r\n'
    + random.Random(1).randbytes(1_048_576)
    + b"\r\n--b--\r\n"
)
SAVED = ("/srv/uploads/5f0c.bin", "wb", 0)


def _exchange(
    body: bytes = BODY, content_type: bytes = JSON, query: bytes = b""
) -> Exchange:
    """A request that has brought ten values."""

    async def nothing() -> dict[str, object]:
        raise RuntimeError

    scope = {
        "type": "http",
        "method": "POST" if body else "GET",
        "path": "/",
        "query_string": query,
        "headers": [(b"content-type", content_type)] if body else [],
    }
    exchange = Exchange(scope, nothing)
    exchange.received = [body] if body else []
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


_IN_NO_INPUT = str.maketrans("0123456789", "zqxjkvwyfu")


def _first_sights() -> tuple[Callable[[], object], ...]:
    """A text that nobody has seen, with an honest input in a literal of it: judged,
    only tokenised, and judged where its shape is new as well."""
    numbers, tokenizer = count(), Dialect.get_or_raise("postgres")

    def text(name: str = "price") -> str:
        return (
            f"SELECT id, name, {name}, stock FROM products WHERE category = "
            f"'reading lamp' AND price < {next(numbers)} ORDER BY price DESC LIMIT 20"
        )

    def judged() -> None:
        check(text(), dialect="postgres", sink=SINK)

    def of_a_new_shape() -> None:
        name = str(next(numbers)).translate(_IN_NO_INPUT)
        check(text(f"price AS {name}"), dialect="postgres", sink=SINK)

    return judged, lambda: tokenizer.tokenize(text()), of_a_new_shape


def _others() -> dict[str, tuple[Callable[[], object], int]]:
    """What has no goal, and how often it is done in a round."""
    hook = hook_of(gather(path_events.JUDGES, egress.JUDGES))
    to = socket.socket()
    known, dialled = _exchange(), ("93.184.215.14", 443)

    def judge(event: str, args: tuple[object, ...], **brought: bytes) -> None:
        with _answering(_exchange(**brought) if brought else known):
            hook(event, args)

    def show() -> None:
        page = _exchange(b"", query=b"q=O%27Brien+said+%22hello%22")
        reflection = Reflection(page, HTML)
        reflection.concerns()
        reflection.look(PAGE, more=False)

    upload = {"body": UPLOAD, "content_type": b"multipart/form-data; boundary=b"}
    return {
        "JSON of 250 bytes, read strictly": (partial(read, BODY), TIMES),
        "a file is opened, ten inputs": (partial(judge, "open", SAVED), TIMES),
        "... and nobody has asked for them before": (
            partial(judge, "open", SAVED, body=BODY),
            TIMES // 10,
        ),
        "... and they are an upload of 1 MiB": (
            partial(judge, "open", SAVED, **upload),
            1,
        ),
        "a connection is opened, ten inputs": (
            partial(judge, "socket.connect", (to, dialled)),
            TIMES,
        ),
        "a page of 50 kB, a query with quotes": (show, TIMES // 20),
    }


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
    first, tokenised, new_shape = _first_sights()
    others = _others()
    judged_event, other_event = _events()
    work: dict[str, Callable[[], object]] = {
        "a statement seen before": _seen,
        "ten `in` tests": _ten_tests,
        "first sight, with a hit": first,
        "one tokenization of it": tokenised,
        "first sight, of a shape that is new": new_shape,
        "an audit event, nobody answered": judged_event,
        "an audit event that nobody judges": other_event,
    }
    python = os.environ.get("AIKIDO_PYTHON")
    aikido = Aikido(python) if python else None
    least = dict.fromkeys((*work, *others), float("inf"))
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
            for name, (call, times) in others.items():
                least[name] = min(least[name], _spend(call, times))
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
