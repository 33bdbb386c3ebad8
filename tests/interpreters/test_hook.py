"""The net under the process: audit events, judged while a request is in progress."""

import pytest
from tests.interpreters.test_untrusted import exchange

from ringfence.errors import InjectionRefusedError
from ringfence.exchange import active
from ringfence.interpreters.hook import gather, hook_of
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Sink, Sinks

SINK = Sink("path", "a test")


@pytest.fixture
def asked():
    """A request in progress."""
    made = exchange(query=b"name=../etc")
    made.sinks = Sinks(InterpretersSettings(), lambda _: None)
    token = active.set(made)
    yield made
    active.reset(token)


def refuse(event, args, whom):
    whom.refuse(SINK, event)


def test_nobody_is_judged_outside_requests():
    hook_of(gather({"open": refuse}))("open", ("x",))


def test_judge_refuses(asked):
    hook = hook_of(gather({"open": refuse}))
    hook("os.remove", ("x",))  # nobody judges it
    with pytest.raises(InjectionRefusedError):
        hook("open", ("x",))
    assert asked.denial.code == "interpreters.path"


def test_several_judges_of_one_event(asked):
    """What one room lets pass another may refuse."""
    seen = []
    tables = {"open": lambda *args: seen.append(args)}, {"open": refuse}
    with pytest.raises(InjectionRefusedError):
        hook_of(gather(*tables))("open", ("x",))
    assert len(seen) == 1


def test_failing_judge_refuses(asked):
    """A defence that breaks is no way in."""

    def broken(event, args, whom):
        raise KeyError(args)

    with pytest.raises(InjectionRefusedError, match="could not be judged"):
        hook_of(gather({"open": broken}))("open", ("x",))
    assert asked.denial is not None


def test_what_a_judge_does_is_not_judged(asked):
    """A judge that opens a file does not call itself."""
    calls = []

    def opens(event, args, whom):
        calls.append(event)
        hook("open", args)

    hook = hook_of(gather({"open": opens}))
    hook("open", ("x",))
    hook("open", ("x",))
    assert calls == ["open", "open"]


def test_witnesses_hear_what_nobody_is_judged_for():
    """What an application opens while it starts is its own, say."""
    seen = []
    witnesses = {"open": lambda *args: seen.append(args), "os.remove": seen.append}
    hook = hook_of(gather({"open": refuse}), witnesses)
    hook("open", ("x",))
    hook("os.remove", ("x",))  # not judged, so that it costs nothing
    assert seen == [("open", ("x",))]


def test_witnesses_hear_nothing_of_requests(asked):
    seen = []
    hook = hook_of(gather({"open": refuse}), {"open": lambda *args: seen.append(args)})
    with pytest.raises(InjectionRefusedError):
        hook("open", ("x",))
    assert seen == []
