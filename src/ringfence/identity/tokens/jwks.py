"""The public keys, as other services fetch them to verify our tokens."""

from __future__ import annotations

import msgspec

from ringfence.identity.tokens.keys import KeySet, TokenKeys

PATH = "/.well-known/jwks.json"
FRESH = 300
"""Seconds that others may keep the keys. A new key waits twice as long before it signs
(``ringfence keys rotate``), so that nobody meets a token whose key they cannot know."""

HEADERS = {
    "content-type": "application/jwk-set+json",
    "cache-control": f"public, max-age={FRESH}",
}


class PublicKeys:
    """Writes the JSON Web Key Set.

    Keys that do not sign yet are in it; of a secret key (HS256) nothing is.

    Args:
        keys: that tokens are signed with.

    Source: RFC 7517, sections 4, 5 and 8.5; RFC 9700, section 2.6.
    """

    def __init__(self, keys: TokenKeys) -> None:
        self._keys = keys
        self._of: KeySet | None = None
        self._content = b""

    def content(self) -> bytes:
        """Return the set; written once for each set of keys.

        Raises:
            SettingsError: the keyring is not open.
        """
        keys = self._keys.current()
        if keys is not self._of:
            public = [key.public for key in keys.all if key.public is not None]
            self._content = msgspec.json.encode({"keys": public})
            self._of = keys
        return self._content
