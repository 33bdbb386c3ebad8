"""What is said of a model's rows."""

import pytest

from ringfence import access
from ringfence.access.ownership.rules import (
    declared_rows,
    is_about_rows,
    rows_of,
    said_of,
)
from ringfence.access.policy import Hierarchy
from ringfence.errors import DeclarationError

NO_ROLES: Hierarchy = {}


def test_read_is_write_unless_said_otherwise():
    @access.rows(access.owner("owner_id"))
    class Order:
        pass

    said = rows_of(Order)
    assert said is not None
    assert said.read == said.write == access.owner("owner_id")


def test_a_class_inherits_what_is_said_of_the_one_it_extends():
    @access.rows(access.public, write=access.owner("author_id"))
    class Review:
        pass

    class LongReview(Review):
        pass

    assert rows_of(LongReview) is rows_of(Review) is not None


def test_nothing_is_said_of_others():
    assert rows_of(object) is None


@pytest.mark.parametrize(
    "read", [access.public, access.signed_in, access.role("staff")], ids=str
)
def test_who_writes_what_everybody_reads_must_be_said(read):
    with pytest.raises(DeclarationError, match="say who writes them"):
        access.rows(read)


def test_time_is_no_matter_of_rows():
    with pytest.raises(DeclarationError, match="depends on the time"):
        access.rows(access.owner("owner_id") & access.fresh())


@pytest.mark.parametrize("rule", ["owner_id", None, lambda: True])
def test_only_policies_are_rules(rule):
    with pytest.raises(TypeError, match=r"access\.owner"):
        declared_rows(rule)


def test_rows_stands_on_a_class():
    with pytest.raises(TypeError, match="mapped class"):
        access.rows(access.owner("owner_id"))(lambda: None)


@pytest.mark.parametrize("path", ["", "a..b", "a b", "owner-id", "1", None, "a.b."])
@pytest.mark.parametrize("rule", [access.owner, access.tenant, access.through])
def test_a_path_is_made_of_names(rule, path):
    with pytest.raises(ValueError, match="name of an attribute"):
        rule(path)


def test_matching_needs_a_value():
    with pytest.raises(ValueError, match="needs a value"):
        access.matching()


@pytest.mark.parametrize(
    "rule",
    [
        access.owner("owner_id"),
        access.tenant("tenant_id"),
        access.through("order"),
        access.matching(published=True),
    ],
    ids=str,
)
def test_a_rule_about_rows_is_no_policy_of_a_route(rule):
    """A route that asked it would have nothing to compare; so it does not start."""
    with pytest.raises(DeclarationError, match="put it on the model"):
        rule.compile(NO_ROLES)
    with pytest.raises(DeclarationError, match="put it on the model"):
        (access.signed_in & rule).compile(NO_ROLES)


def test_rules_and_policies_combine_and_can_be_read():
    rule = access.owner("owner_id") | access.role("operator") & access.tenant("team")
    assert str(rule) == "owner(owner_id) | (role(operator) & tenant(team))"
    assert is_about_rows(rule)
    assert rule.roles() == {"operator"}
    assert not is_about_rows(access.role("a") | access.nobody)


def test_a_class_says_it_once():
    """The upper decorator would win, and show what the lower one keeps."""
    with pytest.raises(DeclarationError, match=r"Order has @access\.rows twice"):

        @access.rows(access.public, write=access.nobody)
        @access.rows(access.owner("owner_id"))
        class Order:
            pass


def test_a_class_may_say_another_thing_than_the_one_it_extends():
    @access.rows(access.owner("author_id"))
    class Draft:
        pass

    @access.rows(access.public, write=access.owner("author_id"))
    class Article(Draft):
        pass

    assert str(rows_of(Article).read) == "public"
    assert str(rows_of(Draft).read) == "owner(author_id)"


def test_rows_without_a_class_are_spoken_of_in_the_same_words():
    mine = access.owner("owner_id")
    assert said_of("the table exports", mine) == declared_rows(mine)
    shown = access.rows(access.public, write=mine)
    assert said_of("the table exports", shown) == declared_rows(access.public, mine)


@pytest.mark.parametrize("said", ["owner_id", None, dict, lambda model: model])
def test_what_says_nothing_is_named(said):
    with pytest.raises(TypeError, match=r"the table exports: .* does not say whose"):
        said_of("the table exports", said)
