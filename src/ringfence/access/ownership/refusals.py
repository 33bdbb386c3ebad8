"""How ownership refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn, TypeVar

from ringfence.denial import Denial
from ringfence.errors import OwnershipRefusedError
from ringfence.exchange import active

Found = TypeVar("Found")

# What is another's answers as what is not there: 403 would tell that it exists.
NOT_FOUND = Denial(404, "access.not_found", "There is nothing here that you could use.")

# A mistake of the application's, not of whoever has sent the request.
UNFILTERED = Denial(
    500, "access.unfiltered", "The request could not be answered, and changed nothing."
)

FIELD_NOT_ALLOWED = Denial(
    403, "access.field_not_allowed", "You may not set all of the fields that were sent."
)

# The answer would have shown a field to somebody who may not read it: a mistake of the
# application's, which tells nobody anything.
FIELD_LEAKED = Denial(
    500, "access.field_leaked", "The answer holds something that is not for you."
)


def refuse(denial: Denial, private: str) -> NoReturn:
    """Refuse what the running code was about to do with rows.

    The refusal is written into the exchange before it is raised: libraries swallow
    exceptions, and the guard then answers with it all the same.

    Args:
        denial: how the request is answered.
        private: what is wrong and how to mend it, for the ledger and the developer.

    Raises:
        OwnershipRefusedError: always.
    """
    said = replace(denial, private=private)
    exchange = active.get()
    if exchange is not None and exchange.denial is None:
        exchange.denial = said
    raise OwnershipRefusedError(said)


def found(value: Found | None) -> Found:
    """Return what was found, or answer 404, as for what is somebody else's::

        order = access.found(await db.get(Order, order_id))

    The guard's answer is the same, to the byte, whether there is no such row or it is
    another's, on every method.

    Args:
        value: a row, or ``None`` where there is none that the principal may see.

    Raises:
        OwnershipRefusedError: there is none.

    Source: ASVS 5.0 V8.2.2; OWASP API1:2023; CWE-639, CWE-204.
    """
    if value is None:
        refuse(NOT_FOUND, "")
    return value
