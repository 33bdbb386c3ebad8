"""How slow hashing has to be on this machine."""

import json

import pytest

from ringfence.errors import SettingsError, StoreError
from ringfence.identity.passwords.calibrate import calibrate, choose, recall, time_of
from ringfence.identity.passwords.cost import FLOOR, Cost

MEMORY = 256 * 1024
NOW = 1_700_000_000.0


def machine(floor_seconds, calls=None, bend=1.0):
    """A machine that hashes at the floor in so many seconds.

    ``bend`` makes more memory dearer than its share, as caches do.
    """

    def measure(cost):
        if calls is not None:
            calls.append(cost)
        share = cost.work / FLOOR.work
        return floor_seconds * share * (bend if cost.memory_kib > 20_000 else 1.0)

    return measure


@pytest.mark.parametrize("target", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("floor", [0.004, 0.01, 0.03, 0.06, 0.09, 0.15])
@pytest.mark.parametrize("bend", [0.7, 1.0, 1.6])
def test_a_hash_takes_about_as_long_as_wanted(floor, target, bend):
    """On slow and fast machines alike: 100 to 500 ms, or the floor where even that
    takes longer."""
    found = choose(target, memory_kib=MEMORY, measure=machine(floor, bend=bend))
    assert found.cost.meets_floor
    if floor >= target:
        assert found.cost == FLOOR
    elif found.cost != FLOOR:
        assert max(0.1, 0.5 * target) <= found.seconds <= min(0.5, 1.5 * target)


def test_never_below_the_floor():
    """OWASP's least, however slow the machine."""
    found = choose(0.1, memory_kib=MEMORY, measure=machine(3.0))
    assert found.cost == FLOOR


def test_memory_comes_before_passes():
    found = choose(0.25, memory_kib=MEMORY, measure=machine(0.02))
    assert found.cost.memory_kib == 65_536
    assert found.cost.passes >= 3


def test_no_more_memory_than_there_is():
    found = choose(0.5, memory_kib=40_000, measure=machine(0.01))
    assert found.cost.memory_kib <= 40_000


def test_a_machine_that_changes_its_mind_is_believed_in_the_end():
    """Somebody else's work comes and goes: no endless search."""
    calls = []

    def measure(cost):
        calls.append(cost)
        return 0.03 * cost.work / FLOOR.work * (1 + 0.5 * (len(calls) % 2))

    assert choose(0.25, memory_kib=MEMORY, measure=measure).cost.meets_floor
    assert len(calls) == 4


def test_few_measurements_are_made():
    """A first start may take three seconds."""
    calls = []
    choose(0.5, memory_kib=MEMORY, measure=machine(0.03, calls, bend=1.6))
    assert len(calls) <= 4


def test_what_was_measured_is_used_again(tmp_path):
    path = tmp_path / "var" / "passwords.json"
    made = calibrate(
        path, target_ms=250, memory_kib=MEMORY, now=NOW, measure=machine(0.03)
    )
    found = recall(path, memory_kib=MEMORY, target_ms=250)
    assert found.cost == made.cost
    assert found.seconds == pytest.approx(made.seconds, abs=0.001)
    assert recall(path, memory_kib=MEMORY) == found
    assert list(path.parent.iterdir()) == [path]


def test_the_file_says_what_where_and_when(tmp_path):
    path = tmp_path / "passwords.json"
    calibrate(path, target_ms=250, memory_kib=MEMORY, now=NOW, measure=machine(0.03))
    said = json.loads(path.read_text())
    assert said["algorithm"] == "argon2id"
    assert said["measured"] == "2023-11-14T22:13:20+00:00"
    assert set(said["machine"]) == {"system", "architecture", "cores", "argon2"}


def test_another_wish_or_less_memory_is_measured_anew(tmp_path):
    path = tmp_path / "passwords.json"
    assert recall(path, memory_kib=MEMORY) is None
    calibrate(path, target_ms=250, memory_kib=MEMORY, now=NOW, measure=machine(0.03))
    assert recall(path, memory_kib=MEMORY, target_ms=300) is None
    assert recall(path, memory_kib=20_000, target_ms=250) is None


GOOD = {"memory_kib": 19456, "passes": 2, "milliseconds": 30, "target_ms": 250}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        json.dumps(GOOD | {"memory_kib": "much"}),
        json.dumps(GOOD | {"memory_kib": 8, "passes": 1}),
        json.dumps(GOOD | {"passes": 1}),
        json.dumps(GOOD | {"milliseconds": 0}),
        json.dumps(GOOD | {"milliseconds": -1}),
        json.dumps({"memory_kib": 19456}),
        "\xff",
    ],
)
def test_a_damaged_file_stops_the_start_and_says_the_cure(tmp_path, content):
    """It could be an attempt to have passwords hashed for nothing."""
    path = tmp_path / "passwords.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(SettingsError, match="ringfence passwords calibrate"):
        recall(path, memory_kib=MEMORY)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "passwords.json").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        recall(tmp_path / "passwords.json", memory_kib=MEMORY)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "var").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        calibrate(
            tmp_path / "var" / "passwords.json",
            target_ms=250,
            memory_kib=MEMORY,
            now=NOW,
            measure=machine(0.03),
        )


def test_measuring_takes_the_best_and_gives_up_in_time():
    """A neighbour who disturbs makes one measurement longer, not all three; a slow
    machine is measured once."""
    ticks = iter([0.0, 0.09, 0.1, 0.13, 0.2, 0.28])
    assert time_of(FLOOR, clock=lambda: next(ticks)) == pytest.approx(0.03)
    ticks = iter([0.0, 0.6])
    assert time_of(FLOOR, clock=lambda: next(ticks)) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("memory_mib", "passes", "enough"),
    [
        (46, 1, True),
        (19, 2, True),
        (12, 3, True),
        (9, 4, True),
        (7, 5, True),
        (64, 3, True),
        (45, 1, False),
        (18, 2, False),
        (7, 4, False),
        (6, 100, False),
        (19, 1, False),
    ],
)
def test_the_floor_is_any_of_owasps_equivalents(memory_mib, passes, enough):
    """OWASP Password Storage Cheat Sheet, Argon2id."""
    assert Cost(memory_mib * 1024, passes).meets_floor is enough
