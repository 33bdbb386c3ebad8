"""Names that an allow-list of the application has let through."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

_MOST = 10_000


class Approved:
    """Remembers them, the latest ones: an allow-list is the application's own word for
    what may stand in its statements, however it has come by the list."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def let_through(self, name: str) -> None:
        """Remember one."""
        with self._lock:
            self._names[name] = None
            self._names.move_to_end(name)
            if len(self._names) > _MOST:
                self._names.popitem(last=False)

    def holds(self, name: str) -> bool:
        """Return whether it has been let through."""
        return name in self._names


APPROVED = Approved()
