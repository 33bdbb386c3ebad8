"""The inspector: what about an application should be looked at."""
