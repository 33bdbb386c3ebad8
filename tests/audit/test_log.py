import json
import os
import threading
from collections import Counter

import pytest

from ringfence.audit.events import (
    AccessRefused,
    AccountCreated,
    BrowserReport,
    RequestFailed,
    RequestRefused,
    SignedIn,
    SignInFailed,
)
from ringfence.audit.log import AuditLog, open_log
from ringfence.audit.settings import AuditSettings
from ringfence.audit.sinks import MemorySink
from ringfence.errors import SettingsError
from ringfence.testing import FakeClock

DEADLINE = 10
MANY_SIGN_INS = "identity.too_many_attempts"


class Failing:
    """A sink that raises until it is mended."""

    def __init__(self, error=None):
        self.error = error or OSError(28, "No space left on device")
        self.records = []

    def open(self):
        pass

    def write(self, records):
        if self.error:
            raise self.error
        self.records += records

    def close(self):
        pass


class Stuck(MemorySink):
    """A sink that hangs until it is let go."""

    def __init__(self):
        super().__init__()
        self.entered = threading.Event()
        self.free = threading.Event()

    def write(self, records):
        self.entered.set()
        assert self.free.wait(DEADLINE)
        super().write(records)


@pytest.fixture
def clock():
    return FakeClock()


def written(*events, clock=None, **options):
    sink = MemorySink()
    log = AuditLog([sink], clock or FakeClock(), **options)
    log.start()
    for event in events:
        log.record(event)
    log.close()
    return sink.records


def test_an_event_arrives_with_its_time_name_level_and_number():
    """ASVS 5.0 V16.2.1: when, where, who, what."""
    clock = FakeClock(1_795_420_000.25)
    found = written(SignedIn(account="a1", client="::1", request_id="r"), clock=clock)
    document = json.loads(found[0].line())
    assert document == {
        "process": os.getpid(),
        "time": "2026-11-23T07:46:40.250000Z",
        "sequence": 1,
        "event": "authn_login_success",
        "level": "INFO",
        "request_id": "r",
        "client": "::1",
        "account": "a1",
    }


def test_order_and_numbers_hold_across_threads():
    sink = MemorySink()
    log = AuditLog([sink], FakeClock())
    log.start()
    threads = [
        threading.Thread(
            target=lambda: [log.record(SignedIn(account=str(n))) for n in range(100)]
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert [record.sequence for record in sink.records] == list(range(1, 801))


def test_secrets_and_control_characters_do_not_reach_a_sink():
    event = RequestRefused(
        path="/reset?token=hunter2\r\n\x1b[2J", private="password='hunter2'", status=400
    )
    line = written(event)[0].line()
    assert b"hunter2" not in line
    assert b"\x1b" not in line
    assert b"\n" not in line
    assert json.loads(line)["status"] == 400


def test_nested_values_are_cleaned_and_numbers_stay_numbers():
    found = written(AccountCreated(account="a", roles=("admin", "x\ny"), by="cli"))
    assert found[0].fields["roles"] == ["admin", r"x\ny"]


def test_a_long_field_is_cut():
    found = written(RequestRefused(path="/" + "a" * 1_000_000))
    assert len(found[0].line()) < 3_000
    assert found[0].fields["path"].endswith("[cut]")


def test_recording_waits_for_no_sink():
    """A disk that hangs holds up no request."""
    stuck = Stuck()
    log = AuditLog([stuck], FakeClock())
    log.start()
    log.record(SignedIn(account="first"))
    assert stuck.entered.wait(DEADLINE)
    for _ in range(100):
        log.record(SignedIn(account="next"))
    assert stuck.records == []
    stuck.free.set()
    log.close()
    assert len(stuck.records) == 101


def test_what_was_recorded_before_the_start_is_written():
    sink = MemorySink()
    log = AuditLog([sink], FakeClock())
    log.record(SignedIn(account="early"))
    log.start()
    log.close()
    assert sink.records[0].fields["account"] == "early"


def test_a_failing_sink_is_counted_and_told_once_and_stops_no_other(capsys):
    failing, sink = Failing(), MemorySink()
    log = AuditLog([failing, sink], FakeClock())
    log.start()
    for number in range(5):
        log.record(SignedIn(account=str(number)))
        assert log.flush()
    log.close()
    assert log.failures == 5
    assert len(sink.records) == 5
    told = capsys.readouterr().err
    assert told.count("events are being lost") == 1
    assert "No space left" in told
    assert "Failing lost 5 events in all" in told


@pytest.mark.parametrize("error", [RuntimeError("password=hunter2"), KeyError("x")])
def test_whatever_a_sink_raises_is_survived(error, capsys):
    failing = Failing(error)
    log = AuditLog([failing], FakeClock())
    log.start()
    log.record(SignedIn())
    assert log.flush()
    failing.error = None
    log.record(SignedIn(account="later"))
    log.close()
    assert [record.fields["account"] for record in failing.records] == ["later"]
    assert "hunter2" not in capsys.readouterr().err


def test_a_full_queue_is_counted_and_reported():
    """Never silent: the count stands in the ledger itself."""
    stuck = Stuck()
    log = AuditLog([stuck], FakeClock(), queue=16)
    log.start()
    log.record(SignedIn())
    assert stuck.entered.wait(DEADLINE)
    for _ in range(20):
        log.record(SignedIn(account="x"))
    assert log.lost == 4
    stuck.free.set()
    log.close()
    lost = stuck.named("audit_events_lost")
    assert [record.fields for record in lost] == [{"count": 4, "reason": "queue full"}]


def test_a_flood_of_refusals_leaves_room_for_a_sign_in():
    """An attacker cannot push the trace of the break-in out of the queue."""
    stuck = Stuck()
    log = AuditLog([stuck], FakeClock(), queue=16)
    log.start()
    log.record(SignedIn(account="first"))
    assert stuck.entered.wait(DEADLINE)
    for _ in range(100):
        log.record(AccessRefused(path="/admin"))
    log.record(SignInFailed(identifier="victim"))
    log.record(SignedIn(account="victim"))
    stuck.free.set()
    log.close()
    assert len(stuck.named("authz_fail")) == 12
    assert stuck.named("authn_login_fail")
    assert stuck.named("authn_login_success")[-1].fields["account"] == "victim"


def test_a_flood_of_refusals_does_not_fill_the_disk(clock):
    sink = MemorySink()
    log = AuditLog([sink], clock, refusals_per_second=10)
    log.start()
    for _ in range(3):
        for _ in range(50):
            log.record(RequestRefused(path="/wp-login.php", code="guard.no_route"))
        assert log.flush()
        clock.advance(1)
    log.close()
    assert len(sink.named("request_refused")) == 30
    lost = sink.named("audit_events_lost")
    assert sum(record.fields["count"] for record in lost) == 120 == log.lost
    assert {record.fields["reason"] for record in lost} == {"flood"}


@pytest.mark.parametrize(
    "telling",
    [
        AccessRefused(path="/admin", code="access.denied"),
        RequestRefused(path="/transfer", code="browser.cross_site"),
        RequestRefused(path="/", code="identity.two_credentials"),
        RequestRefused(path="/secret", code="guard.plan_mismatch"),
    ],
)
def test_strange_paths_do_not_hide_refused_access(telling):
    """Requests that cost a stranger nothing have no part in the others' budget."""
    flood = [
        RequestRefused(path="/wp-login.php", code=code)
        for code in ("guard.no_route", "traffic.bad_path", MANY_SIGN_INS, "traffic.x")
        for _ in range(250)
    ]
    sink = MemorySink()
    log = AuditLog([sink], FakeClock(), refusals_per_second=20)
    log.start()
    for event in (*flood, *[telling] * 25, SignedIn(account="a")):
        log.record(event)
    log.close()
    assert sum(r.fields.get("code") == telling.code for r in sink.records) == 20
    assert sum(r.fields.get("path") == "/wp-login.php" for r in sink.records) == 20
    assert sink.named("authn_login_success")
    lost = Counter()  # reported in parts, as the writer comes to it
    for record in sink.named("audit_events_lost"):
        lost[record.fields["reason"]] += record.fields["count"]
    assert lost == {"flood": 980, "flood of refused access": 5}


def test_strange_paths_leave_room_in_the_queue():
    """Nor while the disk hangs."""
    stuck = Stuck()
    log = AuditLog([stuck], FakeClock(), queue=16)
    log.start()
    log.record(SignedIn(account="first"))
    assert stuck.entered.wait(DEADLINE)
    for _ in range(100):
        log.record(RequestRefused(path="/wp-login.php", code="guard.no_route"))
    log.record(AccessRefused(path="/admin"))
    stuck.free.set()
    log.close()
    assert len(stuck.named("request_refused")) == 8
    assert len(stuck.named("authz_fail")) == 1


def test_a_flood_of_failures_does_not_fill_the_disk(clock):
    """A failure that strangers can repeat is counted beyond its own budget."""
    sink = MemorySink()
    log = AuditLog([sink], clock, refusals_per_second=5, failures_per_second=3)
    log.start()
    for _ in range(2):
        for _ in range(50):
            log.record(RequestFailed(path="/broken", error="KeyError"))
        log.record(AccessRefused(path="/admin"))
        assert log.flush()
        clock.advance(1)
    log.close()
    assert len(sink.named("sys_crash")) == 6
    assert len(sink.named("authz_fail")) == 2
    lost = sink.named("audit_events_lost")
    assert sum(record.fields["count"] for record in lost) == 94
    assert {record.fields["reason"] for record in lost} == {"flood of failures"}


def test_a_flood_of_reports_hides_nothing():
    """Anybody can send them: they have a small budget of their own, and the least of
    the queue."""
    stuck = Stuck()
    log = AuditLog([stuck], FakeClock(), queue=40)
    log.start()
    log.record(SignedIn(account="first"))
    assert stuck.entered.wait(DEADLINE)
    for _ in range(500):
        log.record(BrowserReport(kind="csp-violation"))
    for _ in range(10):
        log.record(AccessRefused(path="/admin"))
        log.record(SignedIn(account="victim"))
    stuck.free.set()
    log.close()
    assert len(stuck.named("browser_report")) == 10
    assert len(stuck.named("authz_fail")) == 10
    assert len(stuck.named("authn_login_success")) == 11
    lost = stuck.named("audit_events_lost")
    assert {record.fields["reason"] for record in lost} == {"flood of reports"}


def test_a_clock_that_goes_back_gives_nothing_away(clock):
    sink = MemorySink()
    log = AuditLog([sink], clock, refusals_per_second=5)
    log.start()
    for _ in range(20):
        clock.now -= 1
        log.record(RequestRefused(path="/"))
    log.close()
    assert len(sink.named("request_refused")) == 5


def test_what_comes_after_the_end_is_counted():
    sink = MemorySink()
    log = AuditLog([sink], FakeClock())
    log.start()
    log.close()
    log.close()
    log.record(SignedIn())
    assert log.lost == 1
    assert sink.records == []


def test_it_can_be_started_again():
    sink = MemorySink()
    log = AuditLog([sink], FakeClock())
    for _ in range(2):
        log.start()
        log.record(SignedIn(account="x"))
        log.close()
    assert len(sink.records) == 2


def test_it_writes_where_the_settings_say(tmp_path, capsys):
    log = open_log(AuditSettings(stderr=True), data=tmp_path / "var")
    log.start()
    log.record(SignedIn(account="a"))
    log.close()
    line = (tmp_path / "var" / "audit.jsonl").read_text()
    assert json.loads(line)["account"] == "a"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    "field", ["queue", "refusals_per_second", "failures_per_second"]
)
def test_settings_out_of_range_are_refused(field):
    with pytest.raises(SettingsError, match=field):
        AuditSettings(**{field: 0})


def test_a_sink_that_hangs_does_not_hold_up_the_end(monkeypatch, capsys):
    monkeypatch.setattr("ringfence.audit.log._CLOSE_SECONDS", 0.05)
    stuck = Stuck()
    log = AuditLog([stuck], FakeClock())
    log.start()
    log.record(SignedIn())
    log.close()
    assert "a sink hangs" in capsys.readouterr().err
    stuck.free.set()


class Unclosable(MemorySink):
    """A sink that cannot end what it has begun."""

    def close(self):
        raise OSError(5, "Input/output error")


def test_a_sink_that_cannot_be_closed_is_told_and_holds_up_no_other(capsys):
    other = MemorySink()
    log = AuditLog([Unclosable(), other])
    log.start()
    log.record(SignedIn(account="ann"))
    log.close()
    assert "Unclosable" in capsys.readouterr().err
    assert [record.name for record in other.records] == ["authn_login_success"]
