"""A complete security layer around a Python backend."""

from ringfence import access, current
from ringfence.browser.cors import cors
from ringfence.browser.overrides import headers
from ringfence.denial import Denial
from ringfence.frameworks.rule import Rule
from ringfence.guard.asgi import Guard
from ringfence.interpreters.validation import accepts
from ringfence.interpreters import nosql, paths
from ringfence.principal import Principal
from ringfence.secrets.secret import Secret
from ringfence.settings import Settings
from ringfence.traffic.rate_limit import limit

__all__ = [
    "Denial",
    "Guard",
    "Principal",
    "Rule",
    "Secret",
    "Settings",
    "accepts",
    "access",
    "cors",
    "current",
    "headers",
    "limit",
    "nosql",
    "paths",
]
