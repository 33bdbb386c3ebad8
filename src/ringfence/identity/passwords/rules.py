"""What a new password must be."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ringfence.identity.passwords.common_passwords import ranks
from ringfence.identity.passwords.guesses import estimate
from ringfence.identity.passwords.text import MOST_BYTES, is_too_long, normalize

# About 10^8 guesses: who passes this is not found by trying names and lists, even where
# nothing slows the guesses down.
_ENOUGH_BITS = 26.6
_SHORTEST_NAME = 3
_BETTER = (
    "Several words that have nothing to do with each other are easy to remember and "
    "hard to guess."
)


class Rules:
    """The rules for new passwords. None about kinds of characters: they make passwords
    weaker.

    Args:
        shortest: fewest characters.
        names: of the site and the product, which are the first that anybody tries.

    Source: NIST SP 800-63B-4, section 3.1.1.2; ASVS 5.0 V6.2.1, V6.2.4, V6.2.5,
    V6.2.9, V6.2.11.

    Not covered: passwords that leaked elsewhere and are in no list of common ones.
    """

    def __init__(self, *, shortest: int, names: Iterable[str] = ()) -> None:
        self.shortest = shortest
        self._names = _words(*names)

    def fault(self, password: str, *, email: str) -> str:
        """Return what is wrong with a new password and how to mend it, or the empty
        text. The password itself is never repeated.

        Args:
            password: as submitted.
            email: the address of the account.
        """
        if is_too_long(password):
            return f"The password has more than {MOST_BYTES} bytes."
        text = normalize(password)
        if len(text) < self.shortest:
            return (
                f"The password needs at least {self.shortest} characters. "
                "Spaces count, so several words will do."
            )
        return self._guessed(text, email.casefold())

    def _guessed(self, text: str, address: str) -> str:
        folded = text.casefold()
        if folded in {address, address.rpartition("@")[0]}:
            return f"The password must not be the e-mail address. {_BETTER}"
        if folded in ranks():
            return (
                "The password is one of the most common ones, which are tried first. "
                f"{_BETTER}"
            )
        context = self._names | _words(address)
        found = estimate(text, ranks=ranks(), context=context)
        if found.bits >= _ENOUGH_BITS:
            return ""
        made_of = (
            "a name of this site or your e-mail address"
            if found.has_context
            else "common passwords, repetitions or keys in a row"
        )
        return (
            f"The password is little more than {made_of}, which are tried first. "
            f"{_BETTER}"
        )


def _words(*names: str) -> frozenset[str]:
    """Return names, their parts, and all in one, in lower case."""
    found: set[str] = set()
    for name in names:
        parts = re.split(r"[\W_]+", name.casefold())
        found |= {name.casefold(), "".join(parts), *parts}
        found |= {*name.casefold().split("@")}
    return frozenset(word for word in found if len(word) >= _SHORTEST_NAME)
