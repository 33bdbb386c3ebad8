"""Archives that strangers send."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile

import pytest
from tests.interpreters.asking import asking

from ringfence import archives
from ringfence.errors import InjectionRefusedError

LEADING_OUT = [
    "../evil",
    "a/../../evil",
    "/tmp/evil",
    "C:/evil",
    "C:\\evil",
    "..\\evil",
    "\\\\host\\evil",
    "a\\..\\..\\evil",
    "nul",
    "a:b",
    "a/./b",
    "a//b",
    "a\n",
]
KINDS = [
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
]


def zipped(*members, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data, *mode in members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # not cleaned
            info.compress_type = compression
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)
    file.seek(0)
    return file


def tarred(*members, mode="w", pack=bytes):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=tarfile.PAX_FORMAT) as archive:
        for name, data, *fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in (fields[0] if fields else {}).items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return io.BytesIO(pack(file.getvalue()))


def refused(file, folder, **limits):
    """Return why, and see that nothing was left behind."""
    made = archives.Limits(**limits)
    before = {*folder.parent.rglob("*")}
    with pytest.raises(InjectionRefusedError) as caught:
        archives.unpack(file, folder, limits=made)
    assert {*folder.parent.rglob("*")} == before
    return str(caught.value)


HONEST = [("readme.txt", b"hello"), ("docs/Übersicht.txt", b"x" * 3000), ("empty", b"")]
PACKED = {
    "zip": zipped(*HONEST),
    "stored": zipped(*HONEST, compression=zipfile.ZIP_STORED),
    "lzma": zipped(*HONEST, compression=zipfile.ZIP_LZMA),
    "tar": tarred(*HONEST),
    "gz": tarred(*HONEST, pack=gzip.compress),
    "bz2": tarred(*HONEST, pack=bz2.compress),
    "xz": tarred(*HONEST, pack=lzma.compress),
}


@pytest.mark.parametrize("kind", PACKED)
def test_honest_archives(tmp_path, kind):
    with asking(b"x") as exchange:
        files = archives.unpack(PACKED[kind], tmp_path / "in")
        assert exchange.denial is None
    assert [file.read_bytes() for file in files] == [data for _, data in HONEST]
    assert [file.relative_to(tmp_path / "in").as_posix() for file in files] == [
        name for name, _ in HONEST
    ]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


@pytest.mark.anyio
async def test_in_a_thread(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(*HONEST).getvalue())
    files = await archives.unpack_in_thread(tmp_path / "a.zip", tmp_path / "in")
    assert len(files) == 3


def test_what_tar_and_zip_programs_write(tmp_path):
    """Folders of their own, and a dot for the folder itself."""
    folder = {"type": tarfile.DIRTYPE, "mode": 0o777}
    file = tarred((".", b"", folder), ("./a", b"", folder), ("./a/b", b"1"))
    (found,) = archives.unpack(file, tmp_path / "tar")
    assert found == tmp_path / "tar" / "a" / "b"
    file = zipped(("a/", b"", stat.S_IFDIR | 0o777), ("a/b", b"1", 0))
    (found,) = archives.unpack(file, tmp_path / "zip")
    assert found.read_bytes() == b"1"


@pytest.mark.parametrize("name", LEADING_OUT)
def test_names_that_lead_out(tmp_path, name):
    """Zip-slip (CWE-22)."""
    for file in (
        zipped(("ok", b"1"), (name, b"x")),
        tarred(("ok", b"1"), (name, b"x")),
    ):
        with asking(b"x") as exchange:
            assert "name of a member" in refused(file, tmp_path / "in")
            assert exchange.denial.code == "interpreters.archive"
            assert exchange.denial.status == 400


@pytest.mark.parametrize("kind", KINDS)
def test_members_that_are_no_files(tmp_path, kind):
    """Links lead out with the member after them (CWE-59); devices and pipes hang."""
    file = tarred(("a", b"", {"type": kind, "linkname": "/etc"}), ("a/passwd", b"x"))
    assert "neither file nor folder" in refused(file, tmp_path / "in")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_members_of_zips_that_are_no_files(tmp_path, kind):
    file = zipped(("a", b"/etc", kind | 0o777), ("a/passwd", b"x"))
    assert "neither file nor folder" in refused(file, tmp_path / "in")


def test_names_that_come_twice(tmp_path):
    """The second would be looked at by nobody."""
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped(("a", b"1"), ("a", b"2"))
    assert "twice" in refused(twice, tmp_path / "in")
    assert "twice" in refused(tarred(("a", b"1"), ("a", b"2")), tmp_path / "in")
    assert "twice" in refused(tarred(("a", b"1"), ("a/b", b"2")), tmp_path / "in")


def test_encrypted(tmp_path):
    raw = bytearray(zipped(("a", b"1")).getvalue())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refused(io.BytesIO(bytes(raw)), tmp_path / "in")


BOMB = b"\0" * 20_000_000


@pytest.mark.parametrize(
    "file",
    [
        zipped(("a", BOMB)),
        tarred(("a", BOMB), pack=gzip.compress),
        tarred(("a", BOMB), pack=bz2.compress),
        tarred(("a", BOMB), pack=lzma.compress),
        tarred(
            ("a", b"", {"pax_headers": {"comment": "x" * 20_000_000}}),
            pack=gzip.compress,
        ),
    ],
    ids=["zip", "gz", "bz2", "xz", "header"],
)
def test_bombs(tmp_path, file):
    """CWE-409: counted while it comes out."""
    assert "bomb" in refused(file, tmp_path / "in")


def test_limits(tmp_path):
    many = [(f"f{n}", b"x" * 1000) for n in range(20)]
    for file in (zipped(*many), tarred(*many)):
        assert "20" not in refused(file, tmp_path / "in", members=19)
        assert "5000 bytes" in refused(file, tmp_path / "in", total=5000)
        assert "999 bytes" in refused(file, tmp_path / "in", single=999)
    deep = "/".join("d" * 20)
    assert "within one another" in refused(zipped((deep, b"")), tmp_path / "in")
    with pytest.raises(ValueError, match="members"):
        archives.Limits(members=0)


def test_what_an_archive_says_of_itself_is_not_believed(tmp_path):
    """A header that promises ten bytes for twenty million."""
    raw = bytearray(zipped(("a", BOMB)).getvalue())
    for magic, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = raw.index(magic) + place
        raw[start : start + 4] = (10).to_bytes(4, "little")
    assert refused(io.BytesIO(bytes(raw)), tmp_path / "in")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GIF89a" + zipped(("a", b"1")).getvalue(),
        b"PK\x03\x04",
        zipped(("a", b"1" * 1000)).getvalue()[:60],
        tarred(("a", b"1" * 9000), pack=gzip.compress).getvalue()[:-20],
        tarred(("a", b"1" * 9000)).getvalue()[:2000],
        gzip.compress(b"no archive"),
        b"\x1f\x8bxxxxxxxxxxxxxxx",
        b"BZhxxxxxxxxxxxx",
        b"\xfd7zXZ\x00xxxxxx",
    ],
    ids=range(10),  # gzip writes the time into what it packs
)
def test_damaged(tmp_path, raw):
    refused(io.BytesIO(raw), tmp_path / "in")


def test_the_folder_must_be_new(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "kept").write_text("1")
    with pytest.raises(FileExistsError):
        archives.unpack(zipped(("a", b"1")), tmp_path / "in")
    assert (tmp_path / "in" / "kept").exists()
