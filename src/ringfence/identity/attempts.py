"""How often a password may be tried: decided inside the sign-in, before any hashing.

An attempt draws from one of two lanes. A *stranger* shares the budgets of its network,
of all strangers, and of the account that it names. A *known device*, one that has
signed in to this very account before, has its own: nothing that strangers do uses it
up, which is why locking an account is no way to lock its owner out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from ringfence.audit.events import (
    Event,
    RequestRefused,
    SignInLocked,
    SignInsLimited,
    SignInSpray,
)
from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.budgets import HOUR, Budgets, Lane, Rate
from ringfence.identity.known_device import KnownDevices
from ringfence.identity.refusals import LOCKED, too_many_attempts
from ringfence.identity.settings import IdentitySettings
from ringfence.stores.contracts import Charge, CounterStore, Verdict, counter_key

_SPRAY_PERIOD = 600.0  # seconds in which tried accounts are counted together
_SLOWED_MOST = 4096  # networks; the one that was noticed longest ago gives way


class Attempt:
    """One try at a password that may be made: made by ``Attempts.begin`` only.

    It is paid for as a failure. Nothing has to be done for a failure to count, so that
    an error, a cancelled request or a parallel try cannot get a guess for nothing.

    Args:
        counters: keeps the budgets.
        lane: what was drawn from.
        paid_at: when, by the clock of the store.
        notice: tells the spray signal of a failure.
    """

    __slots__ = ("_counters", "_lane", "_notice", "_paid_at")

    def __init__(
        self,
        counters: CounterStore,
        lane: Lane,
        *,
        paid_at: float,
        notice: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._counters = counters
        self._lane = lane
        self._paid_at = paid_at
        self._notice = notice

    @property
    def is_known(self) -> bool:
        """Whether it comes from a device that has signed in to this account before."""
        return bool(self._lane.lifted)

    async def succeeded(self) -> None:
        """Give back what only failures cost."""
        await self.withdrawn()
        if self._lane.lifted:
            await self._counters.lift(self._lane.lifted)
        else:
            await self._release()

    async def _release(self) -> None:
        """End a lock that has begun since this attempt was paid for: several honest
        ones at once cannot be told from guesses before their passwords are known.
        Failures that have locked nothing stay counted."""
        guesses = self._lane.guesses
        verdict = await self._counters.take(guesses)
        if verdict.held:
            await self._counters.lift([charge.key for charge in guesses])
        elif verdict.refused < 0:
            await self._counters.give_back(guesses, verdict.at)

    async def withdrawn(self) -> None:
        """Give the guess back: the password was not looked at."""
        await self._counters.give_back(self._lane.returned, self._paid_at)

    async def failed(self) -> None:
        """Tell the spray signal that the password was wrong. It counts anyhow."""
        if self._notice is not None:
            await self._notice()


class Attempts:
    """Decide whether a password may be tried now.

    One decision, taken from all budgets at once or from none; so 50 parallel guesses
    are 50 decisions, and no more reach the hasher than the budget holds. Budgets of
    accounts are kept under the submitted address, folded: an account that does not
    exist is locked exactly as one that does.

    Args:
        counters: keeps the budgets.
        settings: the numbers.
        devices: recognises known devices.
        epoch_of: returns the present epoch of the account with this folded address;
            asked only for devices that claim to know it.
        identifier: makes the keyed hash that stands for an address.
        record: takes the events.
        clock: tells the time.

    Source: ASVS 5.0 V6.3.1; NIST SP 800-63B-4, section 3.2.2; CWE-307, CWE-645.

    Not covered: with several worker processes and counters in memory, each process
    counts for itself; ``ringfence serve`` refuses that.
    """

    def __init__(  # noqa: PLR0913 - what it decides with, each by its name
        self,
        counters: CounterStore,
        settings: IdentitySettings,
        devices: KnownDevices,
        *,
        epoch_of: Callable[[str], Awaitable[int | None]],
        identifier: Callable[[str], str],
        record: Callable[[Event], None],
        clock: Clock,
    ) -> None:
        self._counters = counters
        self._settings = settings
        self._devices = devices
        self._epoch_of = epoch_of
        self._identifier = identifier
        self._record = record
        self._clock = clock
        self._budgets = Budgets(settings)
        self._slowed: OrderedDict[str, float] = OrderedDict()

    async def begin(
        self, identifier: str, exchange: Exchange, *, second: bool = False
    ) -> Attempt | Denial:
        """Pay for one try at a password, or refuse it before any work is done for it.

        Args:
            identifier: the submitted address, folded by ``email_key``.
            exchange: the request; its network and its device cookie are read.
            second: a second factor is tried, by who has shown the first one.

        Returns:
            The attempt, or why there is none: ``LOCKED``, which is answered as a wrong
            password is, or 429 where the network or everybody has tried too often.

        Raises:
            StoreError: the budgets cannot be read; nothing may be tried.
        """
        now = self._clock()
        name = self._identifier(identifier)
        device = await self._known_device(identifier, exchange)
        lane = (
            self._budgets.stranger(
                name, exchange.network, slowed=self._is_slowed(exchange.network, now)
            )
            if device is None
            else self._budgets.known(name, device)
        )
        if second:
            lane = self._budgets.second(lane, name, device or b"")
        charges = [*(rate.charge for rate in lane.rates), *lane.guesses]
        verdict = await self._counters.take(charges)
        if verdict.refused < 0:
            return self._attempt(lane, name, exchange, verdict.at)
        if verdict.refused < len(lane.rates):
            return await self._limited(lane.rates, verdict, exchange)
        return await self._locked(name, verdict, exchange)

    async def enter(self, identifier: str, exchange: Exchange) -> Attempt | Denial:
        """Pay for one try at what cannot be guessed, a passkey, before any work is done
        for it; ``withdrawn`` gives it back after a success.

        It draws from what the network and everybody may try, or the known device, and
        from no account's failures: bytes without worth, in an account's name, must not
        lock it.

        Args:
            identifier: the folded address of the account, empty if there is none.
            exchange: the request; its network and its device cookie are read.

        Raises:
            StoreError: the budgets cannot be read; nothing may be tried.
        """
        name = self._identifier(identifier)
        device = await self._known_device(identifier, exchange)
        slowed = self._is_slowed(exchange.network, self._clock())
        rates = (
            self._budgets.stranger(name, exchange.network, slowed=slowed).rates
            if device is None
            else self._budgets.known(name, device).rates
        )
        charges = tuple(rate.charge for rate in rates)
        verdict = await self._counters.take(charges)
        if verdict.refused >= 0:
            return await self._limited(rates, verdict, exchange)
        lane = Lane(rates=rates, guesses=(), returned=charges)
        return Attempt(self._counters, lane, paid_at=verdict.at, notice=None)

    async def register(self, exchange: Exchange) -> Denial | None:
        """Pay for one registration, or refuse it with 429 before any hashing.

        Raises:
            StoreError: the budgets cannot be read; nothing may be made.
        """
        rates = self._budgets.registration(exchange.network)
        charges = [rate.charge for rate in rates]
        verdict = await self._counters.take(charges)
        if verdict.refused < 0:
            return None
        return await self._limited(rates, verdict, exchange)

    async def lift(self, identifier: str, *, second: bool = False) -> None:
        """End the lock of an account, after a proof by other means (mail, operator).

        Args:
            identifier: the address, folded by ``email_key``.
            second: the lock of its second factors as well; not after mail, which
                whoever guesses at them may read.

        Not covered: the lock of a single known device, which ends by itself; after the
        proof its browser is made known anew and starts afresh.
        """
        name = self._identifier(identifier)
        await self._counters.lift(self._budgets.of_account(name))
        if second:
            await self._counters.lift(self._budgets.of_second(name))

    async def _known_device(self, identifier: str, exchange: Exchange) -> bytes | None:
        """Return the id of the device that the request comes from, if the account
        trusts it still. Only who holds such a cookie causes the look at the account, so
        that its time tells nobody else anything."""
        device = self._devices.read(exchange)
        if device is None:
            return None
        epoch = self._devices.epoch(device, identifier)
        if epoch is None or epoch != await self._epoch_of(identifier):
            return None
        return device.id

    def _attempt(self, lane: Lane, name: str, exchange: Exchange, at: float) -> Attempt:
        is_known = bool(lane.lifted)
        notice = None if is_known else partial(self._notice, name, exchange)
        return Attempt(self._counters, lane, paid_at=at, notice=notice)

    async def _notice(self, name: str, exchange: Exchange) -> None:
        """Look for many accounts that were each tried a few times: one password tried
        at every door stays below the limit of each account (CWE-307)."""
        settings, network = self._settings, exchange.network
        member = name.encode()
        key = counter_key("spray", network)
        tried = await self._counters.distinct(key, member, _SPRAY_PERIOD)
        if tried >= settings.spray_accounts:
            self._slow(network, self._clock() + HOUR)
            await self._tell_spray(key, network, tried, exchange)
        key = counter_key("spray")
        tried = await self._counters.distinct(key, member, _SPRAY_PERIOD)
        if tried >= settings.spray_accounts_global:
            await self._tell_spray(key, "", tried, exchange)

    def _is_slowed(self, network: str, now: float) -> bool:
        return self._slowed.get(network, 0.0) > now

    def _slow(self, network: str, until: float) -> None:
        self._slowed[network] = until
        self._slowed.move_to_end(network)
        if len(self._slowed) > _SLOWED_MOST:
            self._slowed.popitem(last=False)

    async def _locked(self, name: str, verdict: Verdict, exchange: Exchange) -> Denial:
        """Refuse an attempt at a locked account. It costs its network what any other
        does: else the lock would show by what is left, and the refusals of whoever has
        a known device's cookie would fill the ledger."""
        network = exchange.network
        slowed = self._is_slowed(network, self._clock())
        rates = self._budgets.by_network(network, slowed=slowed)
        over = await self._counters.take([rate.charge for rate in rates])
        if over.refused >= 0:
            return await self._limited(rates, over, exchange)
        await self._tell_lock(name, verdict, exchange)
        return LOCKED

    async def _limited(
        self, rates: Sequence[Rate], verdict: Verdict, exchange: Exchange
    ) -> Denial:
        scope, charge = rates[verdict.refused]
        refusal = too_many_attempts(charge.amount, charge.period, verdict.retry_after)
        self._record(
            RequestRefused(
                request_id=exchange.request_id,
                client=exchange.client,
                method=exchange.method,
                path=exchange.path,
                status=refusal.status,
                code=refusal.code,
                private=f"{scope}: {charge.amount} in {charge.period:.0f} s",
                stage="identity.attempts",
            )
        )
        if await self._is_news(charge.key, charge.period):
            self._record(
                SignInsLimited(
                    request_id=exchange.request_id,
                    client=exchange.client,
                    scope=scope,
                    limit=charge.amount,
                )
            )
        return refusal

    async def _tell_lock(self, name: str, verdict: Verdict, exchange: Exchange) -> None:
        if not verdict.held:
            return
        until = round(verdict.at + verdict.retry_after)  # names this lock among others
        key = counter_key("lock", name, str(verdict.refused), str(until))
        if await self._is_news(key, self._budgets.locks[-1]):
            self._record(
                SignInLocked(
                    request_id=exchange.request_id,
                    client=exchange.client,
                    identifier=name,
                    seconds=round(verdict.retry_after),
                )
            )

    async def _tell_spray(
        self, key: bytes, network: str, accounts: int, exchange: Exchange
    ) -> None:
        if await self._is_news(key, _SPRAY_PERIOD):
            self._record(
                SignInSpray(
                    request_id=exchange.request_id,
                    client=exchange.client,
                    network=network,
                    accounts=accounts,
                )
            )

    async def _is_news(self, key: bytes, period: float) -> bool:
        """Return whether this has not been told in the last ``period``: a flood must
        not fill the ledger."""
        charge = Charge(counter_key("told", key), 1, period, exact=True)
        return (await self._counters.take([charge])).refused < 0
