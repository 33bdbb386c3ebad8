"""The most common passwords, English words and first names, shipped with the package.

Their source and licence stand beside the list; ``tools/common_passwords.py`` made it.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

_FILE = Path(__file__).with_name("common_passwords.txt.xz")


@cache
def ranks() -> Mapping[str, int]:
    """Return each common password, in lower case, with its rank; 1 is the commonest.

    Read when first asked for, in about 20 ms, and then kept: 6 MiB.
    """
    words = lzma.decompress(_FILE.read_bytes()).decode().split("\n")
    return MappingProxyType({word: rank for rank, word in enumerate(words, 1)})
