import copy
import dataclasses
import json
import pickle

import msgspec
import pytest

from ringfence import Secret

TEXT = "correct horse battery staple"


@dataclasses.dataclass(frozen=True)
class Holder:
    key: Secret


WAYS_TO_SHOW = {
    "str": str,
    "repr": repr,
    "f-string": lambda secret: f"{secret}",
    "f-string with a width": lambda secret: f"{secret:>40}",
    "f-string with !r": lambda secret: f"{secret!r}",
    "f-string with !s": lambda secret: f"{secret!s}",
    "format": "{}".format,
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - the case
    "in a list": lambda secret: str([secret]),
    "in a dataclass": lambda secret: repr(Holder(secret)),
    "dataclasses.asdict": lambda secret: repr(dataclasses.asdict(Holder(secret))),
    "json with default=str": lambda secret: json.dumps({"a": secret}, default=str),
    "copy": lambda secret: repr(copy.copy(secret)),
    "deepcopy": lambda secret: repr(copy.deepcopy(secret)),
    "ascii": ascii,
}


@pytest.mark.parametrize("way", WAYS_TO_SHOW.values(), ids=WAYS_TO_SHOW)
def test_no_way_of_showing_it_shows_it(way):
    """Whatever turns a secret into text gives its mask."""
    shown = way(Secret(TEXT))
    assert "horse" not in shown
    assert "[secret]" in shown


WAYS_TO_SEND = {
    "pickle": pickle.dumps,
    "pickle, oldest protocol": lambda secret: pickle.dumps(secret, protocol=0),
    "json": json.dumps,
    "msgspec": msgspec.json.encode,
    "vars": vars,
}


@pytest.mark.parametrize("way", WAYS_TO_SEND.values(), ids=WAYS_TO_SEND)
def test_no_way_of_storing_it_works(way):
    """Nobody stores it in clear by accident."""
    with pytest.raises(TypeError):
        way(Secret(TEXT))


def test_reveal_gives_the_text():
    assert Secret(TEXT).reveal() == TEXT


def test_copies_are_as_good_as_the_first():
    assert copy.deepcopy(Holder(Secret(TEXT))).key.reveal() == TEXT


def test_secrets_are_compared_by_what_they_hold():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("\ud800") == Secret("\ud800")
    assert Secret("a") != "a"


def test_an_empty_secret_is_false():
    assert not Secret("")
    assert Secret("x")


def test_it_is_no_key_of_a_dictionary():
    with pytest.raises(TypeError, match="unhashable"):
        {Secret("a"): 1}


def test_it_cannot_be_changed():
    with pytest.raises(AttributeError):
        Secret("a")._value = "b"


def test_it_holds_text_only():
    with pytest.raises(TypeError, match="not bytes"):
        Secret(b"a")
