"""Which names are one plain file below a folder, on every platform at once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_LONGEST = 255  # bytes of one name that common file systems take
# Names of devices in every folder of Windows, with any extension (CWE-67). The raised
# digits are digits there.
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)
_CONTROLS = {"Cc", "Cs"}  # control characters, and halves of pairs
_DRIVE = re.compile(r"[A-Za-z]:")


def fault_of(text: str) -> str:
    """Say what is wrong with a relative path as such; nothing where it is fine.

    Args:
        text: segments with ``/`` between.

    Source: CWE-22, CWE-36, CWE-66, CWE-67, CWE-69, CWE-158, CWE-176; ASVS 5.0 5.3.2.
    """
    if "\0" in text:
        return "a NUL byte"
    if text.startswith(("/", "\\")) or _DRIVE.match(text):
        return "an absolute path"
    if "\\" in text:
        return "a back-slash"
    for segment in text.split("/"):
        fault = _fault_of_segment(segment)
        if fault:
            return fault
    return ""


def _fault_of_segment(segment: str) -> str:
    # What looks like dots or slashes to a normalising file system counts as such.
    plain = unicodedata.normalize("NFKC", segment)
    return next((fault for fault, has in _FAULTS if has(segment, plain)), "")


_FAULTS: tuple[tuple[str, Callable[[str, str], object]], ...] = (
    ("an empty segment", lambda segment, plain: not segment),
    ("a segment of dots", lambda segment, plain: plain in {".", ".."}),
    (
        "a separator in another form of Unicode",
        lambda segment, plain: "/" in plain or "\\" in plain,
    ),
    ("a colon, which names a drive or a stream", lambda segment, plain: ":" in plain),
    ("a control character", lambda segment, plain: _CONTROLS & _kinds(segment)),
    # Windows drops them.
    (
        "a dot or a space at the end",
        lambda segment, plain: plain != plain.rstrip(". "),
    ),
    ("the name of a device", lambda segment, plain: _DEVICE.fullmatch(plain)),
    (
        "a name that is too long",
        lambda segment, plain: len(segment.encode()) > _LONGEST,
    ),
)


def _kinds(segment: str) -> set[str]:
    return {unicodedata.category(letter) for letter in segment}
