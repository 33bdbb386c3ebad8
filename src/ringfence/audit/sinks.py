"""Where the ledger is written to."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO

from ringfence.errors import SettingsError

if sys.platform != "win32":
    import fcntl


@dataclass(frozen=True, slots=True)
class Record:
    """One event as it is written: redacted, with its time and its place in the row.

    Args:
        sequence: counts from 1 since the start of the process, whose number stands
            beside it; a gap shows a loss.
        time: RFC 3339 in UTC with microseconds.
        name: the event's name, ``authz_fail`` say.
        level: ``INFO``, ``WARN``, ``ERROR`` or ``CRITICAL``.
        fields: the event's own fields, without the empty ones.
    """

    sequence: int
    time: str
    name: str
    level: str
    fields: Mapping[str, object]

    def line(self) -> bytes:
        """Return one line of JSON, in ASCII, without its end of line.

        ASCII only: what a terminal, a pager or a log shipper would take for a line
        break or an escape sequence is escaped (CVE-2020-7694, CWE-117).
        """
        document = {
            "time": self.time,
            "process": os.getpid(),
            "sequence": self.sequence,
            "event": self.name,
            "level": self.level,
            **self.fields,
        }
        text = json.dumps(document, separators=(",", ":"), default=str)
        return text.replace("\x7f", "\\u007f").encode("ascii")


class Sink(Protocol):
    """Receives records, in order, from one thread that is not the event loop's."""

    def open(self) -> None:
        """Get ready, once, when the application starts.

        Raises:
            SettingsError: it can never work as it is set.
        """

    def write(self, records: Sequence[Record]) -> None:
        """Write a batch. Whatever it raises is counted and told, and stops nothing."""

    def close(self) -> None:
        """Finish what was begun, once, when the application stops."""


class JsonLinesSink:
    """Append one line of JSON per event to a file that only this user can read.

    A file that is moved away (by logrotate) is begun anew; a line that a crash or a
    full disk left unfinished is ended before the next one is written, whichever of
    several processes has left it. These may share a file: what each appends at once
    stays together (POSIX, ``O_APPEND``).

    Args:
        path: the file. Made with mode 0600, its directory with 0700.

    Not covered: whoever may write to the file can change the past. A ledger that
    shows tampering is another sink. Several processes on a network file system (NFS),
    which does not keep together what they append: name a file for each machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def open(self) -> None:
        """Open the file, or say why it cannot be written.

        Raises:
            SettingsError: it cannot be made or written, or everybody can.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._reopen()
        except OSError as error:
            message = (
                f"the audit file {self._path} cannot be written ({error.strerror}); "
                "name another place in RINGFENCE_AUDIT_FILE or RINGFENCE_DATA"
            )
            raise SettingsError(message) from error

    def write(self, records: Sequence[Record]) -> None:
        if self._was_moved():
            self._reopen()
        lines = b"".join(record.line() + b"\n" for record in records)
        self._append(b"\n" + lines if _is_torn(self._file) else lines)

    def close(self) -> None:
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def _append(self, content: bytes) -> None:
        rest = memoryview(content)
        with _held(self._file):
            while rest:
                rest = rest[os.write(self._file, rest) :]

    def _was_moved(self) -> bool:
        if self._file < 0:
            return True
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(self._file)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _reopen(self) -> None:
        self._release()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
        self._file = os.open(self._path, flags, 0o600)
        _refuse_unfit(self._path, os.fstat(self._file))

    def _release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class StderrSink:
    """Write one line of JSON per event to the standard error stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def open(self) -> None:
        """Nothing is needed."""

    def write(self, records: Sequence[Record]) -> None:
        stream = self._stream or sys.stderr
        stream.write("".join(record.line().decode() + "\n" for record in records))
        stream.flush()

    def close(self) -> None:
        """Nothing is needed: the stream belongs to the process."""


@dataclass(slots=True)
class MemorySink:
    """Keep the last records, for tests.

    Args:
        limit: most records kept; older ones go.
    """

    limit: int = 10_000
    records: list[Record] = field(default_factory=list)

    def open(self) -> None:
        """Nothing is needed."""

    def write(self, records: Sequence[Record]) -> None:
        self.records.extend(records)
        del self.records[: -self.limit]

    def close(self) -> None:
        """Nothing is needed: what was kept stays, to be looked at."""

    def named(self, name: str) -> list[Record]:
        """Return the records of one event, ``authn_login_fail`` say."""
        return [record for record in self.records if record.name == name]


def _is_torn(file: int) -> bool:
    """Return whether the file ends within a line, and nobody is writing the rest."""
    if _ends_whole(file):
        return False
    with _held(file, alone=True) as is_alone:
        return is_alone and not _ends_whole(file)


@contextmanager
def _held(file: int, *, alone: bool = False) -> Iterator[bool]:
    """Tell other processes that this one writes, or ask whether none of them does.
    Who writes waits for nobody who writes: one that is stopped would stop all.

    Args:
        file: the ledger, as this process has opened it.
        alone: ask whether nobody writes.
    """
    if sys.platform == "win32":
        yield True
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except BlockingIOError:
        yield False
        return
    except OSError:  # a file system without locks
        yield True
        return
    try:
        yield True
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _ends_whole(file: int) -> bool:
    size = os.lseek(file, 0, os.SEEK_END)
    os.lseek(file, max(0, size - 1), os.SEEK_SET)
    return os.read(file, 1) in {b"", b"\n"}


def _refuse_unfit(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SettingsError(f"the audit file {path} is no regular file")
    if sys.platform != "win32" and found.st_mode & 0o007:
        message = (
            f"the audit file {path} can be read or changed by everybody (mode "
            f"{stat.S_IMODE(found.st_mode):04o}); run: chmod 600 {path}"
        )
        raise SettingsError(message)
