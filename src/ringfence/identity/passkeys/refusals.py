"""Every refusal of a passkey, with its stable code."""

from __future__ import annotations

from ringfence.denial import Denial

MALFORMED = Denial(
    400,
    "identity.passkey_malformed",
    "What the browser has sent is no answer of a passkey.",
)
EXPIRED = Denial(
    400,
    "identity.passkey_expired",
    "That took too long, or was begun in another browser. Try again.",
)
"""The challenge is not ours, too old, used already, or was for something else."""

REFUSED = Denial(
    401, "identity.passkey_refused", "The passkey was not accepted. Try another way."
)
"""One text for a passkey that is not known and for a proof that does not hold."""

COPIED = Denial(
    401,
    "identity.passkey_copied",
    "This passkey has counted backwards, as a copy of it would, and is not believed "
    "any more. Sign in another way and replace it.",
)
NOT_ADDED = Denial(
    400,
    "identity.passkey_not_added",
    "The new passkey does not fulfil what this site asks for.",
)
TAKEN = Denial(
    409,
    "identity.passkey_taken",
    "The passkey is known already, or the account was changed at the same moment.",
)
TOO_MANY = Denial(
    409,
    "identity.too_many_passkeys",
    "The account has as many passkeys as it can have. Remove one first.",
)
NO_SUCH_PASSKEY = Denial(
    404, "identity.no_such_passkey", "There is no such passkey, or no longer."
)
NOT_HERE = Denial(
    409,
    "identity.no_passkeys_here",
    "Passkeys do not work at this address. Open the site by its name.",
)
NO_PASSKEYS = Denial(
    409, "identity.no_passkeys", "There is no passkey that could be asked for here."
)
