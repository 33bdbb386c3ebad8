"""`make serve` on a machine that lacks something, or was interrupted: no network."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
COMMANDS = ["sh", "cat", "cksum", "dirname", "env", "grep", "mkdir", "mv", "rm"]
COMMANDS += ["ln", "sed", "sort", "tr"]

# Stands in for uv: makes an environment of one interpreter, and notes what it is asked.
UV = f"""#!/bin/sh
echo "$*" >>"$LOG"
case "$1" in
venv)
    for last; do :; done
    mkdir -p "$last/bin"
    ln -s "{sys.executable}" "$last/bin/python" ;;
pip) [ -z "${{FAIL:-}}" ] ;;
esac
"""
NO_ENSUREPIP = f"""#!/bin/sh
case "$*" in *ensurepip*) exit 1 ;; esac
exec "{sys.executable}" "$@"
"""
NO_PIP = NO_ENSUREPIP.replace("*ensurepip*", "*'import pip'*")
OLD = """#!/bin/sh
case "$*" in *'(3, 11)'*) exit 1 ;; esac
echo ' 3.9'
"""


@pytest.fixture
def checkout(tmp_path):
    """A clone in a folder whose name has spaces."""
    folder = tmp_path / "a clone with spaces"
    shutil.copytree(PROJECT / "tools", folder / "tools")
    shutil.copytree(PROJECT / "requirements", folder / "requirements")
    shutil.copy(PROJECT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def machine(tmp_path):
    """A PATH with the commands of every Unix, and nothing of Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for command in COMMANDS:
        (folder / command).symlink_to(shutil.which(command))
    return folder


def provide(machine, name, script):
    file = machine / name
    file.unlink(missing_ok=True)
    file.write_text(script)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def make(checkout, machine, name="serve", **environment):
    log = checkout / "log"
    log.write_text("")
    done = subprocess.run(
        [checkout / "tools" / "venv", ".venv", name],
        env={"PATH": str(machine), "LOG": str(log), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    asked = [line.split() for line in log.read_text().splitlines()]
    return done.returncode, done.stderr, asked


@pytest.fixture
def with_uv(machine):
    provide(machine, "uv", UV)
    (machine / "python3").symlink_to(sys.executable)
    return machine


def test_missing_ensurepip_is_told_with_the_cure(checkout, machine):
    """Debian's bare python3 has no ensurepip; the message names the package."""
    provide(machine, "python3", NO_ENSUREPIP)
    code, told, _ = make(checkout, machine)
    version = "{}.{}".format(*sys.version_info)
    assert code == 2
    assert f"apt-get install python{version}-venv" in told
    assert not (checkout / ".venv").exists()


def test_old_python_is_told_with_the_cure(checkout, machine):
    provide(machine, "python3", OLD)
    code, told, _ = make(checkout, machine)
    assert code == 2
    assert "needs Python 3.11 or newer; python3 is 3.9" in told
    assert "PYTHON=" in told


def test_newest_python_is_taken(checkout, machine):
    """An old python3 beside a newer one does not matter."""
    provide(machine, "uv", UV)
    provide(machine, "python3", OLD)
    (machine / "python3.12").symlink_to(sys.executable)
    code, _, asked = make(checkout, machine)
    assert code == 0
    assert any(argument.endswith("python3.12") for argument in asked[0])


def test_everything_is_installed_by_hash_and_the_project_without_more(
    checkout, with_uv
):
    code, _, asked = make(checkout, with_uv)
    assert code == 0
    assert asked[1][-3:] == ["--require-hashes", "-r", "requirements/serve.txt"]
    assert asked[2][-4:] == ["--no-deps", "--no-build-isolation", "-e", "."]


def test_second_run_does_nothing(checkout, with_uv):
    make(checkout, with_uv)
    assert make(checkout, with_uv) == (0, "", [])


def test_larger_set_is_added_to_the_smaller(checkout, with_uv):
    """`make serve`, then `make test`: one environment, nothing thrown away."""
    make(checkout, with_uv, "serve")
    _, _, asked = make(checkout, with_uv, "test")
    assert [line[0] for line in asked] == ["pip", "pip"]
    assert make(checkout, with_uv, "serve") == (0, "", [])


def test_half_made_environment_is_made_anew(checkout, with_uv):
    """An installation that broke off is not taken for a whole one."""
    code, _, _ = make(checkout, with_uv, FAIL="yes")
    assert code != 0
    debris = checkout / ".venv" / "debris"
    debris.touch()
    code, told, asked = make(checkout, with_uv)
    assert (code, asked[0][0]) == (0, "venv")
    assert "half-made" in told
    assert not debris.exists()


@pytest.mark.parametrize("change", ["requirements", "folder", "interpreter"])
def test_outdated_environment_is_made_anew(checkout, with_uv, change):
    make(checkout, with_uv)
    if change == "requirements":
        with (checkout / "requirements" / "serve.txt").open("a") as file:
            file.write("# another version\n")
    elif change == "folder":
        checkout = checkout.rename(checkout.with_name("moved"))
    else:
        (checkout / ".venv" / "bin" / "python").unlink()
    _, _, asked = make(checkout, with_uv)
    assert asked[0][0] == "venv"


def test_environment_without_an_installer_is_made_anew(checkout, with_uv):
    """An environment of uv has no pip; then uv is gone and something is to be added."""
    make(checkout, with_uv)
    (with_uv / "uv").unlink()
    (with_uv / "python3").unlink()
    provide(with_uv, "python3", NO_ENSUREPIP)
    provide(checkout / ".venv" / "bin", "python", NO_PIP)
    assert make(checkout, with_uv)[0] == 0
    code, told, _ = make(checkout, with_uv, "test")
    assert code == 2
    assert "ensurepip" in told


def test_environment_of_the_user_reaches_the_installer(checkout, machine):
    """Settings for an index or its certificates are left as they are."""
    told = 'env | grep -E "^(PIP|SSL)_" | sort >>"$LOG"\n'
    provide(machine, "uv", UV.replace('echo "$*" >>"$LOG"\n', told))
    (machine / "python3").symlink_to(sys.executable)
    given = {"PIP_CERT": "/certificates", "SSL_CERT_FILE": "/certificates"}
    _, _, noted = make(checkout, machine, **given)
    assert noted[:2] == [["PIP_CERT=/certificates"], ["SSL_CERT_FILE=/certificates"]]


def port(argument):
    command = [sys.executable, PROJECT / "tools" / "port.py", argument]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


def test_busy_port_is_told_with_the_cure():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        code, told = port(str(number))
    assert code == 1
    assert f"PORT={number + 1}" in told


def test_free_port_is_fine():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    assert port(str(number)) == (0, "")


@pytest.mark.parametrize("argument", ["", "0", "65536", "80x", "-1"])
def test_what_is_no_port_is_told(argument):
    code, told = port(argument)
    assert code == 1
    assert "PORT=8001" in told


@pytest.mark.skipif(os.name != "posix", reason="make is a Unix matter")
def test_make_lists_its_verbs():
    done = subprocess.run(
        ["make", "--no-print-directory"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for verb in ("serve", "test", "check", "bench", "range", "requirements", "clean"):
        assert f"make {verb}" in done.stdout
