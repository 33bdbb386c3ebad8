"""What the addresses of second factors accept."""

from __future__ import annotations

import msgspec


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A one-time or recovery code, and for programs the proof of the first half."""

    code: str
    pending: str = ""

    def __repr__(self) -> str:
        return "Code(...)"


class FirstCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first code of an app that is being set up."""

    enrolment: str
    code: str
    label: str = ""

    def __repr__(self) -> str:
        return "FirstCode(...)"


class FactorToRemove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which factor to remove, as the list of them names it."""

    id: str


class CodesToKeep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Recovery codes that the browser has, to be had as a file."""

    codes: str

    def __repr__(self) -> str:
        return "CodesToKeep(...)"
