"""Opening the gatehouse."""

import builtins
import sys

import pytest
from tests.identity.gatehouse import Keys, Ledger

from ringfence.errors import MissingExtraError, SettingsError
from ringfence.identity.open import open_identity
from ringfence.identity.settings import IdentitySettings
from ringfence.stores.memory_counters import MemoryCounters


def open_at(database):
    return open_identity(
        IdentitySettings(),
        database=database,
        development=True,
        audit=Ledger(),
        keyring=Keys(),
        counters=MemoryCounters(),
    )


@pytest.mark.parametrize("library", ["starlette", "jinja2", "sqlalchemy"])
def test_a_missing_library_names_its_extra(library, monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == library:
            raise ImportError(name=library)
        return real(name, *args, **kwargs)

    late = ("identity.routes.", "identity.pages.render", "stores.sqlite")
    for module in [name for name in sys.modules if name.startswith("ringfence.")]:
        if module.removeprefix("ringfence.").startswith(late):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=rf"{library}.*ringfence\[identity\]"):
        open_at(f"sqlite:///{tmp_path / 'a.db'}")


def test_nothing_is_made_before_the_start(tmp_path):
    open_at(f"sqlite:///{tmp_path / 'folder' / 'a.db'}")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_database_stops_the_start():
    with pytest.raises(SettingsError, match="not a URL that ringfence knows"):
        open_at("oracle://localhost/shop")
