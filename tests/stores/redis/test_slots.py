"""Tables of slots, and where redirections point to."""

import pytest

from ringfence.stores.redis.address import Address
from ringfence.stores.redis.slots import SLOTS, read_slots, redirection

ASKED = Address("seed", 7000)


def test_a_table_names_the_primary_of_each_slot():
    answer = [
        [0, 99, [b"10.0.0.1", 1, b"id", []], [b"10.0.0.9", 9, b"id", []]],
        [100, SLOTS - 2, [b"b.example", 2, b"id", []]],
    ]
    table = read_slots(answer, ASKED)
    assert len(table) == SLOTS
    assert table[0] == table[99] == Address("10.0.0.1", 1)
    assert table[100] == Address("b.example", 2)
    assert table[SLOTS - 1] is None


def test_a_node_that_does_not_know_its_name_is_where_it_was_asked():
    for unknown in (b"", None, b"?"):
        assert read_slots([[0, 0, [unknown, 5]]], ASKED)[0] == Address("seed", 5)


@pytest.mark.parametrize("answer", [7, None, [7], [[0, 9]], [[0, 9, [b"a"]]], [[0]]])
def test_what_is_no_table_is_refused(answer):
    with pytest.raises(ValueError, match=r"CLUSTER SLOTS|unpack"):
        read_slots(answer, ASKED)


def test_a_node_that_knows_of_nobody_says_nothing():
    with pytest.raises(ValueError, match="no slots"):
        read_slots([], ASKED)


def test_redirections():
    assert redirection("3999 127.0.0.1:6381", ASKED) == Address("127.0.0.1", 6381)
    assert redirection("3999 :6381", ASKED) == Address("seed", 6381)
    assert redirection("3999 ::1:6381", ASKED) == Address("::1", 6381)
    for nonsense in ("", "3999", "3999 nowhere", "3999 a:b", "3999 a:"):
        assert redirection(nonsense, ASKED) is None
