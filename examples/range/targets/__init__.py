"""Every target, one file a theme. A new theme adds its file and its line here."""

from examples.range.target import Target
from examples.range.targets import (
    disclosure,
    forgery,
    markup,
    permission,
    sessions,
)

TARGETS: tuple[Target, ...] = (
    *permission.TARGETS,
    *markup.TARGETS,
    *forgery.TARGETS,
    *sessions.TARGETS,
    *disclosure.TARGETS,
)
