"""Accounts opened beside the application."""

import pytest

from ringfence import Settings
from ringfence.errors import SettingsError
from ringfence.guard.accounts import open_accounts


@pytest.mark.anyio
async def test_accounts_in_another_process_s_memory_are_out_of_reach(tmp_path):
    """Else an account would be made, reported and forgotten."""
    settings = Settings.load(
        environ={}, env="development", data=tmp_path, database="memory://"
    )
    with pytest.raises(SettingsError, match="the serving process alone"):
        async with open_accounts(settings):
            pass
    assert list(tmp_path.iterdir()) == []
