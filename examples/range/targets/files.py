"""A request names files: downloads, archives, exports (OWASP: path traversal, zip-slip,
CSV injection)."""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from examples.range.given import world_of
from examples.range.target import Target


def _folder(request: Request, name: str) -> Path:
    folder = world_of(request).path.parent / name
    folder.mkdir(exist_ok=True)
    return folder


async def download(request: Request) -> Response:
    folder = _folder(request, "files")
    (folder / "welcome.txt").write_text("welcome")
    path = f"{folder}/{request.query_params['name']}"
    try:
        with open(path, "rb") as file:  # noqa: ASYNC230, PTH123 - as beginners do
            return Response(file.read(), media_type="text/plain")
    except OSError:
        return PlainTextResponse("no such file", 404)


async def unzip(request: Request) -> Response:
    folder = _folder(request, "unpacked")
    with zipfile.ZipFile(io.BytesIO(await request.body())) as archive:
        for member in archive.infolist():
            path = f"{folder}/{member.filename}"
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:  # noqa: ASYNC230, PTH123 - careless
                file.write(archive.read(member))
        return PlainTextResponse(f"{len(archive.infolist())} files")


async def untar(request: Request) -> Response:
    folder = _folder(request, "unpacked")
    with tarfile.open(fileobj=io.BytesIO(await request.body())) as archive:
        archive.extractall(folder, filter="fully_trusted")
        return PlainTextResponse(f"{len(archive.getmembers())} files")


async def export(request: Request) -> Response:
    file = io.StringIO(newline="")
    rows = csv.writer(file)
    for row in world_of(request).rows("SELECT name, email FROM users"):
        rows.writerow([row["name"], row["email"]])
    rows.writerow([request.query_params.get("note", ""), ""])
    return Response(file.getvalue(), media_type="text/csv")


TARGETS = (
    Target("GET", "/download", download, "path traversal", query=("name",)),
    Target("POST", "/unzip", unzip, "zip-slip: member names are joined to a folder"),
    Target("POST", "/untar", untar, "zip-slip and links in a tar archive"),
    Target("GET", "/export.csv", export, "formula cells", query=("note",)),
)
