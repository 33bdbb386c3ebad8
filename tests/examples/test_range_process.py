"""The range as it runs: loopback, a key, a folder, and few rights."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from examples.range import __main__ as range_command
from examples.range import confine
from tests.attacks.ranges import running_range
from tests.attacks.serving import PYTHON, ROOT, free_port, lines_of, running

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give root up")


@pytest.fixture(scope="module")
def off():
    with running_range("off", MY_CLOUD_SECRET="s3cret") as running_one:
        yield running_one


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def limits_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[1] for line in lines}


def answers(range_) -> bool:
    with range_.client() as client:
        return client.get("/openapi.json").status_code == 200


def test_it_answers_with_the_key_and_refuses_without(off):
    with off.client() as client:
        assert client.get("/admin/users").status_code == 200
        del client.headers["x-range-key"]
        assert client.get("/admin/users").status_code == 403
        assert client.get("/nothing").status_code == 403


@linux
def test_it_listens_on_loopback_only(off):
    """Nobody on the network reaches it, whatever the firewall says."""
    assert answers(off)
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{off.pid}/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{off.port:04X}")
    ]
    assert listening == [f"0100007F:{off.port:04X}"]


def test_there_is_no_option_for_another_address():
    for option in ("--host", "--bind", "--uds", "--fd"):
        with pytest.raises(SystemExit):
            range_command.main(["--guard", "off", option, "0.0.0.0"])


def test_the_guard_is_on_or_off_and_somebody_says_which(capsys):
    with pytest.raises(SystemExit):
        range_command.main([])
    assert "--guard" in capsys.readouterr().err


def test_a_short_key_stops_the_start(capsys):
    assert range_command.main(["--guard", "off", "--key", "short"]) == 2
    assert "16 characters" in capsys.readouterr().err


def test_a_busy_port_is_told_with_the_cure(off, capsys):
    assert range_command.main(["--guard", "off", "--port", str(off.port)]) == 2
    assert "Try another PORT" in capsys.readouterr().err


def test_a_key_is_made_and_printed_where_none_is_given(tmp_path):
    command = (*PYTHON, "examples.range", "--guard", "off", "--port", str(free_port()))
    keys, folders = set(), set()
    for run in ("first", "second"):
        log = tmp_path / run
        with running(command, env={"PATH": os.environ["PATH"]}, log=log) as process:
            printed = "\n".join(lines_of(process.stdout, 2))
        keys |= set(re.findall(r"Key: (\S{32,})", printed))
        folders |= set(re.findall(r"data in (\S+)\)", printed))
    assert len(keys) == 2
    assert len(folders) == 2
    assert not any(Path(folder).exists() for folder in folders)


def test_a_given_key_is_not_printed(off):
    assert not any(off.key in line for line in off.printed)


@linux
@root
def test_root_is_given_up_for_good(off):
    """What a hole can do is what nobody can do."""
    assert answers(off)
    status = status_of(off.pid)
    assert set(status["Uid"].split()) == {"65534"}
    assert set(status["Gid"].split()) == {"65534"}
    assert status["Groups"].split() == []
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert (off.data / "range.db").stat().st_uid == 65534


@linux
def test_no_program_that_it_starts_can_gain_rights(off):
    """A setuid program that a command injection runs stays lowly."""
    assert answers(off)
    assert status_of(off.pid)["NoNewPrivs"] == "1"


@linux
def test_processes_files_and_memory_are_bounded(off):
    assert answers(off)
    limits = limits_of(off.pid)
    assert int(limits["Max file size"]) <= 32 * 1024 * 1024
    assert int(limits["Max address space"]) <= 3 * 1024**3
    assert int(limits["Max open files"]) <= 256
    assert int(limits["Max core file size"]) == 0
    assert limits["Max processes"] != "unlimited"


@linux
def test_it_works_in_its_own_folder(off):
    assert answers(off)
    assert Path(f"/proc/{off.pid}/cwd").readlink() == off.data


def test_the_environment_holds_no_secrets(tmp_path):
    """A command injection that prints the environment finds nothing of the owner's."""
    code = (
        "import os, pathlib, tempfile; from examples.range import confine;"
        f"confine.settle_in(pathlib.Path({str(tmp_path)!r}));"
        "print(sorted(os.environ), tempfile.gettempdir(), os.getcwd())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "AWS_SECRET_ACCESS_KEY": "s3cret"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = ["HOME", "PATH", "TMPDIR"]
    assert done.stdout.strip() == f"{expected} {tmp_path / 'tmp'} {tmp_path}"


def test_still_being_root_stops_the_start(tmp_path, monkeypatch):
    """Where giving up root does not work, the range does not serve."""
    for name in ("chown", "setgroups", "setgid", "setuid"):
        monkeypatch.setattr(confine.os, name, lambda *_, **__: None)
    for name in ("getuid", "geteuid", "getgid", "getegid"):
        monkeypatch.setattr(confine.os, name, lambda: 0)
    with pytest.raises(RuntimeError, match="still root"):
        confine.give_up_rights(tmp_path)


@root
def test_a_folder_out_of_reach_is_replaced(tmp_path):
    """A checkout below /root cannot be reached by nobody."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = confine.own_folder(closed / "data")
    assert closed not in folder.parents
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()


def test_openapi_lists_every_target(off):
    with off.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert {"/orders/{id}", "/users/{id}/profile", "/admin/users"} <= paths.keys()
    assert set(paths["/comments"]) == {"get", "post"}
    assert paths["/greet"]["get"]["parameters"][0]["name"] == "name"
