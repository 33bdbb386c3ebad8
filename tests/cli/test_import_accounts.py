"""``ringfence accounts import``: accounts of another program, with their hashes."""

import asyncio
import base64
import csv
import hashlib
import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import bcrypt
import pytest
from argon2 import PasswordHasher
from tests.identity.gatehouse import gatehouse

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

    def brought_in(*lines, name="accounts.jsonl", options=()):
        file = tmp_path / name
        texts = [x if isinstance(x, str) else json.dumps(x) for x in lines]
        file.write_text("\n".join(texts) + "\n", "utf-8")
        code = main(["accounts", "import", str(file), *options])
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
        {"email": f"a{number}@example.com", "password_hash": stored}
        | {"roles": ["staff"], "tenant": "acme"}
        for number, stored in enumerate(hashes)
    ]
    code, out, _, stored = brought_in(*lines, "")
    assert code == 0
    assert f"Imported {len(hashes)} accounts; 0 were there already; 0 lines" in out
    assert sorted(stored.values()) == sorted(hashes)
    events = [json.loads(x) for x in (data / "audit.jsonl").read_text().splitlines()]
    assert {(each["by"], *each["roles"], each["tenant"]) for each in events} == {
        ("import", "staff", "acme")
    }


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
    "no tenant": GOOD | {"tenant": "a b"},
    "an unknown field": GOOD | {"password": "letmein"},
    "no JSON": "{",
    "a long line": json.dumps(GOOD) + " " * 20_000,
    "a list": "[1]",
    "no salt place": GOOD | {"salt_place": "around"},
    "a number": GOOD | {"email": 7},
    "no UTF-8": '{"email": "a\\ud800@example.com", "password_hash": "x"}',
    "many brackets": "[" * 5000,
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


def test_running_it_again_does_nothing_twice(brought_in, data):
    """An import that was cut off is run again: what is there stays as it is, and costs
    no hash."""
    digest = {"email": "b@example.com", "password_hash": DIGEST, "digest": "md5"}
    _, out, _, first = brought_in(GOOD, digest)
    assert "Imported 2 accounts; 0 were there" in out
    other = GOOD | {"password_hash": VECTORS[1]["hash"], "roles": ["admin"]}
    code, out, _, again = brought_in(other, digest, GOOD | {"email": "c@example.com"})
    assert (code, again["c@example.com"]) == (0, GOOD["password_hash"])
    assert "Imported 1 accounts; 2 were there already; 0 lines" in out
    assert {name: again[name] for name in first} == first
    events = [json.loads(x) for x in (data / "audit.jsonl").read_text().splitlines()]
    assert len(events) == 3


def test_a_report_names_the_refused_lines(brought_in, tmp_path):
    """By number and reason, for the owner of the file alone."""
    report = tmp_path / "refused.csv"
    lines = (GOOD | {"email": "nobody"}, GOOD, "{")
    code, out, err, _ = brought_in(*lines, options=["--report", str(report)])
    assert (code, err) == (1, "")
    assert "Imported 1 accounts; 0 were there already; 2 lines were refused." in out
    with report.open(newline="") as opened:
        head, *rows = csv.reader(opened)
    assert head == ["line", "reason"]
    assert [row[0] for row in rows] == ["1", "3"]
    assert rows[0][1].startswith("email: That is no e-mail address")
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_nothing_of_a_hash_is_told(brought_in, tmp_path):
    """Wherever it stands: columns are mistaken for each other soon enough (CWE-532)."""
    secret = "5ecre7" * 8
    report = tmp_path / "refused.csv"
    rows = [GOOD | {"email": f"a{n}@example.com"} for n in range(11)]
    wrong = [
        rows[0] | {"password_hash": secret},
        rows[1] | {"digest": secret},
        rows[2] | {"digest": "md5", "password_hash": secret},
        rows[3] | {"salt_place": secret},
        rows[4] | {"roles": [secret.upper()]},
        rows[5] | {"roles": secret},
        rows[6] | {secret: "x"},
        rows[7] | {"email": secret},
        json.dumps(rows[8])[:-1] + secret,
        rows[9] | {"tenant": secret * 2},
        rows[10] | {"tenant": [secret]},
    ]
    for options in ([], ["--report", str(report)], ["--check"]):
        code, out, err, stored = brought_in(*wrong, options=options)
        assert code == 1
        assert "11 lines" in out
        told = out + err + report.read_text() if report.exists() else out + err
        assert secret not in told.lower()
        assert stored == {}


def test_a_dry_run_changes_nothing(data, tmp_path, capsys):
    """It opens no database, and refuses the same lines."""
    file = tmp_path / "accounts.jsonl"
    digest = {"email": "b@example.com", "password_hash": DIGEST, "digest": "md5"}
    lines = [GOOD, *WRONG.values(), digest, GOOD]
    texts = [x if isinstance(x, str) else json.dumps(x) for x in lines]
    file.write_text("\n".join(texts), "utf-8")
    assert main(["accounts", "import", str(file), "--check"]) == 1
    printed = capsys.readouterr()
    refused = len(WRONG) + 1
    assert f"2 accounts could be imported; {refused} lines would be" in printed.out
    assert f"line {len(lines)}: an earlier line" in printed.err
    assert not list(data.rglob("*.db"))


COLUMNS = "email,password_hash,digest,salt,salt_place,roles,tenant"


def test_a_table_is_imported(brought_in, data):
    """As spreadsheets and databases write it: with a mark, quotes and blanks."""
    code, out, _, stored = brought_in(
        "\ufeff" + COLUMNS.replace("email", '"Email"'),
        f'a@example.com,"{GOOD["password_hash"]}",,,,"staff, admin",acme',
        f"b@example.com,{DIGEST},md5,s4lt,before,,",
        f'c@example.com,{DIGEST},md5,"open quote,before,,',
        "d@example.com,too,few",
        "",
        f"e@example.com,{GOOD['password_hash']},,,,,",
        name="accounts.CSV",
    )
    assert code == 1
    assert "Imported 3 accounts; 0 were there already; 2 lines" in out
    assert set(stored) == {"a@example.com", "b@example.com", "e@example.com"}
    assert fits(stored["b@example.com"], PASSWORD)
    events = [json.loads(x) for x in (data / "audit.jsonl").read_text().splitlines()]
    assert [each.get("roles", []) for each in events] == [["admin", "staff"], [], []]
    assert [each.get("tenant", "") for each in events] == ["acme", "", ""]


@pytest.mark.parametrize(
    "first",
    ["", "email", "email,email,password_hash", "email,password_hash,pin", '"', "a,b"],
)
def test_a_table_without_its_columns_is_refused(data, tmp_path, capsys, first):
    file = tmp_path / "accounts.csv"
    file.write_text(f"{first}\na@example.com,x\n")
    assert main(["accounts", "import", str(file)]) == 2
    assert "the first line of" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_stops_the_import(data, tmp_path, capsys):
    file = tmp_path / "accounts.jsonl"
    file.write_text(json.dumps(GOOD))
    nowhere = tmp_path / "nowhere" / "refused.csv"
    assert main(["accounts", "import", str(file), "--report", str(nowhere)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_terminal_shows_how_far_it_is(brought_in, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    _, out, err, _ = brought_in(*(GOOD for _ in range(3)))
    assert "%" in err
    assert "Imported 1 accounts" in out


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def made_elsewhere():
    """Hashes as other programs store them, each made here by the documented format.

    Sources: Django's ``django/contrib/auth/hashers.py`` (its oldest: ``md5$SALT$HEX``
    and ``sha1$SALT$HEX`` of the salt and the password); pwdlib and fastapi-users (the
    PHC text of argon2-cffi, ``$2b$`` of bcrypt).
    """
    argon2 = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=4)
    salted = PASSWORD.encode()
    rounds = hashlib.pbkdf2_hmac("sha256", salted, b"seasalt", 1000)
    tag = base64.b64encode(rounds).decode()
    return {
        "django-pbkdf2": {"password_hash": f"pbkdf2_sha256$1000$seasalt${tag}"},
        "django-argon2": {"password_hash": "argon2" + argon2.hash(PASSWORD)},
        "django-md5": {"password_hash": f"md5$sea${md5('sea' + PASSWORD)}"},
        "django-sha1": {
            "password_hash": "sha1$sea$" + hashlib.sha1(b"sea" + salted).hexdigest()
        },
        "pwdlib-argon2": {"password_hash": argon2.hash(PASSWORD)},
        "pwdlib-bcrypt": {
            "password_hash": bcrypt.hashpw(salted, bcrypt.gensalt(4)).decode()
        },
        "legacy-md5": {"password_hash": md5(PASSWORD).upper(), "digest": "md5"},
        "legacy-sha256": {
            "password_hash": hashlib.sha256(salted + b"pepper").hexdigest(),
            "digest": "sha256",
            "salt": "pepper",
            "salt_place": "after",
        },
    }


def test_owners_sign_in_and_their_hashes_become_ours(brought_in, data, tmp_path):
    """Whatever program had made them; until then no fast digest is worth stealing."""
    lines = [
        {"email": f"{name}@example.com"} | row for name, row in made_elsewhere().items()
    ]
    code, _, err, stored = brought_in(*lines)
    assert (code, err) == (0, "")
    for name in ("django-md5", "django-sha1", "legacy-md5", "legacy-sha256"):
        assert stored[f"{name}@example.com"].startswith("$wrapped$")
    found = asyncio.run(after_sign_ins(tmp_path, data / "ringfence.db", stored))
    for account in found:
        assert account.password_hash.startswith("$argon2id$v=19$")
        assert account.password_hash != stored[account.email]
        assert account.verified == account.created


async def after_sign_ins(folder, database, emails):
    limits = {"sign_ins_per_address": 1000}
    async with gatehouse(folder, database=f"sqlite:///{database}", **limits) as house:
        async with house.client() as client:
            for email in emails:
                body = {"email": email, "password": PASSWORD}
                wrong = await client.post("/auth/login", json=body | {"password": "x"})
                assert wrong.status_code == 401
                answer = await client.post("/auth/login", json=body)
                assert answer.status_code == 200, email
        return [await house.accounts.by_email(email) for email in emails]
