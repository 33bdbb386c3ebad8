"""How a call to Redis can fail: not sent, lost on the way, or refused by the server.

A caller must tell these apart. What was not sent was not done; what was lost may have
been done; what was refused was not, or only as far as a script had come.
"""

from __future__ import annotations

from ringfence.errors import StoreError


class DownError(StoreError):
    """There is no connection. The command was not sent, so it was not executed."""


class LostError(StoreError):
    """The connection or the patience ended before the reply. The command may have been
    executed, or may be later: never take this for "no", and do not simply try again."""


class RefusedError(StoreError):
    """The server has answered with an error.

    Args:
        code: its first word, such as ``WRONGTYPE`` or ``NOPERM``.
        text: what follows.
        where: which server.
    """

    def __init__(self, code: str, text: str, where: str = "") -> None:
        at = f" at {where}" if where else ""
        super().__init__(f"Redis{at} has refused a command: {code} {text}".rstrip())
        self.code = code
        self.text = text
