"""Archives that are unpacked by Python's own modules, without our way."""

import io
import shutil
import tarfile
import warnings
import zipfile

import pytest
from tests.interpreters.archives.test_unpack import HONEST, tarred, zipped
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.arm import arm

OPTIONS = {"filter": "fully_trusted"}


@pytest.fixture(autouse=True, scope="module")
def armed():
    arm()


SYMLINK, HARDLINK = {"type": tarfile.SYMTYPE}, {"type": tarfile.LNKTYPE}


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", b"x")],
        [("/tmp/evil-of-a-test", b"x")],
        [("a", b"", {**SYMLINK, "linkname": "../.."}), ("a/evil", b"x")],
        [("d/a", b"", {**SYMLINK, "linkname": "../../evil"})],
        [("a", b"", {**SYMLINK, "linkname": "/etc"})],
        [("a", b"", {**HARDLINK, "linkname": "../evil"})],
        [("p", b"", {"type": tarfile.FIFOTYPE})],
    ],
)
def test_tar_members_that_leave(tmp_path, members):
    """CVE-2007-4559: unpacked without a filter."""
    file = tarred(("ok", b"1"), *members)
    (tmp_path / "evil").write_text("kept")
    with asking(b"x") as exchange, tarfile.open(fileobj=file) as archive:
        with pytest.raises(InjectionRefusedError):
            archive.extractall(tmp_path / "in", **OPTIONS)
        assert exchange.denial.code == "interpreters.archive"
        with pytest.raises(InjectionRefusedError):
            archive.extract(archive.getmembers()[1], tmp_path / "in2", **OPTIONS)
        with pytest.raises(InjectionRefusedError):
            archive.extract(members[0][0], tmp_path / "in3", **OPTIONS)
    assert (tmp_path / "evil").read_text() == "kept"


def test_a_link_that_was_there(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").symlink_to(tmp_path)
    with (
        asking(b"x"),
        tarfile.open(fileobj=tarred(("a/evil", b"x"))) as archive,
        pytest.raises(InjectionRefusedError),
    ):
        archive.extractall(tmp_path / "in", **OPTIONS)
    assert not (tmp_path / "evil").exists()


def test_honest_tars(tmp_path):
    inner = {**SYMLINK, "linkname": "readme.txt"}
    file = tarred(
        *HONEST,
        ("alias", b"", inner),
        ("docs/up", b"", {**SYMLINK, "linkname": "../readme.txt"}),
    )
    (tmp_path / "a.tar").write_bytes(file.getvalue())
    with asking(b"x") as exchange:
        with tarfile.open(tmp_path / "a.tar") as archive:
            archive.extractall(tmp_path / "in", **OPTIONS)
            archive.extractall(tmp_path / "some", archive.getmembers()[:1], **OPTIONS)
            archive.extract("readme.txt", tmp_path / "one", **OPTIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 asks for a filter
            shutil.unpack_archive(tmp_path / "a.tar", tmp_path / "two")
        assert exchange.denial is None
    assert (tmp_path / "in" / "docs" / "up").read_bytes() == b"hello"
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["readme.txt"]


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "..\\evil"]
)
def test_zip_members_that_leave(name):
    """Code that joins names itself would follow them."""
    file = zipped(("ok", b"1"), (name, b"x"))
    with asking(b"x") as exchange:
        with pytest.raises(InjectionRefusedError):
            zipfile.ZipFile(file)
        assert exchange.denial.code == "interpreters.archive"
    assert zipfile.ZipFile(file).namelist() == ["ok", name.replace("\0", "")]


def test_honest_zips(tmp_path):
    names = ["a..b", "..a", "a/../b", "a\\b", "日本語", "-x", "~/x"]
    file = zipped(*((name, b"1") for name in names))
    with asking(b"x") as exchange:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(tmp_path)
        with zipfile.ZipFile(io.BytesIO(), "w") as written:
            written.writestr("../x", b"1")  # its own, not a stranger's
        assert exchange.denial is None


def test_nobody_is_asking(tmp_path):
    (tmp_path / "in").mkdir()
    zipfile.ZipFile(zipped(("../x", b"1"))).close()
    with tarfile.open(fileobj=tarred(("../x", b"1"))) as archive:
        archive.extractall(tmp_path / "in", **OPTIONS)
    assert (tmp_path / "x").exists()
