"""A complete security layer around a Python backend."""

from ringfence import access, current
from ringfence.access.ownership.escape import unscoped
from ringfence.browser.cors import cors
from ringfence.browser.overrides import headers
from ringfence.denial import Denial
from ringfence.frameworks.rule import Rule
from ringfence.guard.asgi import Guard
from ringfence.interpreters import (
    archives,
    expressions,
    html,
    ldap,
    lines,
    nosql,
    paths,
    shell,
    spreadsheets,
    sql,
    templates,
    urls,
    xml,
)
from ringfence.interpreters.html import SafeHtml
from ringfence.interpreters.validation import accepts
from ringfence.principal import Principal
from ringfence.secrets.secret import Secret
from ringfence.settings import Settings
from ringfence.traffic.budgets import limit

__all__ = [
    "Denial",
    "Guard",
    "Principal",
    "Rule",
    "SafeHtml",
    "Secret",
    "Settings",
    "accepts",
    "access",
    "archives",
    "cors",
    "current",
    "expressions",
    "headers",
    "html",
    "ldap",
    "limit",
    "lines",
    "nosql",
    "paths",
    "shell",
    "spreadsheets",
    "sql",
    "templates",
    "unscoped",
    "urls",
    "xml",
]
