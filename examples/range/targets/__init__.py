"""Every target, one file a theme. A new theme adds its file and its line here."""

from examples.range.target import Target
from examples.range.targets import (
    assignment,
    code,
    commands,
    directory,
    disclosure,
    documents,
    endless,
    fetching,
    files,
    forgery,
    markup,
    nosql,
    permission,
    sessions,
    sharing,
    sql,
)

TARGETS: tuple[Target, ...] = (
    *sql.TARGETS,
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
    *commands.TARGETS,
    *nosql.TARGETS,
    *directory.TARGETS,
    *documents.TARGETS,
)
