"""What a driver asks before it hands a statement over, where the answer fails."""

import pytest
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.interpreters.sink import Sink
from ringfence.interpreters.sql import judge

SINK = Sink("sql", "test")


def test_text_that_is_none_is_refused():
    """What cannot be read is not let through."""
    with asking(query=b"q=x") as exchange:
        with pytest.raises(InjectionRefusedError):
            judge.check(7, dialect="sqlite", sink=SINK)
        assert exchange.denial.code == "interpreters.sql"
        assert "could not be judged: TypeError" in exchange.denial.private


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (RecursionError("deep"), "could not be judged: RecursionError"),
        (SettingsError("install sqlglot"), "install sqlglot"),
    ],
)
def test_a_verdict_that_fails_is_a_refusal(monkeypatch, failure, said):
    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(judge, "judge", fail)
    with asking(query=b"q=x") as exchange:
        with pytest.raises(InjectionRefusedError):
            judge.check(written(), dialect="sqlite", sink=SINK)
        assert said in exchange.denial.private


def test_bytes_are_read_as_text():
    with (
        asking(query=b"q=x%27%20OR%20%27a%27%3D%27a"),
        pytest.raises(InjectionRefusedError),
    ):
        judge.check(written("x' OR 'a'='a").encode(), dialect="sqlite", sink=SINK)


def written(value="Ann"):
    return f"SELECT a FROM b WHERE c = '{value}'"
