"""Ways to a program that really announce themselves: in forks, in terminals."""

import os
import subprocess
import sys

import pytest

# In a process of its own: forks of a process with threads are nothing for a test run.
SCRIPT = """
import os, sys
from tests.interpreters.asking import asking
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.arm import arm
import tests.honest.corpus
{imports}
arm()
value, way = sys.argv[1:]
script = f"echo input.mp4 {{value}}"
with asking(value.encode(), content_type=b"text/plain") as exchange:
    try:
        {way}
    except InjectionRefusedError:
        print("refused")
    else:
        print("passed")
    sys.stdout.flush()
    print("recorded" if exchange.denial else "unrecorded")
"""

FORK = """
        pid = os.fork()
        if not pid:
            try:
                os.execv("/bin/sh", ["sh", "-c", script])
            finally:
                os._exit(9)
        os.waitpid(pid, 0)
"""
WAYS = {
    "fork": ("", FORK),
    "spawn": ("", 'os.spawnv(os.P_WAIT, "/bin/sh", ["sh", "-c", script])'),
    "spawnlp": ("", 'os.spawnlp(os.P_WAIT, "sh", "sh", "-c", script)'),
    "spawnve": ("", 'os.spawnve(os.P_WAIT, "/bin/sh", ["sh", "-c", script], {})'),
    "pty": ("import pty", 'pty.spawn(["sh", "-c", script])'),
    "popen": ("", "with os.popen(script) as out: out.read()"),
    "exec": ("", 'os.execvp("sh", ["sh", "-c", script])'),
}


def carried_out(way, value, folder):
    imports, call = WAYS[way]
    code = SCRIPT.format(imports=imports, way=call.strip("\n").lstrip())
    return subprocess.run(
        [sys.executable, "-c", code, value, way],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_script_is_stopped_before_it_runs(way, tmp_path):
    done = carried_out(way, "x; touch MARK", tmp_path)
    assert not (tmp_path / "MARK").exists(), done.stderr
    if way == "fork":  # the child cannot tell the ledger, which is its parent's
        assert "in a child refused" in done.stderr
        assert done.stdout.split() == ["passed", "unrecorded"]
    else:
        assert done.stdout.split()[-2:] == ["refused", "recorded"]


@pytest.mark.parametrize("way", ["fork", "spawn", "pty"])
def test_an_honest_one_runs(way, tmp_path):
    done = carried_out(way, "output.mp4", tmp_path)
    assert "input.mp4 output.mp4" in done.stdout, done.stderr
    assert "passed" in done.stdout
