"""``ringfence passwords``: how slow hashing has to be on this machine."""

import json

import pytest

from ringfence.cli.main import main


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path / "var"))
    monkeypatch.setenv("RINGFENCE_IDENTITY_PASSWORD_HASH_MS", "100")
    return tmp_path / "var"


def test_a_machine_is_measured_and_told(data, capsys):
    assert main(["passwords", "calibrate"]) == 0
    told = capsys.readouterr().out
    said = json.loads((data / "passwords.json").read_text())
    assert f"{said['memory_kib'] // 1024} MiB" in told
    assert f"{said['passes']} passes" in told
    assert said["memory_kib"] * said["passes"] >= 19_456 * 2


def test_the_floor_needs_no_measuring(data, capsys, monkeypatch):
    monkeypatch.setenv("RINGFENCE_IDENTITY_PASSWORD_HASH_MS", "0")
    assert main(["passwords", "calibrate"]) == 0
    assert "OWASP" in capsys.readouterr().out
    assert not data.exists()


def test_a_damaged_file_is_replaced(data, capsys):
    data.mkdir()
    (data / "passwords.json").write_text("{")
    assert main(["passwords", "calibrate"]) == 0
    json.loads((data / "passwords.json").read_text())


def test_accounts_name_the_cure_of_a_damaged_file(data, capsys, monkeypatch):
    data.mkdir()
    (data / "passwords.json").write_text("{")
    assert main(["accounts", "list"]) == 2
    assert "ringfence passwords calibrate" in capsys.readouterr().err
