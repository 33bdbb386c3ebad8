"""Who may read and set which field stands in the plan, the matrix and the
fingerprint."""

import sys
from types import ModuleType

import pytest
from msgspec import Struct, defstruct
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from tests.guard import fielded

from ringfence import Guard, Settings, access
from ringfence.access.fields.rules import MARK, Fields, fields_of
from ringfence.access.roles import expand
from ringfence.access.sqlalchemy import Database
from ringfence.guard.describe import describe, describe_json
from ringfence.guard.fields import find_fields
from ringfence.guard.fingerprint import Fingerprint
from ringfence.guard.matrix import matrix
from ringfence.guard.tables import changes

HIERARCHY = expand({"admin": ("clerk",)})


@pytest.fixture
def guard(tmp_path):
    settings = Settings.load(
        environ={}, env="development", data=tmp_path, identity={"enabled": False}
    )
    return fielded.guard(settings)


def matrix_of(guard):
    return matrix(guard.plan, (), HIERARCHY, find_fields(guard.plan))


def fingerprint_of(guard):
    return Fingerprint.of(guard.settings, guard.plan, (b"key",), version="1")


def test_the_plan_lists_fields_and_what_is_tied_to_them(guard):
    found = find_fields(guard.plan)
    lines = describe((), fields=found).splitlines()
    words = [" ".join(line.split()) for line in lines]
    assert "Order unit_cost role(clerk) nobody" in words
    assert "Order status whoever sees it role(clerk)" in words
    assert "Order (others) whoever sees it nobody" in words
    assert "OrderChange request of Order quantity" in words
    assert "OrderOut answer with Order id, unit_cost" in words
    assert "StatusChange request of Order status" in words
    said = describe_json((), fields=found)
    assert {
        "model": "Order",
        "module": "tests.guard.fielded",
        "field": "status",
        "read": "whoever sees it",
        "write": "role(clerk)",
    } in said["fields"]
    assert said["shapes"][0]["fields"] == ["quantity"]


def test_the_matrix_has_each_field_by_role(guard):
    text = matrix_of(guard)
    assert "| Field | Rule | anonymous | signed in | admin | clerk |" in text
    for line in (
        "| Order.unit_cost (read) | role(clerk) | no | no | yes | yes |",
        "| Order.quantity (set) | signed_in | no | yes | yes | yes |",
        "| Order.owner_id (read) | owner(owner_id) | no | by row | by row | by row |",
        "| Order.(others) (set) | nobody | no | no | no | no |",
        "| OrderChange | request of Order | quantity |",
    ):
        assert f"{line}\n" in text


WEAKER = {
    "read": ({"unit_cost": access.signed_in}, {}, "Order.unit_cost (read)"),
    "set": ({}, {"status": access.signed_in}, "Order.status (set)"),
    "one more": ({}, {"owner_id": access.signed_in}, "Order.owner_id (set)"),
}


@pytest.mark.parametrize(("read", "write", "name"), WEAKER.values(), ids=WEAKER)
def test_a_rule_that_changes_changes_all_three(guard, monkeypatch, read, write, name):
    plan, kept, agreed = (
        describe(guard.plan, fields=find_fields(guard.plan)),
        matrix_of(guard),
        fingerprint_of(guard),
    )
    before = fields_of(fielded.Order)
    changed = Fields({**before.read, **read}, {**before.write, **write})
    monkeypatch.setattr(fielded.Order, MARK, changed)
    assert describe(guard.plan, fields=find_fields(guard.plan)) != plan
    said = list(changes(kept, matrix_of(guard)))
    assert f"{name}: signed in: yes instead of no" in said
    assert fingerprint_of(guard).digest != agreed.digest
    field = name.split(" ")[0].removeprefix("Order.")
    assert (
        f"the field rule {field} of tests.guard.fielded.Order is"
        in agreed.difference(fingerprint_of(guard))
    )


def test_an_answer_that_is_tied_no_more_changes_all_three(guard, monkeypatch):
    """The rule stands as before, and nothing is held to it."""
    kept, agreed = matrix_of(guard), fingerprint_of(guard)
    monkeypatch.delattr(fielded, "OrderOut")
    assert list(changes(kept, matrix_of(guard))) == [
        "OrderOut: gone, was Tied as: answer with Order; Holds: id, unit_cost"
    ]
    assert "OrderOut is without a rule" in agreed.difference(fingerprint_of(guard))


def test_a_field_whose_rule_does_not_count_is_marked(guard, monkeypatch):
    """Said to be its own, a field of that name is set by everybody."""

    def tied(**terms):
        model = defstruct("Form", [("notes", str)], forbid_unknown_fields=True)
        monkeypatch.setattr(
            fielded,
            "Form",
            access.request_of(fielded.Order, **terms)(model),
            raising=False,
        )
        return matrix_of(guard)

    (said,) = changes(tied(renamed={"notes": "status"}), tied(own=("notes",)))
    assert said == "Form: Holds: notes (its own) instead of notes (as status)"


def test_classes_inside_classes_are_found(guard, monkeypatch):
    class Outer:
        @access.request_of(fielded.Order)
        class Inner(Struct, forbid_unknown_fields=True):
            status: str

    monkeypatch.setattr(fielded, "Outer", Outer, raising=False)
    assert "Outer.Inner | request of Order | status |" in matrix_of(guard)


def test_mapped_classes_are_found_wherever_they_stand(tmp_path):
    class Base(DeclarativeBase): ...

    @access.rows(access.owner("owner_id"))
    @access.fields(read={"notes": access.nobody})
    class Letter(Base):
        __tablename__ = "letters"
        id: Mapped[int] = mapped_column(primary_key=True)
        owner_id: Mapped[str]
        notes: Mapped[str]

    data = Database(create_engine("sqlite://"), Base)
    found = find_fields((), (data,))
    assert [rule.name for rule in found.rules] == ["notes", "(others)"]


def test_what_other_applications_say_is_not_listed(tmp_path, monkeypatch, guard):
    """Only what handlers lead to: else two processes that have imported something else
    would not agree."""
    other = ModuleType("another_application")
    other.Secret = access.fields(read={})(type("Secret", (), {"__module__": "another"}))
    monkeypatch.setitem(sys.modules, "another_application", other)
    assert {rule.model for rule in find_fields(guard.plan).rules} == {"Order"}
    monkeypatch.setattr(fielded, "other", other, raising=False)
    found = {rule.model for rule in find_fields(guard.plan).rules}
    assert found == {"Order"}  # it has no file: whose it is cannot be told
    other.__file__ = str(tmp_path / "another_application.py")
    found = {rule.model for rule in find_fields(guard.plan).rules}
    assert found == {"Order", "Secret"}


def test_an_application_without_rules_says_nothing(tmp_path):
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    plain = Guard(Starlette(), settings)
    text = matrix_of(plain)
    assert "## Fields" not in text
    assert "Requests and answers" not in text
    assert "FIELD" not in describe(plain.plan, fields=find_fields(plain.plan))
