"""The primary that sentinels name, asked anew for each connection."""

from __future__ import annotations

from ringfence.stores.redis.address import Address
from ringfence.stores.redis.dial import BROKEN, Dialled, Dialler, hang_up
from ringfence.stores.redis.failures import DownError
from ringfence.stores.redis.packing import pack
from ringfence.stores.redis.single import SingleKeyspace
from ringfence.stores.redis.url import Target


def sentinel_keyspace(target: Target) -> SingleKeyspace:
    """Return the keys on the primary of a service."""
    return SingleKeyspace(target, Watchers(target).dial)


class Watchers:
    """Sentinels, of which the last that was right is asked first.

    What a sentinel says is a hint: a primary that says of itself that it is none is not
    used, and the next sentinel is asked.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._dialler = Dialler(target)
        self._addresses = list(target.addresses)

    async def dial(self) -> Dialled:
        """Connect to the primary.

        Raises:
            DownError: no sentinel names one that can be used.
        """
        reasons = []
        for sentinel in tuple(self._addresses):
            try:
                return await self._dialler.dial(await self._primary(sentinel))
            except DownError as error:
                reasons.append(str(error))
                self._addresses.append(self._addresses.pop(0))
        raise DownError("; ".join(reasons))

    async def _primary(self, sentinel: Address) -> Address:
        wire = await self._dialler.connect(sentinel, self._target.sentinel_credentials)
        try:
            service = self._target.service
            found = await self._dialler.ask(
                wire, pack((b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service))
            )
        except BROKEN as error:
            message = (
                f"the sentinel at {sentinel} does not tell the primary: "
                f"{str(error).strip()}; is it a sentinel, and may its user ask it?"
            )
            raise DownError(message) from error
        finally:
            await hang_up(wire)
        if not found:
            message = (
                f"the sentinel at {sentinel} knows no service {service!r}; the name is "
                "what stands after `sentinel monitor` in its configuration"
            )
            raise DownError(message)
        host, port = found
        return Address(host.decode(), int(port))
