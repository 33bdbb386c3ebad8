"""How many letters an owner gets, and how many a stranger may ask for."""

from __future__ import annotations

from collections.abc import Callable

from ringfence.audit.events import Event, LettersLimited
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.refusals import too_many_attempts
from ringfence.stores.contracts import Charge, CounterStore, counter_key

_HOUR = 3600.0
_AT_ONCE = 2
_NOTICES = 20  # an hour, of all kinds together


class LetterLimits:
    """Decides whether a letter is written.

    Nobody's mailbox is flooded by asking in their name (CWE-770): of one kind an
    account gets two letters at once, then one every so often, and in no hour more
    than the limit. That is why using the limit up is no way to keep an owner from
    a letter: with five an hour the gap between two is 24 minutes at most, and a link to
    set a new password holds for thirty. So the newest letter always has one that works.

    Args:
        counters: keeps the budgets.
        per_account: letters of one kind that an account gets in any hour.
        per_network: requests for letters in any hour from one network.
        record: takes the events.
    """

    def __init__(
        self,
        counters: CounterStore,
        *,
        per_account: int,
        per_network: int,
        record: Callable[[Event], None],
    ) -> None:
        self._counters = counters
        self._per_account = per_account
        self._per_network = per_network
        self._record = record

    async def ask(self, exchange: Exchange) -> Denial | None:
        """Pay for one request for a letter, whoever it is for, or refuse it with 429.

        Raises:
            StoreError: the budgets cannot be read; nothing is written.
        """
        key = counter_key("letters network", exchange.network)
        charge = Charge(key, self._per_network, _HOUR, exact=True)
        verdict = await self._counters.take([charge])
        if verdict.refused < 0:
            return None
        return too_many_attempts(charge.amount, charge.period, verdict.retry_after)

    async def may_have(self, account_id: str, kind: str) -> bool:
        """Pay for one letter to an account; return ``False`` if it has had enough.

        Raises:
            StoreError: the budgets cannot be read; nothing is written.
        """
        most = self._per_account
        whom = (kind, account_id)
        charges = [
            Charge(counter_key("letters", *whom), most, _HOUR, exact=True),
            Charge(
                counter_key("letters spaced", *whom),
                most,
                _HOUR,
                burst=min(most, _AT_ONCE),
            ),
        ]
        if (await self._counters.take(charges)).refused < 0:
            return True
        await self._tell(account_id, kind)
        return False

    async def may_be_told(self, account_id: str) -> bool:
        """Pay for one letter that tells an owner what has happened; return ``False`` if
        there were very many. They come at once, and do not use up the others.

        Raises:
            StoreError: the budgets cannot be read; nothing is written.
        """
        key = counter_key("letters", "notices", account_id)
        charge = Charge(key, _NOTICES, _HOUR, exact=True)
        return (await self._counters.take([charge])).refused < 0

    async def _tell(self, account_id: str, kind: str) -> None:
        """Tell the ledger, once an hour."""
        key = counter_key("letters told", kind, account_id)
        if (await self._counters.take([Charge(key, 1, _HOUR, exact=True)])).refused < 0:
            limit = self._per_account
            self._record(LettersLimited(account=account_id, kind=kind, limit=limit))
