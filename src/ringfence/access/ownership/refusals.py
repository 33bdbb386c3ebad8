"""How ownership refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from ringfence.denial import Denial
from ringfence.errors import OwnershipRefusedError
from ringfence.exchange import active

# What is another's answers as what is not there: 403 would tell that it exists.
NOT_FOUND = Denial(404, "access.not_found", "There is nothing here that you could use.")

# A mistake of the application's, not of whoever has sent the request.
UNFILTERED = Denial(
    500, "access.unfiltered", "The request could not be answered, and changed nothing."
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
