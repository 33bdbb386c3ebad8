"""What a validation report says about fields, without what was sent in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ringfence.denial import Fault

# Sentences for pydantic's error types. Its own messages are not sent: some repeat the
# input ("found `hunter2` at 1"), and so may any validator's.
_SENTENCES: Mapping[str, str] = {
    "missing": "Is required.",
    "extra_forbidden": "Is not expected here.",
    "field_not_allowed": "Is not yours to set.",
    "repeated": "May be sent only once.",
    "json_invalid": "Is not valid JSON.",
    "string_type": "Must be text.",
    "string_too_short": "Must have at least {min_length} characters.",
    "string_too_long": "Must have at most {max_length} characters.",
    "string_pattern_mismatch": "Does not have the expected form.",
    "int_type": "Must be a whole number.",
    "int_parsing": "Must be a whole number.",
    "int_from_float": "Must be a whole number.",
    "float_type": "Must be a number.",
    "float_parsing": "Must be a number.",
    "finite_number": "Must be a finite number.",
    "decimal_type": "Must be a number.",
    "decimal_parsing": "Must be a number.",
    "bool_type": "Must be true or false.",
    "bool_parsing": "Must be true or false.",
    "greater_than": "Must be greater than {gt}.",
    "greater_than_equal": "Must be at least {ge}.",
    "less_than": "Must be less than {lt}.",
    "less_than_equal": "Must be at most {le}.",
    "multiple_of": "Must be a multiple of {multiple_of}.",
    "too_short": "Must have at least {min_length} items.",
    "too_long": "Must have at most {max_length} items.",
    "list_type": "Must be a list.",
    "dict_type": "Must be an object.",
    "model_type": "Must be an object.",
    "model_attributes_type": "Must be an object.",
    "literal_error": "Is not one of the allowed values.",
    "enum": "Is not one of the allowed values.",
    "none_required": "Must be empty.",
    "date_type": "Must be a date.",
    "date_parsing": "Must be a date.",
    "date_from_datetime_parsing": "Must be a date.",
    "datetime_type": "Must be a date and time.",
    "datetime_parsing": "Must be a date and time.",
    "datetime_from_date_parsing": "Must be a date and time.",
    "time_parsing": "Must be a time.",
    "time_delta_parsing": "Must be a duration.",
    "timezone_aware": "Must state its time zone.",
    "uuid_type": "Must be a UUID.",
    "uuid_parsing": "Must be a UUID.",
    "url_type": "Must be a URL.",
    "url_parsing": "Must be a URL.",
    "url_scheme": "Must be a URL with another scheme.",
    "url_too_long": "Is too long for a URL.",
}
_ANY_FAULT = "Is not valid."

_ERROR_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FIELD_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


_MOST_ERRORS = 100


def read_errors(body: bytes) -> list[dict[str, str]]:
    """Return what FastAPI's 422 says about fields, without what was sent in them.

    Args:
        body: the application's; anything but FastAPI's shape gives an empty list.
    """
    try:
        report = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return []
    details = report.get("detail") if isinstance(report, dict) else None
    return tell_details(details) if isinstance(details, list) else []


def refused_input(
    error: BaseException | None, kinds: tuple[type[Exception], ...]
) -> list[dict[str, str]] | None:
    """Return what was wrong with the input, if that is how an exception came about.

    FastAPI puts the input into its 422. Input that cannot be written as JSON again
    (``NaN``, half a surrogate pair) makes that fail, which is a mistake of the client's
    all the same, not of the server's. Whatever else fails meanwhile is a failure: bad
    input must not hide it.

    Args:
        error: what was raised.
        kinds: what the framework raises about input.

    Returns:
        Faults by field, or ``None`` if the exception has nothing to do with input.
    """
    if isinstance(error, ValueError) and not isinstance(error, kinds):
        error = error.__context__  # what was being told when writing JSON failed
    tell = getattr(error, "errors", None)
    if not isinstance(error, kinds) or tell is None:
        return None
    return tell_details(list(tell()))


def tell_details(details: list[Any]) -> list[dict[str, str]]:
    """Return pydantic's list of errors as the public may see it."""
    return [
        _read_error(detail)
        for detail in details[:_MOST_ERRORS]
        if isinstance(detail, dict) and isinstance(detail.get("loc"), list | tuple)
    ]


def tell_faults(faults: Sequence[Fault]) -> list[dict[str, str]]:
    """Return what a stage has found wrong with fields as the public may see it."""
    return [
        _read_error({"loc": place, "type": kind, "ctx": dict(limits)})
        for place, kind, limits in faults[:_MOST_ERRORS]
    ]


def _read_error(detail: Mapping[str, Any]) -> dict[str, str]:
    kind = detail.get("type")
    if not isinstance(kind, str) or not _ERROR_TYPE.fullmatch(kind):
        kind = "invalid"
    return {
        "field": ".".join(_field_part(part) for part in detail["loc"]),
        "type": kind,
        "message": _sentence(kind, detail.get("ctx")),
    }


def _field_part(part: object) -> str:
    """A name or an index. Keys of the input stand here too: only plain ones go out."""
    if isinstance(part, int):
        return str(part)
    return part if isinstance(part, str) and _FIELD_PART.fullmatch(part) else "?"


def _sentence(kind: str, context: object) -> str:
    """Fill in limits, which come from the schema, and only where they are numbers."""
    numbers = {
        name: value
        for name, value in (context.items() if isinstance(context, dict) else ())
        if isinstance(value, int | float)
    }
    try:
        return _SENTENCES.get(kind, _ANY_FAULT).format(**numbers)
    except KeyError:
        return _ANY_FAULT
