"""A policy for what cannot carry a decorator."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ringfence.access import Policy
from ringfence.marks import Mark, must_be_marks

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


@dataclass(frozen=True, slots=True, init=False)
class Rule:
    """Give a route its policy from outside: ``Rule("GET", "/docs", access.signed_in)``.

    For what cannot carry a decorator (a mount, a documentation page, another
    framework's application), and for plain ASGI applications. A policy that the route
    declares itself must allow as well.

    Args:
        method: upper case; ``*`` for every method, ``WEBSOCKET`` for handshakes.
        path: the template as ``ringfence plan`` prints it, ``/orders/{order_id}``.
        policy: who may come in.
        marks: what else holds for the route: limits, headers that differ.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: the method is no upper-case token, or the path does not begin
            with ``/``.
    """

    method: str
    path: str
    policy: Policy
    marks: tuple[Mark, ...]

    def __init__(self, method: str, path: str, policy: Policy, *marks: Mark) -> None:
        for name, value in zip(
            ("method", "path", "policy", "marks"),
            (method, path, policy, marks),
            strict=True,
        ):
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        must_be_marks(self.marks)
        if not isinstance(self.policy, Policy):
            message = (
                f"Rule({self.method!r}, {self.path!r}, ...) needs a policy such as "
                f"access.public or access.signed_in, not {self.policy!r}"
            )
            raise TypeError(message)
        for name in ("method", "path"):
            if not isinstance(getattr(self, name), str):
                message = f"Rule's {name} is text, not {getattr(self, name)!r}"
                raise TypeError(message)
        if not _TOKEN.fullmatch(self.method) or self.method != self.method.upper():
            message = (
                f"{self.method!r} is no method; write one such as GET in upper case, "
                "* for every method, or WEBSOCKET"
            )
            raise ValueError(message)
        if not self.path.startswith("/"):
            message = f"a Rule's path begins with /, as in /{self.path}"
            raise ValueError(message)
