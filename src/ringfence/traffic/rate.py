"""How many in which time, as it is written down: ``30/minute``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from ringfence.errors import SettingsError

NONE = "none"

_SECONDS: Mapping[str, int] = MappingProxyType(
    {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
)
_SHORT: Mapping[str, str] = MappingProxyType(
    {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day"}
)
_MOST = 1_000_000_000
_LONGEST = 31 * 86_400  # seconds
_FORM = re.compile(
    r"(?P<amount>[0-9]{1,12}) ?/ ?(?:(?P<count>[0-9]{1,7}) ?)?(?P<unit>[a-z]+)"
)
_EXAMPLES = "write it as in '30/minute', '1000/hour' or '5/15 minutes'"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in any stretch of this length.

    Args:
        amount: 1 to 1,000,000,000.
        period: seconds, 1 to 31 days.
        text: as one would write it.
    """

    amount: int
    period: int
    text: str

    def __str__(self) -> str:
        return self.text


def parse_rate(text: str, where: str) -> Rate:
    """Return what a text such as ``30/minute`` or ``5/15 minutes`` means.

    Args:
        text: ``N/second``, ``N/minute``, ``N/hour``, ``N/day``, or with a number of
            these units: ``N/15 minutes``.
        where: who has written it, as the beginning of an error message.

    Raises:
        SettingsError: it means nothing; with the likely fix.
    """
    if not isinstance(text, str):
        raise SettingsError(f"{where}: {text!r} is no text; {_EXAMPLES}")
    folded = " ".join(text.lower().split())
    form = _FORM.fullmatch(folded)
    if form is None:
        raise SettingsError(f"{where}: {text!r} is no rate; {_guess_form(folded)}")
    unit = form["unit"].removesuffix("s") or form["unit"]
    amount, count = int(form["amount"]), int(form["count"] or 1)
    if unit not in _SECONDS:
        raise SettingsError(f"{where}: {text!r}: {_guess_unit(form)}")
    if not 1 <= amount <= _MOST:
        raise SettingsError(
            f"{where}: {text!r} allows {amount}; write 1 to {_MOST} (what nobody may "
            f"use is closed by its policy, not by a limit)"
        )
    period = count * _SECONDS[unit]
    if not 1 <= period <= _LONGEST:
        raise SettingsError(f"{where}: {text!r}: a period is 1 second to 31 days")
    span = unit if count == 1 else f"{count} {unit}s"
    return Rate(amount, period, f"{amount}/{span}")


def parse_optional_rate(text: str, where: str) -> Rate | None:
    """Return the same, or ``None`` for ``none``.

    Raises:
        SettingsError: it means nothing; with the likely fix.
    """
    if text == NONE:
        return None
    if isinstance(text, str) and text.lower() in {"", "0", "off", "no", "false"}:
        raise SettingsError(f"{where}: {text!r} is no rate; write 'none' for no limit")
    return parse_rate(text, where)


def _guess_form(folded: str) -> str:
    if folded.isdigit():
        return f"in which time? Did you mean '{folded}/minute'?"
    words = re.fullmatch(r"([0-9]+) ?(?:per|an?|in|,) ?([0-9]* ?[a-z]+)", folded)
    if words is not None:
        return f"did you mean '{words[1]}/{words[2]}'?"
    swapped = re.fullmatch(r"([0-9]* ?[a-z]+) ?/ ?([0-9]+)", folded)
    if swapped is not None:
        return f"did you mean '{swapped[2]}/{swapped[1]}'?"
    grouped = re.fullmatch(r"([0-9]+(?:[_,.'][0-9]{3})+) ?/ ?([0-9]* ?[a-z]+)", folded)
    if grouped is not None:
        return f"did you mean '{re.sub('[^0-9]', '', grouped[1])}/{grouped[2]}'?"
    return _EXAMPLES


def _guess_unit(form: re.Match[str]) -> str:
    unit = form["unit"]
    near = get_close_matches(unit, _SECONDS, n=1)
    guess = _SHORT.get(unit) or (near[0] if near else "")
    if not guess:
        return f"{unit!r} is no second, minute, hour or day; {_EXAMPLES}"
    count = f"{form['count']} " if form["count"] else ""
    plural = "s" if count else ""
    return f"{unit!r}: did you mean '{form['amount']}/{count}{guess}{plural}'?"
