"""What needs an optional library names it, and the extra that brings it."""

import sys
from importlib import import_module

import pytest

from ringfence.errors import MissingExtraError


@pytest.mark.parametrize(
    ("room", "library", "extra"),
    [("sqlalchemy", "sqlalchemy", "sqlalchemy"), ("mongo", "pymongo", "mongo")],
)
def test_a_missing_library_is_named_with_its_extra(monkeypatch, room, library, extra):
    """Nobody has to guess which extra an import wants."""
    name = f"ringfence.access.{room}"
    import_module(name)
    for module in [*sys.modules]:
        if module.partition(".")[0] == library:
            monkeypatch.setitem(sys.modules, module, None)
        if module == name or module.startswith(f"{name}."):
            monkeypatch.delitem(sys.modules, module)
    with pytest.raises(MissingExtraError, match=rf"ringfence\[{extra}\]"):
        import_module(name)
