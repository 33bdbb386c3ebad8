"""What the ledger knows of one request."""

import json

import pytest

from ringfence.audit.search import events_of
from ringfence.errors import SettingsError

ID = "0123456789abcdef"


def line(request_id, **fields):
    return json.dumps({"event": "request_refused", "request_id": request_id, **fields})


def test_every_event_of_a_request_is_found_in_its_order(tmp_path):
    ledger = tmp_path / "audit.jsonl"
    lines = [line(ID, at=1), line("f" * 16), line(ID, at=2)]
    ledger.write_text("\n".join(lines) + "\n")
    assert [event["at"] for event in events_of(ID, ledger)] == [1, 2]


def test_files_that_were_moved_away_come_first(tmp_path):
    (tmp_path / "audit.jsonl").write_text(line(ID, at=3) + "\n")
    (tmp_path / "audit.jsonl.1").write_text(line(ID, at=2) + "\n")
    (tmp_path / "audit.jsonl.2").write_text(line(ID, at=1) + "\n")
    (tmp_path / "audit.jsonl.3.gz").write_bytes(ID.encode())
    found = events_of(ID, tmp_path / "audit.jsonl")
    assert [event["at"] for event in found] == [1, 2, 3]


def test_an_id_in_another_field_is_no_event_of_the_request(tmp_path):
    """Somebody asked for a path that holds the id."""
    ledger = tmp_path / "audit.jsonl"
    ledger.write_text(line("f" * 16, path=f"/{ID}") + "\n")
    assert events_of(ID, ledger) == []


def test_half_a_line_does_not_stop_the_search(tmp_path):
    ledger = tmp_path / "audit.jsonl"
    ledger.write_text(f'{line(ID, at=0)[:-3]}\n"{ID}"\n{line(ID, at=1)}\n')
    assert [event["at"] for event in events_of(ID, ledger)] == [1]


def test_a_long_search_tells_how_far_it_is(tmp_path):
    ledger = tmp_path / "audit.jsonl"
    with ledger.open("w") as file:
        for _ in range(17):
            file.write("x" * (1 << 20) + "\n")
    told = []
    events_of(ID, ledger, lambda done, of: told.append((done, of)))
    assert len(told) == 1
    assert told[0][0] < told[0][1]


def test_a_ledger_that_is_not_there_is_said_with_the_cure(tmp_path):
    with pytest.raises(SettingsError, match="RINGFENCE_DATA"):
        events_of(ID, tmp_path / "audit.jsonl")
