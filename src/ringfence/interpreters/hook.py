"""The net under the whole process: audit events of Python itself (PEP 578).

An interpreter that Python starts, opens or calls announces itself here before anything
happens, whoever calls it and however it was imported. The hook can never be taken out
again, so it is one function that asks a table; what decides stands in the rooms'
judges, and only while a request is in progress.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar

from ringfence.errors import InjectionRefusedError
from ringfence.exchange import active, live
from ringfence.interpreters.sink import Here, Sink, here, starter

Judge = Callable[[str, tuple[object, ...], Here], None]
"""Looks at one event: its name, its arguments, and for whom the code works. Raises
through ``Here.refuse`` or returns."""

Witness = Callable[[str, tuple[object, ...]], None]
"""Learns from an event while nobody is being answered. Never raises."""

_NET = Sink("process", "audit event")

_judging: ContextVar[bool] = ContextVar("ringfence_judging", default=False)
"""What a judge does itself (an import, a file that is read) is not judged."""


NOBODY: Mapping[str, Witness] = {}


def gather(*tables: Mapping[str, Judge]) -> dict[str, tuple[Judge, ...]]:
    """Put the judges of all rooms into one table."""
    gathered: dict[str, tuple[Judge, ...]] = {}
    for table in tables:
        for event, judge in table.items():
            gathered[event] = (*gathered.get(event, ()), judge)
    return gathered


def hook_of(
    judges: Mapping[str, tuple[Judge, ...]],
    witnesses: Mapping[str, Witness] = NOBODY,
) -> Callable[[str, tuple[object, ...]], None]:
    """Return the hook that asks ``judges``, and tells ``witnesses`` what happens while
    nobody is being answered; these only of events that are judged, too."""

    def hook(event: str, args: tuple[object, ...]) -> None:
        asked = judges.get(event)
        if asked is None:
            return
        if not live and active.get() is None and starter.get() is None:
            witness = witnesses.get(event)
            if witness is not None:
                witness(event, args)
            return
        judge_event(asked, event, args)

    return hook


def judge_event(asked: tuple[Judge, ...], event: str, args: tuple[object, ...]) -> None:
    """Ask the judges of one event. One that fails, refuses."""
    whom = here()
    if whom is None or _judging.get():
        return
    token = _judging.set(True)
    try:
        for judge in asked:
            judge(event, args, whom)
    except InjectionRefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever fails here refuses
        whom.refuse(_NET, f"{event} could not be judged: {type(error).__name__}")
    finally:
        _judging.reset(token)


class Net:
    """Installs the hook once a process."""

    def __init__(self) -> None:
        self._installed = False

    def install(
        self,
        judges: Mapping[str, tuple[Judge, ...]],
        witnesses: Mapping[str, Witness] = NOBODY,
    ) -> None:
        """Install it, unless it is there already."""
        if not self._installed:
            self._installed = True
            sys.addaudithook(hook_of(judges, witnesses))


NET = Net()
