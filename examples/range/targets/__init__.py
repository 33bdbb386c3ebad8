"""Every target, one file a theme. A new theme adds its file and its line here."""

from examples.range.target import Target
from examples.range.targets import (
    assignment,
    code,
    disclosure,
    endless,
    fetching,
    files,
    forgery,
    markup,
    permission,
    sessions,
    sharing,
)

TARGETS: tuple[Target, ...] = (
    *permission.TARGETS,
    *assignment.TARGETS,
    *markup.TARGETS,
    *forgery.TARGETS,
    *sharing.TARGETS,
    *sessions.TARGETS,
    *endless.TARGETS,
    *disclosure.TARGETS,
    *files.TARGETS,
    *fetching.TARGETS,
    *code.TARGETS,
)
