"""The refusals of second factors, with their stable codes."""

from __future__ import annotations

from ringfence.denial import Denial
from ringfence.identity.entrance import SECOND
from ringfence.identity.refusals import Invalid

_WRONG = (
    "That code is wrong or used up. Wait for the next one; if that is refused as well, "
    "try again in a few minutes."
)
CODE_WRONG = Invalid(
    401,
    "identity.code_wrong",
    "The code is not right.",
    headers=((b"www-authenticate", b'Session realm="ringfence"'),),
    fields=(("code", _WRONG),),
)
"""One answer for a wrong code, one that was used, and a lock; 403 to who is signed in
already and has to stay so."""

FIRST_CODE_WRONG = Invalid(
    422,
    "identity.first_code_wrong",
    "The app shows another code.",
    fields=(("code", "That is not what the app shows now. Is its clock right?"),),
)
ENROLMENT_OVER = Denial(
    409,
    "identity.enrolment_over",
    "Setting up the app has taken too long, or the account has changed. Begin again.",
)
PENDING_OVER = Denial(
    401,
    "identity.pending_over",
    "The first half of this sign-in has expired. Sign in again.",
    headers=((b"www-authenticate", b'Session realm="ringfence"'),),
)
NO_SUCH_FACTOR = Denial(
    404, "identity.no_such_factor", "There is no such factor, or no longer."
)
NO_SECOND_FACTOR = Denial(
    409,
    "identity.no_second_factor",
    "Recovery codes stand in for a second factor; set one up first.",
)
TOO_MANY_FACTORS = Denial(
    409, "identity.too_many_factors", "Remove one of these before adding another."
)
SECOND_FACTOR_MISSING = Denial(
    401,
    "identity.second_factor_missing",
    "This account has a second factor; show it first, then try again.",
    headers=((b"www-authenticate", b'Session realm="ringfence"'),),
    remedy=f"factor {','.join(sorted(SECOND))}",
)
"""For sessions from before a second factor was set up elsewhere."""
