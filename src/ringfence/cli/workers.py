"""Several processes behind one socket: started, compared, replaced, stopped.

uvicorn's own supervisor lets workers serve before anybody has compared them, and leaves
them behind when it is killed; so this is ours. It imports nothing of the application,
waits on pipes and signals only, and holds the socket without taking from it.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from ringfence.cli.leash import GO, STOP, Failed, Ready, Serving, Word, read_word
from ringfence.cli.signals import Signals, withheld
from ringfence.errors import PlanError, SettingsError
from ringfence.guard.fingerprint import Fingerprint

logger = logging.getLogger("uvicorn.error")

Work = Callable[[int, Connection], None]
"""What a worker does, given its number and its end of the connection. Pickled."""

_CHANGES = (
    "The code decides by something that each process has its own of (its id, the time, "
    "a random number, a counter), or something was changed while they started; make it "
    "the same for all, and start again"
)
_CHANGED_SINCE = (
    "Code, settings or keys were changed since the start; the others go on. To change "
    "all of them, stop ringfence and start it again"
)
_TO_CLEAN_UP = 15.0  # seconds after the grace time, for the application's own end
_ONE_SIGNAL = 0.5  # seconds: timeout(1) and shells send the same one twice at once
_SETTLED = 1.0  # seconds of serving, after which a death is no failed start
_LONGEST_WORD = 16_777_216  # bytes: a plan of ten thousand routes has a few million
_ENDED_BY = 128  # plus the signal's number, as shells have it


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a worker that cannot start is started again.

    Args:
        first: seconds of waiting after the first failure; doubled with each one.
        longest: seconds of waiting at most.
        most: failures in a row that end the whole. With these values: after two
            minutes, so that a database that restarts is outlived.
        refused: seconds of waiting after one that is not like the others. They go on,
            and it takes a person to mend it.
    """

    first: float = 0.5
    longest: float = 5.0
    most: int = 25
    refused: float = 30.0

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row."""
        return min(self.longest, self.first * 2.0 ** min(failures - 1, 32))


@dataclass(eq=False)
class _Worker:
    """One process, from its start to its end.

    Args:
        number: its place, 1 or more.
        process: the process.
        pipe: to it.
    """

    number: int
    process: BaseProcess
    pipe: Connection
    fingerprint: Fingerprint | None = None
    serving_since: float | None = None
    failed: Failed | None = None
    is_refused: bool = False
    killed_at: float | None = None

    @property
    def name(self) -> str:
        return f"worker {self.number} (process {self.process.pid})"

    def tell(self, word: bytes) -> None:
        with suppress(OSError):  # it has ended meanwhile, which SIGCHLD tells
            self.pipe.send_bytes(word)

    def words(self) -> Iterator[Word]:
        """Return what it has said and nobody has heard yet."""
        try:
            while not self.pipe.closed and self.pipe.poll():
                yield read_word(self.pipe.recv_bytes(_LONGEST_WORD))
        except (EOFError, OSError, ValueError):
            self.pipe.close()  # for its leash the end of us, so that it stops

    def how_it_ended(self) -> str:
        """Return how it has ended."""
        code = self.process.exitcode or 0
        if code < 0:
            return f"was killed ({signal.Signals(-code).name})"
        return f"ended (exit code {code})"


@dataclass
class _Place:
    """Where one worker stands, and how often that has failed in a row."""

    number: int
    worker: _Worker | None = None
    failures: int = 0
    due: float | None = None
    successor: _Worker | None = field(default=None)


class Workers:
    """Keep a number of processes at work that are all alike.

    The first one starts alone: it makes what is made once (keys in development, tables,
    the measure of password hashing), and finds what is wrong once. The others follow at
    the same time. Nobody listens before all have the same fingerprint.

    Args:
        bound: the socket that they share; closed as soon as they are to stop, so that
            who comes then is turned away and does not wait for nobody.
        work: what each does.
        count: how many, 2 or more.
        grace: seconds in which a worker that is stopped finishes what it has begun.
        patience: with those that cannot start.
    """

    def __init__(
        self,
        bound: socket.socket,
        work: Work,
        *,
        count: int,
        grace: float,
        patience: Patience | None = None,
    ) -> None:
        self._bound = bound
        self._work = work
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._seconds_to_stop = grace + _TO_CLEAN_UP
        self._patience = patience or Patience()
        self._all: list[_Worker] = []
        self._agreed: Fingerprint | None = None
        self._words = ""
        self._is_open = False
        self._asked_at: float | None = None
        self._was_cut_by = 0
        self._failure: SettingsError | None = None
        self._to_renew: list[_Place] = []
        self._has_terminal = sys.stdin is not None and sys.stdin.isatty()
        self._tell: Callable[[str], None] = lambda _: None

    def run(self, tell: Callable[[str], None]) -> int:
        """Serve until told to stop.

        Args:
            tell: called once, when all of them listen, with what the application has
                to say.

        Returns:
            The exit code.

        Raises:
            PlanError: the routes cannot be guarded.
            SettingsError: a worker cannot start, or is not like the others.
        """
        self._tell = tell
        with Signals() as signals:
            try:
                self._start(self._places[0])
                while self._all or not self._is_stopping:
                    self._turn(signals)
            finally:
                self._kill_all()
        if self._failure is not None:
            raise self._failure
        return _ENDED_BY + self._was_cut_by if self._was_cut_by else 0

    @property
    def _is_stopping(self) -> bool:
        return self._asked_at is not None or self._failure is not None

    # What happens, one turn after the other.

    def _turn(self, signals: Signals) -> None:
        pipes = [worker.pipe for worker in self._all if not worker.pipe.closed]
        connection.wait([signals.socket, *pipes], self._until_next())
        for number in signals.come():
            self._hear_signal(number)
        for worker in tuple(self._all):
            has_ended = worker.process.exitcode is not None
            for word in worker.words():
                self._hear(worker, word)
            if has_ended:
                self._bury(worker)
        self._do_what_is_due()

    def _until_next(self) -> float | None:
        """Return the seconds until something has to be done, ``None`` for nothing."""
        times = [
            *(place.due for place in self._places),
            *(worker.killed_at for worker in self._all),
        ]
        due = [moment for moment in times if moment is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _hear_signal(self, number: int) -> None:
        if number == signal.SIGHUP and not self._has_terminal:
            if self._is_open and not self._is_stopping:
                logger.info("SIGHUP: workers are replaced, one after the other")
                self._to_renew = [*self._places]
        elif number != signal.SIGCHLD:  # SIGHUP of a terminal says that it is closed
            self._hear_end(number)

    def _hear_end(self, number: int) -> None:
        now = time.monotonic()
        if not self._is_stopping:
            logger.info("%s: workers are stopped", signal.Signals(number).name)
            self._asked_at = now
            self._stop_all()
        elif now - (self._asked_at or 0.0) > _ONE_SIGNAL:
            self._was_cut_by = number
            self._kill_all()

    def _hear(self, worker: _Worker, word: Word) -> None:
        match word:
            case Ready():
                self._compare(worker, word)
            case Serving():
                self._let_serve(worker)
            case Failed():
                worker.failed = word

    def _compare(self, worker: _Worker, ready: Ready) -> None:
        worker.fingerprint = ready.fingerprint
        if self._is_stopping:
            return
        if self._agreed is None:
            self._agreed, self._words = ready.fingerprint, ready.words
            for place in self._places[1:]:
                self._start(place)
        difference = self._agreed.difference(ready.fingerprint)
        if difference:
            self._refuse(worker, difference)
        elif self._is_open:
            worker.tell(GO)
        elif all(one.fingerprint is not None for one in self._all):
            # To be compared with what other machines have said.
            logger.info("All workers have the fingerprint %s", self._agreed.digest)
            for one in self._all:
                one.tell(GO)

    def _refuse(self, worker: _Worker, difference: str) -> None:
        worker.failed = Failed(f"it is not like the others: {difference}")
        worker.is_refused = True
        if self._is_open:
            logger.error(
                "%s is refused, since it is not like those that serve: %s. %s",
                worker.name,
                difference,
                _CHANGED_SINCE,
            )
            self._stop(worker)
        else:
            self._fail(
                SettingsError(
                    f"worker {worker.number} is not like worker 1, so nothing is "
                    f"served: {difference}. {_CHANGES}"
                )
            )

    def _let_serve(self, worker: _Worker) -> None:
        worker.serving_since = time.monotonic()
        place = self._places[worker.number - 1]
        place.failures = 0
        if worker is place.successor:
            predecessor, place.worker = place.worker, worker
            place.successor = None
            if predecessor is not None:
                self._stop(predecessor)
        serving = [one for one in self._all if one.serving_since is not None]
        if not self._is_open and len(serving) == len(self._places):
            self._is_open = True
            self._tell(self._words)

    # What becomes of those that end.

    def _bury(self, worker: _Worker) -> None:
        place = self._places[worker.number - 1]
        if worker is place.successor:
            place.successor = None
            self._to_renew.clear()
            logger.error(
                "%s %s; the others are not replaced, and go on",
                worker.name,
                worker.how_it_ended(),
            )
        elif worker is place.worker:
            place.worker = None
            if self._is_open and not self._is_stopping:
                self._replace(place, worker)
            elif not self._is_stopping:
                self._fail(self._why_nobody_serves(worker))
        self._all.remove(worker)
        worker.pipe.close()
        worker.process.join()
        worker.process.close()

    def _why_nobody_serves(self, worker: _Worker) -> SettingsError:
        failed = worker.failed or Failed("")
        # What stops the first one is said of none in particular: it would stop all.
        is_of_all = self._agreed is None and failed.reason
        kind = PlanError if failed.is_plan else SettingsError
        return kind(failed.reason if is_of_all else _why_not_started(worker))

    def _replace(self, place: _Place, worker: _Worker) -> None:
        if worker.serving_since is None:
            why = _why_not_started(worker)
            self._count_failure(place, why, is_refused=worker.is_refused)
            return
        logger.warning(
            "%s %s; another one takes its place", worker.name, worker.how_it_ended()
        )
        served = time.monotonic() - worker.serving_since
        pause = 0.0 if served >= _SETTLED else self._patience.first
        place.due = time.monotonic() + pause

    def _count_failure(self, place: _Place, why: str, *, is_refused: bool) -> None:
        place.failures += 1
        # One that is refused harms nobody: the others are those that were wanted.
        if place.failures >= self._patience.most and not is_refused:
            times = f"{place.failures} times in a row"
            self._fail(SettingsError(f"{why} ({times}, so that everything is stopped)"))
            return
        patience = self._patience
        pause = patience.refused if is_refused else patience.pause(place.failures)
        place.due = time.monotonic() + pause
        logger.error("%s; it is tried again in %g seconds", why, pause)

    # Doing.

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        for worker in self._all:
            if worker.killed_at is not None and worker.killed_at <= now:
                logger.error("%s has not ended in time and is killed", worker.name)
                worker.killed_at = None
                worker.process.kill()
        if self._is_stopping:
            return
        for place in self._places:
            if place.due is not None and place.due <= now:
                place.due = None
                self._start(place)
        self._renew_next()

    def _renew_next(self) -> None:
        is_renewing = any(place.successor is not None for place in self._places)
        while self._to_renew and not is_renewing:
            place = self._to_renew.pop(0)
            if place.worker is not None:
                is_renewing = self._start_successor(place)

    def _start_successor(self, place: _Place) -> bool:
        try:
            place.successor = self._spawn(place.number)
        except OSError as error:
            self._to_renew.clear()
            logger.error(  # noqa: TRY400 - the trace would say nothing more
                "worker %d could not be replaced (%s); the others go on",
                place.number,
                error.strerror,
            )
            return False
        return True

    def _start(self, place: _Place) -> None:
        try:
            place.worker = self._spawn(place.number)
        except OSError as error:
            why = f"worker {place.number} could not be started: {error.strerror}"
            if not self._is_open:
                raise SettingsError(why) from error
            self._count_failure(place, why, is_refused=False)

    def _spawn(self, number: int) -> _Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        with closing(theirs):
            process = context.Process(
                target=self._work, args=(number, theirs), name=f"ringfence-{number}"
            )
            # Ctrl-C reaches a new process before it can know what to make of it.
            with withheld(signal.SIGINT):
                process.start()
        worker = _Worker(number, process, ours)
        self._all.append(worker)
        return worker

    def _fail(self, error: SettingsError) -> None:
        self._failure = error
        self._stop_all()

    def _stop_all(self) -> None:
        self._bound.close()
        for place in self._places:
            place.due = None
        for worker in self._all:
            self._stop(worker)

    def _stop(self, worker: _Worker) -> None:
        worker.tell(STOP)
        worker.killed_at = time.monotonic() + self._seconds_to_stop

    def _kill_all(self) -> None:
        for worker in self._all:
            worker.process.kill()


def _why_not_started(worker: _Worker) -> str:
    if worker.failed is not None and worker.failed.reason:
        return f"worker {worker.number} cannot start: {worker.failed.reason}"
    said = f"worker {worker.number} {worker.how_it_ended()} before it had started"
    was_killed = (worker.process.exitcode or 0) < 0
    return said if was_killed else f"{said}; what it has written above says why"
