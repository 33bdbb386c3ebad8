"""A request names the file: what it reads, lists, writes and removes (CWE-22, CWE-36,
CWE-73), on both event loops, in threads and without our own way."""

# ruff: noqa: PTH118, PTH120, PTH123, PTH207, PTH208 - written as beginners do

import asyncio
import glob
import os
import shutil
import sqlite3
from pathlib import Path

import aiofiles
import anyio
import pytest
from examples.range.targets import files
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from tests.attacks.targets import routes_of
from tests.attacks.twins import twins

from ringfence import paths

SECRET = "the key of the shop"


def reading(folder, name):
    return Path(f"{folder}/{name}").read_text()


def joined(folder, name):
    return (folder / name).read_text()


def normalised(folder, name):
    with open(os.path.normpath(os.path.join(folder, name))) as file:
        return file.read()


def by_number(folder, name):
    number = os.open(os.path.join(folder, name), os.O_RDONLY)
    try:
        return os.read(number, 100).decode()
    finally:
        os.close(number)


def copied(folder, name):
    shutil.copyfile(os.path.join(folder, name), folder / "copy")
    return (folder / "copy").read_text()


def listed(folder, name):
    return " ".join(os.listdir(os.path.join(folder, os.path.dirname(name))))


def globbed(folder, name):
    return " ".join(glob.glob(os.path.join(folder, os.path.dirname(name), "*")))


def database(folder, name):
    sqlite3.connect(os.path.join(folder, name)).close()
    return SECRET


def removed(folder, name):
    spare = Path(folder, name)
    told = spare.read_text()
    spare.unlink()
    spare.write_text(told)
    return told


async def by_anyio(folder, name):
    return await anyio.Path(folder, name).read_text()


async def by_aiofiles(folder, name):
    async with aiofiles.open(os.path.join(folder, name)) as file:
        return await file.read()


async def in_thread(folder, name):
    return await asyncio.to_thread(reading, folder, name)


async def in_executor(folder, name):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, reading, folder, name)


WAYS = [reading, joined, normalised, by_number, copied, removed]
WAYS += [by_anyio, by_aiofiles, in_thread, in_executor]
WAYS += [database]
LISTING = [listed, globbed]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("served") / "inner" / "files"
    (made / "docs").mkdir(parents=True)
    (made.parent.parent / "other").mkdir()
    (made.parent.parent / "other" / "secret.txt").write_text(SECRET)
    (made / "welcome.txt").write_text("welcome")
    (made / "O'Brien & co.txt").write_text("welcome")
    (made / "docs" / "Übersicht.txt").write_text("welcome")
    return made


def routes(folder):
    def endpoint(way):
        async def answer(request):
            name = request.query_params["name"]
            try:
                told = way(folder, name)
                told = await told if asyncio.iscoroutine(told) else told
            except (OSError, sqlite3.Error) as error:
                return PlainTextResponse(type(error).__name__, 404)
            return PlainTextResponse(told)

        return answer

    def threaded(request):
        return PlainTextResponse(reading(folder, request.query_params["name"]))

    async def safely(request):
        try:
            with paths.open_below(folder, request.query_params["name"]) as file:
                return Response(file.read())
        except OSError:
            return PlainTextResponse("none", 404)

    async def sent(request):
        return FileResponse(folder / request.path_params["name"])

    async def from_body(request):
        return PlainTextResponse(
            reading(folder, (await request.json())["file"]["name"])
        )

    def make():
        return [
            *(Route(f"/{way.__name__}", endpoint(way)) for way in (*WAYS, *LISTING)),
            Route("/threaded", threaded),
            Route("/safely", safely),
            Route("/sent/{name:path}", sent),
            Route("/body", from_body, methods=["POST"]),
            Mount("/static", StaticFiles(directory=folder)),
        ]

    return make


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def both(request, folder, tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    with twins(routes(folder), data, loop=request.param) as made:
        yield made


UP = "../../other/secret.txt"


NAMES = [*(way.__name__ for way in WAYS), "threaded"]
# Where a path of its own is put behind the folder, it is one below the folder.
BEHIND = {"reading", "in_thread", "in_executor", "threaded"}
CASES = [(way, kind) for way in NAMES for kind in ("relative", "inner")]
CASES += [(way, "absolute") for way in NAMES if way not in BEHIND]


@pytest.mark.parametrize(("way", "kind"), CASES)
def test_files_of_others(both, folder, way, kind):
    """Dots that climb, also behind an honest folder, and a path of its own."""
    names = {
        "relative": UP,
        "inner": f"docs/../{UP}",
        "absolute": str(folder.parent.parent / "other" / "secret.txt"),
    }
    params = {"name": names[kind]}
    assert SECRET in both.off.get(f"/{way}", params=params).text
    answer = both.on.get(f"/{way}", params=params)
    assert (answer.status_code, answer.json()["code"]) == (403, "interpreters.path")
    assert SECRET not in answer.text


@pytest.mark.parametrize("way", [way.__name__ for way in LISTING])
def test_folders_of_others(both, way):
    params = {"name": UP}
    assert "secret.txt" in both.off.get(f"/{way}", params=params).text
    assert both.on.get(f"/{way}", params=params).status_code == 403


def test_names_in_a_body(both):
    body = {"file": {"name": UP}, "n": [1]}
    assert both.off.post("/body", json=body).text == SECRET
    answer = both.on.post("/body", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "interpreters.path")


@pytest.mark.parametrize(
    "way", [*(way.__name__ for way in WAYS[:-1]), "safely", "threaded"]
)
@pytest.mark.parametrize(
    "name", ["welcome.txt", "O'Brien & co.txt", "docs/Übersicht.txt"]
)
def test_honest_names(both, way, name):
    params = {"name": name, "next": "/tmp", "lesson": "cd ..", "dots": ".."}
    for client in (both.off, both.on):
        answer = client.get(f"/{way}", params=params)
        assert (answer.status_code, answer.text) == (200, "welcome")


def test_the_safe_way(both, folder):
    """A refusal that the application need not know about."""
    for name in (UP, "/etc/passwd", "..\\x", "nul", "a:b"):
        answer = both.on.get("/safely", params={"name": name})
        assert (answer.status_code, answer.json()["code"]) == (400, "interpreters.path")
    assert both.on.get("/safely", params={"name": "none"}).status_code == 404
    (folder / "link.txt").unlink(missing_ok=True)
    (folder / "link.txt").symlink_to(folder.parent.parent / "other" / "secret.txt")
    assert both.off.get("/reading", params={"name": "link.txt"}).text == SECRET
    assert both.on.get("/safely", params={"name": "link.txt"}).status_code == 404


def test_files_that_frameworks_serve(both):
    """Static files and file responses of honest names."""
    for client in (both.off, both.on):
        for path in (
            "/static/welcome.txt",
            "/static/docs/Übersicht.txt",
            "/sent/welcome.txt",
        ):
            assert client.get(path).text == "welcome"
        assert client.get("/static/none.txt").status_code == 404


def test_the_range(tmp_path):
    """The guide's download, as it stands in the range."""
    (tmp_path / "world" / "files").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text(SECRET)
    make = routes_of(files.TARGETS, tmp_path / "world")
    with twins(make, tmp_path / "data") as made:
        params = {"name": "../../secret.txt"}
        assert made.off.get("/download", params=params).text == SECRET
        assert made.on.get("/download", params=params).status_code == 403
        for client in (made.off, made.on):
            assert client.get("/download?name=welcome.txt").text == "welcome"
            assert client.get("/download?name=none.txt").status_code == 404
