"""What caused a change of identity, for the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Cause:
    """What an event says about the request behind it; all empty outside one.

    Args:
        request_id: of the request.
        client: the client's address.
        network: the same; IPv6 grouped to /64. Limits count it.
        by: who did it, if that is not the account itself: ``operator`` say.
    """

    request_id: str = ""
    client: str = ""
    network: str = ""
    by: str = ""

    @classmethod
    def of(cls, exchange: Exchange) -> Cause:
        """Return the cause that an exchange tells of."""
        return cls(
            request_id=exchange.request_id,
            client=exchange.client,
            network=exchange.network,
        )
