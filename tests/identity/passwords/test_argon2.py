"""Argon2id at the OWASP floor."""

import argon2
import pytest

from ringfence.errors import UnusableHashError, WrongPasswordError
from ringfence.identity.passwords.argon2 import Argon2id
from ringfence.identity.passwords.cost import FLOOR, Cost


@pytest.fixture(scope="module")
def hasher():
    return Argon2id()


@pytest.fixture(scope="module")
def stored(hasher):
    return hasher.hash("correct horse")


def test_the_cost_is_the_owasp_floor(stored):
    """OWASP Password Storage Cheat Sheet: Argon2id, 19 MiB, t=2, p=1."""
    parameters = argon2.extract_parameters(stored)
    assert parameters.type is argon2.Type.ID
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2
    assert parameters.parallelism == 1
    assert parameters.salt_len >= 16
    assert parameters.hash_len >= 32


def test_the_right_password_is_proved(hasher, stored):
    assert hasher.verify(stored, "correct horse") == stored


@pytest.mark.parametrize("wrong", ["", "Correct horse", "correct horse ", "x"])
def test_a_wrong_password_raises(hasher, stored, wrong):
    with pytest.raises(WrongPasswordError):
        hasher.verify(stored, wrong)


def test_long_passwords_differ_in_their_tail(hasher):
    """Bcrypt stops at 72 bytes (CVE-2025-22228); this does not."""
    long = hasher.hash("ü" * 40 + "a")
    with pytest.raises(WrongPasswordError):
        hasher.verify(long, "ü" * 40 + "b")


def test_salts_are_fresh(hasher, stored):
    assert hasher.hash("correct horse") != stored


@pytest.mark.parametrize(
    "damaged",
    ["", "plain", "$argon2id$", "5f4dcc3b5aa765d61d8327deb882cf99", "$2b$12$"],
)
def test_what_is_no_hash_fits_no_password(hasher, damaged):
    """MD5 among them: MISSION G08."""
    with pytest.raises(WrongPasswordError):
        hasher.verify(damaged, "password")


def test_nobodys_hash_costs_the_same_and_fits_nothing(hasher, stored):
    """Unknown accounts are verified against it."""
    nobodys = hasher.nobodys()
    assert argon2.extract_parameters(nobodys) == argon2.extract_parameters(stored)
    assert nobodys != hasher.nobodys()
    with pytest.raises(WrongPasswordError):
        hasher.verify(nobodys, "")


def test_other_parameters_ask_for_a_new_hash(hasher, stored):
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    proof = hasher.verify(weak.hash("correct horse"), "correct horse")
    assert hasher.needs_rehash(proof) is True
    assert hasher.needs_rehash(hasher.verify(stored, "correct horse")) is False


def test_a_cost_below_the_floor_cannot_be_asked_for():
    with pytest.raises(ValueError, match="floor"):
        Argon2id(Cost(19_456, 1))


def test_a_stronger_hash_stays(hasher):
    """Two servers that measured different costs do not write over each other's."""
    dearer = Argon2id(Cost(32_768, 2))
    proof = dearer.verify(dearer.hash("correct horse"), "correct horse")
    assert hasher.needs_rehash(proof) is False
    assert dearer.needs_rehash(hasher.verify(hasher.hash("x"), "x")) is True


@pytest.mark.parametrize(
    "change",
    [{"parallelism": 2}, {"hash_len": 16}, {"salt_len": 8}, {"type": argon2.Type.I}],
)
def test_less_of_anything_asks_for_a_new_hash(hasher, change):
    usual = {"memory_cost": FLOOR.memory_kib, "time_cost": FLOOR.passes}
    other = argon2.PasswordHasher(**{**usual, "parallelism": 1, **change})
    proof = hasher.verify(other.hash("correct horse"), "correct horse")
    assert hasher.needs_rehash(proof) is True


@pytest.mark.parametrize(
    "parameters", ["m=4194304,t=1,p=1", "m=65536,t=1000,p=1", "m=65536,t=1,p=200"]
)
def test_a_planted_hash_that_costs_too_much_is_not_worked_on(hasher, parameters):
    """4 GiB, or minutes, for each sign-in to one account (CWE-400)."""
    planted = f"$argon2id$v=19${parameters}$c2FsdHNhbHRzYWx0c2FsdA$" + "A" * 43
    with pytest.raises(UnusableHashError, match="costs more"):
        hasher.verify(planted, "correct horse")


def test_composed_and_decomposed_are_one_password(hasher):
    stored = hasher.hash("é" * 8)
    assert hasher.read(stored).fits("e\u0301" * 8)
