"""What a rate means, and what a wrong one is guessed to mean."""

import pytest

from ringfence.errors import SettingsError
from ringfence.traffic.rate import parse_optional_rate, parse_rate


@pytest.mark.parametrize(
    ("text", "amount", "period", "canonical"),
    [
        ("30/minute", 30, 60, "30/minute"),
        ("1/second", 1, 1, "1/second"),
        ("1000/hour", 1000, 3600, "1000/hour"),
        ("5/day", 5, 86400, "5/day"),
        ("5/15 minutes", 5, 900, "5/15 minutes"),
        ("5/15minutes", 5, 900, "5/15 minutes"),
        ("10 / minutes", 10, 60, "10/minute"),
        ("10/1 minute", 10, 60, "10/minute"),
        ("  10/Minute ", 10, 60, "10/minute"),
        ("1000000000/second", 10**9, 1, "1000000000/second"),
        ("1/31 days", 1, 2_678_400, "1/31 days"),
    ],
)
def test_rates_are_read(text, amount, period, canonical):
    rate = parse_rate(text, "here")
    assert (rate.amount, rate.period, str(rate)) == (amount, period, canonical)


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("30", "in which time? Did you mean '30/minute'?"),
        ("30/min", "did you mean '30/minute'?"),
        ("30/m", "did you mean '30/minute'?"),
        ("30/h", "did you mean '30/hour'?"),
        ("5/15 mins", "did you mean '5/15 minutes'?"),
        ("30/minuet", "did you mean '30/minute'?"),
        ("30/fortnight", "no second, minute, hour or day"),
        ("30 per minute", "did you mean '30/minute'?"),
        ("30 a day", "did you mean '30/day'?"),
        ("minute/30", "did you mean '30/minute'?"),
        ("3_000/minute", "did you mean '3000/minute'?"),
        ("3,000/minute", "did you mean '3000/minute'?"),
        ("0/minute", "closed by its policy"),
        ("-1/minute", "write it as in"),
        ("1.5/minute", "write it as in"),
        ("9999999999/minute", "1 to 1000000000"),
        ("5/0 minutes", "1 second to 31 days"),
        ("5/32 days", "1 second to 31 days"),
        ("", "write it as in"),
        ("30/", "write it as in"),
        ("30/minute; 5/second", "write it as in"),
        ("٣٠/minute", "write it as in"),
        (30, "is no text"),
    ],
)
def test_wrong_rates_are_refused_with_a_guess(text, guess):
    with pytest.raises(SettingsError) as caught:
        parse_rate(text, "traffic.limits_address")
    assert str(caught.value).startswith("traffic.limits_address")
    assert guess in str(caught.value)


def test_none_is_no_limit():
    assert parse_optional_rate("none", "here") is None
    assert parse_optional_rate("5/day", "here").amount == 5


@pytest.mark.parametrize("text", ["", "0", "off", "No"])
def test_a_limit_is_switched_off_in_one_way_only(text):
    """An empty variable in a deployment file must not switch a defence off."""
    with pytest.raises(SettingsError, match="write 'none'"):
        parse_optional_rate(text, "here")
