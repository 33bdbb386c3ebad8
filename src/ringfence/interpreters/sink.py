"""Where text reaches an interpreter: who is asking, and what an objection leads to."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from ringfence.audit.events import Event, InjectionStopped
from ringfence.denial import Denial
from ringfence.errors import InjectionRefusedError
from ringfence.exchange import Exchange, active, live, own_work
from ringfence.interpreters.boundary_map import BoundaryMap, save
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.untrusted import (
    Input,
    Inputs,
    inputs_of,
    inputs_of_all,
)

starter: ContextVar[Exchange | None] = ContextVar("ringfence_starter", default=None)
"""The request that has started the running thread, which may go on to work for others,
and after it. Set by ``threads``."""

PUBLIC_REFUSAL = "Part of what was sent would have been carried out as code."


@dataclass(frozen=True, slots=True)
class Sink:
    """One place where text reaches an interpreter.

    Args:
        interpreter: ``sql``, ``nosql``, ``shell``, ``html``, ``path``, ...: the second
            half of the code of a refusal.
        driver: the library or call by which it is reached.
    """

    interpreter: str
    driver: str


@dataclass(frozen=True, slots=True)
class Sinks:
    """What one guard hands to all sinks; ``Exchange.sinks``.

    Args:
        settings: as loaded.
        record: writes an event into the ledger.
        is_watched: whether refusals are only written down (dry run).
        boundary_map: takes down what reaches what; ``None`` where nobody asks.
    """

    settings: InterpretersSettings
    record: Callable[[Event], None]
    is_watched: Callable[[], bool] = lambda: False
    boundary_map: BoundaryMap | None = None

    def save_map(self) -> None:
        """Write down what the boundary map holds, where one is kept.

        Raises:
            SettingsError: the file cannot be written.
        """
        path = self.settings.boundary_map
        if self.boundary_map is not None and path is not None:
            save(self.boundary_map, path)
            self.boundary_map.crossings.clear()


@dataclass(frozen=True, slots=True)
class Here:
    """For whom the running code works.

    Args:
        exchange: the request; ``None`` where the code runs in a thread that carries no
            context while requests are in progress, so that any of them may be it.
    """

    exchange: Exchange | None

    @property
    def inputs(self) -> Inputs:
        """What has been brought by the request, or by all that are in progress."""
        if self.exchange is None:
            return inputs_of_all(_anybody())
        return inputs_of(self.exchange)

    @property
    def sinks(self) -> Sinks | None:
        """What the guard has handed to its sinks."""
        exchange = self.exchange or next(iter(_anybody()), None)
        found: Sinks | None = None if exchange is None else exchange.sinks
        return found

    def refuse(
        self,
        sink: Sink,
        why: str,
        found: Input | None = None,
        *,
        status: int = 403,
        public: str = PUBLIC_REFUSAL,
    ) -> None:
        """Object to what is about to reach an interpreter.

        The refusal is written into the exchange and the ledger before it is raised:
        libraries swallow exceptions, and the guard then answers with it all the same.

        Args:
            sink: what it was about to reach.
            why: one sentence for the ledger, without what was sent.
            found: the input at fault, if one is known.
            status: of the answer.
            public: what the answer says, without any of the inside.

        Raises:
            InjectionRefusedError: unless sinks are only watched (dry run): then it
                returns.
        """
        source = f" ({found.place} {found.name})".replace(" )", ")") if found else ""
        denial = Denial(
            status,
            f"interpreters.{sink.interpreter}",
            public,
            private=f"{sink.driver}: {why}{source}",
        )
        sinks = self.sinks
        watched = sinks is not None and sinks.is_watched()
        exchange = self.exchange
        if exchange is not None and not watched and exchange.denial is None:
            exchange.denial = denial
        if sinks is not None:
            sinks.record(_event(denial, sink, exchange, found, watched=watched))
        if not watched:
            raise InjectionRefusedError(denial)

    def reached(self, sink: Sink, way: str, *texts: object) -> None:
        """Tell the boundary map which inputs stand in what reaches an interpreter.

        Args:
            sink: what is reached.
            way: ``bound``, ``escaped`` or ``raw``.
            texts: what reaches it; what is no text is left out.
        """
        sinks = self.sinks
        if sinks is None or sinks.boundary_map is None:
            return
        inputs = self.inputs
        for text in texts:
            if isinstance(text, str):
                for found in inputs.found_in(text, least=2):
                    sinks.boundary_map.reached(
                        found.input, sink.interpreter, sink.driver, way
                    )


def here() -> Here | None:
    """Return for whom the running code works: ``None`` for nobody, as at start-up, in
    the background while no request is in progress, and for the guard's own work."""
    if own_work.get():
        return None
    exchange = active.get()
    if exchange is not None:
        return Here(exchange) if exchange.sinks is not None else None
    return Here(None) if live or starter.get() is not None else None


def _anybody() -> tuple[Exchange, ...]:
    """Return whom code may work for that carries no request."""
    begun_by = starter.get()
    others = tuple(each for each in tuple(live) if each is not begun_by)
    return others if begun_by is None else (begun_by, *others)


def _event(
    denial: Denial,
    sink: Sink,
    exchange: Exchange | None,
    found: Input | None,
    *,
    watched: bool,
) -> Event:
    principal = None if exchange is None else exchange.principal
    return InjectionStopped(
        request_id="" if exchange is None else exchange.request_id,
        client="" if exchange is None else exchange.client,
        account="" if principal is None else principal.id,
        interpreter=sink.interpreter,
        driver=sink.driver,
        route="" if exchange is None else getattr(exchange.plan, "path", ""),
        place="" if found is None else found.place,
        field="" if found is None else found.name,
        private=denial.private,
        watched=watched,
    )
