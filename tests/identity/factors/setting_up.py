"""Second factors on stores of their own, for tests that need no pages."""

from types import SimpleNamespace

import pyotp
from tests.contracts.records import account
from tests.identity.gatehouse import Clock, Ledger, visit

from ringfence.identity.attempts import Attempts
from ringfence.identity.factors.open import open_factors
from ringfence.identity.ground import Ground
from ringfence.identity.known_device import KnownDevices
from ringfence.identity.settings import IdentitySettings
from ringfence.stores.memory_counters import MemoryCounters

NOW = 1_000_020.0  # ten seconds before a time step ends
EMAIL = "ann@example.com"


class TwoKeys:
    """A keyring before and after a rotation."""

    def __init__(self, *generations):
        self.generations = generations or ("one",)

    def derive(self, purpose):
        return self.derive_all(purpose)[0]

    def derive_kept(self, purpose):
        return self.derive_all(purpose)

    def derive_all(self, purpose):
        return tuple(
            f"{name} {purpose}".encode().ljust(32, b".") for name in self.generations
        )


def opened(stores, *, clock=None, keys=None, counters=None, **settings):
    """Return second factors with all that is below them."""
    clock = clock or Clock(NOW)
    keys = keys or TwoKeys()
    ledger = Ledger()
    ground = Ground(
        IdentitySettings(site_name="The shop", **settings),
        stores,
        counters or MemoryCounters(clock=clock),
        keys,
        ledger.record,
        clock,
        (),
        development=True,
    )
    devices = KnownDevices(
        ground.keys("identity.device"), development=True, clock=clock
    )
    attempts = Attempts(
        ground.counters,
        ground.settings,
        devices,
        epoch_of=_no_epoch,
        identifier=ground.identifier,
        record=ledger.record,
        clock=clock,
    )
    factors = open_factors(ground, attempts)
    return SimpleNamespace(
        factors=factors,
        attempts=attempts,
        identifier=ground.identifier,
        ledger=ledger,
        clock=clock,
        stores=stores,
        keys=keys,
        ann=account(),
        bob=account("bob"),
    )


async def _no_epoch(_):
    return None


async def with_app(setup, *, label=""):
    """Set up an app for Ann; return it as her telephone has it, and her codes."""
    enrolment = setup.factors.totp.enrol(setup.ann)
    app = pyotp.TOTP(enrolment.secret.replace(" ", ""))
    refused = await setup.factors.confirm_app(
        setup.ann, enrolment.text, app.at(setup.clock.now), label=label
    )
    assert refused is None
    return app, await setup.factors.added(setup.ann, "totp", visit())
