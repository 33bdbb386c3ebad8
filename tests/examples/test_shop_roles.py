"""Who may do what in the shop stands in a file, and a change of it fails the build."""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ringfence import access
from ringfence.access.marks import PolicyDependency
from ringfence.access.ownership.rules import MARK
from ringfence.cli.main import main

FILE = str(Path(__file__).parents[2] / "examples" / "shop" / "roles.md")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The shop as CI of its own would import it: with the settings of production."""
    for name in os.environ:
        if name.startswith("RINGFENCE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path))
    return importlib.import_module("examples.shop.application")


@pytest.fixture
def compare(shop, monkeypatch, capsys):
    """Compare the shop, as it is by now, with the file beside it."""

    def compare():
        module = ModuleType("the_shop")
        module.app = shop.create(shop.load_settings())
        monkeypatch.setitem(sys.modules, "the_shop", module)
        code = main(["plan", "the_shop:app", "--matrix", FILE, "--compare"])
        return code, capsys.readouterr().out

    return compare


def test_the_file_is_what_the_shop_does(compare):
    """Written by: ringfence plan examples.shop:app --matrix examples/shop/roles.md."""
    code, out = compare()
    assert code == 0, out


def weaken(router, monkeypatch, policy):
    for each in router.dependencies:
        if isinstance(each.dependency, PolicyDependency):
            weak = PolicyDependency(policy)
            for name in ("policy", "_check"):
                monkeypatch.setattr(each.dependency, name, getattr(weak, name))


def test_a_role_that_was_removed_fails_by_name(compare, monkeypatch):
    admin = importlib.import_module("examples.shop.api.admin")
    weaken(admin.router, monkeypatch, access.signed_in)
    code, out = compare()
    assert code == 1
    assert "/api/admin/users GET: Policy: signed_in instead of role(operator)" in out
    assert "/api/admin/users GET: signed in: yes instead of 403" in out
    assert "/api/admin/users/{user_id} DELETE: staff: yes instead of 403" in out


def test_a_route_that_was_opened_fails_by_name(compare, monkeypatch):
    orders = importlib.import_module("examples.shop.api.orders")
    weaken(orders.router, monkeypatch, access.public)
    code, out = compare()
    assert code == 1
    assert "/api/orders GET: anonymous: yes instead of 401" in out


def test_a_role_that_includes_more_fails_by_name(compare, monkeypatch):
    monkeypatch.setenv("RINGFENCE_ACCESS_HIERARCHY", "staff>operator")
    code, out = compare()
    assert code == 1
    assert "staff: new, Includes: operator" in out
    assert "/api/admin/users GET: staff: yes instead of 403" in out


def test_rows_that_were_opened_fail_by_name(compare, monkeypatch):
    tables = importlib.import_module("examples.shop.storage.tables")
    weak = access.rows(access.public, write=access.owner("owner_id"))
    monkeypatch.setattr(tables.Order, MARK, getattr(weak(type("Weak", (), {})), MARK))
    code, out = compare()
    assert code == 1
    assert "orders (read): Rule: public instead of owner(owner_id)" in out
    assert "orders (read): signed in: all rows instead of owner_id is their id" in out
