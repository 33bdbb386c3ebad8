"""The safe way to run a program is no longer than the unsafe one."""

import asyncio
import os
import select
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from tests.honest import corpus
from tests.interpreters.asking import asking

from ringfence import shell
from ringfence.errors import CommandError, InjectionRefusedError
from ringfence.interpreters.loops.guarded import GuardedLoop

CONVERT = shell.command("ffmpeg -i input.mp4 {filename}")
PAYLOAD = "output.mp4; rm -rf /"


@pytest.fixture(params=[asyncio.SelectorEventLoop, GuardedLoop], ids=["asyncio", "uv"])
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main)

    return run


def python(code, **options):
    """Return a command that runs Python; its arguments are the gap's."""
    return shell.command(f"{shlex.quote(sys.executable)} -c {code!r} {{x}}", **options)


def test_a_value_is_one_argument():
    expected = ["ffmpeg", "-i", "input.mp4", PAYLOAD]
    assert CONVERT.arguments(filename=PAYLOAD) == expected
    assert shell.arguments("ffmpeg -i input.mp4 {name}", name=PAYLOAD) == expected


def test_arguments_are_for_everybody(tmp_path):
    made = shell.arguments("touch {name}", name=tmp_path / "a b; c")
    subprocess.run(made, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a b; c"]


def test_a_program_runs(run):
    done = run(shell.run("printf %s {x}", x=PAYLOAD))
    assert (done.code, done.output, done.errors) == (0, PAYLOAD.encode(), b"")


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("a --output={x}", {"x": "-y z"}, ["a", "--output=-y z"]),
        ("a 'b c' \"{x} d\"", {"x": "y z"}, ["a", "b c", "y z d"]),
        ("a {x}.{y}", {"x": "n", "y": "png"}, ["a", "n.png"]),
        ("a {x}", {"x": ["b", "c d"]}, ["a", "b", "c d"]),
        ("a {x} e", {"x": []}, ["a", "e"]),
        ("a -n {x}", {"x": -5}, ["a", "-n", "-5"]),
        ("a {x}", {"x": -0.5}, ["a", "-0.5"]),
        ("a {x}", {"x": "-20 °C"}, ["a", "-20 °C"]),
        ("a -- {x}", {"x": "-rf"}, ["a", "--", "-rf"]),
        ("a {x}", {"x": Path("b")}, ["a", "b"]),
        ("a 'a|b' '{x}'", {"x": "c"}, ["a", "a|b", "c"]),
        ("a '{{x}}'", {}, ["a", "{x}"]),
        ("sh -c 'convert \"$1\"' sh {x}", {"x": "a;b"}, None),
    ],
)
def test_templates(template, values, expected):
    made = shell.arguments(template, **values)
    assert made == (expected or ["sh", "-c", 'convert "$1"', "sh", "a;b"])


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("tar xf a.tar {x}", "--to-command=id"),
        ("curl {x}", "-o/etc/passwd"),
        ("curl {x}", "-K"),
        ("a {x}{y}", "-o"),
        ("gcc {x}", "@options"),
        ("curl --data={x}", "@/etc/passwd"),
        ("gcc -- {x}", "@options"),
        ("rm {x}", ""),
        ("rm {x}", "a\0b"),
        ("rm {x}", "a\nb"),
        ("rm {x}", "a\rb"),
        ("rm {x}", "x" * 200_000),
        ("rm {x}", "\udcff"),
        ("rm {x}", ["fine", "-rf"]),
    ],
)
def test_a_value_that_would_be_more_is_refused(template, value):
    more = {"y": "y"} if "{y}" in template else {}
    with pytest.raises(InjectionRefusedError) as caught:
        shell.arguments(template, x=value, **more)
    assert caught.value.denial.status == 400
    assert caught.value.denial.code == "interpreters.shell"


def test_the_guard_answers_with_it():
    """In a request the refusal is the answer, whatever becomes of the exception."""
    for watched in (False, True):
        with asking(watched=watched) as exchange:
            with pytest.raises(InjectionRefusedError):
                CONVERT.arguments(filename="-o")
            assert exchange.denial.status == 400


@pytest.mark.parametrize(
    "template",
    [
        "ls | wc",
        "ls; id",
        "ls && id",
        "ls > file",
        "ls $HOME",
        "ls `id`",
        "ls *",
        "ls\nid",
        'ls "$HOME"',
        "",
        "   ",
        "{x} a",
        "/opt/{x} a",
        "sh -c 'convert {x}'",
        "sh -c {x}",
        "python -c {x}",
        "env {x}",
        "ls {x.y}",
        "ls {x[0]}",
        "ls {x!r}",
        "ls {x:>5}",
        "ls {}",
        "ls {0}",
        "ls 'x",
        "ls {stdin}",
    ],
)
def test_a_template_that_cannot_be_kept_is_refused(template):
    """When the module is imported, and not when the first request comes."""
    with pytest.raises(ValueError, match=r"."):
        shell.command(template)


@pytest.mark.parametrize(
    "values", [{}, {"filename": "a", "more": "b"}, {"name": "a"}, {"filename": None}]
)
def test_what_does_not_fit_is_said(values):
    with pytest.raises(TypeError):
        CONVERT.arguments(**values)


@pytest.mark.parametrize("value", [True, b"bytes", {"a": 1}])
def test_what_is_no_text_is_said(value):
    with pytest.raises(TypeError):
        CONVERT.arguments(filename=value)


def test_names_of_files():
    assert shell.file("-rf") == "./-rf"
    assert shell.file("@x") == "./@x"
    assert shell.file(Path("a")) == "./a"
    assert shell.file("/a") == "/a"
    assert shell.arguments("rm {x}", x=shell.file("-rf")) == ["rm", "./-rf"]
    with pytest.raises(InjectionRefusedError):
        shell.arguments("rm {x}", x=shell.file(""))


def test_texts_of_several_lines():
    made = shell.arguments("git commit -m {x}", x=shell.lines("Mend\n\nIt was broken."))
    assert made[-1] == "Mend\n\nIt was broken."
    assert type(made[-1]) is str
    with pytest.raises(InjectionRefusedError):
        shell.arguments("git commit {x}", x=shell.lines("--amend\n"))


def test_honest_values_arrive_as_they_are():
    for value in corpus.values():
        if not value or value.startswith("@"):
            continue
        made = shell.arguments("printf %s {x}", x=shell.lines(value))
        assert made[-1] == value


def test_no_secret_is_inherited(run, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:secret@db")
    monkeypatch.setenv("LANG", "C.UTF-8")
    done = run(shell.command("env", environment={"A": "b"}).run())
    names = {line.partition("=")[0] for line in done.output.decode().splitlines()}
    assert names >= {"PATH", "LANG", "A"}
    assert "DATABASE_URL" not in names


def test_the_folder(run, tmp_path):
    done = run(shell.command("pwd", folder=tmp_path).run())
    assert done.output.decode().strip() == str(tmp_path)


def test_standard_input(run):
    done = run(shell.command("cat").run(stdin=b"x" * 200_000))
    assert len(done.output) == 200_000
    assert run(shell.command("cat").run()).output == b""
    assert run(shell.command("true").run(stdin=b"x" * 1_000_000)).code == 0


def test_a_program_that_fails(run):
    fails = python("import sys; print(sys.argv[1], file=sys.stderr); exit(3)")
    with pytest.raises(CommandError, match=r"ended with 3: why"):
        run(fails.run(x="why"))
    accepted = python("exit(3)", accepted=(3,))
    assert run(accepted.run(x="x")).code == 3


def test_a_program_that_is_not_there(run):
    with pytest.raises(CommandError, match=r"not-there.*PATH"):
        run(shell.run("not-there {x}", x="y"))


def test_a_program_that_takes_too_long(run, tmp_path):
    """All of it is killed, with what it has started."""
    code = (
        "import subprocess, sys, time, pathlib; p = subprocess.Popen(['sleep', '60']);"
        "pathlib.Path(sys.argv[1]).write_text(str(p.pid)); time.sleep(60)"
    )
    pid = tmp_path / "pid"
    with pytest.raises(CommandError, match="longer than"):
        run(python(code, timeout=1.0).run(x=pid))
    assert is_gone(int(pid.read_text()))


def is_gone(pid):
    """Return whether a process has ended, at the latest in some seconds."""
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    try:
        return bool(poll.poll(10_000))
    finally:
        os.close(ended)


def children():
    """Return the processes that this one has started."""
    here = os.getpid()
    return Path(f"/proc/{here}/task/{here}/children").read_text().split()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_program_that_says_too_much(run, stream):
    code = f"import sys; [sys.{stream}.write(sys.argv[1]) for _ in iter(int, 1)]"
    with pytest.raises(CommandError, match="more than 5000 bytes"):
        run(python(code, max_output=5000).run(x="y"))


def test_nobody_waits_any_more(run):
    """A client that hangs up leaves no program behind."""
    others = set(children())  # of other tests
    started = []

    async def main():
        task = asyncio.create_task(python("import time; time.sleep(60)").run(x="y"))
        while not started and not task.done():
            await asyncio.sleep(0)
            started.extend(set(children()) - others)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert all(is_gone(int(pid)) for pid in started)


def test_a_request_may_use_it(run):
    """The guard at the shell has nothing against the safe way."""
    body = b'{"filename": "output.mp4; rm -rf /"}'
    with asking(body, content_type=b"application/json"):
        done = run(shell.run("printf %s {x}", x=PAYLOAD))
        assert done.output == PAYLOAD.encode()
        run(partial(asyncio.to_thread, subprocess.run)(["true", PAYLOAD]))
