"""What all processes of one service must have in common."""

import json
import os
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringfence import Guard, Settings, access
from ringfence.access.ownership.conditions import ALWAYS, NEVER, TableRule
from ringfence.guard.fingerprint import Fingerprint

KEYS = (b"derived from the new one", b"derived from the old one")


async def answer(request):
    return PlainTextResponse("")


def routes(**policies):
    return [
        access.routes([Route(f"/{name}", answer)], policy)[0]
        for name, policy in policies.items()
    ]


def taken(*, keys=KEYS, version="1", order=1, settings=None, **policies):
    found = routes(**(policies or {"a": access.public, "b": access.signed_in}))
    settings = settings or Settings(env="development", database="memory://")
    guard = Guard(Starlette(routes=found[::order]), settings)
    return Fingerprint.of(guard.settings, guard.plan, keys, version=version)


def test_the_same_is_the_same():
    assert taken() == taken()
    assert taken().digest == taken().digest
    assert taken().difference(taken()) == ""


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"a": access.role("admin"), "b": access.signed_in},
            "policy of GET, HEAD /a is role(admin) instead of public",
        ),
        ({"a": access.public}, "the route GET, HEAD /b is missing"),
        (
            {"a": access.public, "b": access.signed_in, "c": access.public},
            "the route GET, HEAD /c is there as well",
        ),
        ({"order": -1}, "the route GET, HEAD /b stands in another place"),
        ({"keys": (b"x" * 32, b"y" * 32)}, "the keys are others"),
        ({"version": "2"}, "ringfence is 2 instead of 1"),
        (
            {
                "settings": Settings.load(
                    env="development",
                    database="memory://",
                    environ={"RINGFENCE_TRAFFIC_MAX_BODY": "1"},
                )
            },
            "the setting traffic.max_body has another value",
        ),
    ],
)
def test_what_differs_is_said(other, said):
    """Each part counts, and is named as people name it."""
    one, other = taken(), taken(**other)
    assert said in one.difference(other)
    assert one.digest != other.digest


@pytest.mark.parametrize("ring", [(b"n" * 32, *KEYS), KEYS[::-1], KEYS[:1]])
def test_a_rotation_of_keys_is_no_difference(ring):
    """A worker that is started anew has read the file later than the others: it has a
    new key that they read by themselves, or a newer one signs there already."""
    assert taken().difference(taken(keys=ring)) == ""
    assert taken(keys=ring).difference(taken()) == ""


def test_of_many_differences_a_few_are_said():
    one = taken(**{f"r{number}": access.public for number in range(9)})
    other = taken(**{f"r{number}": access.signed_in for number in range(9)})
    said = one.difference(other)
    assert said.count("policy of") == 5
    assert "more such" in said


def test_a_route_that_is_there_twice():
    one = taken()
    other = replace(one, routes=(*one.routes, one.routes[-1]))
    assert one.difference(other) == "a route is there more often"


def test_nothing_secret_is_in_it():
    """A fingerprint may be compared and shown anywhere."""
    settings = Settings(
        env="development",
        database="memory://",
        keys_file="hunter2",
    )
    text = repr(taken(settings=settings)) + taken(settings=settings).digest
    assert "hunter2" not in text
    assert KEYS[0].decode() not in text
    assert KEYS[0].hex() not in text


def test_every_setting_counts():
    named = taken().settings
    for field in fields(Settings):
        assert any(name.split(".")[0] == field.name for name in named)


PRINTED = """
import json
from tests.guard.test_fingerprint import taken
from ringfence import Settings, access
settings = Settings.load(
    env="development",
    database="memory://",
    environ={},
    browser={"readable_cookies": ["a", "b", "c", "d", "e", "f"]},
    access={"hierarchy": {"a": ["b", "c"], "d": ["e"]}},
)
found = taken(settings=settings, a=access.role("a", "b", "c", "d", "e"))
print(found.digest)
"""


def test_it_is_the_same_in_every_process():
    """Sets come in an order of each process's own, and must not matter."""
    found = {
        subprocess.run(
            [sys.executable, "-c", PRINTED],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
    assert len(json.dumps(found.pop().strip())) == 66


def test_whose_rows_are_whose_must_be_agreed():
    """Of two processes, the one that knows of no owner would show all rows."""

    def of(rule):
        return Fingerprint("1", (), {}, ("key",), {"orders": rule} if rule else {})

    owned, shown, forgotten = of("owner(owner_id)"), of("public"), of("")
    assert owned.difference(owned) == ""
    assert owned.digest != shown.digest
    assert owned.difference(shown) == (
        "rows of orders are public instead of owner(owner_id)"
    )
    assert "nobody said whose" in owned.difference(forgotten)


def test_tables_of_one_name_stand_in_several_databases():
    """None of them is overlooked for the other."""

    class Data:
        def __init__(self, read):
            self.read = read

        def rules(self):
            says = (self.read, "nobody")
            return [TableRule("orders", "Order", ALWAYS, NEVER, says)]

    def of(*reads):
        settings = Settings(env="development", database="memory://")
        data = [Data(read) for read in reads]
        return Fingerprint.of(settings, (), KEYS, version="1", data=data)

    told = of("owner(owner_id)", "public").difference(of("public", "public"))
    assert told.startswith("rows of orders are read by public, written by nobody; read")
