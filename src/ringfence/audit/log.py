"""The ledger: takes events from anywhere and writes them on a thread of its own."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from ringfence.audit.budget import Budget
from ringfence.audit.events import (
    BrowserReport,
    Event,
    EventsLost,
    RequestFailed,
    RequestRefused,
)
from ringfence.audit.redact import redact
from ringfence.audit.settings import AuditSettings
from ringfence.audit.sinks import JsonLinesSink, Record, Sink, StderrSink
from ringfence.clock import Clock, system_clock

_LONGEST_TAKEN = 4096
_LONGEST_WRITTEN = 2048
"""Characters of one field. More is taken than written, so that a secret at the cut is
still whole when it is looked for."""

_REPORT_SECONDS = 1.0
_REPORTS = 10  # of browsers, written per second: anybody can send them
_CLOSE_SECONDS = 10.0

_Fields = dict[str, object]
_Entry = tuple[int, float, Event, _Fields]


class AuditLog:
    """Record events without ever holding up or failing a request.

    ``record`` puts the event into a bounded queue; one thread redacts it, gives it
    its time and number and hands it to the sinks. What does not fit is counted, and
    the count is itself written as ``audit_events_lost``.

    Args:
        sinks: where to write; each is told about every event.
        clock: time of the events.
        queue: most events that wait, 16 or more.
        refusals_per_second: most refusals written per second, 1 or more: so many of
            requests that are malformed or go nowhere, and so many of the others.
        failures_per_second: most failures of the application, 1 or more.

    Source: ASVS 5.0 V16.2 (what an entry holds), V16.4.1 (injection into logs); OWASP
    logging vocabulary.

    Not covered: an event of the last moment before the process is killed.
    """

    def __init__(
        self,
        sinks: Iterable[Sink],
        clock: Clock = system_clock,
        *,
        queue: int = 4096,
        refusals_per_second: int = 200,
        failures_per_second: int = 10,
    ) -> None:
        self._outlets = tuple(_Outlet(sink) for sink in sinks)
        self._clock = clock
        self._lanes = _lanes(queue, refusals_per_second, failures_per_second)
        self._changed = threading.Condition()
        self._waiting: deque[_Entry] = deque()
        self._sequence = 0
        self._lost = 0
        self._unreported: dict[str, int] = {}
        self._reported_at = 0.0
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def lost(self) -> int:
        """Events that were counted instead of written, since the start."""
        return self._lost

    @property
    def failures(self) -> int:
        """Records that a sink failed to write, since the start."""
        return sum(outlet.failed for outlet in self._outlets)

    def record(self, event: Event) -> None:
        """Take an event. Cheap, from any thread, and raises nothing."""
        taken = _taken(event)
        lane = self._lanes[_lane_of(event)]
        with self._changed:
            now = self._clock()
            self._sequence += 1
            reason = self._why_not(lane, now)
            if reason:
                self._lost += 1
                self._unreported[reason] = self._unreported.get(reason, 0) + 1
            else:
                self._waiting.append((self._sequence, now, event, taken))
            self._changed.notify_all()

    def lose(self, count: int, reason: str) -> None:
        """Count events that somebody else has decided not to make; from any thread."""
        with self._changed:
            self._lost += count
            self._unreported[reason] = self._unreported.get(reason, 0) + count
            self._changed.notify_all()

    def start(self) -> None:
        """Open the sinks and begin to write what has been recorded so far.

        Raises:
            SettingsError: a sink can never work as it is set.
        """
        for outlet in self._outlets:
            outlet.sink.open()
        self._closed = False
        self._thread = threading.Thread(
            target=self._write_until_closed, name="ringfence-audit", daemon=True
        )
        self._thread.start()

    def flush(self, timeout: float = _CLOSE_SECONDS) -> bool:
        """Wait until everything recorded so far is written.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether it is.
        """
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._waiting or self._busy), timeout
            )

    def close(self) -> None:
        """Write what waits, report what was lost, and close the sinks.

        Waits for a sink that hangs for ten seconds at most. Closing twice is fine.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.join(_CLOSE_SECONDS)
        if thread.is_alive():
            _tell(f"a sink hangs; {len(self._waiting)} events were not written")
            return
        for outlet in self._outlets:
            outlet.close()

    def _why_not(self, lane: _Lane, now: float) -> str:
        # Stops a flood from filling the disk, or from pushing the trace of a break-in
        # out of the queue.
        return "closed" if self._closed else lane.why_not(now, len(self._waiting))

    def _write_until_closed(self) -> None:
        last = False
        while not last:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(
                    lambda: self._waiting or self._closed,
                    _REPORT_SECONDS if self._unreported else None,
                )
                batch, self._waiting = self._waiting, deque()
                self._busy = True
                last = self._closed
                losses = self._due_losses(at_once=last)
            records = [_enriched(*entry) for entry in (*batch, *losses)]
            for outlet in self._outlets if records else ():
                outlet.write(records)
        with self._changed:
            self._busy = False
            self._changed.notify_all()

    def _due_losses(self, *, at_once: bool) -> list[_Entry]:
        now = self._clock()
        is_early = 0 <= now - self._reported_at < _REPORT_SECONDS
        if not self._unreported or (is_early and not at_once):
            return []
        self._reported_at = now
        unreported, self._unreported = self._unreported, {}
        losses: list[_Entry] = []
        for reason, count in unreported.items():
            self._sequence += 1
            event = EventsLost(count=count, reason=reason)
            losses.append((self._sequence, now, event, _taken(event)))
        return losses


def open_log(
    settings: AuditSettings, *, data: Path, clock: Clock = system_clock
) -> AuditLog:
    """Return the ledger that the settings describe, not yet started.

    Args:
        settings: the ledger's settings.
        data: the directory for ``audit.jsonl`` when no file is named.
        clock: time of the events.
    """
    sinks: list[Sink] = [JsonLinesSink(settings.file or data / "audit.jsonl")]
    if settings.stderr:
        sinks.append(StderrSink())
    return AuditLog(
        sinks,
        clock,
        queue=settings.queue,
        refusals_per_second=settings.refusals_per_second,
        failures_per_second=settings.failures_per_second,
    )


class _Lane:
    """Events that share a budget a second and a part of the queue.

    Args:
        reason: why what the budget does not allow is lost.
        budget: how many are written in a second, ``None`` for all.
        room: how many may wait before the queue counts as full for them.
    """

    def __init__(self, reason: str, budget: Budget | None, room: int) -> None:
        self._reason = reason
        self._budget = budget
        self._room = room

    def why_not(self, now: float, waiting: int) -> str:
        """Return why an event is lost, ``""`` if it is not."""
        if self._budget is not None and not self._budget.take(now):
            return self._reason
        return "queue full" if waiting >= self._room else ""


_OTHERS, _MALFORMED, _REFUSED, _FAILED, _REPORTED = range(5)


_CHEAP = frozenset({"guard.no_route", "identity.too_many_attempts"})


def _lane_of(event: Event) -> int:
    """Return the lane of an event, so that what costs a stranger nothing (a path that
    does not exist, a malformed request) cannot hide a try at what is not theirs."""
    if isinstance(event, RequestFailed):
        return _FAILED
    if isinstance(event, BrowserReport):
        return _REPORTED
    if not isinstance(event, RequestRefused):
        return _OTHERS
    is_cheap = event.code in _CHEAP or event.code.startswith("traffic.")
    return _MALFORMED if is_cheap else _REFUSED


def _lanes(queue: int, refusals: int, failures: int) -> tuple[_Lane, ...]:
    """Return the lanes in the order of their numbers. The floods stop short of the end
    of the queue: the rarer an event, the more of it stays free for it."""
    return (
        _Lane("", None, queue),
        _Lane("flood", Budget(refusals), queue // 2),
        _Lane("flood of refused access", Budget(refusals), queue - queue // 4),
        _Lane("flood of failures", Budget(failures), queue - queue // 4),
        _Lane("flood of reports", Budget(_REPORTS), queue // 4),
    )


class _Outlet:
    """A sink, and what went wrong with it."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.failed = 0

    def write(self, records: list[Record]) -> None:
        try:
            self.sink.write(records)
        except Exception as error:  # noqa: BLE001 - foreign code; counted and told
            if not self.failed:
                self._tell(error, "events are being lost")
            self.failed += len(records)

    def close(self) -> None:
        try:
            self.sink.close()
        except Exception as error:  # noqa: BLE001 - foreign code; told
            self._tell(error, "it may be incomplete")
        if self.failed:
            _tell(f"{type(self.sink).__name__} lost {self.failed} events in all")

    def _tell(self, error: Exception, consequence: str) -> None:
        reason = redact(f"{type(error).__name__}: {error}")
        _tell(f"{type(self.sink).__name__} failed ({reason}); {consequence}")


def _tell(message: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
        sys.stderr.write(f"ringfence audit: {message}\n")


def _taken(event: Event) -> _Fields:
    """Return the fields that hold something, cut, so that the queue stays small."""
    taken: _Fields = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, str):
            value = value[:_LONGEST_TAKEN]
        if value not in ("", ()):
            taken[field.name] = value
    return taken


def _enriched(sequence: int, now: float, event: Event, taken: _Fields) -> Record:
    when = datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds")
    return Record(
        sequence=sequence,
        time=when.replace("+00:00", "Z"),
        name=event.name,
        level=event.level,
        fields={name: _clean(value) for name, value in taken.items()},
    )


def _clean(value: object) -> object:
    """Return the value without secrets and control characters, of bounded length."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple | list | frozenset | set):
        return [_clean(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _clean(item) for name, item in value.items()}
    text = redact(str(value))
    return text if len(text) <= _LONGEST_WRITTEN else text[:_LONGEST_WRITTEN] + "[cut]"
