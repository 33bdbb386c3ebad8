"""What an owner is told of the second factors of an account, as plain data."""

from __future__ import annotations

from typing import Any

from ringfence.identity.answers import moment
from ringfence.identity.factors.verify import Held
from ringfence.stores.contracts import Factor


def describe_held(held: Held) -> dict[str, Any]:
    """Return what is set up; never anything of a secret."""
    return {
        "on": held.is_guarded,
        "totp": [describe_factor(factor) for factor in held.totp],
        "passkeys": [describe_factor(factor) for factor in held.passkeys],
        "recovery_codes": len(held.recovery_codes),
    }


def describe_factor(factor: Factor) -> dict[str, str]:
    """Return what one is called, and when it was made and used."""
    return {
        "id": factor.id.hex(),
        "label": factor.label,
        "created": moment(factor.created),
        "used": moment(factor.used) if factor.used else "",
    }
