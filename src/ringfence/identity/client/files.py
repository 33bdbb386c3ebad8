"""The files of the browser client, read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A file as browsers get it.

    Args:
        content: its bytes.
        media_type: what it is; under nosniff another type would not run.
    """

    content: bytes
    media_type: str
    version: str = field(init=False)

    def __post_init__(self) -> None:
        version = sha256(self.content).hexdigest()[:16]
        object.__setattr__(self, "version", version)


def read_client() -> dict[str, ClientFile]:
    """Return the files by name. The script is served as it is written: it is small, and
    what runs in the browser can be read there.

    Read before any request, so that a process that has given up its rights needs to
    read no file.
    """
    return {
        name: ClientFile((_FOLDER / name).read_bytes(), media_type)
        for name, media_type in (
            ("ringfence.js", "text/javascript"),
            ("step-up.css", "text/css"),
        )
    }
