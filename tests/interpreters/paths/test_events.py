"""Which paths an input leads, and which only hold its words."""

import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import pytest
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.arm import arm
from ringfence.interpreters.hook import gather, hook_of
from ringfence.interpreters.paths.events import JUDGES, leading
from ringfence.interpreters.untrusted import Input, Inputs, inputs_of

HOOK = hook_of(gather(JUDGES))
READ = os.O_RDONLY
LED = [
    # what was sent, and what the code opens
    ("../../etc/passwd", "/srv/files/../../etc/passwd"),
    ("../../etc/passwd", "/etc/passwd"),
    ("x/../../etc/passwd", "/srv/files/x/../../etc/passwd.txt"),
    ("x/../../etc/passwd", "/srv/files/report-x/../../etc/passwd"),
    ("./.env/a", "/srv/files/../.env/a"),
    ("..", "/srv/files/.."),
    ("../", "/srv/files/../"),
    ("/..", "/srv/files/.."),
    ("../../x", "../../x"),
    ("/../../etc/passwd", "/srv/etc/passwd"),
    ("/etc/passwd", "/etc/passwd"),
    ("//etc//passwd", "//etc//passwd"),
    ("/srv/files/../../etc/passwd", "/etc/passwd"),
    ("/etc/ssh", "/etc/ssh/key.pem"),
    ("/proc/self/environ", "/proc/self/environ"),
    ("~root/x", str(Path("~root/x").expanduser())),
    ("file:///etc/passwd", "/etc/passwd"),
    ("file:/etc/passwd", "/etc/passwd"),
    ("/ETC/Passwd", "/etc/passwd"),
    ("/etc/passwd", "/etc/passwd.json"),
    ("..\\..\\etc\\passwd", "/srv/files/../../etc/passwd"),
    ("../../other/a.jpg", "/srv/files/../../other/a.png"),
    ("$HOME/x", os.path.expandvars("$HOME/x")),
    ("../../other/a.txt", "/srv/files/../../other"),
]
NOT_LED = [
    ("report.pdf", "/srv/files/report.pdf"),
    ("docs/report.pdf", "/srv/files/docs/report.pdf"),
    ("docs/../report.pdf", "/srv/files/docs/../report.pdf"),
    ("a", "/srv/app/../data/a"),
    (".", "/srv/app/../data"),
    ("data", "/srv/app/../data"),
    ("...", "/srv/..."),
    ("..a", "/srv/..a"),
    ("a..b", "/srv/a..b"),
    ("/", "/srv/files/x"),
    ("/tmp", tempfile.gettempdir() + "/spool"),
    ("/usr", "/usr/share/zoneinfo/UTC"),
    ("/data", "/data/x.pdf"),
    ("/srv/app", "/srv/apples/x"),
    ("~", str(Path("~/x").expanduser())),
    ("../index.html", "/srv/templates/index.html"),
    ("../index.html", "/srv/app/../templates/index.html"),
    ("/srv", str(Path.cwd() / "x")),
    ("*/*", "/srv/a/b"),
    ("http://example.com/a", "/srv/a"),
    ("O'Brien", "/srv/O'Brien"),
    ("1/2", "/srv/1/2"),
    ("....", "/srv/...."),
]


def inputs(*values, place="query"):
    return Inputs(tuple(Input(value, place, "name") for value in values))


@pytest.mark.parametrize(("sent", "opened"), LED)
def test_led(sent, opened):
    assert leading(opened, inputs("x", sent)) is not None


@pytest.mark.parametrize(("sent", "opened"), NOT_LED)
def test_not_led(sent, opened):
    assert leading(opened, inputs(sent)) is None


def test_what_holds_nothing():
    """Shells send everything there, and manuals speak of it."""
    with asking(query=b"to=/dev/null"):
        HOOK("open", ("/dev/null", None, os.O_RDWR))


def test_its_own_address_is_no_choice():
    """A folder /static that is served at /static."""
    own = Inputs((Input("/static/a.css", "path", "", "/static/{path}"),))
    assert leading("/static/a.css", own) is None
    asked = Path("/etc", "passwd").as_posix()
    other = Inputs((Input(asked, "path", "", "/{path}"),))
    assert leading(asked, other) is not None


def test_constants_are_the_codes_own():
    """A lesson about a file that a library reads by that very name."""
    sent = Path("/etc", "types").as_posix()
    assert leading(sent, inputs(sent)) is not None

    def library():
        return leading("/etc/types", inputs(sent))

    assert library() is None


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("open", ("{}", "r", READ)),
        ("open", ("{}", None, os.O_RDWR)),
        ("os.listdir", ("{}",)),
        ("os.scandir", ("{}",)),
        ("os.remove", ("{}", -1)),
        ("os.rename", ("{}", "/srv/x", -1, -1)),
        ("os.rename", ("/srv/x", "{}", -1, -1)),
        ("os.mkdir", ("{}", 0o777, -1)),
        ("os.symlink", ("{}", "/srv/files/link", -1)),
        ("os.symlink", ("/srv/x", "{}", -1)),
        ("os.link", ("{}", "/srv/x", -1, -1)),
        ("shutil.rmtree", ("{}", -1)),
        ("shutil.copyfile", ("{}", "/srv/x")),
        ("shutil.unpack_archive", ("/srv/x", "{}", None)),
        ("sqlite3.connect", ("{}",)),
    ],
)
def test_events(event, args):
    """Each of them refuses a path that an input leads, and no other."""
    led = "/srv/files/../../etc/passwd"

    def filled(path):
        return tuple(path if arg == "{}" else arg for arg in args)

    with asking(query=b"name=../../etc/passwd&file=a.txt") as exchange:
        HOOK(event, filled("/srv/files/a.txt"))
        HOOK(event, filled(b"/srv/files/a.txt"))
        HOOK(event, tuple(3 if arg == "{}" else arg for arg in args))
        assert exchange.denial is None
        with pytest.raises(InjectionRefusedError):
            HOOK(event, filled(led.encode()))
        with pytest.raises(InjectionRefusedError):
            HOOK(event, filled(led))
        assert exchange.denial.code == "interpreters.path"


def test_symlink_counts_from_where_it_is_made():
    with asking(query=b"to=../../etc/passwd") as exchange:
        with pytest.raises(InjectionRefusedError):
            HOOK("os.symlink", ("../../etc/passwd", "/srv/files/link", -1))
        assert exchange.denial


def test_libraries_read_their_own_files():
    """Whatever a request holds: reports of errors hold paths of libraries."""
    file = os.__file__
    with asking(query=b"at=" + file.encode()):
        HOOK("open", (file, "r", READ))
        HOOK("os.listdir", (str(Path(file).parent),))
        with pytest.raises(InjectionRefusedError):
            HOOK("open", (file, "w", os.O_WRONLY))


def test_uploads_are_not_read_for_each_file_that_they_spill_into():
    """Reading what a large upload holds takes time; ``tempfile`` names by chance."""
    arm()
    with asking(b"x" * 100) as exchange:
        with tempfile.SpooledTemporaryFile(max_size=1) as file:
            file.write(b"abc")
        with tempfile.NamedTemporaryFile() as named:
            named.write(b"abc")
        assert exchange.inputs is None
        with pytest.raises(FileNotFoundError):
            Path(tempfile.gettempdir(), "none", "x").read_bytes()
        assert exchange.inputs is not None


def test_a_prefix_that_leads(tmp_path):
    arm()
    with asking(query=b"name=../../x") as exchange:
        with pytest.raises(InjectionRefusedError):
            tempfile.mkstemp(prefix="../../x", dir=tmp_path / "a" / "b")
        assert exchange.denial


def test_requests_that_are_not_known_in_full():
    """Where something is missing, dots alone are reason enough."""
    with asking(b"x", content_type=b"text/plain") as exchange:
        exchange.too_much = True
        HOOK("open", ("/srv/files/a", "r", READ))
        with pytest.raises(InjectionRefusedError):
            HOOK("open", ("/srv/files/../a", "r", READ))


def test_a_dry_run_only_tells():
    with asking(query=b"name=../x", watched=True) as exchange:
        HOOK("open", ("/srv/../x", "r", READ))
        assert exchange.denial is None


def test_real_events_have_the_shape_that_is_judged(tmp_path):
    """Python itself raises them with these arguments."""
    seen = {}

    def note(event, args):
        if event in JUDGES and seen is not None:
            seen.setdefault(event, args)

    sys.addaudithook(note)
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").hardlink_to(tmp_path / "a")
    (tmp_path / "c").rename(tmp_path / "d")
    (tmp_path / "d").unlink()
    os.listdir(tmp_path)  # noqa: PTH208 - Path.iterdir asks otherwise since 3.13
    with os.scandir(tmp_path) as entries:
        list(entries)
    sqlite3.connect(tmp_path / "s.db").close()
    known, seen = seen, None
    for event in ("open", "os.link", "os.rename", "os.remove", "os.listdir"):
        assert os.fspath(known[event][0]).startswith(str(tmp_path)), event
    assert known["os.symlink"][:2] == ("a", str(tmp_path / "b"))


def test_a_request_without_travellers_costs_little():
    """Handlers that import something open hundreds of files."""
    with asking(query=b"&".join(b"n%d=v%d" % (n, n) for n in range(10))) as exchange:
        HOOK("open", ("/srv/files/a", "r", READ))
        brought = inputs_of(exchange)
        began = time.perf_counter()
        for _ in range(1000):
            leading("/srv/files/a", brought)
        assert time.perf_counter() - began < 0.05
