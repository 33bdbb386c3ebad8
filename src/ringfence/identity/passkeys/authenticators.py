"""Names of what keeps passkeys, to begin with as a passkey's label."""

from __future__ import annotations

import msgspec

from ringfence.stores.contracts import Factor

# By AAGUID, as their makers have published them. An authenticator says it itself, so
# it is good for a label and decides nothing.
_KEEPERS = {
    "08987058-cadc-4b81-b6e1-30de50dcbe96": "Windows Hello",
    "9ddd1817-af5a-4672-a2b9-3e3dd95000a9": "Windows Hello",
    "6028b017-b1d4-4c02-b4b3-afcdafc96bb2": "Windows Hello",
    "fbfc3007-154e-4ecc-8c0b-6e020557d7bd": "iCloud Keychain",
    "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4": "Google Password Manager",
    "bada5566-a7aa-401f-bd96-45619a55120d": "1Password",
    "d548826e-79b4-db40-a3d8-11116f7e8349": "Bitwarden",
    "531126d6-e717-415c-9320-3d9aa6981239": "Dashlane",
    "50726f74-6f6e-5061-7373-50726f746f6e": "Proton Pass",
    "53414d53-554e-4700-0000-000000000000": "Samsung Pass",
    "fdb141b2-5d84-443e-8a35-4698c205a502": "KeePassXC",
}


class Details(msgspec.Struct, frozen=True):
    """What is kept of a passkey beside its key.

    Args:
        transports: how its authenticator is reached, as the browser said.
        aaguid: the model of the authenticator.
        backup_eligible: whether it may be copied to the owner's other devices.
        backed_up: whether it was when it was made.
    """

    transports: tuple[str, ...] = ()
    aaguid: str = ""
    backup_eligible: bool = False
    backed_up: bool = False


def keeper_of(aaguid: str) -> str:
    """Return what a model of authenticator is called, empty if it is not known."""
    return _KEEPERS.get(aaguid, "")


def details_of(passkey: Factor) -> Details:
    """Return what is kept of a passkey."""
    return msgspec.json.decode(passkey.details, type=Details)
