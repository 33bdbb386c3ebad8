"""What msgspec says about a value, without what was sent."""

from __future__ import annotations

import re

from ringfence.denial import Fault

_NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?)"
# Messages that hold nothing but types and limits of the model; the group is a limit,
# or the name of a field.
_KINDS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), kind, limit)
    for pattern, kind, limit in (
        (r"Expected `int(?: \| null)?`, got .*", "int_type", ""),
        (r"Expected `str(?: \| null)?`, got .*", "string_type", ""),
        (r"Expected `float(?: \| null)?`, got .*", "float_type", ""),
        (r"Expected `bool(?: \| null)?`, got .*", "bool_type", ""),
        (r"Expected `array(?: \| null)?`, got .*", "list_type", ""),
        (r"Expected `object(?: \| null)?`, got .*", "dict_type", ""),
        (r"Expected `decimal(?: \| null)?`, got .*", "decimal_type", ""),
        (r"Object missing required field `(.+)`", "missing", "field"),
        (r"Object contains unknown field .*", "extra_forbidden", ""),
        (r"Invalid enum value .*", "enum", ""),
        (r"Invalid UUID", "uuid_parsing", ""),
        (r"Invalid decimal string", "decimal_parsing", ""),
        (r"Invalid RFC3339 encoded datetime", "datetime_parsing", ""),
        (r"Invalid RFC3339 encoded date", "date_parsing", ""),
        (r"Invalid RFC3339 encoded time", "time_parsing", ""),
        (r"Expected `str` of length >= " + _NUMBER, "string_too_short", "min_length"),
        (r"Expected `str` of length <= " + _NUMBER, "string_too_long", "max_length"),
        (r"Expected `str` matching regex .*", "string_pattern_mismatch", ""),
        (r"Expected `array` of length >= " + _NUMBER, "too_short", "min_length"),
        (r"Expected `array` of length <= " + _NUMBER, "too_long", "max_length"),
        (r"Expected `(?:int|float)` >= " + _NUMBER, "greater_than_equal", "ge"),
        (r"Expected `(?:int|float)` > " + _NUMBER, "greater_than", "gt"),
        (r"Expected `(?:int|float)` <= " + _NUMBER, "less_than_equal", "le"),
        (r"Expected `(?:int|float)` < " + _NUMBER, "less_than", "lt"),
    )
)
# At the end: what stands before it may have been put there by whoever sent it.
_PLACE = re.compile(r"(?s)(.*) - at `(?:key` in `)?\$([^`]*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]+|\.\.\.)\]")


def fault_of(message: str) -> Fault:
    """Return what one message of msgspec's tells, as pydantic would call it.

    Args:
        message: of a ``ValidationError``; a validator of the application's may have
            put the value into it, so nothing but known sentences is read.
    """
    place: tuple[str | int, ...] = ()
    found = _PLACE.fullmatch(message)
    if found is not None:
        message = found[1]
        place = tuple(
            name or (int(number) if number.isdigit() else "*")
            for name, number in _STEP.findall(found[2])
        )
    for pattern, kind, group in _KINDS:
        fits = pattern.fullmatch(message)
        if fits is None:
            continue
        if group == "field":
            return Fault((*place, fits[1]), kind)
        limits = ((group, _short(fits[1])),) if group else ()
        return Fault(place, kind, limits)
    return Fault(place, "invalid")


def _short(number: str) -> float:
    return float(number) if "." in number else int(number)
