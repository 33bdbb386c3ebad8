"""``ringfence accounts import``: accounts of another program, with their hashes."""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ringfence.cli.main import main
from ringfence.identity.passwords.open import open_readers

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "passwords.json").read_text("utf-8")
)
PASSWORD = "correct horse battery"
DIGEST = hashlib.md5(b"s4lt" + PASSWORD.encode()).hexdigest()


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path / "var"))
    return tmp_path / "var"


@pytest.fixture
def brought_in(data, tmp_path, capsys):
    """Import lines; return the exit code, what was printed, and the stored hashes."""

    def brought_in(*lines):
        file = tmp_path / "accounts.jsonl"
        texts = [x if isinstance(x, str) else json.dumps(x) for x in lines]
        file.write_text("\n".join(texts) + "\n", "utf-8")
        code = main(["accounts", "import", str(file)])
        printed = capsys.readouterr()
        with closing(sqlite3.connect(data / "ringfence.db")) as database, database:
            stored = dict(
                database.execute("SELECT email, password_hash FROM ringfence_accounts")
            )
        database.close()
        return code, printed.out, printed.err, stored

    return brought_in


def fits(stored, password):
    (claim,) = [claim for read in open_readers(256 * 1024) if (claim := read(stored))]
    return claim.fits(password)


def test_accounts_come_with_their_hashes_and_roles(brought_in, data):
    hashes = [each["hash"] for each in VECTORS if each["password"] == PASSWORD]
    lines = [
        {"email": f"a{number}@example.com", "password_hash": stored, "roles": ["staff"]}
        for number, stored in enumerate(hashes)
    ]
    code, out, _, stored = brought_in(*lines, "")
    assert code == 0
    assert f"Imported {len(hashes)} accounts; 0 lines" in out
    assert sorted(stored.values()) == sorted(hashes)
    events = [json.loads(x) for x in (data / "audit.jsonl").read_text().splitlines()]
    assert {(each["by"], *each["roles"]) for each in events} == {("import", "staff")}


def test_a_bare_digest_is_wrapped_at_once(brought_in):
    line = {"email": "a@example.com", "password_hash": DIGEST, "digest": "md5"}
    code, _, _, stored = brought_in(line | {"salt": "s4lt"})
    assert code == 0
    assert DIGEST not in stored["a@example.com"]
    assert fits(stored["a@example.com"], PASSWORD)


GOOD = {"email": "a@example.com", "password_hash": VECTORS[0]["hash"]}
WRONG = {
    "a bare digest": GOOD | {"password_hash": DIGEST},
    "no digest": GOOD | {"digest": "md5"},
    "an unknown function": GOOD | {"digest": "crc32"},
    "a costly hash": GOOD | {"password_hash": "$2b$31$" + "A" * 53},
    "no hash": GOOD | {"password_hash": ""},
    "a hash that no store keeps": GOOD | {"password_hash": "$2b$" + "A" * 600},
    "no address": GOOD | {"email": "nobody"},
    "no role": GOOD | {"roles": ["Staff!"]},
    "an unknown field": GOOD | {"password": "letmein"},
    "no JSON": "{",
    "a long line": json.dumps(GOOD) + " " * 20_000,
}


@pytest.mark.parametrize("line", WRONG.values(), ids=WRONG)
def test_a_line_that_is_wrong_is_named_and_the_others_are_taken(brought_in, line):
    honest = GOOD | {"email": "honest@example.com"}
    code, _, err, stored = brought_in(line, honest)
    assert code == 1
    assert "line 1: " in err
    assert list(stored) == ["honest@example.com"]


def test_an_address_that_is_taken_keeps_its_hash(brought_in):
    other = GOOD | {"password_hash": VECTORS[1]["hash"]}
    code, _, err, stored = brought_in(GOOD, other)
    assert (code, err[:7]) == (1, "line 2:")
    assert stored == {GOOD["email"]: GOOD["password_hash"]}


def test_a_file_that_is_not_there_is_named(data, capsys):
    assert main(["accounts", "import", "nowhere.jsonl"]) == 2
    assert "nowhere.jsonl cannot be read" in capsys.readouterr().err
