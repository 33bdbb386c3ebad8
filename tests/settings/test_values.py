from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from ringfence import Secret
from ringfence.errors import SettingsError
from ringfence.settings.values import from_native, from_text

Chains = Mapping[str, tuple[str, ...]]
Directives = Mapping[str, str]

TEXTS = [
    (bool, "true", True),
    (bool, "YES", True),
    (bool, " on ", True),
    (bool, "1", True),
    (bool, "false", False),
    (bool, "No", False),
    (bool, "off", False),
    (bool, "0", False),
    (int, "42", 42),
    (int, "-1", -1),
    (float, "1.5", 1.5),
    (float, "2", 2.0),
    (str, " text ", "text"),
    (str, "", ""),
    (Path, "var/x", Path("var/x")),
    (Secret, "x", Secret("x")),
    (tuple[str, ...], "a, b,,c", ("a", "b", "c")),
    (tuple[str, ...], "", ()),
    (frozenset[str], "a,b,a", frozenset({"a", "b"})),
    (Path | None, "", None),
    (Path | None, "x", Path("x")),
    (Literal["a", "b"], "b", "b"),
    (Chains, "admin>operator>staff", {"admin": ("operator",), "operator": ("staff",)}),
    (Chains, "admin>a, admin > b", {"admin": ("a", "b")}),
    (Chains, "", {}),
    (
        Directives,
        "img-src 'self' data:; upgrade",
        {"img-src": "'self' data:", "upgrade": ""},
    ),
]


@pytest.mark.parametrize(("kind", "text", "expected"), TEXTS)
def test_a_text_is_read_as_the_type_of_its_field(kind, text, expected):
    assert from_text(kind, text) == expected


WRONG_TEXTS = [
    (bool, "maybe", "true or false"),
    (bool, "", "true or false"),
    (int, "1.0", "whole number"),
    (int, "1_000", "whole number"),
    (int, "٣", "whole number"),
    (int, "9" * 5000, "whole number"),
    (int, "", "whole number"),
    (float, "nan", "a number"),
    (float, "inf", "a number"),
    (float, "x", "a number"),
    (Path, "", "a path"),
    (Literal["a", "b"], "c", "one of 'a', 'b'"),
    (Chains, "admin", "chains such as"),
    (Chains, "admin>>staff", "chains such as"),
]


@pytest.mark.parametrize(("kind", "text", "expected"), WRONG_TEXTS)
def test_a_wrong_text_is_told_what_is_expected(kind, text, expected):
    with pytest.raises(ValueError, match=expected):
        from_text(kind, text)


NATIVES = [
    (bool, True, True),
    (int, 3, 3),
    (float, 3, 3.0),
    (str, "x", "x"),
    (Path, "x", Path("x")),
    (Path, Path("x"), Path("x")),
    (Secret, Secret("x"), Secret("x")),
    (tuple[str, ...], ["a", "b"], ("a", "b")),
    (frozenset[str], ("a",), frozenset({"a"})),
    (Path | None, None, None),
    (Chains, {"admin": ["staff"]}, {"admin": ("staff",)}),
    (Directives, {"img-src": "'self'"}, {"img-src": "'self'"}),
]


@pytest.mark.parametrize(("kind", "value", "expected"), NATIVES)
def test_a_value_of_toml_is_taken_as_what_it_is(kind, value, expected):
    assert from_native(kind, value) == expected


WRONG_NATIVES = [
    (bool, "no", "true or false"),
    (bool, 0, "true or false"),
    (int, True, "whole number"),
    (int, "3", "whole number"),
    (int, 3.0, "whole number"),
    (float, False, "a number"),
    (float, float("nan"), "a number"),
    (str, 3, "a text"),
    (Path, "", "a path"),
    (tuple[str, ...], "a,b", "a list"),
    (tuple[str, ...], [1], "a list of texts"),
    (Chains, [], "a table"),
    (Chains, {"admin": "staff"}, "a list"),
    (Literal["a"], 3, "one of 'a'"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), WRONG_NATIVES)
def test_a_wrong_value_is_told_what_is_expected(kind, value, expected):
    with pytest.raises(ValueError, match=expected):
        from_native(kind, value)


@pytest.mark.parametrize("kind", [bytes, int | str | None, dict[str, str]])
def test_a_room_cannot_have_a_field_that_nobody_can_write(kind):
    with pytest.raises(TypeError, match="cannot be of type"):
        from_text(kind, "x")
    with pytest.raises(TypeError, match="cannot be of type"):
        from_native(kind, object())


@dataclass(frozen=True)
class Door:
    name: str
    key: Secret | None = None
    width: int = 1

    def __post_init__(self):
        if self.width < 1:
            raise SettingsError("width of a door is at least 1")


Doors = tuple[Door, ...]


def test_tables_become_a_dataclass_each():
    given = [{"name": "front", "key": "s3cret"}, {"name": "back", "width": 2}]
    front, back = from_native(Doors, given)
    assert front == Door("front", Secret("s3cret"))
    assert back == Door("back", width=2)
    assert from_native(Doors, (front, back)) == (front, back)
    assert from_native(Doors, []) == ()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"name": "front"}, "a table of its own"),
        (["front"], "the 1. is no table"),
        ([{"name": "a"}, {"name": "b", "colour": "s3cret"}], "the 2. has 'colour'"),
        ([{"key": "s3cret"}], "the 1. has no name"),
        ([{"name": "a", "key": ["s3cret"]}], "the 1.: key: expected a text"),
        ([{"name": "a", "width": "s3cret"}], "the 1.: width: expected a whole number"),
        ([{"name": "a", "width": 0}], "width of a door"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_without_its_values(given, why):
    with pytest.raises(SettingsError, match=why) as refused:
        from_native(Doors, given)
    assert "s3cret" not in str(refused.value)


def test_the_environment_has_no_tables():
    with pytest.raises(ValueError, match=r"ringfence\.toml"):
        from_text(Doors, "front")


def test_a_list_may_hold_certain_words_only():
    colours = tuple[Literal["red", "blue"], ...]
    assert from_text(colours, "red, blue") == ("red", "blue")
    assert from_native(colours, ["blue"]) == ("blue",)
    with pytest.raises(ValueError, match="one of 'red', 'blue'"):
        from_text(colours, "red, green")
