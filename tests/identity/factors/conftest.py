"""Second factors in memory."""

import pytest
from tests.identity.factors.setting_up import opened

from ringfence.stores.open import open_stores


@pytest.fixture
async def setup(anyio_backend):
    """Ann and Bob, who have nothing set up yet."""
    stores = open_stores("memory://")
    await stores.start()
    made = opened(stores)
    for account in (made.ann, made.bob):
        await stores.accounts.add(account)
    yield made
    await stores.stop()
