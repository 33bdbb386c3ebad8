"""One contract for every scheme of hashes that other programs have made.

A new scheme: its reader in ``passwords/open.py``, its vectors in ``tests/vectors``.
"""

import hashlib
import json
import sys
from pathlib import Path
from random import Random

import argon2
import bcrypt
import pytest

from ringfence.errors import UnusableHashError
from ringfence.identity.passwords.argon2 import Argon2id
from ringfence.identity.passwords.open import open_readers
from ringfence.identity.passwords.wrapped import wrap_legacy

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
MEMORY = 256 * 1024
VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "passwords.json").read_text("utf-8")
)
SALT = "c2FsdHNhbHQ"
TAG = "A" * 43
BCRYPT_TAIL = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"


class Wrapper:
    """Wraps as ``Argon2id`` does, at a cost that tests can bear."""

    hash = staticmethod(CHEAP.hash)


def wrapped(password, name, salt=b"", place="before"):
    text = salt + password if place == "before" else password + salt
    digest = hashlib.new(name, text).hexdigest()
    return wrap_legacy(digest, name, salt=salt, place=place, hasher=Wrapper)


WRAPPED = [
    {
        "scheme": "wrapped",
        "source": "hashlib",
        "password": password,
        "hash": wrapped(password.encode(), name, salt, place),
    }
    for name in ("md5", "sha1", "sha256", "sha512")
    for salt, place in ((b"", "before"), (b"s4lt\xff", "before"), (b"s4lt", "after"))
    for password in ("correct horse battery", "Passwörter & 密码 🔒")
]


def claims(stored, memory_kib=MEMORY):
    return [claim for read in open_readers(memory_kib) if (claim := read(stored))]


def name_of(vector):
    return f"{vector['scheme']}, {vector['hash'][:16]}"


@pytest.mark.parametrize("vector", VECTORS + WRAPPED, ids=name_of)
def test_the_password_fits_and_no_other(vector):
    """Exactly one scheme knows a hash, and takes its password alone."""
    (claim,) = claims(vector["hash"])
    password = vector["password"]
    assert claim.fits(password)
    for wrong in ("", password + " ", password[:-1], password.swapcase()):
        assert not claim.fits(wrong)


@pytest.mark.parametrize("vector", VECTORS + WRAPPED, ids=name_of)
def test_a_changed_hash_never_fits(vector):
    """Damage refuses: it is no error that a caller could meet, and no way in."""
    stored = vector["hash"]
    tail = stored[:-8] + stored[-8:].translate(str.maketrans("abcA0", "bcdB1"))
    for changed in (tail + "x", stored[:-9], stored[: len(stored) // 2], stored + "$"):
        if changed == stored:
            continue
        try:
            found = claims(changed)
        except UnusableHashError:
            continue
        assert not any(claim.fits(vector["password"]) for claim in found)


def mutated(stored, random):
    """Return a hash after a few strokes of a careless or a wicked hand."""
    signs = list(stored)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(signs) + 1)
        what = random.choice(["add", "drop", "swap"])
        new = random.choice("$,=:abzAZ0129./+-\u00e9\n\0\u0663 _")
        signs[place : place + (what != "add")] = [] if what == "drop" else [new]
    return "".join(signs)


@pytest.mark.parametrize("seed", range(8))
def test_no_damage_whatever_is_met_with_a_trace(seed):
    """Read or refused, and then it fits or it does not: never another exception."""
    random = Random(seed)
    hasher = Argon2id(memory_kib=64 * 1024)
    own = [f"$argon2id$v=19$m=8,t=1,p=1${SALT}${TAG}", hasher.nobodys()]
    hashes = own * 10 + [vector["hash"] for vector in VECTORS + WRAPPED]
    for number in range(400):
        stored = mutated(random.choice(hashes), random)
        try:
            is_own = stored.startswith("$argon2")
            found = [hasher.read(stored)] if is_own else claims(stored, 64 * 1024)
        except UnusableHashError:
            continue
        if found and number % 8 == 0:
            assert found[0].fits("wrong") is False


def test_all_schemes_have_vectors():
    schemes = {vector["scheme"] for vector in VECTORS + WRAPPED}
    assert len(schemes) == len(open_readers(MEMORY))
    assert all(vector["source"] for vector in VECTORS)


def phc(parameters):
    return f"$argon2id$v=19${parameters}${SALT}${TAG}"


COSTLY = {
    "Argon2id in Django, 4 GiB": "argon2" + phc("m=4194304,t=3,p=4"),
    "Argon2id in Django, 1000 passes": "argon2" + phc("m=65536,t=1000,p=1"),
    "Argon2id in Django, 200 lanes": "argon2" + phc("m=65536,t=1,p=200"),
    "Argon2id around a digest, 4 GiB": "$wrapped$md5$before$"
    + phc("m=4194304,t=1,p=1"),
    "bcrypt, cost 31": f"$2b$31${BCRYPT_TAIL}",
    "bcrypt, cost 15": f"$2y$15${BCRYPT_TAIL}",
    "bcrypt in Django, cost 31": f"bcrypt_sha256$$2b$31${BCRYPT_TAIL}",
    "PBKDF2 in Django": f"pbkdf2_sha256$999999999$salt${TAG}",
    "PBKDF2 in passlib": f"$pbkdf2-sha512$5000001${SALT}${TAG}",
    "PBKDF2 in Werkzeug": "pbkdf2:sha256:99999999$salt$" + "00" * 32,
    "scrypt in Django, 16 GiB": f"scrypt$16777216$salt$8$1${TAG}",
    "scrypt in passlib, much time": f"$scrypt$ln=17,r=8,p=64${SALT}${TAG}",
    "scrypt in passlib, ln=99": f"$scrypt$ln=99,r=8,p=1${SALT}${TAG}",
    "scrypt in Werkzeug, large blocks": "scrypt:2:65536:1$salt$" + "00" * 32,
}


@pytest.mark.parametrize("stored", COSTLY.values(), ids=COSTLY)
def test_a_planted_hash_that_costs_too_much_is_not_worked_on(stored):
    """Who can write one row must not be able to stop the server (CWE-400)."""
    with pytest.raises(UnusableHashError, match="costs more"):
        claims(stored)


DAMAGED = {
    "bcrypt without a tail": "$2b$12$",
    "bcrypt of the faulty kind": f"$2x$05${BCRYPT_TAIL}",
    "bcrypt of no kind": f"$2$05${BCRYPT_TAIL}",
    "bcrypt with a line behind": f"$2b$05${BCRYPT_TAIL}\n",
    "PBKDF2 without rounds": f"pbkdf2_sha256$0$salt${TAG}",
    "PBKDF2 with very many digits": f"pbkdf2_sha256${'9' * 5000}$salt${TAG}",
    "PBKDF2 with other digits": f"pbkdf2_sha256$\u0661\u0660\u0660$salt${TAG}",
    "PBKDF2 with MD5": f"pbkdf2_md5$1000$salt${TAG}",
    "PBKDF2 with an empty tag": "pbkdf2_sha256$1000$salt$=",
    "PBKDF2 with a short tag": "pbkdf2_sha256$1000$salt$QUJD",
    "PBKDF2 with a long tag": "pbkdf2:sha256:1000$salt$" + "00" * 33,
    "PBKDF2 with no base64": "pbkdf2_sha256$1000$salt$????????????????????????",
    "PBKDF2 with no hexadecimal": "pbkdf2:sha256:1000$salt$zz",
    "scrypt with N no power of two": f"scrypt$1000$salt$8$1${TAG}",
    "scrypt with N of one": f"scrypt$1$salt$8$1${TAG}",
    "scrypt without blocks": f"scrypt$1024$salt$0$1${TAG}",
    "scrypt with a short tag": "scrypt$1024$salt$8$1$QUJD",
    "scrypt without parameters": f"$scrypt$ln=10${SALT}${TAG}",
    "Argon2 in Django, cut": "argon2$argon2id$v=19$m=1024",
    "a digest wrapped in nothing": "$wrapped$md5$before$$" + "5f" * 16,
    "a digest of no name": "$wrapped$md4$before$$argon2id$v=19$m=1024,t=1,p=1$YQ$YQ",
}


@pytest.mark.parametrize("stored", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_hash_is_named_and_not_guessed_at(stored):
    with pytest.raises(UnusableHashError):
        claims(stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "password",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
        "sha1$salt$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "$6$rounds=5000$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130",
    ],
)
def test_fast_digests_are_never_verified_bare(stored):
    """They are cracked at billions of guesses a second: only wrapped ones (CWE-916)."""
    assert claims(stored) == []


def bcrypt_of(text, cost=4):
    return bcrypt.hashpw(text, bcrypt.gensalt(cost)).decode()


@pytest.mark.parametrize("unit", ["a", "ü", "密", "🔒"])
def test_bcrypt_does_not_look_at_the_first_72_bytes_only(unit):
    """The end of a long password counts, or nothing does (CVE-2025-22228)."""
    whole = unit * (72 // len(unit.encode()))
    (claim,) = claims(bcrypt_of(whole.encode()))
    assert len(whole.encode()) == 72
    assert claim.fits(whole)
    assert not claim.fits(whole + "a")
    assert not claim.fits(whole + "b")
    assert not claim.fits(whole + unit * 100)


def test_bcrypt_does_not_stop_at_a_zero_byte():
    (claim,) = claims(bcrypt_of(b"horse"))
    assert claim.fits("horse")
    assert not claim.fits("horse\0battery")


def test_bcrypt_in_django_takes_long_passwords_whole():
    """Django hashes them with SHA-256 first."""
    long = "ü" * 60
    digest = hashlib.sha256(long.encode()).hexdigest()
    (claim,) = claims("bcrypt_sha256$" + bcrypt_of(digest.encode()))
    assert claim.fits(long)
    assert not claim.fits(long[:-1] + "u")


def test_legacy_passwords_are_taken_as_they_were_typed():
    """Other programs normalised nothing: what they hashed is what was typed."""
    for typed in ("e\u0301" * 8, "é" * 8):
        (claim,) = claims(bcrypt_of(typed.encode()))
        assert claim.fits(typed)


def test_scrypt_holds_no_more_than_there_is():
    stored = f"$scrypt$ln=14,r=8,p=1${SALT}${TAG}"
    (claim,) = claims(stored)
    assert claim.memory_kib == pytest.approx(16 * 1024, abs=16)
    with pytest.raises(UnusableHashError, match="costs more"):
        claims(stored, memory_kib=15 * 1024)


@pytest.mark.parametrize(
    ("digest", "name"),
    [("", "md5"), ("xyz", "md5"), ("00" * 16, "sha1"), ("00" * 16 + "\n", "md5")],
)
def test_what_is_no_digest_is_not_wrapped(digest, name):
    with pytest.raises(ValueError, match="hexadecimal"):
        wrap_legacy(digest, name, hasher=Argon2id())


def test_digests_are_wrapped_at_the_cost_of_today():
    stored = wrap_legacy(hashlib.md5(b"letmein").hexdigest(), "md5", hasher=Argon2id())
    phc = stored[stored.index("$argon2id") :]
    assert argon2.extract_parameters(phc).memory_cost >= 19 * 1024
    assert "0d107d09f5bbe40cade3de5c71e9e9b7" not in stored


def test_bcrypt_below_its_least_cost_fits_nothing():
    (claim,) = claims(f"$2b$03${BCRYPT_TAIL}")
    assert not claim.fits("U*U")


def test_without_bcrypt_the_ledger_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ringfence.identity.passwords.bcrypt", None)
    for vector in VECTORS:
        if vector["scheme"] == "bcrypt":
            with pytest.raises(UnusableHashError, match=r"ringfence\[bcrypt\]"):
                claims(vector["hash"])
        else:
            assert len(claims(vector["hash"])) == 1
