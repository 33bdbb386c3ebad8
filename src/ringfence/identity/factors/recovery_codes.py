"""Recovery codes: for the day when the telephone is gone."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence

from ringfence.clock import Clock
from ringfence.identity.entrance import RECOVERY_CODE
from ringfence.stores.contracts import AccountRecord, Factor, FactorStore

AMOUNT = 10
CHARACTERS = 16  # of 5 bits each
_GROUP = 4

# Without I, L, O and U: nothing looks like something else, and few codes are words.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("ILO", "110")
_PURPOSE = b"ringfence recovery code 1\x00"


class RecoveryCodes:
    """Makes the codes that stand in for a lost second factor, each of them once.

    Ten codes of 80 random bits. The store has a keyed hash of each and nothing else: a
    copy of the database gives none of them away, however long somebody tries.

    Args:
        store: keeps the hashes.
        keys: returns the keys of the hashes, the newest first; codes that were made
            under an older one are good until all keys of their time are gone.
        clock: tells the time.

    Source: ASVS 5.0 V6.5.1, V6.5.2, V6.5.3; NIST SP 800-63B-4, sections 3.1.2 and
    4.2.1.1; CWE-308, CWE-640.

    Not covered: where their owner keeps them.
    """

    def __init__(
        self,
        store: FactorStore,
        keys: Callable[[], Sequence[bytes]],
        *,
        clock: Clock,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock

    async def make(self, account: AccountRecord) -> tuple[str, ...]:
        """Return new codes, to be shown once, in the place of all that the account has;
        none if the account has changed meanwhile."""
        codes = tuple(_code() for _ in range(AMOUNT))
        now, key = self._clock(), self._keys()[0]
        factors = [
            Factor(
                RECOVERY_CODE, _digest(key, account.id, code), account.id, created=now
            )
            for code in codes
        ]
        made = await self._store.replace(
            account.id, RECOVERY_CODE, factors, epoch=account.epoch
        )
        return tuple(map(_readable, codes)) if made else ()

    async def use(self, kept: Sequence[Factor], code: str) -> bool:
        """Use a code up; of several at once exactly one is told ``True``.

        Args:
            kept: the account's codes, as stored.
            code: already normalised.
        """
        for factor in kept:
            if self._is_of(factor, code):
                return await self._store.remove(
                    factor.account_id, RECOVERY_CODE, factor.id
                )
        return False

    def _is_of(self, factor: Factor, code: str) -> bool:
        """Return whether this is the code, whichever of the keys it was made under."""
        fitting = [
            hmac.compare_digest(factor.id, _digest(key, factor.account_id, code))
            for key in self._keys()
        ]
        return any(fitting)


def normalised(typed: str) -> str:
    """Return a code as it was made: with or without its groups, in any case, and with
    the letters that only look like its digits.

    Args:
        typed: at most a few dozen characters.
    """
    letters = "".join(typed.upper().split()).replace("-", "")
    return letters.translate(_READ_AS)


def _code() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(CHARACTERS))


def _readable(code: str) -> str:
    return "-".join(code[at : at + _GROUP] for at in range(0, CHARACTERS, _GROUP))


def _digest(key: bytes, account_id: str, code: str) -> bytes:
    content = _PURPOSE + account_id.encode() + b"\x00" + code.encode()
    return hmac.digest(key, content, "sha256")
