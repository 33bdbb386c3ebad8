"""Input that is checked against a model before a handler gets it."""

from ringfence.interpreters.validation.marks import Accepts, accepts

__all__ = ["Accepts", "accepts"]
