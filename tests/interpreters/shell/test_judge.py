"""What becomes a program, or part of one, is not what a request has brought."""

import json
import shlex
import sys
from pathlib import Path

import pytest
from tests.honest import corpus
from tests.interpreters.asking import asking

from ringfence import shell
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.shell.events import JUDGES
from ringfence.interpreters.sink import here


def guide():
    """The guide's own payload; as a name of this module it would be the application's
    own text."""
    return "output.mp4; rm -rf /"


def carried_out(event, *args):
    """Return whether the event passes."""
    try:
        JUDGES[event](event, args, here())
    except InjectionRefusedError:
        return False
    return True


def given(**values):
    """A request that has brought these fields as JSON."""
    return asking(json.dumps(values).encode(), content_type=b"application/json")


def script_passes(script, **values):
    with given(**values):
        return carried_out("os.system", script.encode())


def arguments_pass(arguments, **values):
    with given(**values):
        return carried_out("subprocess.Popen", arguments[0], arguments, None, None)


def with_gap(template, value):
    """Return a script as careless code makes it."""
    return template.replace("GAP", value)


@pytest.mark.parametrize(
    "value",
    [
        guide(),
        "x && touch /tmp/m",
        "x | sh",
        "x\ntouch /tmp/m",
        "$(touch /tmp/m)",
        "`touch /tmp/m`",
        "${IFS}",
        "$HOME",
        "x > /etc/passwd",
        "*",
        "~root",
        "a b",
        "{a,b}",
        "x #",
        "\\",
        "x\\",
        "'",
        '"',
        "&",
    ],
)
@pytest.mark.parametrize("template", ["convert GAP", "convert in GAP.png out"])
def test_more_than_one_word_is_refused(template, value):
    assert not script_passes(with_gap(template, value), filename=value)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("convert 'GAP'", "x'; touch m; '"),
        ('convert "GAP"', 'x"; touch m; "'),
        ('convert "GAP"', "$(touch m)"),
        ('convert "GAP"', "`touch m`"),
        ('convert "GAP"', "x\\"),
        ("convert 'a 'GAP' b'", "x; touch m"),
        ("convert \\GAP", ";touch m"),
        ("echo $(convert GAP)", "x; touch m"),
        ('echo "$(convert GAP)"', "x; touch m"),
        ("echo `convert GAP`", "x"),
        ("echo ${x:-GAP}", "y"),
        ("echo $xGAP", "y"),
        ("cat <<E\nGAP\nE", "$(touch m)"),
        ("cat <<E\nGAP\nE", "E\ntouch m"),
        ("true # GAP", "x\ntouch m"),
        ("case x in a) echo 'GAP';; esac", "x y"),
        ("echo $'GAP'", "x y"),
        ("echo 'GAP", "x y"),
        ("sh -c 'convert GAP'", "x; touch m"),
        ("bash -lc \"convert 'GAP'\"", "a b"),
        ("eval 'convert GAP'", "x; touch m"),
        ("ssh host 'convert GAP'", "x; touch m"),
        ("find . -exec sh -c 'convert GAP' \\;", "x; touch m"),
        ("true && sudo sh -c 'convert GAP'", "x; touch m"),
        ("python3 -c 'print(1) GAP'", "; import os"),
        ("trap 'GAP' EXIT", "touch m"),
        ("GAP in.mp4", "reboot"),
        ("true; GAP", "reboot"),
        ("if true; then GAP; fi", "reboot"),
        ("X=1 GAP", "reboot"),
        ("env GAP", "reboot"),
        ("/opt/GAP in", "../bin/sh"),
        ("'GAP' in", "reboot"),
        ('true; "GAP"', "reboot"),
        ("$PREFIX/GAP in", "reboot"),
        ("$PREFIX'GAP' in", "reboot"),
        ("timeout 5 GAP in", "reboot"),
        ("timeout 5 'GAP' in", "reboot"),
        ("bash GAP", "uploads/x.sh"),
        ("true | python3 'GAP'", "uploads/x.py"),
        ("GAP convert", "LD_PRELOAD=m.so"),
        ("convert GAP", "--output=/etc/passwd"),
        ("convert GAP", "-o"),
        ("convert 'GAP'", "-o x"),
    ],
)
def test_what_changes_the_script_is_refused(template, value):
    """One way of quoting each, and the input that gets out of it."""
    assert not script_passes(with_gap(template, value), filename=value)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("convert in GAP", "out.mp4"),
        ("convert in GAP.png", "Łukasz-2"),
        ("convert in /data/GAP/out", "a.b_c"),
        ("convert in 'GAP'", "my holiday; film.mp4"),
        ("convert in 'GAP'", "$5 note"),
        ('convert in "GAP"', "my holiday; film.mp4"),
        ('convert in "$HOME/GAP"', "my film.mp4"),
        ("cd /data && convert 'GAP' > /dev/null 2>&1", "a & b"),
        ("X='GAP' convert", "a & b"),
        ("echo $(basename 'GAP')", "a b"),
        ("find . -name 'GAP'", "a b"),
        ("python tool.py 'GAP'", "a b"),
        ("convert GAP", "-5"),
        ("convert 'GAP'", "-20 °C"),
        ("convert -- GAP", "-o"),
        ("convert 'a'; date", "late"),
        ("timeout 5 convert GAP", "x.png"),
        ("timeout GAP convert", "5"),
        ("/opt/'my tools'/convert 'GAP'", "my"),
    ],
)
def test_one_value_passes(template, value):
    assert script_passes(with_gap(template, value), filename=value)


def test_honest_values_pass():
    """Thousands of them, quoted and as arguments: no alarm."""
    for value in corpus.values():
        if "\0" in value:
            continue
        with given(filename=value):
            script = f"convert in.mp4 {shlex.quote(value)}"
            assert carried_out("os.system", script.encode()), value
            arguments = ["convert", "in.mp4", value]
            assert carried_out("subprocess.Popen", "convert", arguments, None, None)


def test_what_the_application_wrote_is_not_an_input():
    """A request may happen to bring the same words."""
    with given(service="reload nginx", tool="git", mark="; git", option="-la"):
        assert carried_out("os.system", b"systemctl reload nginx; git status")
        name = "x"
        assert carried_out("os.system", f"cd {name}; systemctl reload nginx".encode())
        assert carried_out("subprocess.Popen", "git", ["git", "-la"], None, None)
    with asking(path="/convert/git"):
        assert carried_out("subprocess.Popen", "git", ["git", "log"], None, None)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["sh", "-c", "convert GAP"], guide()),
        (["/bin/bash", "-lc", "convert GAP"], guide()),
        (["bash", "-o", "errexit", "-c", "convert GAP"], guide()),
        (["sh", "GAP"], "uploads/x.sh"),
        (["env", "X=1", "sh", "-c", "convert GAP"], guide()),
        (["sudo", "-u", "www", "bash", "-c", "convert GAP"], guide()),
        (["timeout", "5", "sh", "-c", "convert GAP"], guide()),
        (["xargs", "-I", "{}", "sh", "-c", "convert GAP"], guide()),
        (["busybox", "sh", "-c", "convert GAP"], guide()),
        (["docker", "exec", "c", "sh", "-c", "convert GAP"], guide()),
        (["find", ".", "-exec", "sh", "-c", "convert GAP", ";"], guide()),
        (["ssh", "host", "convert GAP"], guide()),
        (["ssh", "host", "convert", "GAP"], guide()),
        (["su", "www", "-c", "convert GAP"], guide()),
        (["cmd", "/c", "convert GAP"], "x & calc"),
        (["pwsh", "-Command", "convert GAP"], "x; calc"),
        (["python3.11", "-c", "print('GAP')"], "'); import os; ('"),
        (["python", "-Ic", "print(GAP)"], "__import__('os')"),
        (["python", "-cprint(GAP)"], "open('x')"),
        (["python", "GAP"], "uploads/x.py"),
        (["perl", "-ne", "print GAP"], "system('id')"),
        (["perl", "-e", "print", "-e", "GAP"], "system('id')"),
        (["node", "--eval=GAP", "x"], "process.exit()"),
        (["node", "-p", "GAP"], "process.exit()"),
        (["awk", "GAP", "file"], 'BEGIN{system("id")}'),
        (["GAP", "x"], "reboot"),
        (["/opt/tools/GAP", "x"], "reboot"),
        (["/opt/tools/run-GAP", "x"], "/../../bin/sh"),
        (["env", "GAP"], "reboot"),
        (["nice", "-n", "5", "GAP"], "reboot"),
        (["tar", "xf", "a.tar", "GAP"], "--to-command=id"),
        (["curl", "GAP"], "-o/etc/passwd"),
    ],
)
def test_arguments_that_are_carried_out_are_refused(arguments, value):
    assert not arguments_pass([with_gap(each, value) for each in arguments], x=value)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["ffmpeg", "-i", "in.mp4", "GAP"], guide()),
        (["ffmpeg", "-i", "in.mp4", "GAP"], "$(id)"),
        (["sh", "-c", 'convert "$1"', "sh", "GAP"], guide()),
        (["python", "tool.py", "GAP"], "__import__('os')"),
        (["python", "-c", "import tool", "GAP"], "x.py"),
        (["perl", "-ne", "print", "-e", "exit", "GAP"], "x.pl"),
        (["python", "-m", "tool", "-c", "GAP"], "__import__('os')"),
        (["python", "-c", "print('GAP')"], "hello, world"),
        (["env", "LANG=GAP", "ls"], "de"),
        (["docker", "run", "image", "echo", "GAP"], "a; b"),
        (["find", ".", "-name", "GAP"], "a; b"),
        (["grep", "--regexp=GAP"], "-x"),
        (["grep", "--", "GAP"], "-x"),
        (["seek", "GAP"], "-00:01:30"),
        (["echo", "GAP"], "-"),
        (["/opt/tools/run", "GAP"], "tools"),
        ([sys.executable, "-V"], Path(sys.executable).name),
    ],
)
def test_arguments_pass(arguments, value):
    assert arguments_pass([with_gap(each, value) for each in arguments], x=value)


@pytest.mark.parametrize(
    ("environment", "value"),
    [
        ({"LD_PRELOAD": "GAP"}, "/tmp/m.so"),
        ({b"LD_PRELOAD": b"GAP"}, "/tmp/m.so"),
        ({"PATH": "/srv/GAP:/bin"}, "uploads"),
        ({"GIT_SSH_COMMAND": "ssh -i GAP"}, "x; id"),
        ({"ANYTHING": "GAP"}, "() { :;}; id"),
    ],
)
def test_an_environment_that_chooses_programs_is_refused(environment, value):
    kind = type(next(iter(environment)))
    gap, filled = (b"GAP", value.encode()) if kind is bytes else ("GAP", value)
    made = {name: content.replace(gap, filled) for name, content in environment.items()}
    with given(x=value):
        assert not carried_out("subprocess.Popen", "ls", ["ls"], None, made)
        assert not carried_out("os.exec", "/bin/ls", ["ls"], made)
        assert not carried_out("os.posix_spawn", "/bin/ls", ["ls"], made)


def test_an_honest_environment_passes(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with given(language="de", part="usr/bin", words="a; b"):
        environment = {"PATH": "/usr/bin:/bin", "LANG": "de", "TITLE": "a; b"}
        assert carried_out("subprocess.Popen", "ls", ["ls"], None, environment)


@pytest.mark.parametrize("part", ["uploads/7"])
def test_a_program_beside_an_input_is_refused(part):
    """./tool is looked for in the folder that the request has chosen."""
    with given(folder=part):
        folder = f"/srv/{part}"
        assert not carried_out("subprocess.Popen", "./t", ["./t"], folder, None)
        assert carried_out("subprocess.Popen", "t", ["t"], folder, None)
        assert carried_out("subprocess.Popen", "/bin/t", ["/bin/t"], folder, None)


def test_an_executable_of_another_name_is_judged():
    with given(x=guide()):
        arguments = ["tool", "-c", with_gap("convert GAP", guide())]
        assert not carried_out("subprocess.Popen", "/bin/bash", arguments, None, None)
        assert carried_out("subprocess.Popen", "/bin/tool", arguments, None, None)


def test_a_script_of_an_unknown_request_is_refused():
    """More has come than is remembered: what is composed may be made of it."""
    value, whole = "x", "convert everything"
    script = f"convert {value}"
    with given(x="y") as exchange:
        exchange.too_much = True
        assert not carried_out("os.system", script.encode())
        assert carried_out("os.system", whole.encode())
        arguments = ["ffmpeg", "x"]
        assert carried_out("subprocess.Popen", "ffmpeg", arguments, None, None)


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("os.exec", ("/bin/sh", ["sh", "-c", f"convert {guide()}"], None)),
        ("os.posix_spawn", ("/bin/sh", ["sh", "-c", f"convert {guide()}"], {})),
        ("os.spawn", (0, "/bin/sh", ["sh", "-c", f"convert {guide()}"], None)),
        ("pty.spawn", (["sh", "-c", f"convert {guide()}"],)),
        ("pty.spawn", (("sh", "-c", f"convert {guide()}"),)),
    ],
)
def test_other_ways_to_a_program(event, args):
    with given(x=guide()):
        assert not carried_out(event, *args)
    with given(x="another"):
        assert carried_out(event, *args)


def kept_somewhere():
    """A command that no frame leads to, as an attribute of some object."""
    return {"packer": shell.command("gzip --force -- {file}")}


def test_words_of_a_template_are_no_input():
    """Every browser has said "gzip" once, and it is the name of a program."""
    commands = kept_somewhere()
    with given(a="gzip", b="--force", c="x.csv"):
        arguments = commands["packer"].arguments(file="x.csv")
        assert carried_out("subprocess.Popen", None, arguments, None, None)


def test_the_same_words_without_a_template_are():
    with given(a="GZIP".lower()):
        arguments = [name.lower() for name in ("GZIP", "X.CSV")]
        assert not carried_out("subprocess.Popen", None, arguments, None, None)


@pytest.mark.parametrize("mark", [";", ">", "\n", " "])
def test_punctuation_is_nobodys_own(mark):
    """Two inputs, one of which only separates: a=> and b=/etc/passwd."""
    separators = (";", ">", "\n", " ")  # as some code always has
    with given(a=mark, b="out.png"):
        assert mark in separators
        assert not carried_out("os.system", f"convert in{mark}out.png".encode())


LATEST = "convert everything; at once"
latest = "convert everything; twice"


@pytest.mark.parametrize(("script", "passes"), [(LATEST, True), (latest, False)])
def test_only_constants_of_a_module_are_its_own(script, passes):
    """Under another name may lie what a request has brought."""
    with given(x=script.partition(" ")[2]):
        assert carried_out("os.system", script.encode()) is passes
