"""Every target, one file a theme. A new theme adds its file and its line here."""

from examples.range.target import Target
from examples.range.targets import (
    disclosure,
    endless,
    forgery,
    markup,
    permission,
    sessions,
    sharing,
)

TARGETS: tuple[Target, ...] = (
    *permission.TARGETS,
    *markup.TARGETS,
    *forgery.TARGETS,
    *sharing.TARGETS,
    *sessions.TARGETS,
    *endless.TARGETS,
    *disclosure.TARGETS,
)
