"""Search for input that the verdict lets through and that SQLite reads as code.

    uv pip install atheris
    python tools/fuzz_sql.py -max_total_time=180 [CORPUS]

Coverage leads it (libFuzzer, whose options follow), where the property tests choose
at random; the question is theirs. No requirement of the project: it runs for as long as
somebody looks on. What it finds is printed, and belongs among the examples of
tests/interpreters/sql/test_against_sqlite.py.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["ringfence.interpreters"]):
    from tests.interpreters.sql.test_against_sqlite import (
        ALPHABET,
        KNOWN,
        SCHEMA,
        TEMPLATES,
        WORDS,
        harmless,
        kinds,
        passes,
        shape,
    )

    from ringfence.interpreters.sql.verdict import judge
    from ringfence.interpreters.untrusted import Input, Inputs

_PIECES = (*ALPHABET, *WORDS.elements, " OR ", " UNION SELECT ", " -- ")
_LONGEST = 24  # pieces of one value
_NEXT = 255  # the byte that ends a value

DATABASE = sqlite3.connect(":memory:")
DATABASE.execute(SCHEMA)
ALLOWED = {template: harmless(DATABASE, template) for template in TEMPLATES}


def search(data: bytes) -> None:
    """Put what the bytes spell into a template, and ask both."""
    if not data:
        return
    template = TEMPLATES[data[0] % len(TEMPLATES)]
    count = template.count("{}")
    given = [*data[1:].split(bytes([_NEXT]), count - 1), b"", b""][:count]
    sent = ["".join(_PIECES[b % len(_PIECES)] for b in one[:_LONGEST]) for one in given]
    text = template.format(*sent)
    inputs = Inputs(tuple(Input(one, "query") for one in sent if one))
    for dialect in ("postgres", "mysql"):  # no text makes it fail
        judge(text, dialect, inputs, KNOWN, ().__contains__)
    if passes(text, *sent):
        found = shape(DATABASE, text)
        if found is not None and kinds(found) not in ALLOWED[template]:
            message = f"it passes as code: {text!r}, of {sent!r}"
            raise RuntimeError(message)


if __name__ == "__main__":
    atheris.Setup(sys.argv, search)
    atheris.Fuzz()
