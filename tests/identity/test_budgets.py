"""The budgets of sign-ins, as plain data."""

import pytest

from ringfence.identity.budgets import Budgets
from ringfence.identity.settings import IdentitySettings
from ringfence.stores.memory_counters import MemoryCounters


def of_everybody(amount):
    budgets = Budgets(IdentitySettings(sign_ins_global=amount))
    strangers = budgets.stranger("ann", "203.0.113.1", slowed=False).rates[-1]
    devices = budgets.known("ann", b"device").rates[-1]
    assert strangers.scope == devices.scope == "everybody"
    assert strangers.charge.key != devices.charge.key
    return strangers.charge, devices.charge


def test_a_small_budget_of_all_is_exact():
    assert all(charge.exact for charge in of_everybody(1_000))


@pytest.mark.parametrize("amount", [1_001, 20_000, 1_000_000])
def test_a_large_budget_of_all_is_one_number(amount):
    """However many sign in, the store writes as much for each."""
    for charge in of_everybody(amount):
        assert not charge.exact
        assert charge.amount == amount


def test_in_no_minute_do_many_more_pass():
    """A tenth more, at the very most."""
    charge, _ = of_everybody(2_000)
    counters = MemoryCounters()
    passed = sum(
        counters.decide([charge], second / 50).refused < 0
        for second in range(50 * 60)
        for _ in range(2)
    )
    assert 2_000 <= passed <= 2_200
