"""What one try at a proof draws from: plain data, made from the settings."""

from __future__ import annotations

from typing import NamedTuple

from ringfence.identity.settings import IdentitySettings
from ringfence.stores.contracts import Charge, counter_key

MINUTE = 60.0
HOUR = 3600.0
DAY = 24 * HOUR

_LOCK_GROWTH = 4  # 1, 4, 16, 60 minutes with the defaults
_SLOWED = 5  # a network that sprays has a fifth of its sign-ins left
_DEVICES = 10  # as many devices' failures an account's known devices have together
_EXACT_UP_TO = 1_000
_AT_ONCE = 10  # a tenth of the minute's amount may come at once, and above it at most
_PREFIX = 3  # hexadecimal digits: where no room is left, 4096 budgets for all accounts


class Rate(NamedTuple):
    """A budget whose end is told: 429 with Retry-After."""

    scope: str  # for the ledger: "network", "account", "everybody"
    charge: Charge


class Lane(NamedTuple):
    """What an attempt draws from.

    Args:
        rates: tries, whether the password is right or not; told when used up.
        guesses: tries in vain; used up, the answer is that of a wrong password.
        returned: what a success gives back.
        lifted: keys whose failures a success forgives.
    """

    rates: tuple[Rate, ...]
    guesses: tuple[Charge, ...]
    returned: tuple[Charge, ...]
    lifted: tuple[bytes, ...] = ()


class Budgets:
    """Make the budgets of sign-ins and registrations.

    Args:
        settings: the numbers.
    """

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings
        self.locks = _locks(settings.lock_shortest, settings.lock_longest)
        # Six digits are found within a year by who may try five of them an hour. Five a
        # day it is, and locks that go on growing, to a day: half a per cent in a year.
        self.second_locks = _locks(settings.lock_shortest, DAY)

    def stranger(self, name: str, network: str, *, slowed: bool) -> Lane:
        """Return the lane of who is not known to the account.

        Args:
            name: stands for the submitted address.
            network: of the client.
            slowed: whether it has sprayed lately.
        """
        in_all = self._settings.sign_ins_global
        everybody = _of_everybody(in_all, "sign-in strangers")
        guesses = self._failures("stranger", name)
        return Lane(
            rates=(
                *self.by_network(network, slowed=slowed),
                Rate("everybody", everybody),
            ),
            guesses=(guesses,),
            returned=(guesses,),
        )

    def known(self, name: str, device: bytes) -> Lane:
        """Return the lane of a known device.

        Not of its network, so that an office behind one address can sign in at nine
        o'clock; and the reserved part of the global budget is used up by failures
        alone, of which each account has few, so that nobody uses it up with accounts
        of their own.
        """
        settings = self._settings
        often = _exactly(settings.sign_ins_per_address, MINUTE, "sign-in known", name)
        reserved = _of_everybody(settings.sign_ins_global, "sign-in known devices")
        here = self._failures("device", name, device)
        most = settings.sign_in_failures * _DEVICES
        all_devices = Charge(_failures_key("devices", name), most, HOUR, exact=True)
        return Lane(
            rates=(Rate("account", often), Rate("everybody", reserved)),
            guesses=(here, all_devices),
            returned=(reserved, here, all_devices),
            lifted=(here.key,),
        )

    def second(self, lane: Lane, name: str, device: bytes = b"") -> Lane:
        """Return what a try at a second factor draws from: all that a password does,
        and a budget that no right password gives back. Else whoever knows the password
        signs in half again after every few guesses, and begins anew.

        Args:
            lane: of ``stranger`` or ``known``.
            name: stands for the address.
            device: that is known, if one is.
        """
        kind = "second device" if device else "second stranger"
        failures = self._failures(kind, name, device)._replace(
            period=DAY, holds=self.second_locks
        )
        return lane._replace(
            guesses=(*lane.guesses, failures),
            returned=(*lane.returned, failures),
            lifted=(*lane.lifted, failures.key) if lane.lifted else (),
        )

    def by_network(self, network: str, *, slowed: bool) -> tuple[Rate, ...]:
        """Return what an attempt costs its network."""
        amount = self._settings.sign_ins_per_address
        usual = Rate("network", _exactly(amount, MINUTE, "sign-in network", network))
        if not slowed:
            return (usual,)
        left = max(1, amount // _SLOWED)
        slow = Rate("network", _exactly(left, MINUTE, "sign-in slowed", network))
        return (usual, slow)

    def registration(self, network: str) -> tuple[Rate, ...]:
        """Return what a registration costs."""
        amount = self._settings.registrations_per_address
        in_all = self._settings.registrations_global
        return (
            Rate("network", _exactly(amount, HOUR, "registration network", network)),
            Rate("everybody", Charge(counter_key("registration"), in_all, HOUR)),
        )

    def of_account(self, name: str) -> tuple[bytes, ...]:
        """Return the keys that lock an account's password."""
        return (_failures_key("stranger", name), _failures_key("devices", name))

    def of_second(self, name: str) -> tuple[bytes, ...]:
        """Return the keys that lock an account's second factors, for strangers."""
        return (_failures_key("second stranger", name),)

    def _failures(self, kind: str, name: str, device: bytes = b"") -> Charge:
        """Return the budget of failures whose end locks."""
        return Charge(
            _failures_key(kind, name, device),
            self._settings.sign_in_failures,
            HOUR,
            exact=True,
            holds=self.locks,
            coarser=(counter_key("sign-in failures", kind, name[:_PREFIX]),),
        )


def _of_everybody(amount: int, purpose: str) -> Charge:
    """Return the budget that a whole site has in a minute.

    Up to a thousand it is exact. A window of more would be kept, moved and logged as a
    whole by the store with every sign-in, 160 kB of it for 20,000 a minute.
    """
    if amount <= _EXACT_UP_TO:
        return _exactly(amount, MINUTE, purpose)
    key = counter_key(purpose, "")
    return Charge(key, amount, MINUTE, burst=amount // _AT_ONCE)


def _exactly(amount: int, period: float, purpose: str, whom: str = "") -> Charge:
    return Charge(counter_key(purpose, whom), amount, period, exact=True)


def _failures_key(kind: str, name: str, device: bytes = b"") -> bytes:
    return counter_key("sign-in failures", kind, name, device)


def _locks(shortest: float, longest: float) -> tuple[float, ...]:
    """Return how long a lock holds the first time, the second, and so on."""
    steps = [shortest]
    while steps[-1] < longest:
        steps.append(min(longest, steps[-1] * _LOCK_GROWTH))
    return tuple(steps)
