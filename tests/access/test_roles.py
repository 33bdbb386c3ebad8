import pytest

from ringfence.access.roles import expand, holders
from ringfence.errors import SettingsError


def test_a_role_includes_what_its_roles_include():
    complete = expand({"admin": ["operator"], "operator": ["staff", "clerk"]})
    assert complete["admin"] == {"operator", "staff", "clerk"}


def test_holders_are_the_named_and_those_above():
    complete = expand({"admin": ["operator"], "operator": ["staff"]})
    assert holders(["operator"], complete) == {"operator", "admin"}


def test_a_role_known_only_from_a_route_holds_itself():
    assert holders(["lonely"], {}) == {"lonely"}


@pytest.mark.parametrize(
    "declared",
    [{"a": ["a"]}, {"a": ["b"], "b": ["a"]}, {"a": ["b"], "b": ["c"], "c": ["b"]}],
)
def test_a_circle_stops_the_start_up_and_is_shown(declared):
    with pytest.raises(SettingsError, match=r"circle: \w( > \w)+"):
        expand(declared)
