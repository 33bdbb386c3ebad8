"""Passwords as accounts use them."""

import hashlib
import json
from pathlib import Path

import argon2
import bcrypt
import pytest
from tests.identity.gatehouse import EMAIL, PASSWORD

from ringfence.audit.events import SignInFailed
from ringfence.errors import StoreBusyError, UnusableHashError, WrongPasswordError
from ringfence.identity.passwords.argon2 import Argon2id
from ringfence.identity.passwords.calibrate import UNMEASURED, Measured, calibrate
from ringfence.identity.passwords.cost import Cost
from ringfence.identity.passwords.open import open_passwords, open_readers
from ringfence.identity.passwords.passwords import Passwords
from ringfence.identity.passwords.pool import HashingPool
from ringfence.identity.passwords.rules import Rules
from ringfence.identity.passwords.wrapped import wrap_legacy
from ringfence.identity.settings import IdentitySettings

pytestmark = pytest.mark.anyio

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "passwords.json").read_text("utf-8")
)
DEARER = Measured(Cost(32 * 1024, 2), 0.05)


def passwords(measured=UNMEASURED, **options):
    return Passwords(
        HashingPool(threads=1, **options),
        measured=lambda: measured,
        readers=open_readers(256 * 1024),
        rules=Rules(shortest=15),
    )


@pytest.fixture
async def opened(anyio_backend):
    made = passwords()
    await made.start()
    yield made
    made.stop()


@pytest.fixture
def verified(monkeypatch):
    """What Argon2id was asked to verify."""
    seen = []
    real = Argon2id.verify

    def seeing(self, stored, password):
        seen.append(stored)
        return real(self, stored, password)

    monkeypatch.setattr(Argon2id, "verify", seeing)
    return seen


async def test_a_password_fits_its_hash(opened):
    stored = await opened.hash(PASSWORD)
    assert await opened.verify(stored, PASSWORD) == stored
    with pytest.raises(WrongPasswordError):
        await opened.verify(stored, PASSWORD + " ")


@pytest.mark.parametrize("scheme", sorted({vector["scheme"] for vector in VECTORS}))
async def test_a_legacy_hash_fits_and_is_replaced(opened, scheme):
    vector = next(each for each in VECTORS if each["scheme"] == scheme)
    proof = await opened.verify(vector["hash"], vector["password"])
    better = await opened.better(proof, vector["password"])
    assert better.startswith("$argon2id$")
    assert await opened.verify(better, vector["password"]) == better
    assert await opened.better(better, vector["password"]) == ""


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "plain text",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$damaged",
        "$2b$31$" + "C" * 53,
        "pbkdf2_sha256$999999999$salt$" + "A" * 43,
        "$wrapped$md5",
    ],
)
async def test_who_has_no_usable_hash_costs_the_same_work(opened, verified, stored):
    """One Argon2id at today's cost, as for everybody else (CVE-2025-13473)."""
    with pytest.raises(WrongPasswordError):
        await opened.verify(stored, PASSWORD)
    (worked_on,) = verified
    assert argon2.extract_parameters(worked_on).memory_cost == 19_456
    assert worked_on != stored


async def test_why_a_hash_is_unusable_is_known_to_the_ledger(opened):
    with pytest.raises(UnusableHashError, match="none that is known"):
        await opened.verify("5f4dcc3b5aa765d61d8327deb882cf99", PASSWORD)
    with pytest.raises(UnusableHashError, match="costs more"):
        await opened.verify("$2b$31$" + "C" * 53, PASSWORD)


@pytest.mark.parametrize("typed", ["", "x" * 1025, "ü" * 600])
async def test_nothing_and_too_much_fit_no_hash(opened, typed):
    """An imported account whose password was empty has none (CWE-258)."""
    for text in ("", typed):
        stored = bcrypt.hashpw(text[:36].encode(), bcrypt.gensalt(4)).decode()
        with pytest.raises(WrongPasswordError):
            await opened.verify(stored, typed)


async def test_a_dearer_cost_is_taken_over_at_sign_in(opened):
    """Calibrated later: hashes at the floor are replaced, one by one."""
    weak = await opened.hash(PASSWORD)
    dearer = passwords(DEARER)
    await dearer.start()
    better = await dearer.better(await dearer.verify(weak, PASSWORD), PASSWORD)
    assert argon2.extract_parameters(better).memory_cost == 32 * 1024
    dearer.stop()


async def test_a_full_queue_puts_the_replacement_off(opened, monkeypatch):
    """The password was right: its owner is not turned away for our housekeeping."""
    stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    proof = await opened.verify(stored, PASSWORD)

    async def full(*args, **kwargs):
        raise StoreBusyError("full", retry_after=1)

    monkeypatch.setattr(opened.pool, "run", full)
    assert await opened.better(proof, PASSWORD) == ""


async def test_memory_decides_how_many_hash_at_once(anyio_backend):
    made = passwords(Measured(Cost(64 * 1024, 3), 0.2), memory_kib=64 * 1024)
    await made.start()
    assert made.pool.threads == 1
    assert made.pool.queue == 50
    made.stop()


def settings(**changes):
    return IdentitySettings(**{"password_hash_ms": 100, **changes})


async def hash_of(folder, *, measure=False, **changes):
    made = open_passwords(
        settings(**changes), data=folder, measure=measure, clock=lambda: 0.0
    )
    await made.start()
    try:
        return argon2.extract_parameters(await made.hash(PASSWORD))
    finally:
        made.stop()


async def test_production_measures_this_very_machine(
    anyio_backend, tmp_path, monkeypatch
):
    """A first start, with nothing put in the place of anything."""
    monkeypatch.setattr("ringfence.identity.passwords.open.calibrate", calibrate)
    found = await hash_of(tmp_path, measure=True)
    said = json.loads((tmp_path / "passwords.json").read_text())
    assert (found.memory_cost, found.time_cost) == (said["memory_kib"], said["passes"])
    assert Cost(found.memory_cost, found.time_cost).meets_floor


def written(folder, passes):
    said = {"memory_kib": 19456, "passes": passes, "milliseconds": 99, "target_ms": 100}
    (folder / "passwords.json").write_text(json.dumps(said))


async def test_nothing_is_measured_where_nobody_asks(anyio_backend, tmp_path):
    """Development, commands and tests take the floor, or what is there."""
    assert (await hash_of(None)).time_cost == 2
    assert (await hash_of(tmp_path)).time_cost == 2
    assert list(tmp_path.iterdir()) == []
    written(tmp_path, 3)
    assert (await hash_of(tmp_path)).time_cost == 3
    assert (await hash_of(tmp_path, password_hash_ms=0)).time_cost == 2


async def test_production_measures_once(anyio_backend, tmp_path, monkeypatch):
    calls = []

    def counted(path, *, target_ms, memory_kib, now):
        calls.append((target_ms, memory_kib))
        written(tmp_path, 4)
        return Measured(Cost(19456, 4), 0.099)

    monkeypatch.setattr("ringfence.identity.passwords.open.calibrate", counted)
    for _ in range(2):
        assert (await hash_of(tmp_path, measure=True)).time_cost == 4
    assert calls == [(100, 256 * 1024)]
    await hash_of(tmp_path, measure=True, password_hash_ms=0)
    assert len(calls) == 1


async def stored_hash(house, stored):
    """Give Ann a hash, as an import would."""
    accounts = house.identity._stores.accounts
    (ann,) = await house.accounts.page()
    await accounts.upgrade_hash(ann.id, ann.password_hash, stored)
    return ann.id


def old_hashes():
    salt = b"seasalt"
    tag = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, 1000).hex()
    digest = hashlib.md5(PASSWORD.encode()).hexdigest()
    return {
        "bcrypt": bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode(),
        "pbkdf2": f"pbkdf2:sha256:1000${salt.decode()}${tag}",
        "wrapped": wrap_legacy(digest, "md5", hasher=Argon2id()),
        "weak argon2": argon2.PasswordHasher(1, 1024, 1).hash(PASSWORD),
    }


@pytest.mark.parametrize("kind", ["bcrypt", "pbkdf2", "wrapped", "weak argon2"])
async def test_an_imported_account_signs_in_and_gets_a_hash_of_today(
    house, browser, kind
):
    owner = await stored_hash(house, old_hashes()[kind])
    wrong = {"email": EMAIL, "password": PASSWORD + "!"}
    assert (await browser.post("/auth/login", json=wrong)).status_code == 401
    right = {"email": EMAIL, "password": PASSWORD}
    for _ in range(2):
        assert (await browser.post("/auth/login", json=right)).status_code == 200
        account = await house.accounts.by_id(owner)
        found = argon2.extract_parameters(account.password_hash)
        assert (found.memory_cost, found.time_cost) == (19_456, 2)


async def test_the_ledger_says_that_a_hash_is_unusable_and_the_answer_does_not(
    house, browser
):
    await stored_hash(house, "5f4dcc3b5aa765d61d8327deb882cf99")
    body = {"email": EMAIL, "password": "password"}
    answer = await browser.post("/auth/login", json=body)
    assert answer.status_code == 401
    assert answer.json()["code"] == "identity.sign_in_failed"
    (event,) = house.ledger.named(SignInFailed)
    assert event.reason == "the stored hash is none that is known"
