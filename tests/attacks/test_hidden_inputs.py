"""Input that its sender writes so that it is read otherwise than it looks: in other
encodings, packed, spread over lists. With the guard off the injection works, with it on
nothing of it reaches the database (CWE-74, CWE-180, CWE-838).
"""

import base64
import csv
import gzip
import io
import json
import sqlite3

import pytest
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.twins import twins

# One text each, so that no handler of this file holds them as constants.
UTF_7, SPACED, LETTERS, LIST, QUOTES, CELLS, PLAIN, OCTAL = """\
x+ACc-/**/OR/**/1--
x  '  OR  1  --
' / * * / O R / * * / 1 - -
'|,)=,OR,==,--
',)=,OR,==,--
1,x' OR 1 --,2
x' OR 1 --
x\\047/\\052*/OR/**/1/**/--
""".splitlines()
FORM = b'--x\r\nContent-Disposition: form-data; name="q"'


class Database:
    file = ""


def names_where(condition):
    with sqlite3.connect(Database.file) as db:
        rows = db.execute(f"SELECT name FROM users WHERE {condition}").fetchall()
    db.close()
    return JSONResponse([name for (name,) in rows])


def is_named(name):
    return names_where(f"name = '{name}'")


async def of_field(request):
    return is_named((await request.form())["q"])


async def of_upload(request):
    async with request.form() as form:
        text = (await form["q"].read()).decode()
    rows = [row for row in csv.reader(io.StringIO(text)) if len(row) > 1]
    return is_named(rows[-1][1])


async def of_cookie(request):
    return is_named(request.cookies["q"])


async def of_packed(request):
    return is_named(json.loads(gzip.decompress(await request.body()))["q"])


async def of_base64(request):
    return is_named(base64.b64decode(request.query_params["q"]).decode())


async def of_words(request):
    return names_where(f"name LIKE '%{' '.join(request.query_params['q'].split())}%'")


async def of_number(request):
    return names_where(f"name = '{request.query_params['q'].replace(' ', '')}'")


async def of_list(request):
    given = ", ".join(f"'{one}'" for one in request.query_params["q"].split(","))
    return names_where(f"id IN ({given})")


HANDLERS = (
    of_field,
    of_upload,
    of_cookie,
    of_packed,
    of_base64,
    of_words,
    of_number,
    of_list,
)


def routes():
    return [
        Route(f"/{handler.__name__}", handler, methods=["GET", "POST"])
        for handler in HANDLERS
    ]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hidden")
    Database.file = str(folder / "users.db")
    with sqlite3.connect(Database.file) as db:
        db.execute("CREATE TABLE users (id, name)")
        rows = [("1", "alice"), ("2", "bob"), ("3", "O'Brien")]
        db.executemany("INSERT INTO users VALUES (?, ?)", rows)
    db.close()
    with twins(routes, folder) as both:
        yield both


def multipart(value, more=b"", charset=b""):
    body = FORM + more + b"\r\n\r\n" + value + b"\r\n--x--\r\n"
    kind = b"multipart/form-data; boundary=x" + charset
    return {"content": body, "headers": {"content-type": kind.decode()}}


def query(text):
    return {"params": {"q": text}}


ODD = b"x'\nOR\n1--" + b"\x01" * 64 + b"\xff"
PACKED = gzip.compress(json.dumps({"q": PLAIN}).encode())
ATTACKS = {
    "charset": ("of_field", multipart(UTF_7.encode(), charset=b"; charset=utf-7")),
    "odd bytes": ("of_field", multipart(ODD)),
    "large file": (
        "of_upload",
        multipart(b"a,b,c\n" * 12_000 + CELLS.encode(), b'; filename="a.csv"'),
    ),
    "cookie": ("of_cookie", {"headers": {"cookie": f'q="{OCTAL}"'}}),
    "packed": (
        "of_packed",
        {"content": PACKED, "headers": {"content-encoding": "gzip"}},
    ),
    "base64 with stars": (
        "of_base64",
        query("*".join(base64.b64encode(PLAIN.encode()).decode())),
    ),
    "blanks": ("of_words", query(SPACED)),
    "blanks taken out": ("of_number", query(LETTERS)),
    "short parts": ("of_list", query(LIST)),
    "quotes": ("of_list", query(QUOTES)),
}
HONEST = {
    "charset": ("of_field", multipart(b"alice", charset=b"; charset=utf-8")),
    "large file": (
        "of_upload",
        multipart(b"a,b,c\n" * 12_000 + b"1,bob,x", b'; filename="a.csv"'),
    ),
    "cookie": ("of_cookie", {"headers": {"cookie": 'q="ali\\143e"'}}),
    "blanks": ("of_words", query("  ali ce ")),
    "list": ("of_list", query("1,2,7")),
}


def sent(client, attack):
    path, how = attack
    return client.post(f"/{path}", **how)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name, both):
    """Everybody's rows where nobody guards, and nothing where somebody does."""
    assert sent(both.off, ATTACKS[name]).json() == ["alice", "bob", "O'Brien"]
    refused = sent(both.on, ATTACKS[name])
    assert (refused.status_code, refused.json()["code"]) == (403, "interpreters.sql")


def test_honest_requests_are_answered_alike(both):
    for request in HONEST.values():
        bare, guarded = sent(both.off, request), sent(both.on, request)
        assert (bare.status_code, bare.text) == (200, guarded.text)
