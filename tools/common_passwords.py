"""Build the list of common passwords that ringfence ships.

Reads the lists of zxcvbn 4.5 (MIT) and writes them as one, compressed, beside the
licence that they came with. Its 30,000 passwords leave out those that are English words
or first names, which it keeps in lists of their own; so these are taken as well:

    pip install zxcvbn==4.5.0
    python tools/common_passwords.py
"""

from __future__ import annotations

import lzma
import sys
from importlib.metadata import distribution
from pathlib import Path

from zxcvbn.frequency_lists import FREQUENCY_LISTS

FOLDER = Path(__file__).parents[1] / "src" / "ringfence" / "identity" / "passwords"
VERSION = "4.5.0"
TAKEN = {
    "passwords": 30_000,
    "english_wikipedia": 10_000,
    "female_names": 3_000,
    "male_names": 1_000,
}
NOTICE = """\
common_passwords.txt.xz holds the passwords, and the first of the English words and the
first names, of zxcvbn {version}, most common first.
https://github.com/dwolfhub/zxcvbn-python took the lists over from
https://github.com/dropbox/zxcvbn, Copyright (c) 2012-2016 Dan Wheeler and Dropbox,
Inc., under the same licence. Made by tools/common_passwords.py.

"""


def main() -> None:
    """Write the list and the licence."""
    source = distribution("zxcvbn")
    if source.version != VERSION:
        sys.exit(f"this takes zxcvbn {VERSION}, and {source.version} is installed")
    ranked = [
        (rank, word)
        for name, most in TAKEN.items()
        for rank, word in enumerate(FREQUENCY_LISTS[name][:most])
    ]
    ranked.sort(key=lambda entry: entry[0])  # stable: passwords before words
    text = "\n".join(dict.fromkeys(word for _, word in ranked)).encode()
    packed = lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)
    (FOLDER / "common_passwords.txt.xz").write_bytes(packed)
    licence = source.read_text("LICENSE.txt") or source.read_text(
        "licenses/LICENSE.txt"
    )
    if not licence:
        sys.exit("zxcvbn came without its licence")
    notice = NOTICE.format(version=VERSION) + licence
    (FOLDER / "common_passwords.LICENSE.txt").write_text(notice, "utf-8")


if __name__ == "__main__":
    main()
