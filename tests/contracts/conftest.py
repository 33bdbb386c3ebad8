"""The stores that the contract suites run against: a new store adds a line here."""

import pytest

from ringfence.stores.open import open_stores

STORES = {
    "sqlite": lambda folder: f"sqlite:///{folder / 'contract.db'}",
}


@pytest.fixture(params=STORES)
async def stores(request, tmp_path, anyio_backend):
    """A fresh, open store of each kind."""
    opened = open_stores(STORES[request.param](tmp_path))
    await opened.start()
    yield opened
    await opened.stop()
