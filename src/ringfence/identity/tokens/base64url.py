"""Base64url as JOSE has it: one text for each value, and no other is read."""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64

_TO_URL = bytes.maketrans(b"+/", b"-_")
# What must not stand there is mapped to what the decoder refuses.
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", b"", b"==", b"=")
# Characters that may come last: those whose unused bits are 0.
_LAST = (None, b"", b"AQgw", b"AEIMQUYcgkosw048")


def encode(value: bytes) -> bytes:
    """Return the text of a value, without padding."""
    return b2a_base64(value, newline=False).rstrip(b"=").translate(_TO_URL)


def decode(text: bytes) -> bytes | None:
    """Return the value of a text, ``None`` if ``encode`` would not have written it.

    Python's own decoder leaves out what it does not know, and takes any unused bits. So
    a token would have many spellings, each as good as the other: one that is looked for
    in a log or a list of revoked tokens would not be found under the others (CWE-1289).

    Source: RFC 4648, sections 3.2, 3.3, 3.5 and 5; RFC 7515, section 2.
    """
    last = _LAST[len(text) & 3]
    if last is not None and text[-1] not in last:
        return None
    try:
        padded = text.translate(_FROM_URL) + _PADDING[len(text) & 3]
        return a2b_base64(padded, strict_mode=True)
    except Error:
        return None
