"""A complete security layer around a Python backend."""

from ringfence import access, current
from ringfence.denial import Denial
from ringfence.principal import Principal

__all__ = ["Denial", "Principal", "access", "current"]
