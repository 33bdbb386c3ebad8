"""Guard ldap3: every operation that takes a filter, a name or a password as text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import ldap3  # type: ignore[import-untyped]  # it has no types

from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.interpreters.ldap.judge import judge_dn, judge_filter
from ringfence.interpreters.sink import Here, Sink, here

SINK = Sink("ldap", "ldap3")

_GUARDED = "_ringfence_guarded"
_BAD_REQUEST = 400
_DN = judge_dn
_FILTER = judge_filter
_Judge = Callable[[object, Here, Sink], None]

_OPERATIONS: Mapping[str, Mapping[str, _Judge]] = {
    "search": {"search_base": _DN, "search_filter": _FILTER},
    "compare": {"dn": _DN},
    "add": {"dn": _DN},
    "delete": {"dn": _DN},
    "modify": {"dn": _DN},
    "modify_dn": {"dn": _DN, "relative_dn": _DN, "new_superior": _DN},
    "rebind": {"user": _DN},
    "bind": {},
}


def arm() -> None:
    """Guard every connection of ldap3 in this process.

    Raises:
        SettingsError: this version of ldap3 takes its arguments in another way.
    """
    for name, judges in _OPERATIONS.items():
        operation = getattr(ldap3.Connection, name, None)
        if hasattr(operation, _GUARDED):
            continue
        if not inspect.isfunction(operation) or not judges.keys() <= _names(operation):
            message = (
                f"ldap3.Connection.{name} is not as ringfence knows it: this version "
                "of ldap3 cannot be guarded; install ldap3==2.9.1"
            )
            raise SettingsError(message)
        guarded = _guarded(operation, name, judges)
        setattr(guarded, _GUARDED, True)
        setattr(ldap3.Connection, name, guarded)


def _names(operation: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(operation).parameters)


def _guarded(
    operation: Callable[..., Any], name: str, judges: Mapping[str, _Judge]
) -> Callable[..., Any]:
    signature = inspect.signature(operation)

    @wraps(operation)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        whom = here()
        if whom is not None:
            given = signature.bind(self, *args, **kwargs).arguments
            _check(name, judges, given, whom)
        return operation(self, *args, **kwargs)

    return guarded


def _check(
    name: str, judges: Mapping[str, _Judge], given: Mapping[str, Any], whom: Here
) -> None:
    try:
        for parameter, judge in judges.items():
            text = given.get(parameter)
            whom.reached(SINK, "raw", text)
            judge(text, whom, SINK)
        if name == "bind":
            connection = given["self"]
            judge_dn(connection.user, whom, SINK)
            _check_password(connection, whom)
        elif name == "rebind" and given.get("user") == "":
            whom.refuse(SINK, "a sign-in without a name", status=_BAD_REQUEST)
    except InjectionRefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever fails here refuses
        whom.refuse(SINK, f"{name} could not be judged: {type(error).__name__}")


def _check_password(connection: Any, whom: Here) -> None:
    """Object to a sign-in that a server would accept without looking at a password.

    With an empty name or password a bind is anonymous and succeeds, whoever asks; a
    handler takes that for a sign-in.

    Source: RFC 4513, section 5.1.2; CWE-287.
    """
    named = connection.user is not None or connection.password is not None
    is_anonymous = connection.authentication == ldap3.ANONYMOUS and named
    is_empty = connection.authentication == ldap3.SIMPLE and not connection.password
    if is_anonymous or is_empty:
        whom.refuse(
            SINK, "a sign-in with an empty name or password", status=_BAD_REQUEST
        )
