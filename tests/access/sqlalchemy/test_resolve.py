"""What models say, in words of their tables."""

import pytest
from sqlalchemy.orm import registry
from tests.access.sqlalchemy.models import Base

from ringfence.access.sqlalchemy.resolve import resolved

MINE = "(order_id = id in orders where owner_id = id)"
PAIRS = "order_id = order_id and position = position"
MEMBERS = "(id = team_id in memberships where account_id = id)"


@pytest.fixture(scope="module")
def rules():
    return {rule.table: rule for rule in resolved(Base.registry)}


@pytest.mark.parametrize(
    ("table", "read"),
    [
        ("orders", "owner_id = id"),
        ("order_lines", MINE),
        ("notes", "(author_id = id | editor_id = id)"),
        ("articles", "(published = True | author_id = id)"),
        ("products", "all rows"),
        ("teams", MEMBERS),
        (
            "projects",
            f"(team_id = id in teams where {MEMBERS})",
        ),
        ("reports", "(id = id in documents where owner_id = id)"),
        (
            "line_details",
            f"({PAIRS} in order_lines where {MINE})",
        ),
    ],
)
def test_paths_lead_over_relationships(rules, table, read):
    """To one row or to many, over one column or several, to the column at the end."""
    assert str(rules[table].read) == read


def test_write_follows_the_parents_write(rules):
    """Whoever only reads a parent does not write what belongs to it."""
    link = rules["order_tags"]
    assert link.is_link
    assert "(shared = True | owner_id = id)" in str(link.read)
    assert "shared" not in str(link.write)


def test_inheritance(rules):
    """Joined tables name the one that they continue, single tables have one rule."""
    assert rules["reports"].parent == "documents"
    assert rules["payments"].key == ("id",)
    assert "number" in rules["payments"].columns


def test_empty_registry():
    """There is nothing to say of nothing."""
    assert resolved(registry()) == ()
