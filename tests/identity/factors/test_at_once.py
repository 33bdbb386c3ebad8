"""Fifty with the same code at once: one is let in, on every store, in two processes."""

import asyncio

import pyotp
import pytest
from tests.contracts.conftest import (  # noqa: F401 - fixtures, beside the list
    STORES,
    emptied,
    migrated,
    migrated_file,
)
from tests.contracts.raced import raced
from tests.identity.factors.setting_up import NOW, opened, with_app
from tests.identity.gatehouse import visit

pytestmark = pytest.mark.anyio

AT_ONCE = 50
MANY = {
    "sign_ins_per_address": 1000,
    "sign_ins_global": 1000,
    "sign_in_failures": 100,
}


@pytest.fixture(params=["sqlite", "memory", "postgres"])
async def stores(request, anyio_backend):
    opened_store = STORES[request.param](request)
    await opened_store.start()
    yield opened_store
    await opened_store.stop()


@pytest.fixture
async def everybody(stores):
    setup = opened(stores, **MANY)
    await stores.accounts.add(setup.ann)
    return setup


async def at_once(setup, code):
    answers = await asyncio.gather(
        *(setup.factors.prove(setup.ann, code, visit()) for _ in range(AT_ONCE))
    )
    return [answer for answer in answers if isinstance(answer, str)]


async def test_one_code_of_an_app_is_good_once(everybody):
    app, _ = await with_app(everybody)
    everybody.clock.now += 30
    assert await at_once(everybody, app.at(everybody.clock.now)) == ["totp"]


async def test_one_recovery_code_is_good_once(everybody):
    _, codes = await with_app(everybody)
    assert await at_once(everybody, codes[0]) == ["recovery-code"]


async def test_one_enrolment_makes_one_factor(everybody):
    enrolment = everybody.factors.totp.enrol(everybody.ann)
    app = everybody.factors.totp
    code = pyotp.TOTP(enrolment.secret.replace(" ", "")).at(everybody.clock.now)
    made = await asyncio.gather(
        *(app.confirm(everybody.ann, enrolment.text, code) for _ in range(AT_ONCE))
    )
    assert sum(factor is not None for factor in made) == 1
    assert len((await everybody.factors.held(everybody.ann.id)).totp) == 1


PROVE = f"""
from tests.identity.factors.setting_up import opened
from tests.identity.gatehouse import Clock, visit

PROOFS = ALL_OF_THEM

def calls(stores, number):
    setup = opened(stores, clock=Clock({NOW} + 30 * (number + 1)), **{MANY!r})
    async def prove():
        answer = await setup.factors.prove(setup.ann, PROOFS[number], visit())
        return answer if isinstance(answer, str) else "refused"
    return [prove() for _ in range(25)]
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_of_two_processes_one_is_let_in(kind, request, tmp_path):
    """Codes of the app and recovery codes in turn, each tried 25 times by either."""
    store = STORES[kind](request)
    await store.start()
    setup = opened(store)
    await store.accounts.add(setup.ann)
    app, codes = await with_app(setup)
    proofs = [
        app.at(NOW + 30 * (number + 1)) if number % 2 else codes[number]
        for number in range(4)
    ]
    await store.stop()
    url = (
        f"sqlite:///{tmp_path / 'contract.db'}"
        if kind == "sqlite"
        else request.getfixturevalue("emptied").url("psycopg") + "&timeout=20"
    )
    answers = raced(url, PROVE.replace("ALL_OF_THEM", repr(proofs)), len(proofs))
    for number, said in enumerate(answers):
        expected = "totp" if number % 2 else "recovery-code"
        assert sorted(set(said)) == sorted({expected, "refused"})
        assert said.count(expected) == 1
