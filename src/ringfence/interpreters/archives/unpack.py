"""The safe way to unpack an archive."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from ringfence.interpreters.archives.budget import Budget, Metered, refuse
from ringfence.interpreters.archives.limits import Limits
from ringfence.interpreters.paths.below import open_below
from ringfence.interpreters.paths.names import fault_of

_PRIVATE = 0o700
_ENCRYPTED = 0x1  # general purpose bit 0, APPNOTE 4.4.4
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_TAR = (257, b"ustar")  # where a tar archive says that it is one
_COMPRESSED: tuple[tuple[bytes, Callable[[Any], AbstractContextManager[Any]]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
# What the readers of Python raise on archives that are damaged, or made to be.
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    gzip.BadGzipFile,
)


def unpack(
    archive: str | os.PathLike[str] | IO[bytes],
    folder: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
) -> tuple[Path, ...]:
    """Unpack a zip or tar archive (gzip, bzip2, xz) into a new folder.

    All of it or nothing: on a refusal the folder is removed. Refused are members whose
    names lead anywhere but below the folder (zip-slip), links, devices, pipes, sparse
    and encrypted members, names that come twice, and archives that pass a limit while
    they are read (bombs). Files are made readable for their owner only; owners, modes
    and times of the archive are not taken over.

    Args:
        archive: a path, or a file that can seek.
        folder: that does not exist yet; its parent does.
        limits: what may come out; ``None`` for the defaults of ``Limits``.

    Returns:
        The files, in their order in the archive.

    Raises:
        InjectionRefusedError: as said; answered with 400.
        FileExistsError: the folder is there already.

    Source: CWE-22, CWE-59, CWE-409; ASVS 5.0 5.2.3, 5.3.3.

    Not covered: archives within the archive, which stay packed, and what the files
    hold. Names that differ in case only are one file on some systems, and refused
    there.
    """
    if isinstance(archive, (str, os.PathLike)):
        with Path(archive).open("rb") as file:
            return unpack(file, folder, limits=limits)
    target = Path(folder)
    target.mkdir(mode=_PRIVATE)
    try:
        return tuple(_unpack(archive, target, limits or Limits()))
    except BaseException:
        shutil.rmtree(target)
        raise


async def unpack_in_thread(
    archive: str | os.PathLike[str] | IO[bytes],
    folder: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
) -> tuple[Path, ...]:
    """Do as ``unpack`` in a thread, so that other requests go on meanwhile.

    Args, returns, raises and what is not covered: as for ``unpack``.
    """
    return await asyncio.to_thread(unpack, archive, folder, limits=limits)


def _unpack(archive: IO[bytes], folder: Path, limits: Limits) -> Iterator[Path]:
    packed = archive.seek(0, io.SEEK_END)
    archive.seek(0)
    head = archive.read(512)
    archive.seek(0)
    budget = Budget(limits, packed)
    try:
        if head.startswith(_ZIP):
            yield from _from_zip(archive, folder, budget)
        else:
            with _decompressed(archive, head) as stream:
                yield from _from_tar(stream, folder, budget)
    except FileExistsError:
        refuse("a name that comes twice")
    except _DAMAGED as error:
        refuse(f"damaged or of an unknown kind ({type(error).__name__})")
    except OSError as error:
        if error.errno is not None:
            raise  # of the disk; decompressors give no number
        refuse("damaged")


@contextmanager
def _decompressed(archive: IO[bytes], head: bytes) -> Iterator[IO[bytes]]:
    for magic, open_stream in _COMPRESSED:
        if head.startswith(magic):
            with open_stream(archive) as stream:
                yield stream
            return
    place, word = _TAR
    if head[place : place + len(word)] != word:
        refuse("neither zip nor tar")
    yield archive


class _Zip(zipfile.ZipFile):
    ringfence_judges_members = True  # else the guard of zipfile would, before us


def _from_zip(archive: IO[bytes], folder: Path, budget: Budget) -> Iterator[Path]:
    with _Zip(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            name = _plain(member.orig_filename, budget)
            if member.flag_bits & _ENCRYPTED:
                refuse("an encrypted member")
            if member.is_dir() and kind in {0, stat.S_IFDIR}:
                _make_folder(folder, name)
            elif kind in {0, stat.S_IFREG}:
                with opened.open(member) as source:
                    yield _write(source, folder, name, budget)
            else:
                refuse("a member that is neither file nor folder")


def _from_tar(stream: IO[bytes], folder: Path, budget: Budget) -> Iterator[Path]:
    # As a stream: read once from the front, so that no header can send us elsewhere.
    metered: IO[bytes] = Metered(stream, budget)  # type: ignore[assignment]  # reads
    with tarfile.open(fileobj=metered, mode="r|") as opened:
        for member in opened:
            name = _plain(member.name, budget)
            if member.isdir():
                _make_folder(folder, name)
                continue
            source = opened.extractfile(member) if member.isreg() else None
            if source is None or member.issparse():
                refuse("a member that is neither file nor folder")
            with source:
                yield _write(source, folder, name, budget)
    while metered.read(io.DEFAULT_BUFFER_SIZE):
        pass  # to the end, where the sum is that compressed streams are checked by


def _plain(name: str, budget: Budget) -> str:
    """Return the name of a member, if it stays below the folder."""
    plain = name.removeprefix("./").removesuffix("/") or "."
    budget.member(plain)
    if plain != ".":  # ``tar -C folder .`` begins with the folder itself
        fault = fault_of(plain)
        if fault:
            refuse(f"{fault} in the name of a member")
    return plain


def _make_folder(folder: Path, name: str) -> None:
    (folder / name).mkdir(mode=_PRIVATE, parents=True, exist_ok=True)


def _write(source: IO[bytes], folder: Path, name: str, budget: Budget) -> Path:
    parent = name.rpartition("/")[0]
    if parent:
        _make_folder(folder, parent)
    with open_below(folder, name, mode="xb") as target:
        budget.copy(source, target)
    return folder / name
