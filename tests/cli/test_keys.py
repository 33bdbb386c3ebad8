"""``ringfence keys``: made, rotated and listed, and never shown."""

import json

import pytest

from ringfence.cli import keys
from ringfence.cli.main import main

NOW = 1_800_000_000
DAY = 24 * 3600


class Time:
    """Stands in for the module ``time`` there."""

    now = NOW

    @classmethod
    def time(cls):
        return cls.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(keys, "time", Time)
    monkeypatch.setattr(Time, "now", NOW)
    return Time


@pytest.fixture
def file(tmp_path, clock):
    path = tmp_path / "keys.json"
    main(["keys", "create", str(path)])
    said = json.loads(path.read_text())
    said["keys"][0]["created"] = NOW - DAY
    path.write_text(json.dumps(said))
    return path


def listed(path, capsys):
    capsys.readouterr()
    assert main(["keys", "list", str(path), "--format", "json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_key_is_added_waits_signs_and_is_retired(file, clock, capsys):
    assert main(["keys", "rotate", str(file)]) == 0
    assert "signs from 2027-01-15 08:10:00 UTC" in capsys.readouterr().out
    assert [key["state"] for key in listed(file, capsys)] == ["waits", "signs"]
    clock.now += 600
    assert [key["state"] for key in listed(file, capsys)] == ["signs", "verifies"]
    clock.now += 31 * DAY
    assert main(["keys", "rotate", str(file), "--in", "2m"]) == 0
    states = [key["state"] for key in listed(file, capsys)]
    assert states == ["waits", "signs", "retired"]


def test_no_key_is_ever_shown(file, capsys):
    main(["keys", "rotate", str(file)])
    main(["keys", "list", str(file)])
    main(["keys", "list", str(file), "--format", "json"])
    said = capsys.readouterr()
    for key in json.loads(file.read_text())["keys"]:
        assert key["key"] not in said.out + said.err
        assert key["id"] in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--in", "59s"], "1m to 30d"),
        (["--in", "31d"], "1m to 30d"),
        (["--keep", "23h"], "kept 1d or longer"),
    ],
)
def test_an_overlap_that_is_too_short_is_refused(file, capsys, words, said):
    """Else other processes would refuse what the first one signs with the new key."""
    before = file.read_bytes()
    assert main(["keys", "rotate", str(file), *words]) == 2
    assert said in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_key_that_others_may_know_is_removed(file, clock, capsys):
    old = listed(file, capsys)[0]["id"]
    assert main(["keys", "remove", str(file), old]) == 2
    assert "signs at present" in capsys.readouterr().err
    main(["keys", "rotate", str(file)])
    clock.now += 600
    assert main(["keys", "remove", str(file), old]) == 0
    assert old not in {key["id"] for key in listed(file, capsys)}
    assert main(["keys", "remove", str(file), old]) == 2
    assert "has no key" in capsys.readouterr().err
