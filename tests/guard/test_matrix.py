"""The role matrix, and what goes round ownership."""

import re
import sys
from dataclasses import replace
from types import ModuleType

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

import ringfence
from ringfence import Guard, Settings, access, unscoped
from ringfence.access.ownership.conditions import (
    Has,
    Holds,
    Is,
    Linked,
    Subject,
    TableRule,
    all_of,
    any_of,
)
from ringfence.access.roles import expand
from ringfence.guard.describe import describe, describe_json, describe_roles
from ringfence.guard.escapes import Escape, find_escapes
from ringfence.guard.matrix import matrix
from ringfence.guard.tables import changes

HIERARCHY = expand({"admin": ("operator",)})
ORDERS = TableRule(
    "orders",
    "Order",
    any_of((Is("owner_id", Subject.ID), Holds(access.role("clerk")))),
    Is("owner_id", Subject.ID),
    ("owner(owner_id) | role(clerk)", "owner(owner_id)"),
)


BETWEEN = re.compile(r"(?<!\\) \| ")


async def answer(request):
    raise AssertionError(request)


def plans(tmp_path, **policies):
    routes = [
        access.routes([Route(f"/{name}", answer, methods=["GET"])], policy)[0]
        for name, policy in policies.items()
    ]
    settings = Settings.load(
        environ={}, env="development", data=tmp_path, identity={"enabled": False}
    )
    return Guard(Starlette(routes=routes), settings).plan


def rows(text, start):
    return {
        line.split(" | ")[0]: BETWEEN.split(line.strip("| "))[2:]
        for line in text.splitlines()
        if line.startswith(f"| {start}")
    }


def test_every_route_by_every_role(tmp_path):
    found = plans(
        tmp_path,
        home=access.public,
        mine=access.signed_in,
        users=access.role("operator") & access.fresh(),
        keys=access.scope("a:read"),
    )
    text = matrix(found, (), HIERARCHY)
    columns = "anonymous | signed in | admin | operator | key: a:read"
    assert f"| Route | Policy | {columns} |" in text
    assert rows(text, "/") == {
        "| /.well-known/ringfence-reports POST": ["yes", "yes", "yes", "yes", "403"],
        "| /home GET, HEAD": ["yes", "yes", "yes", "yes", "403"],
        "| /keys GET, HEAD": ["401", "yes", "yes", "yes", "yes"],
        "| /mine GET, HEAD": ["401", "yes", "yes", "yes", "403"],
        "| /users GET, HEAD": ["401", "403", "yes", "yes", "403"],
    }


def test_what_is_ones_own_stands_apart(tmp_path):
    (route,) = access.routes(
        [Route("/users/{user_id}", answer, methods=["GET"])],
        access.own("user_id") | access.role("operator"),
    )
    settings = Settings.load(
        environ={}, env="development", data=tmp_path, identity={"enabled": False}
    )
    text = matrix(Guard(Starlette(routes=[route]), settings).plan, (), HIERARCHY)
    assert rows(text, "/users") == {
        "| /users/{user_id} GET, HEAD": ["401", "own", "yes", "yes"]
    }


def test_every_table_by_every_role():
    """A role that only a model names has its column as well."""
    text = matrix((), (ORDERS,), HIERARCHY)
    assert "| anonymous | signed in | admin | clerk | operator |" in text
    own = "owner_id is their id"
    assert rows(text, "orders") == {
        "| orders (read)": ["no row", own, own, "all rows", own],
        "| orders (write)": ["no row", own, own, own, own],
    }


LINES = TableRule(
    "lines",
    "Line",
    Linked("orders", (("order_id", "id"),), ORDERS.read),
    any_of(
        (
            Linked("orders", (("order_id", "id"),), ORDERS.write),
            all_of((Is("tenant_id", Subject.TENANT), Has("status", "open"))),
        )
    ),
    ("through(order)", "through(order) | tenant(tenant_id) & matching(status='open')"),
)


def test_rules_that_lead_over_others_are_read_in_one_go():
    """Each role's part of a rule in words, without the joins that it comes down to."""
    text = matrix((), (ORDERS, LINES), {})
    assert rows(text, "lines (") == {
        "| lines (read)": ["no row", "through orders", "through orders"],
        "| lines (write)": [
            "no row",
            *["(through orders) \\| (tenant_id is their tenant & status is 'open')"]
            * 2,
        ],
    }
    alone = matrix((), (replace(LINES, table="orders_lines"),), {})
    assert "orders where owner_id is their id" in alone


def test_another_column_on_the_way_is_a_change():
    text = matrix((), (ORDERS, LINES), {})
    other = Linked("orders", (("source_id", "id"),), ORDERS.read)
    led = matrix((), (ORDERS, replace(LINES, read=other)), {})
    assert list(changes(text, led)) == [
        "lines to orders (2): new, By: source_id = id",
    ]


def test_tables_of_one_name_have_a_rule_each():
    """One stands in SQL, the other in MongoDB."""
    other = replace(ORDERS, read=Is("buyer", Subject.ID), says=("owner(buyer)", ""))
    text = matrix((), (ORDERS, other), {})
    assert "| owner(buyer) | no row | buyer is their id |" in text
    assert "| no row | owner_id is their id |" in text


def test_what_goes_round_ownership_is_a_change():
    before = Escape("reports", 6, "nightly", "nightly report")
    text = matrix((), (), {}, escapes=[before])
    moved = matrix((), (), {}, escapes=[replace(before, line=9)])
    assert moved == text
    twice = matrix((), (), {}, escapes=[before, replace(before, line=9)])
    assert list(changes(text, twice)) == ["reports.nightly: Times: 2 instead of 1"]
    told = list(changes(matrix((), (), {}), text))
    assert told == ["reports.nightly: new, Reason: nightly report; Times: 1"]


def test_api_keys_have_a_column_for_each_scope(tmp_path):
    found = plans(
        tmp_path,
        mine=access.signed_in,
        export=access.scope("orders:read") & access.role("clerk"),
    )
    text = matrix(found, (), {})
    assert "| anonymous | signed in | clerk | key: orders:read |" in text
    assert rows(text, "/") == {
        "| /.well-known/ringfence-reports POST": ["yes", "yes", "yes", "403"],
        "| /export GET, HEAD": ["401", "403", "yes", "yes"],
        "| /mine GET, HEAD": ["401", "yes", "yes", "403"],
    }


def test_the_plan_fits_the_screen(tmp_path):
    """Whatever rules are made of; and where nobody looks it is a line a route."""
    nested = (access.role("clerk") | access.scope("orders:read")) & access.factor(
        "passkey"
    )
    found = plans(tmp_path, home=access.public, **{"a" * 60: nested & nested})
    wide = describe(found, (ORDERS, LINES))
    assert sum(" /" in line for line in wide.split("\n")) == 3
    narrow = describe(found, (ORDERS, LINES), width=80)
    assert max(map(len, wide.split("\n"))) > 100
    assert max(map(len, narrow.split("\n"))) <= 80
    said = " ".join(narrow.split())
    for words in ("answer", "takes own", "CSRF off", "matching(status='open')"):
        assert words in said
    assert "orders  Order  " in narrow
    assert describe(found[:1], width=200) == describe(found[:1])


def test_the_plan_tells_which_role_includes_which():
    said = describe_roles(
        {"admin": frozenset({"staff", "clerk"}), "clerk": frozenset()}
    )
    assert said.split("\n") == ["ROLE   INCLUDES", "admin  clerk, staff"]
    assert describe_roles({}) == ""


def test_the_order_of_routes_changes_nothing(tmp_path):
    one = plans(tmp_path, a=access.public, b=access.signed_in)
    other = plans(tmp_path, b=access.signed_in, a=access.public)
    assert matrix(one, (), HIERARCHY) == matrix(other, (), HIERARCHY)


SOURCE = """
import ringfence
from ringfence import unscoped
from ringfence import unscoped as lifted

TOP = unscoped("at the top")


class Report:
    async def nightly(self):
        with lifted("nightly report"):
            pass


def other(reason):
    with ringfence.unscoped(reason=reason), something.unscoped("not ours"):
        pass
"""


@pytest.fixture
def reports(tmp_path, monkeypatch):
    file = tmp_path / "reports.py"
    file.write_text(SOURCE)
    module = ModuleType("reports")
    module.__file__ = str(file)
    module.__dict__.update(ringfence=ringfence, unscoped=unscoped, lifted=unscoped)
    monkeypatch.setitem(sys.modules, "reports", module)
    return file


def escapes():
    return [found for found in find_escapes() if found.module == "reports"]


def test_every_escape_is_found(reports):
    assert escapes() == [
        Escape("reports", 6, "", "at the top"),
        Escape("reports", 11, "Report.nightly", "nightly report"),
        Escape("reports", 16, "other", "(no constant: see the code)"),
    ]


@pytest.mark.parametrize(
    ("source", "reasons"),
    [
        (
            "def f():\n    from ringfence import unscoped\n    unscoped('late')",
            ["late"],
        ),
        ("def f():\n    import ringfence as r\n    r.unscoped('late')", ["late"]),
        (
            "from ringfence.access.ownership import escape\nescape.Unscoped('inside')",
            ["inside"],
        ),
        (
            "import ringfence\nringfence.access.ownership.escape.Unscoped('far')",
            ["far"],
        ),
        ("job = partial(unscoped, 'handed on')", ["(handed on: see the code)"]),
        ("class Job:\n    lift = lifted", ["(handed on: see the code)"]),
        ("def f(escape: unscoped) -> unscoped: pass", []),
        ("from .nowhere import unscoped as other\nother('not ours')", []),
        ("def f(it):\n    it.unscoped('not ours')", []),
    ],
)
def test_no_way_to_name_it_hides_it(reports, source, reasons):
    reports.write_text(source)
    assert [found.reason for found in escapes()] == reasons


@pytest.mark.parametrize("source", ["def (", None], ids=["no Python", "no file"])
def test_what_cannot_be_read_stops_nothing(reports, source):
    reports.unlink() if source is None else reports.write_text(source)
    assert escapes() == []


def test_the_plan_tells_of_rows_and_escapes(reports):
    text = describe((), (ORDERS,), escapes())
    assert "orders  Order  owner(owner_id) | role(clerk)  owner(owner_id)" in text
    assert "nightly report  reports:11 Report.nightly" in text
    said = describe_json((), (ORDERS,), escapes())
    assert said["rows"] == [
        {
            "table": "orders",
            "model": "Order",
            "read": "owner(owner_id) | role(clerk)",
            "write": "owner(owner_id)",
        }
    ]
    assert [each["reason"] for each in said["unscoped"]][:2] == [
        "at the top",
        "nightly report",
    ]
