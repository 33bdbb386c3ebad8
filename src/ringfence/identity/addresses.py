"""E-mail addresses: what is accepted, and when two are the same account's."""

from __future__ import annotations

import re
import unicodedata

MOST_CHARACTERS = 254  # RFC 5321, section 4.5.3.1.3, without the angle brackets
_MOST_LOCAL_BYTES = 64  # RFC 5321, section 4.5.3.1.1

# The HTML standard's idea of a valid address, and letters beyond ASCII (RFC 6531).
# Quoted local parts and addresses with comments are left out on purpose: nobody has
# one, and every parser reads them differently.
_ADDRESS = re.compile(
    r"[\w.!#$%&'*+/=?^`{|}~-]+@[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)*"
)


def email_key(email: str) -> str:
    """Return the form in which addresses are compared: two addresses with one key are
    one account.

    Folding makes different texts equal, and equal keys have led to stolen accounts
    (CVE-2026-25480 is of this kind). Three things keep that from happening here:
    ``fault`` refuses addresses with characters that only *look* like others
    (fullwidth, ligatures, the Kelvin sign), so that in practice only case is folded;
    the key never replaces the address, which is stored as its owner wrote it; and
    what is sent to an account goes to the stored address, never to a submitted one.

    Source: Unicode Standard, section 3.13.5, compatibility caseless matching (D146),
    composed at the end.
    Not covered: addresses that a provider treats as one (``a.b@`` and ``ab@``).
    """
    text = unicodedata.normalize("NFD", email)
    for _ in range(2):
        text = unicodedata.normalize("NFKC", text.casefold())
    return text


def fault(email: str) -> str:
    """Return what is wrong with a new account's address, or the empty text."""
    if not email:
        return "Enter an e-mail address."
    if len(email) > MOST_CHARACTERS:
        return f"The e-mail address has more than {MOST_CHARACTERS} characters."
    local = email.rpartition("@")[0]
    if (
        not _ADDRESS.fullmatch(email)
        or len(local.encode()) > _MOST_LOCAL_BYTES
        or local.startswith(".")
        or local.endswith(".")
        or ".." in local
    ):
        return "That is no e-mail address; one looks like ann@example.com."
    if unicodedata.normalize("NFKC", email) != email:
        return "The e-mail address has characters that only look like others."
    return ""
