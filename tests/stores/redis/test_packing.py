"""Commands as bytes: no value ends a word, and both ways of packing are one."""

import subprocess
import sys

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.stores.redis.packing import pack, pack_in_python

WORDS = st.one_of(st.binary(), st.text(), st.integers(), st.floats(allow_nan=False))


def read(packed):
    """Read a command as a server does: it is an array of strings."""
    reader = hiredis.Reader()
    reader.feed(packed)
    words = reader.gets()
    assert reader.gets() is False, "more than one command"
    return words


@given(st.lists(WORDS, min_size=1))
def test_both_ways_pack_alike(words):
    assert pack_in_python(tuple(words)) == hiredis.pack_command(tuple(words))


@given(st.lists(st.binary(), min_size=1))
def test_no_value_becomes_another_command(words):
    """CWE-93: line ends within a value are part of it."""
    words = [*words, b"x\r\n*1\r\n$8\r\nFLUSHALL\r\n"]
    assert read(pack_in_python(tuple(words))) == words
    assert read(pack(tuple(words))) == words


@pytest.mark.parametrize("word", [None, True, [b"x"], object()])
def test_other_types_are_refused(word):
    for way in (pack, pack_in_python):
        with pytest.raises(TypeError):
            way((b"SET", word))


def test_python_packs_without_hiredis():
    """A parser in C is quicker, and that is all."""
    program = (
        "import sys; sys.modules['hiredis'] = None\n"
        "from ringfence.stores.redis import packing\n"
        "print(packing.pack is packing.pack_in_python)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
