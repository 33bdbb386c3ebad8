"""Settings, typed and loaded once."""

from ringfence.settings.profiles import refuse_open_ways, refuse_unsafe
from ringfence.settings.settings import Settings

__all__ = ["Settings", "refuse_open_ways", "refuse_unsafe"]
