"""What a request may name below a folder, and nothing above it."""

import os
import socket

import pytest
from tests.interpreters.asking import asking

from ringfence import paths
from ringfence.errors import InjectionRefusedError

HONEST = [
    "report.pdf",
    "docs/2026/report.pdf",
    "O'Brien.txt",
    "Übersicht Q1 (final).txt",
    "日本語.txt",
    "عربي.txt",
    "👩‍👩‍👧.png",
    ".htaccess",
    "..hidden",
    "a..b",
    "console.log",
    "community.txt",
    "-rf",
    "~ann",
    "100%.txt",
    "$HOME",
    "what?.txt",
]
HOSTILE = [
    "",
    ".",
    "..",
    "../secret",
    "a/../../secret",
    "a/..",
    "./a",
    "a//b",
    "a/",
    "/etc/passwd",
    "\\\\server\\share",
    "..\\secret",
    "a\\b",
    "C:",
    "C:/Windows",
    "c:secret",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "file.txt:stream",
    "file.txt::$DATA",
    "CON",
    "nul.txt",
    "docs/AUX",
    "com1.tar.gz",
    "LPT¹",
    "conin$",
    "\uff23\uff2f\uff2e",
    "\uff0e\uff0e/secret",
    "a\uff0fb",
    "secret.txt.",
    "secret.txt ",
    ".. ",
    "...",
    "x" * 256,
    "a\ud800",
]


@pytest.mark.parametrize("name", HONEST)
def test_honest_names_stay_what_they_are(tmp_path, name):
    assert paths.join_below(tmp_path, name) == tmp_path.resolve() / name
    with asking(query=b"name=x") as exchange:
        paths.join_below(tmp_path, name)
        assert exchange.denial is None


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(tmp_path, name):
    """CWE-22, CWE-36, CWE-66, CWE-67, CWE-69, CWE-158: on every platform alike."""
    for ask in (paths.join_below, paths.open_below):
        with pytest.raises(InjectionRefusedError):
            ask(tmp_path, name)
        with pytest.raises(InjectionRefusedError):
            ask(tmp_path, "docs", name)


@pytest.mark.parametrize("watched", [False, True])
def test_guard_answers_with_400(tmp_path, watched):
    """In a dry run too: there is no path that could be returned."""
    with asking(query=b"name=..", watched=watched) as exchange:
        with pytest.raises(InjectionRefusedError):
            paths.join_below(tmp_path, "..")
        assert (exchange.denial.status, exchange.denial.code) == (
            400,
            "interpreters.path",
        )


def test_a_part_is_needed(tmp_path):
    with pytest.raises(TypeError):
        paths.join_below(tmp_path)


def test_links_that_lead_out(tmp_path):
    """CWE-59."""
    folder = tmp_path / "files"
    folder.mkdir()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "files-too").mkdir()
    (folder / "out").symlink_to(tmp_path)
    (folder / "file").symlink_to(tmp_path / "secret")
    (folder / "sibling").symlink_to(tmp_path / "files-too")
    (folder / "ring").symlink_to("ring")
    (folder / "inside").write_text("i")
    (folder / "alias").symlink_to("inside")
    for name in ("out/secret", "file", "sibling", "ring/x"):
        with asking() as exchange, pytest.raises(InjectionRefusedError):
            paths.join_below(folder, name)
        assert exchange.denial.status == 404
        with pytest.raises(InjectionRefusedError):
            paths.open_below(folder, name)
    assert paths.join_below(folder, "alias") == (folder / "inside").resolve()


def test_opening(tmp_path):
    with paths.open_below(tmp_path, "new.bin", mode="xb") as file:
        file.write(b"1")
    with paths.open_below(tmp_path, "new.bin", mode="ab") as file:
        file.write(b"2")
    assert (tmp_path / "new.bin").stat().st_mode & 0o777 == 0o600
    with paths.open_below(tmp_path, "new.bin") as file:
        assert file.read() == b"12"
    with pytest.raises(FileExistsError):
        paths.open_below(tmp_path, "new.bin", mode="xb")
    with pytest.raises(FileNotFoundError):
        paths.open_below(tmp_path, "folder/none")
    (tmp_path / "docs").mkdir()
    with paths.open_below(tmp_path, "docs/a", mode="wb") as file:
        file.write(b"3")
    assert (tmp_path / "docs" / "a").read_bytes() == b"3"


def test_what_is_no_file(tmp_path):
    """A pipe would hang, a folder is none (CWE-66)."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(InjectionRefusedError):
            paths.open_below(tmp_path, name)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        with pytest.raises(OSError):  # noqa: PT011 - systems differ in the number
            paths.open_below(tmp_path, "s")


def test_no_gap_between_look_and_use(tmp_path, monkeypatch):
    """A folder that turns into a link after it was looked at is not followed
    (CWE-367)."""
    (tmp_path / "files" / "docs").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("secret")
    real = os.open

    def swap(path, *args, **kwargs):
        if path == "docs":
            (tmp_path / "files" / "docs").rmdir()
            (tmp_path / "files" / "docs").symlink_to(tmp_path / "out")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(InjectionRefusedError):
        paths.open_below(tmp_path / "files", "docs/a")
