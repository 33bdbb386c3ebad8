import json
import os
import stat
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack

import pytest

from ringfence.audit.sinks import JsonLinesSink, MemorySink, Record, StderrSink
from ringfence.errors import SettingsError


def record(number=1, **fields):
    return Record(number, "2026-11-23T07:46:40.000000Z", "x_event", "INFO", fields)


def write(sink, *records):
    sink.open()
    sink.write(records)
    sink.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "var" / "audit.jsonl"


def lines(path):
    return [json.loads(line)["sequence"] for line in path.read_text().splitlines()]


def test_the_file_is_for_this_user_only(path):
    write(JsonLinesSink(path), record())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_appends(path):
    write(JsonLinesSink(path), record(1), record(2))
    write(JsonLinesSink(path), record(3))
    assert lines(path) == [1, 2, 3]


@pytest.mark.parametrize(
    "text", ["a\r\nb", "\x1b[2J", "\x7f", "\x9b", "\u2028", "\u202e", "\ud800", "é🙂"]
)
def test_a_line_is_one_line_of_plain_ascii(text):
    """CVE-2020-7694, and pagers and shippers with their own idea of a line."""
    line = record(path=text).line()
    assert all(32 <= byte < 127 for byte in line)
    assert json.loads(line)["path"] == text


def test_a_file_that_was_moved_away_is_begun_anew(path):
    """Logrotate moves it; nothing goes on into the old one."""
    sink = JsonLinesSink(path)
    sink.open()
    sink.write([record(1)])
    path.rename(path.with_suffix(".1"))
    sink.write([record(2)])
    sink.close()
    assert lines(path.with_suffix(".1")) == [1]
    assert lines(path) == [2]


WRITER = """
import sys
from pathlib import Path
from ringfence.audit.sinks import JsonLinesSink, Record

sink = JsonLinesSink(Path(sys.argv[1]))
sink.open()
for batch in range(200):
    sink.write([
        Record(10 * batch + number, "2026", "x_event", "INFO", {"text": "x" * 3000})
        for number in range(10)
    ])
sink.close()
"""


def test_several_processes_write_whole_lines(path):
    """Workers share one ledger that logrotate moves away: nothing is cut or lost."""
    with ExitStack() as stack:
        command = [sys.executable, "-c", WRITER, path]
        writers = [stack.enter_context(subprocess.Popen(command)) for _ in range(3)]
        moved = 0
        while any(writer.poll() is None for writer in writers):
            if path.exists() and path.stat().st_size > 2_000_000:
                moved += 1
                path.rename(path.with_suffix(f".{moved}"))
        assert not any(writer.wait() for writer in writers)
    assert moved > 1
    found = Counter(
        (event["process"], event["sequence"])
        for file in path.parent.iterdir()
        for event in map(json.loads, file.read_text().splitlines())
    )
    assert set(found) == {
        (writer.pid, number) for writer in writers for number in range(2000)
    }
    assert set(found.values()) == {1}


def test_a_line_that_another_process_cut_off_is_ended(path):
    """A full disk takes the line of one worker, and not that of the next as well."""
    sink = JsonLinesSink(path)
    sink.open()
    sink.write([record(1)])
    with path.open("a") as file:
        file.write('{"sequence":2,"ti')
    sink.write([record(3)])
    sink.close()
    assert json.loads(path.read_text().splitlines()[-1])["sequence"] == 3


def test_a_line_that_a_crash_cut_off_is_ended(path):
    write(JsonLinesSink(path), record(1))
    with path.open("a") as file:
        file.write('{"sequence":2,"ti')
    write(JsonLinesSink(path), record(3))
    found = path.read_text().splitlines()
    assert json.loads(found[0])["sequence"] == 1
    assert json.loads(found[2])["sequence"] == 3


def test_a_line_that_a_full_disk_cut_off_is_ended(path, monkeypatch):
    sink = JsonLinesSink(path)
    sink.open()
    really = os.write
    monkeypatch.setattr(
        os, "write", lambda file, data: _half_then_full(really, file, data)
    )
    with pytest.raises(OSError, match="full"):
        sink.write([record(1)])
    monkeypatch.undo()
    sink.write([record(2)])
    sink.close()
    found = path.read_text().splitlines()
    assert len(found) == 2
    assert json.loads(found[1])["sequence"] == 2


def _half_then_full(write, file, data):
    if len(data) < 60:
        raise OSError(28, "disk full")
    return write(file, data[: len(data) - 50])


def test_a_file_that_everybody_can_read_is_refused(path):
    path.parent.mkdir()
    path.touch()
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        JsonLinesSink(path).open()


def test_a_group_that_ships_logs_may_read(path):
    path.parent.mkdir()
    path.touch()
    path.chmod(0o640)
    write(JsonLinesSink(path), record(1))
    assert lines(path) == [1]


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SettingsError, match="no regular file"):
        JsonLinesSink(tmp_path / "pipe").open()


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="RINGFENCE_AUDIT_FILE"):
        JsonLinesSink(tmp_path / "file" / "audit.jsonl").open()


def test_the_standard_error_stream(capsys):
    write(StderrSink(), record(1), record(2))
    assert capsys.readouterr().err.count("\n") == 2


def test_memory_is_bounded():
    sink = MemorySink(limit=3)
    write(sink, *(record(number) for number in range(5)))
    assert [found.sequence for found in sink.records] == [2, 3, 4]
    assert sink.named("x_event") == sink.records
    assert sink.named("other") == []
